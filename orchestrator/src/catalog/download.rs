use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;

use super::content::Content;
use super::error::{CatalogError, UrlFailure};
use super::hashing::{Activity, Progress, hash_file};
use crate::domain::ArtifactRef;
use crate::tls::Trust;

pub use ureq::Proxy;

/// A server that breaks off is asked again this often, as long as it gave something each time.
const MAX_RESUMES: u32 = 20;
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that are read of a file of another size, to tell what it is.
const HEAD_BYTES: u64 = 2048;

/// How to download.
#[derive(Debug, Clone)]
pub struct DownloadSettings {
    /// Proxy to go through; [`Proxy::try_from_env`] reads the usual variables.
    pub proxy: Option<Proxy>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Longest wait for a name and for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the next byte.
    pub stall_timeout: Duration,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self {
            proxy: None,
            trust: Trust::default(),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
        }
    }
}

impl DownloadSettings {
    fn agent(&self) -> ureq::Agent {
        ureq::Agent::config_builder()
            .proxy(self.proxy.clone())
            .tls_config(self.trust.http())
            .http_status_as_error(false)
            .user_agent(concat!("farmctl/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            .timeout_per_read(Some(self.stall_timeout))
            .build()
            .new_agent()
    }

    /// What a failed request says, and what helps.
    fn said(&self, error: &ureq::Error) -> String {
        self.trust.hint(error).map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))
    }
}

/// A file on its way into the cache.
pub(super) struct Download<'a> {
    settings: &'a DownloadSettings,
    /// Made when the first address is asked.
    agent: Option<ureq::Agent>,
    model: &'a str,
    expected: &'a ArtifactRef,
    path: &'a Path,
    file: File,
    have_bytes: u64,
    deadline: Instant,
    progress: &'a mut dyn FnMut(Progress),
}

/// Why one request didn't bring the rest of the file.
enum Broken {
    /// It broke off: what came is kept, and the rest can be asked for.
    Off(String),
    /// The server has something else, or nothing.
    Refused(String),
    /// What is there can't be continued.
    Restart(String),
    /// This host's fault.
    Here(CatalogError),
}

impl<'a> Download<'a> {
    /// Goes on with what is in `path`, which nobody else may write at the same time.
    pub(super) fn open(
        settings: &'a DownloadSettings,
        model: &'a str,
        expected: &'a ArtifactRef,
        path: &'a Path,
        deadline: Instant,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, CatalogError> {
        let failed = |cause| CatalogError::Io { action: "open", path: path.to_owned(), cause };
        let mut file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path).map_err(failed)?;
        let have_bytes = file.seek(std::io::SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { settings, agent: None, model, expected, path, file, have_bytes, deadline, progress })
    }

    /// Gets the file from the first address that has it. Afterwards the file is whole and its content checked.
    pub(super) fn run(mut self, urls: &[String]) -> Result<(), CatalogError> {
        let mut failures = Vec::new();
        for url in urls {
            match self.from(url) {
                Ok(()) => return self.file.sync_data().map_err(|cause| self.io("write", cause)),
                Err(Broken::Here(error)) => return Err(error),
                Err(Broken::Off(reason) | Broken::Refused(reason) | Broken::Restart(reason)) => {
                    failures.push(UrlFailure { url: without_secrets(url), reason });
                }
            }
        }
        if self.have_bytes == 0 {
            let _ = std::fs::remove_file(self.path); // nothing to go on with
        }
        Err(CatalogError::Download { model: self.model.to_owned(), failures })
    }

    fn from(&mut self, url: &str) -> Result<(), Broken> {
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(Broken::Refused("it begins with neither https:// nor http://".to_owned()));
        }
        // What an earlier run or another address left may be of another file: then it is tried once from the start.
        let mut may_restart = self.have_bytes > 0;
        let mut resumes = 0;
        loop {
            let before = self.have_bytes;
            let outcome = if before == self.expected.size_bytes { Ok(()) } else { self.request(url) };
            match outcome.and_then(|()| self.check()) {
                Err(Broken::Restart(_)) if may_restart => {
                    may_restart = false;
                    self.truncate()?;
                }
                Err(Broken::Restart(reason)) => {
                    self.truncate()?;
                    return Err(Broken::Refused(reason));
                }
                Err(Broken::Off(_)) if self.have_bytes > before && resumes < MAX_RESUMES => {
                    may_restart = true;
                    resumes += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks for what is missing, and takes it.
    fn request(&mut self, url: &str) -> Result<(), Broken> {
        let size_bytes = self.expected.size_bytes;
        if self.have_bytes > size_bytes {
            return Err(Broken::Restart(format!("{} bytes are there of {size_bytes}", self.have_bytes)));
        }
        let left = self.time_left()?;
        let agent = self.agent.get_or_insert_with(|| self.settings.agent());
        let mut request = agent.get(url).config().timeout_global(Some(left)).build();
        request = request.header("accept-encoding", "identity");
        if self.have_bytes > 0 {
            request = request.header("range", format!("bytes={}-", self.have_bytes));
        }
        let mut response = request.call().map_err(|error| Broken::Off(self.settings.said(&error)))?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_page = header("content-type").trim_start().to_ascii_lowercase().starts_with("text/html");
        let length = response.body().content_length();
        let coding = Coding::of(header("content-encoding"), length == Some(size_bytes))?;
        match response.status().as_u16() {
            206 if self.have_bytes > 0 && coding != Coding::None => {
                return Err(Broken::Restart("it sends a part of what it has compressed".to_owned()));
            }
            206 if self.have_bytes > 0 => {
                let range = header("content-range");
                if !continues(range, self.have_bytes, size_bytes) {
                    let wanted = format!("bytes {}-{}/{size_bytes}", self.have_bytes, size_bytes - 1);
                    return Err(Broken::Restart(format!("it sends {range:?} where {wanted:?} was asked for")));
                }
            }
            200 => self.truncate()?, // the whole file, whether or not a part was asked for
            416 if self.have_bytes > 0 => return Err(Broken::Restart("it has no such part of the file".to_owned())),
            _ => return Err(Broken::Refused(format!("it answers HTTP {}", response.status()))),
        }
        let mut body = response.body_mut().as_reader();
        if coding == Coding::Gzip {
            return self.take(&mut MultiGzDecoder::new(body));
        }
        if let Some(length) = length.filter(|length| self.have_bytes + length != size_bytes) {
            let offered = self.have_bytes + length;
            let mut head = Vec::new();
            let _ = body.by_ref().take(HEAD_BYTES).read_to_end(&mut head); // what came will do
            let content = Content::of(&head).or(is_page.then(|| Content::Page(String::new())));
            let content = content.filter(|_| self.have_bytes == 0);
            let reason = format!("it offers {offered} bytes, the catalogue says {size_bytes}");
            return Err(Broken::Refused(self.unfit(content, reason)));
        }
        self.take(&mut body)
    }

    fn take(&mut self, body: &mut impl Read) -> Result<(), Broken> {
        let size_bytes = self.expected.size_bytes;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            self.time_left()?;
            let count = match body.read(&mut buffer) {
                Ok(count) => count,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(Broken::Off(format!("after {} bytes: {cause}", self.have_bytes))),
            };
            if count == 0 && self.have_bytes == size_bytes {
                return Ok(());
            }
            if count == 0 {
                let reason = format!("it ends after {} bytes of {size_bytes}", self.have_bytes);
                return Err(Broken::Off(self.unfit(Content::of_file(self.path), reason)));
            }
            if self.have_bytes + count as u64 > size_bytes {
                let reason = format!("it sends more than the {size_bytes} bytes of the catalogue");
                return Err(Broken::Restart(self.unfit(Content::of_file(self.path), reason)));
            }
            self.file.write_all(&buffer[..count]).map_err(|cause| Broken::Here(self.io("write", cause)))?;
            self.have_bytes += count as u64;
            let (done_bytes, total_bytes) = (self.have_bytes, size_bytes);
            (self.progress)(Progress { activity: Activity::Downloading, done_bytes, total_bytes });
        }
    }

    fn check(&mut self) -> Result<(), Broken> {
        let found = hash_file(self.path, self.deadline, self.progress).map_err(Broken::Here)?;
        if found == *self.expected {
            return Ok(());
        }
        let (found, expected) = (found.sha256, &self.expected.sha256);
        let reason = format!("its content has sha256 {found}, the catalogue says {expected}");
        Err(Broken::Restart(self.unfit(Content::of_file(self.path), reason)))
    }

    /// Why this content is not the file: what it is, where that tells more than the reason.
    fn unfit(&self, content: Option<Content>, reason: String) -> String {
        match content {
            Some(content @ (Content::Page(_) | Content::Json | Content::Xml | Content::LfsPointer)) => {
                format!("it sends {content}, not the {} bytes that the catalogue says", self.expected.size_bytes)
            }
            Some(Content::Empty | Content::Gzip | Content::Zip | Content::Packed(_) | Content::Other(_)) | None => {
                reason
            }
        }
    }

    fn truncate(&mut self) -> Result<(), Broken> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|cause| Broken::Here(self.io("empty", cause)))?;
        self.have_bytes = 0;
        Ok(())
    }

    fn time_left(&self) -> Result<Duration, Broken> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Broken::Here(CatalogError::Deadline { action: format!("download model {}", self.model) }));
        }
        Ok(left)
    }

    fn io(&self, action: &'static str, cause: std::io::Error) -> CatalogError {
        CatalogError::Io { action, path: self.path.to_owned(), cause }
    }
}

/// How a body is packed for its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// As the file is.
    None,
    /// By gzip: some servers and proxies do so although it was not asked for.
    Gzip,
}

impl Coding {
    /// What a `Content-Encoding` says. Servers that give a packed file that word, by its name, send it as it is: then
    /// the body has the file's own length.
    fn of(word: &str, has_length_of_file: bool) -> Result<Self, Broken> {
        match word.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" if has_length_of_file => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            other => Err(Broken::Refused(format!("it packs the file by {other:?}, which was not asked for"))),
        }
    }
}

/// Whether a `Content-Range` goes on at that byte and to the end of a file of that size.
fn continues(content_range: &str, from: u64, size_bytes: u64) -> bool {
    let parts = content_range.trim().strip_prefix("bytes ").and_then(|range| range.split_once('/'));
    let Some((range, total)) = parts else { return false };
    let Some((first, last)) = range.split_once('-') else { return false };
    first.parse() == Ok(from)
        && last.parse::<u64>().is_ok_and(|last| last.checked_add(1) == Some(size_bytes))
        && (total == "*" || total.parse() == Ok(size_bytes))
}

/// The address without user, password and query, which may hold tokens.
fn without_secrets(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
