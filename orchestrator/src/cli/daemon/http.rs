//! Page and API of the daemon.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::api::{self, Api, ApiConfig, Now, Server, Tls, TokenFile};
use crate::cli::context::Context;
use crate::cli::print::{print_lines, say};
use crate::config::Access;
use crate::daemon::Daemon;
use crate::lab::{self, FileStamp, LabError};
use crate::progress::Progress;

/// How soon it is tried again to listen at an address that could not be had.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What the daemon tells the API, and the API itself where there is one.
pub(super) struct HttpFrontend {
    now: watch::Sender<Now>,
    door: Option<Door>,
}

/// An API, and where it is reached once its address is to be had.
struct Door {
    api: Arc<Api>,
    address: SocketAddr,
    /// Why it is not opened, whatever the address.
    refused: Option<String>,
    /// Ends with this.
    server: Option<Server>,
    tried_at: Instant,
    /// Why the address can't be had.
    trouble: Option<String>,
    tls: Option<Certificate>,
    tokens: Option<TokenFile>,
}

/// A certificate that is served, and its files.
struct Certificate {
    served: Tls,
    files: (PathBuf, PathBuf),
    stamps: [Option<FileStamp>; 2],
    /// Why the files as they are now are not served.
    trouble: Option<String>,
}

impl HttpFrontend {
    /// Listens, and answers from now on; an address that can't be had is tried again and again.
    pub(super) async fn open(
        context: &Context,
        access: Access,
        insecure: bool,
        daemon: &Daemon,
        progress: &Progress,
    ) -> Result<HttpFrontend, LabError> {
        let now = watch::Sender::new(now(daemon));
        let Some(address) = access.listen else { return Ok(HttpFrontend { now, door: None }) };
        let refused = clear_text(&access, insecure);
        let tokens = access.tokens.map(|path| [TokenFile::new(path.clone()), TokenFile::new(path)]);
        if let Some([file, _]) = &tokens {
            let known = file.tokens().map_err(|error| {
                let hint = "`farmctl tokens add NAME --role admin` makes the first";
                LabError::failed(lab::ErrorKind::Usage, error).with_hint(hint)
            })?;
            if known.is_empty() {
                say("there is no token yet, so nobody can log in: `farmctl tokens add NAME --role admin` makes one");
            }
        }
        let tls = access.tls.map(Certificate::read).transpose()?;
        let (of_api, watched) = match tokens {
            Some([of_api, watched]) => (Some(of_api), Some(watched)),
            None => (None, None),
        };
        let api = Api::new(ApiConfig {
            lab: context.lab.clone(),
            progress: progress.clone(),
            now: now.subscribe(),
            tokens: of_api,
            is_secure: tls.is_some(),
            host_names: access.host_names,
            time_zone: access.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        })?;
        let (server, trouble, tried_at) = (None, None, Instant::now());
        let mut door = Door { api, address, refused, server, tried_at, trouble, tls, tokens: watched };
        door.listen().await?;
        Ok(HttpFrontend { now, door: Some(door) })
    }

    /// Looks at the address, the certificate and the tokens, and keeps when those were used; what is wrong about each,
    /// or nothing.
    pub(super) async fn look(&mut self) -> Result<Vec<(&'static str, Option<String>)>, LabError> {
        let Some(door) = &mut self.door else { return Ok(Vec::new()) };
        if door.server.is_none() && door.tried_at.elapsed() >= TRY_AGAIN {
            door.listen().await?;
        }
        door.api.write_uses(false);
        let tls = door.tls.as_mut().and_then(Certificate::look);
        let tokens =
            door.tokens.as_ref().and_then(|file| file.tokens().err()).map(|error| format!("failed to {error}"));
        Ok(vec![("listen", door.trouble.clone()), ("tls", tls), ("tokens", tokens)])
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> Option<String> {
        self.door.as_ref().and_then(Door::url)
    }

    /// Notes what the daemon is at.
    pub(super) fn note(&self, daemon: &Daemon) {
        self.now.send_replace(now(daemon));
    }

    /// Answers no more, and waits for what was begun.
    pub(super) async fn stop(&mut self) {
        if let Some(Door { api, server, .. }) = self.door.take() {
            drop(server);
            api.write_uses(true);
            api.ended().await;
        }
    }
}

impl Door {
    /// Tries to listen; what keeps it from that is a trouble that may pass.
    async fn listen(&mut self) -> Result<(), LabError> {
        self.tried_at = Instant::now();
        if self.refused.is_some() {
            self.trouble.clone_from(&self.refused);
            return Ok(());
        }
        let tls = self.tls.as_ref().map(|certificate| certificate.served.clone());
        let listening = match api::bind(self.address).await {
            Ok(listener) => api::serve(&self.api, listener, tls),
            Err(error) => Err(error),
        };
        match listening {
            Ok(server) => {
                (self.server, self.trouble) = (Some(server), None);
                let url = self.url().unwrap_or_default();
                print_lines(&format!("{url}\n"))?;
                say(&format!("page and API: {url}"));
            }
            Err(error) => {
                let hint = match error.kind() {
                    ErrorKind::AddrInUse => "another program has it",
                    _ => "this host does not have it",
                };
                self.trouble = Some(format!(
                    "failed to listen at {}: {error}; {hint}: it is tried again, and what is due is begun meanwhile; \
                     `listen` in configs/daemon.yaml names another address, or `off`",
                    self.address
                ));
            }
        }
        Ok(())
    }

    fn url(&self) -> Option<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.server.as_ref().map(|server| format!("{scheme}://{}/", server.address))
    }
}

impl Certificate {
    fn read(files: (PathBuf, PathBuf)) -> Result<Certificate, LabError> {
        let stamps = [FileStamp::of(&files.0), FileStamp::of(&files.1)];
        let served = Tls::read(&files.0, &files.1)
            .map_err(|error| LabError::usage(format!("failed to use the certificate: {error}")))?;
        Ok(Certificate { served, files, stamps, trouble: None })
    }

    /// Serves the files as they are now; says why not, where they are faulty.
    fn look(&mut self) -> Option<String> {
        let stamps = [FileStamp::of(&self.files.0), FileStamp::of(&self.files.1)];
        if stamps != self.stamps {
            self.stamps = stamps;
            self.trouble = match self.served.read_again(&self.files.0, &self.files.1) {
                Ok(()) => {
                    say("the certificate was read again");
                    None
                }
                Err(error) => Some(format!("failed to use the certificate: {error}; the one of before is served")),
            };
        }
        self.trouble.clone()
    }
}

/// Why nobody is let in: tokens do not go over the network for everybody to read, unless a person says so.
fn clear_text(access: &Access, insecure: bool) -> Option<String> {
    let address = access.listen.filter(|address| !address.ip().is_loopback() && access.tls.is_none())?;
    if insecure {
        say(&format!("tokens and all else go to and from {address} in clear text (--insecure)"));
        return None;
    }
    Some(format!(
        "tokens would go over the network to {address} in clear text, so page and API are not served, and what is due \
         is begun; name a certificate as `tls`, listen at 127.0.0.1 behind a proxy with one, or say `farmctl daemon \
         --insecure`"
    ))
}

fn now(daemon: &Daemon) -> Now {
    Now { status: daemon.status(), schedules: daemon.schedules().into(), looked_at: Instant::now() }
}
