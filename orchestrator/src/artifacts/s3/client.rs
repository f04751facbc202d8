//! The HTTP client: the one that downloads go by, with the same proxy and the same authorities.

use std::error::Error;
use std::io::ErrorKind;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use ureq::http::request::Parts;
use ureq::http::{Method, StatusCode};

use crate::tls::Trust;

use super::S3Surroundings;
use super::heard::{Heard, Refusal};
use super::transfer::PART_BYTES;

/// Largest answer that is taken: a part of a file, or a page of a list.
const MAX_ANSWER_BYTES: u64 = 4 * PART_BYTES;

/// Gives `object_store` this client.
pub(super) struct Connector(Client);

#[derive(Clone)]
struct Client {
    agent: ureq::Agent,
    trust: Trust,
}

impl Connector {
    pub(super) fn new(around: &S3Surroundings) -> Connector {
        let timeouts = around.timeouts;
        let agent = ureq::Agent::config_builder()
            .proxy(around.proxy.clone())
            .tls_config(around.trust.http())
            .http_status_as_error(false)
            // A redirection would be followed without its signature.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("farmctl/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.stall))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_global(Some(timeouts.request))
            .build()
            .new_agent();
        Connector(Client { agent, trust: around.trust.clone() })
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let client = self.clone();
        let asked = tokio::task::spawn_blocking(move || client.ask(parts, &body)).await;
        let answered = asked.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        match &answered {
            // That something is not there is an answer, where the server has no more to say.
            Ok(answer) if answer.parts.status.is_success() || answer.is_bare_not_found() => {}
            Ok(answer) => Heard::note(Refusal::of_answer(answer.parts.status.as_u16(), &answer.body)),
            Err(failed) => Heard::note(Refusal::NoAnswer {
                is_late: matches!(failed.kind, HttpErrorKind::Timeout),
                words: failed.words.clone(),
            }),
        }
        match answered {
            Ok(Answer { parts, body }) => Ok(HttpResponse::from_parts(parts, body.into())),
            Err(failed) => Err(HttpError::new(failed.kind, failed)),
        }
    }
}

struct Answer {
    parts: ureq::http::response::Parts,
    body: Vec<u8>,
}

impl Answer {
    fn is_bare_not_found(&self) -> bool {
        self.parts.status == StatusCode::NOT_FOUND && self.body.is_empty()
    }
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Failed {
    kind: HttpErrorKind,
    words: String,
}

impl Client {
    /// Sends a request and takes its whole answer, where it may block.
    fn ask(&self, mut parts: Parts, body: &[u8]) -> Result<Answer, Failed> {
        // The body's own length counts; two words for it would be one too many.
        parts.headers.remove(ureq::http::header::CONTENT_LENGTH);
        let takes_body = matches!(parts.method, Method::PUT | Method::POST);
        let answer = match takes_body {
            true => self.agent.run(ureq::http::Request::from_parts(parts, body)),
            false => self.agent.run(ureq::http::Request::from_parts(parts, ())),
        };
        let (parts, mut body) = answer.map_err(|error| self.failed(&error))?.into_parts();
        let body = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(|error| self.failed(&error))?;
        Ok(Answer { parts, body })
    }

    fn failed(&self, error: &ureq::Error) -> Failed {
        let hint = self.trust.hint(error).map(|hint| format!(": {hint}")).unwrap_or_default();
        Failed { kind: kind_of(error), words: format!("{error}{hint}") }
    }
}

/// Whether `object_store` may repeat a request that failed so.
fn kind_of(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => HttpErrorKind::Timeout,
            ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable => HttpErrorKind::Connect,
            _ if is_of_tls(error) => HttpErrorKind::Unknown,
            _ => HttpErrorKind::Interrupted,
        },
        // The server ended the connection in the middle of an answer.
        ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        ureq::Error::BodyExceedsLimit(_) => HttpErrorKind::Decode,
        _ => HttpErrorKind::Unknown,
    }
}

/// Whether TLS refused: the next time it would, too.
fn is_of_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref().map(|error| error as &(dyn Error + 'static));
    inner.is_some_and(|error| error.is::<tokio_rustls::rustls::Error>())
}
