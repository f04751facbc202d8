//! Page and API of the daemon.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::{self, Api, Now, Parts, Server, TokenFile};
use crate::config::Access;
use crate::daemon::Daemon;
use crate::progress::Progress;

use super::super::lab::person;
use super::super::{CliError, Context, VERSION, print_data, say};
use super::actions::LabActions;
use super::sweeps::LabSweeps;

/// What the daemon tells the API, and the API itself where there is one.
pub(super) struct Front {
    now: watch::Sender<Now>,
    actions: Arc<LabActions>,
    /// Ends with this.
    server: Option<Server>,
    scheme: &'static str,
}

impl Front {
    /// Listens, and answers from now on.
    pub(super) async fn open(
        context: &Context,
        access: Access,
        daemon: &Daemon,
        sweeps: &Arc<LabSweeps>,
        progress: &Progress,
    ) -> Result<Front, CliError> {
        let now = watch::Sender::new(now(daemon));
        let actions = Arc::new(LabActions::new(context.clone(), progress.clone(), Arc::clone(sweeps)));
        let Some(address) = access.listen else { return Ok(Front { now, actions, server: None, scheme: "http" }) };
        let failed = |error: std::io::Error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program has it: name another as `listen` in configs/daemon.yaml, or `off`"
                }
                _ => "name an address of this host as `listen` in configs/daemon.yaml, or `off`",
            };
            CliError::usage(format!("failed to listen at {address}: {error}")).with_hint(hint)
        };
        let tokens = access.tokens.map(TokenFile::new);
        if let Some(file) = &tokens {
            let known = file.tokens().map_err(|error| {
                let hint = "`farmctl tokens add NAME --role admin` makes the first";
                CliError::usage(format!("failed to {error}")).with_hint(hint)
            })?;
            if known.is_empty() {
                say("there is no token yet, so nobody can log in: `farmctl tokens add NAME --role admin` makes one");
            }
        }
        let tls = access.tls.map(|(certificate, key)| api::tls(&certificate, &key)).transpose();
        let tls = tls.map_err(|error| CliError::usage(format!("failed to use the certificate: {error}")))?;
        let is_secure = tls.is_some();
        let listener = api::bind(address).await.map_err(failed)?;
        let root = context.lab.path(Path::new(""));
        let api = Api::new(Parts {
            // A connection of its own: who looks does not hold up what is done.
            store: context.lab.store()?,
            actions: Arc::new(Arc::clone(&actions)),
            now: now.subscribe(),
            reports: context.lab.reports(),
            lab: root.file_name().map_or_else(|| "lab".to_owned(), |name| name.to_string_lossy().into_owned()),
            version: VERSION,
            tokens,
            owner: person(),
            is_secure,
            host_names: access.host_names,
        })?;
        let server = api::serve(&api, listener, tls).map_err(failed)?;
        let front = Front { now, actions, server: Some(server), scheme: if is_secure { "https" } else { "http" } };
        if let Some(url) = front.url() {
            print_data(format!("{url}\n").as_bytes())?;
            say(&format!("page and API: {url}"));
        }
        Ok(front)
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> Option<String> {
        self.server.as_ref().map(|server| format!("{}://{}/", self.scheme, server.address))
    }

    /// Notes what the daemon is at.
    pub(super) fn note(&self, daemon: &Daemon) {
        self.now.send_replace(now(daemon));
    }

    /// Answers no more, and waits for runs under way.
    pub(super) async fn stop(&mut self) {
        self.server = None;
        self.actions.stop().await;
    }
}

fn now(daemon: &Daemon) -> Now {
    Now { status: daemon.status(), schedules: daemon.schedules().into(), looked_at: Timestamp::now() }
}
