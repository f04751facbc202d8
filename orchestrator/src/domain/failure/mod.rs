use core::net::{IpAddr, SocketAddr};
use std::fmt;

use farmctl_protocol::RunnerFailure;
use serde::{Deserialize, Serialize};

mod connection;
mod device;
mod kind;
mod lab;
mod run;

pub use kind::FailureKind;

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened, naming device, path and command.
    pub message: String,
    /// Last lines that the measuring program wrote to its standard error.
    pub stderr_tail: Vec<String>,
}

impl Failure {
    /// A failure without output of a program.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), stderr_tail: Vec::new() }
    }

    /// What happened, without the name and the address of its device: the same text on each device that it happened to.
    pub fn message_of_any_device(&self, device: &str) -> String {
        let own = format!("on {device}: ");
        let message = self.message.strip_prefix(&own).unwrap_or(&self.message);
        let words = message.split(' ').map(|word| of_any_device(word, device));
        words.collect::<Vec<_>>().join(" ")
    }

    /// What a person can do about it, where it happened to a job of this device and model.
    pub fn remedy(&self, device: &str, model: Option<&str>) -> String {
        let remedy = self.kind.remedy().replace("DEVICE", device);
        model.map_or_else(|| remedy.clone(), |model| remedy.replace("NAME", model))
    }
}

/// A word of a message; what names the device in it is left out.
fn of_any_device(word: &str, device: &str) -> String {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let core = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '[' | ']' | ':'));
    let core = core.trim_end_matches(':');
    if core.parse::<SocketAddr>().is_ok() || core.parse::<IpAddr>().is_ok() {
        return word.replacen(core, "its address", 1);
    }
    let is_whole = |at: usize| {
        let (before, after) = (&word[..at], &word[at + device.len()..]);
        !before.ends_with(is_of_name) && !after.starts_with(is_of_name)
    };
    match word.find(device).filter(|at| !device.is_empty() && is_whole(*at)) {
        Some(_) => word.replacen(device, "the device", 1),
        None => word.to_owned(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl From<RunnerFailure> for Failure {
    fn from(failure: RunnerFailure) -> Failure {
        Failure { kind: failure.failure.into(), message: failure.message, stderr_tail: failure.stderr_tail }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The device itself.
    Device,
    /// The way to the device.
    Transport,
    /// A file that should be there and right.
    Artifact,
    /// The inference engine.
    Backend,
    /// The network.
    Model,
    /// What a person wrote or did.
    User,
    /// farmctl.
    Internal,
}

/// What a failure says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// It may go better. It says nothing against the device.
    Again,
    /// It may go better, and it speaks against the device or the way to it: several in a row quarantine the device.
    Infrastructure,
}

/// What a failure says of the way into a device, when it is brought up or looked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It passes by itself, while the device boots or the network around it starts.
    Passing,
    /// It stands until a person changes something. Of a device that had let us in, it may pass as well.
    Lasting,
    /// What is missing is on this host, so that nothing was refused yet: waiting for the device helps nobody.
    OwnLack,
    /// Nobody was refused.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_of_two_devices_has_one_text() {
        let text =
            |device: &str, message: &str| Failure::new(FailureKind::Unreachable, message).message_of_any_device(device);
        let same = [
            ["on d1: no such operator", "on d2: no such operator"],
            ["connect to d1 at 10.0.0.1:22: refused", "connect to d2 at 10.0.0.2:22: refused"],
            ["«d1» is away (10.0.0.1)", "«d2» is away (10.0.0.2)"],
        ];
        for [first, second] in same {
            assert_eq!(text("d1", first), text("d2", second));
        }
        assert_eq!(text("d1", "d1-b and xd1 stay"), "d1-b and xd1 stay");
        assert_eq!(text("pi", "at 12:30 it took 1.5 s"), "at 12:30 it took 1.5 s");
    }

    #[test]
    fn a_remedy_names_what_it_is_about() {
        let failure = Failure::new(FailureKind::ModelLoad, "no");
        assert!(failure.remedy("d1", Some("mine")).contains("`farmctl models show mine`"));
        let locked = Failure::new(FailureKind::Locked, "no");
        assert!(locked.remedy("d1", None).contains("`farmctl devices unlock d1`"));
    }
}
