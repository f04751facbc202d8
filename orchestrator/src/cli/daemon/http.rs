//! Page and API of the daemon.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::api::{self, Api, ApiConfig, Now, Server, TokenFile};
use crate::cli::context::Context;
use crate::cli::print::{print_lines, say};
use crate::config::Access;
use crate::daemon::Daemon;
use crate::lab::{self, LabError};
use crate::progress::Progress;

/// What the daemon tells the API, and the API itself where there is one.
pub(super) struct HttpFrontend {
    now: watch::Sender<Now>,
    served: Option<Served>,
}

/// An API that is reached.
struct Served {
    api: Arc<Api>,
    /// Ends with this.
    server: Server,
    scheme: &'static str,
}

impl HttpFrontend {
    /// Listens, and answers from now on.
    pub(super) async fn open(
        context: &Context,
        access: Access,
        daemon: &Daemon,
        progress: &Progress,
    ) -> Result<HttpFrontend, LabError> {
        let now = watch::Sender::new(now(daemon));
        let Some(address) = access.listen else { return Ok(HttpFrontend { now, served: None }) };
        let failed = |error: std::io::Error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program has it: name another as `listen` in configs/daemon.yaml, or `off`"
                }
                _ => "name an address of this host as `listen` in configs/daemon.yaml, or `off`",
            };
            LabError::usage(format!("failed to listen at {address}: {error}")).with_hint(hint).caused_by(error)
        };
        let tokens = access.tokens.map(TokenFile::new);
        if let Some(file) = &tokens {
            let known = file.tokens().map_err(|error| {
                let hint = "`farmctl tokens add NAME --role admin` makes the first";
                LabError::failed(lab::ErrorKind::Usage, error).with_hint(hint)
            })?;
            if known.is_empty() {
                say("there is no token yet, so nobody can log in: `farmctl tokens add NAME --role admin` makes one");
            }
        }
        let tls = access.tls.map(|(certificate, key)| api::tls(&certificate, &key)).transpose();
        let tls = tls.map_err(|error| LabError::usage(format!("failed to use the certificate: {error}")))?;
        let is_secure = tls.is_some();
        let listener = api::bind(address).await.map_err(failed)?;
        let api = Api::new(ApiConfig {
            lab: context.lab.clone(),
            progress: progress.clone(),
            now: now.subscribe(),
            tokens,
            is_secure,
            host_names: access.host_names,
            time_zone: access.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        })?;
        let server = api::serve(&api, listener, tls).map_err(failed)?;
        let served = Served { api, server, scheme: if is_secure { "https" } else { "http" } };
        let url = served.url();
        print_lines(&format!("{url}\n"))?;
        say(&format!("page and API: {url}"));
        Ok(HttpFrontend { now, served: Some(served) })
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> Option<String> {
        self.served.as_ref().map(Served::url)
    }

    /// Notes what the daemon is at.
    pub(super) fn note(&self, daemon: &Daemon) {
        self.now.send_replace(now(daemon));
    }

    /// Answers no more, and waits for what was begun.
    pub(super) async fn stop(&mut self) {
        if let Some(Served { api, server, .. }) = self.served.take() {
            drop(server);
            api.ended().await;
        }
    }
}

impl Served {
    fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.server.address)
    }
}

fn now(daemon: &Daemon) -> Now {
    Now { status: daemon.status(), schedules: daemon.schedules().into(), looked_at: Instant::now() }
}
