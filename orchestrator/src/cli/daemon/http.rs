//! Page and API of the daemon.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::{self, Api, Now, Parts, Server};
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
        let Some(address) = access.listen else { return Ok(Front { now, actions, server: None }) };
        let failed = |error: std::io::Error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program has it: name another as `listen` in configs/daemon.yaml, or `off`"
                }
                _ => "name an address of this host as `listen` in configs/daemon.yaml, or `off`",
            };
            CliError::usage(format!("failed to listen at {address}: {error}")).with_hint(hint)
        };
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
            owner: person(),
            host_names: access.host_names,
        });
        let server = api::serve(&api, listener).map_err(failed)?;
        let front = Front { now, actions, server: Some(server) };
        if let Some(url) = front.url() {
            print_data(format!("{url}\n").as_bytes())?;
            say(&format!("page and API: {url}"));
        }
        Ok(front)
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> Option<String> {
        self.server.as_ref().map(|server| format!("http://{}/", server.address))
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
