//! Page and API of the daemon.

use std::time::Instant;

use tokio::sync::watch;

use crate::api::{Api, ApiConfig, Certificate, Door, DoorConfig, DoorTrouble, Now, TokenFile};
use crate::cli::context::Context;
use crate::config::Access;
use crate::daemon::Daemon;
use crate::lab::{self, LabError};
use crate::progress::Progress;
use crate::terminal::print::{print_lines, say};

/// What the daemon tells the API, and where that is reached, where there is one.
pub(super) struct HttpFrontend {
    now: watch::Sender<Now>,
    door: Option<Door>,
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
        let is_there = access.tokens.as_ref().is_some_and(|path| path.symlink_metadata().is_ok());
        let tokens_of_api = access.tokens.clone().map(TokenFile::new);
        let tokens = access.tokens.map(TokenFile::new);
        if let Some(file) = &tokens {
            let known = file.tokens().map_err(|error| {
                let hint = match is_there {
                    true => "mend the file, or move it away: `farmctl tokens add NAME --role admin` makes a new one",
                    false => "`farmctl tokens add NAME --role admin` makes the first",
                };
                LabError::failed(lab::ErrorKind::Usage, error).with_hint(hint)
            })?;
            if known.is_empty() {
                say("there is no token yet, so nobody can log in: `farmctl tokens add NAME --role admin` makes one");
            }
        }
        let certificate = access.tls.map(|(file, key)| Certificate::read(file, key)).transpose()?;
        let api = Api::new(ApiConfig {
            lab: context.lab.clone(),
            progress: progress.clone(),
            now: now.subscribe(),
            tokens: tokens_of_api,
            is_secure: certificate.is_some(),
            host_names: access.host_names,
            time_zone: access.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        })?;
        let door = Door::new(api, DoorConfig { address, refused, certificate, tokens });
        let mut frontend = HttpFrontend { now, door: Some(door) };
        frontend.try_to_listen().await?;
        Ok(frontend)
    }

    async fn try_to_listen(&mut self) -> Result<(), LabError> {
        if let Some(door) = &mut self.door
            && door.open().await
        {
            let url = door.url().unwrap_or_default();
            print_lines(&format!("{url}\n"))?;
            say(&format!("page and API: {url}"));
        }
        Ok(())
    }

    /// Looks at the address, the certificate and the tokens; what is wrong about each, or nothing.
    pub(super) async fn look(&mut self) -> Result<Vec<DoorTrouble>, LabError> {
        self.try_to_listen().await?;
        let Some(state) = self.door.as_mut().map(Door::look) else { return Ok(Vec::new()) };
        state.remark.iter().for_each(|remark| say(remark));
        Ok(state.troubles.into())
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
        if let Some(door) = self.door.take() {
            door.close().await;
        }
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
