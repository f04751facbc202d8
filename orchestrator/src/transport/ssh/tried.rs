//! What was tried of a login, in words.
//!
//! Main type: [`Tried`]. What a server was not shown, it has not refused.

use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::MethodSet;

use super::config::Hop;
use super::facts::Facts;
use crate::transport::{ErrorKind, TransportError};

/// What a server was offered, and what could not be.
#[derive(Default)]
pub(super) struct Tried {
    /// What it was shown.
    pub offered: Vec<String>,
    /// What it was not, each with why.
    pub unusable: Vec<String>,
    pub hints: Vec<String>,
    /// What it last said that it accepts.
    pub methods: Option<MethodSet>,
}

impl Tried {
    /// The server said no to all of it, or there was nothing to be shown.
    pub(super) fn refused(&self, hop: &Hop) -> TransportError {
        let unusable = self.unusable.join(", ");
        let tried = match (self.offered.as_slice(), unusable.is_empty()) {
            ([], true) if hop.identities.agent.is_none() => {
                "there is nothing to log in with: no key file, no ssh agent (SSH_AUTH_SOCK is not set), no password"
                    .to_owned()
            }
            ([], true) => "there is nothing to log in with: no key file, no agent key, no password".to_owned(),
            ([], false) => format!("there is nothing to log in with: {unusable}"),
            (offered, true) => format!("the server refused {}", offered.join(", ")),
            (offered, false) => format!("the server refused {}; it was not shown {unusable}", offered.join(", ")),
        };
        let accepts = match &self.methods {
            Some(methods) if !methods.is_empty() => {
                let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
                format!("; it accepts {}", names.join(", "))
            }
            _ => String::new(),
        };
        let kind = if self.offered.is_empty() { ErrorKind::LoginMissing } else { ErrorKind::LoginRefused };
        let error = TransportError::new(kind, format!("log in as {hop}: {tried}{accepts}"));
        // A key of each kind may have the same hint.
        let mut hints = self.hints.clone();
        hints.dedup();
        if hints.is_empty() { error } else { error.with_hint(hints.join("; ")) }
    }

    /// The connection ended in the middle, and nothing was said to what was tried last.
    pub(super) fn broke(&self, hop: &Hop, facts: &Facts, error: &dyn Display) -> TransportError {
        let before = match self.offered.split_last() {
            Some((_, before)) if !before.is_empty() => format!(", after it had refused {}", before.join(", ")),
            _ => String::new(),
        };
        if facts.is_unreadable.get().is_some() {
            // RFC 4251 wants UTF-8 of all that is shown to people.
            return TransportError::new(
                ErrorKind::Protocol,
                format!("log in as {hop}: the server shows a text to who logs in that is not UTF-8{before}"),
            )
            .with_hint("save the file that `Banner` names in its sshd_config as UTF-8, or leave `Banner` out");
        }
        // The server's own last words are told with all others.
        let own = facts.end.get().filter(|_| facts.disconnect.get().is_none());
        let reason = own.map_or_else(|| error.to_string(), Clone::clone);
        TransportError::new(ErrorKind::ConnectionLost, format!("log in as {hop}: {reason}{before}")).with_hint(
            "if it lasts, look at what sshd lets in: /etc/nologin, an expired account (`chage -l`), its access rules; \
             its log says which",
        )
    }
}

/// Nobody answered in time. That is the server, unless others stand between.
pub(super) fn silent(step: &str, hop: &Hop, limit: Duration, facts: &Facts) -> TransportError {
    let seconds = limit.as_secs_f64();
    if facts.waits_for_agent.load(Ordering::Relaxed) {
        let message = format!("{step} {hop}: the ssh agent did not sign within {seconds} s");
        return TransportError::new(ErrorKind::LoginMissing, message)
            .with_hint("it may wait for somebody to touch a key or to confirm, or hang: try `ssh-add -T KEY.pub`");
    }
    let who = match hop.proxy_command {
        Some(_) => "nothing came through its ProxyCommand",
        None => "the server accepted the connection but did not answer",
    };
    TransportError::new(ErrorKind::Timeout, format!("{step} {hop}: {who} within {seconds} s{}", facts.words()))
}
