//! Tells people what happened: by a webhook, a command, or mail.
//!
//! Main function: [`send`]. What is told is made by `report`. Every try has a deadline, and a webhook or a mail server
//! that is away is tried a few times. Never decides what is worth telling, and never shows a secret.

mod command;
mod email;
mod webhook;

use std::time::Duration;

use crate::domain::{Channel, Notice, SecretSource};
use crate::secret;
use crate::tls::Trust;

/// Longest time of one try.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pauses before the second try, and those after it.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// Why somebody was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tell {channel}: {cause}")]
pub struct NotifyError {
    /// Whom, without anything secret.
    pub channel: String,
    /// Why not.
    pub cause: String,
}

/// How a try failed.
enum Failed {
    /// It would fail again.
    Always(String),
    /// It may go better a little later.
    ForNow(String),
}

/// Looks up an environment variable.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// What a channel needs of this host.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Where secrets may stand.
    pub environment: Environment<'a>,
    /// Whose certificates are believed.
    pub trust: &'a Trust,
}

/// Tells it by a channel, at once or after a few tries; blocks meanwhile.
///
/// # Errors
/// Why it was not taken, with all tries used up.
pub fn send(channel: &Channel, notice: &Notice, means: Means<'_>) -> Result<(), NotifyError> {
    send_with(channel, notice, means, &PAUSES)
}

/// Why these channels would tell nobody: secrets that can't be had as they are now.
pub fn faults(channels: &[Channel], environment: Environment<'_>) -> Vec<NotifyError> {
    let fault = |channel: &Channel| {
        let (Failed::Always(cause) | Failed::ForNow(cause)) = secret_of(channel.secret()?, environment).err()?;
        Some(NotifyError { channel: name(channel), cause })
    };
    channels.iter().filter_map(fault).collect()
}

fn send_with(channel: &Channel, notice: &Notice, means: Means<'_>, pauses: &[Duration]) -> Result<(), NotifyError> {
    let mut pauses = pauses.iter();
    loop {
        let tried = match channel {
            Channel::Webhook(webhook) => webhook::send(webhook, notice, means, DEADLINE),
            Channel::Command(argv) => command::send(argv, notice, DEADLINE),
            Channel::Email(email) => email::send(email, notice, means, DEADLINE),
        };
        let (cause, pause) = match tried {
            Ok(()) => return Ok(()),
            Err(Failed::Always(cause)) => (cause, None),
            Err(Failed::ForNow(cause)) => (cause, pauses.next()),
        };
        match pause {
            Some(pause) => std::thread::sleep(*pause),
            None => return Err(NotifyError { channel: name(channel), cause }),
        }
    }
}

/// What a failed connection says, and what helps.
fn said(error: &(dyn std::error::Error + 'static), trust: &Trust) -> String {
    trust.hint(error).map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))
}

/// What a channel is called; an address may hold a secret, its host does not.
fn name(channel: &Channel) -> String {
    match channel {
        Channel::Webhook(webhook) => {
            let host = webhook.url.split("://").nth(1).unwrap_or_default();
            let host = host.split(['/', '?']).next().unwrap_or_default();
            format!("the webhook at {}", host.rsplit('@').next().unwrap_or_default())
        }
        Channel::Command(argv) => format!("the command {}", argv.first().map(String::as_str).unwrap_or_default()),
        Channel::Email(email) => format!("the mail server {}:{}", email.host, email.port),
    }
}

/// A secret: the first line of its file, or its variable.
fn secret_of(source: &SecretSource, environment: Environment<'_>) -> Result<String, Failed> {
    let found = match source {
        SecretSource::File(path) => {
            secret::first_line(path).map_err(|error| format!("failed to read the secret {error}"))
        }
        SecretSource::Environment(name) => environment(name).ok_or_else(|| format!("the variable {name} is not set")),
    };
    found
        .and_then(|secret| if secret.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(secret) })
        .map_err(Failed::Always)
}

#[cfg(test)]
mod tests;
