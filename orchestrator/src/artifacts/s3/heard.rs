//! What a server said, or a connection, while a call was under way: `object_store` gives it as text alone.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use super::Trouble;

/// Longest words of a server that are shown.
const MAX_WORDS_CHARS: usize = 300;

tokio::task_local! {
    /// Of the call that is under way in this task.
    static OF_THIS_CALL: Heard;
}

/// The last that went wrong in a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Refusal>>>);

/// What went wrong with a request.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// The server said so.
    Said { status: u16, code: String, message: String },
    /// There was no answer.
    NoAnswer { is_late: bool, words: String },
    /// There is nothing to sign with.
    NoCredentials(String),
}

impl Heard {
    /// Listens while this work is done.
    pub(super) async fn listen<T>(&self, work: impl Future<Output = T>) -> T {
        OF_THIS_CALL.scope(self.clone(), work).await
    }

    /// Keeps what went wrong, for the call that is under way.
    pub(super) fn note(refusal: Refusal) {
        let _ = OF_THIS_CALL.try_with(|heard| {
            *heard.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        });
    }

    /// The trouble of a call that failed: what was heard tells more than what came of it.
    pub(super) fn trouble(&self, trouble: Trouble, bucket: &str) -> Trouble {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (trouble, heard) {
            (Trouble::Other(_), Some(refusal)) => refusal.into_trouble(bucket),
            // Where it was still being repeated, the reason is what failed each time.
            (Trouble::Deadline(_), Some(refusal)) => Trouble::Deadline(refusal.into_trouble(bucket).to_string()),
            (Trouble::Missing, Some(Refusal::Said { code, .. })) if code == "NoSuchBucket" => {
                Trouble::NoBucket(bucket.to_owned())
            }
            (trouble, _) => trouble,
        }
    }
}

impl Refusal {
    /// What an answer says that is no success: S3's own words are XML.
    pub(super) fn of_answer(status: u16, body: &[u8]) -> Refusal {
        let text = String::from_utf8_lossy(body);
        let said = |name: &str| element(&text, name).unwrap_or_default();
        Refusal::Said { status, code: said("Code"), message: said("Message") }
    }

    fn into_trouble(self, bucket: &str) -> Trouble {
        let (status, code, message) = match self {
            Refusal::NoCredentials(words) => return Trouble::NoCredentials(words),
            Refusal::NoAnswer { is_late: true, words } => return Trouble::Deadline(words),
            Refusal::NoAnswer { is_late: false, words } => return Trouble::Unreachable(words),
            Refusal::Said { status, code, message } => (status, code, message),
        };
        match (code.as_str(), status) {
            ("NoSuchBucket", _) => Trouble::NoBucket(bucket.to_owned()),
            ("RequestTimeTooSkewed" | "RequestExpired", _) => Trouble::Clock(message),
            (
                "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
                _,
            ) => Trouble::OtherRegion(message),
            // Where nothing but a redirection came, it is the region: nothing else is redirected.
            ("", 301 | 307) => Trouble::OtherRegion(message),
            ("ExpiredToken" | "InvalidToken", _) | (_, 401 | 403) => Trouble::Denied { status, code, message },
            _ => Trouble::Answer { status, code, message },
        }
    }
}

/// The text of the first element of that name: enough of XML for the error answers of S3, whose elements hold text.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let one_line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(one_line.chars().take(MAX_WORDS_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> String {
        Refusal::of_answer(status, body.as_bytes()).into_trouble("lab").to_string()
    }

    #[test]
    fn what_a_server_says_is_told_as_what_it_is() {
        let error = |code: &str| format!("<?xml?><Error><Code>{code}</Code><Message>a &lt;b&gt;\n c</Message></Error>");
        assert_eq!(told(404, &error("NoSuchBucket")), "there is no bucket lab");
        assert_eq!(told(403, &error("AccessDenied")), "the server refuses (403 AccessDenied): a <b> c");
        assert_eq!(told(400, &error("ExpiredToken")), "the server refuses (400 ExpiredToken): a <b> c");
        let clock = told(403, &error("RequestTimeTooSkewed"));
        assert_eq!(clock, "this host's clock differs too much from the server's: a <b> c");
        assert!(told(301, &error("PermanentRedirect")).starts_with("the bucket is in another region"));
        assert!(told(400, &error("AuthorizationHeaderMalformed")).starts_with("the bucket is in another region"));
        assert_eq!(told(301, ""), "the bucket is in another region");
        assert_eq!(told(503, &error("SlowDown")), "the server answers 503 SlowDown: a <b> c");
        assert_eq!(told(502, "<html>bad gateway"), "the server answers 502 ");
    }
}
