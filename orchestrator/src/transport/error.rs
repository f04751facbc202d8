use std::fmt;

use crate::domain::FailureKind;

/// What a transport could not do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// A lower-case fragment that fits «failed to …: », naming address, path and command.
    pub message: String,
    /// What a person can do, when it is more than the kind's own remedy.
    pub hint: Option<String>,
}

impl TransportError {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> TransportError {
        TransportError { kind, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> TransportError {
        self.hint = Some(hint.into());
        self
    }
}

/// Kinds of transport failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No answer from the address.
    Unreachable,
    /// Nothing listens there.
    Refused,
    /// The name has no address.
    NameUnknown,
    /// Nobody could say for now which address the name has.
    NameUnavailable,
    /// The login was not accepted.
    LoginRefused,
    /// The login was accepted, and runs no commands.
    LoginRunsNothing,
    /// This host has nothing to log in with.
    LoginMissing,
    /// The server lets nobody in for now.
    LoginClosed,
    /// A phone waits for a person to let this host in, or this user may not open its USB device.
    Unauthorized,
    /// The host key is not the known one.
    HostKeyChanged,
    /// No host key is known.
    HostKeyUnknown,
    /// The connection broke.
    ConnectionLost,
    /// The peer answered in a way it never should.
    Protocol,
    /// A deadline passed, or no byte moved for too long.
    Timeout,
    /// No space left.
    DiskFull,
    /// A file or folder could not be used: missing, no permission, read-only.
    File,
    /// The program could not be started.
    CommandNotFound,
}

impl From<ErrorKind> for FailureKind {
    fn from(kind: ErrorKind) -> FailureKind {
        match kind {
            ErrorKind::Unreachable => FailureKind::Unreachable,
            ErrorKind::Refused => FailureKind::Refused,
            ErrorKind::NameUnknown => FailureKind::NameUnknown,
            ErrorKind::NameUnavailable => FailureKind::NameUnavailable,
            ErrorKind::LoginRefused => FailureKind::LoginRefused,
            ErrorKind::LoginRunsNothing => FailureKind::LoginRunsNothing,
            ErrorKind::LoginMissing => FailureKind::LoginMissing,
            ErrorKind::LoginClosed => FailureKind::LoginClosed,
            ErrorKind::Unauthorized => FailureKind::Unauthorized,
            ErrorKind::HostKeyChanged => FailureKind::HostKeyChanged,
            ErrorKind::HostKeyUnknown => FailureKind::HostKeyUnknown,
            ErrorKind::ConnectionLost => FailureKind::ConnectionLost,
            ErrorKind::Protocol => FailureKind::TransportProtocol,
            ErrorKind::Timeout => FailureKind::Timeout,
            ErrorKind::DiskFull => FailureKind::DiskFull,
            ErrorKind::File => FailureKind::WorkdirUnusable,
            ErrorKind::CommandNotFound => FailureKind::RunnerUnusable,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FailureKind::from(*self).as_str())
    }
}
