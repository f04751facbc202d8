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
    Standing,
    /// Nobody was refused.
    None,
}
