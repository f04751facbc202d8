//! How long a server is waited for.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until a connection is there.
    pub(super) connect: Duration,
    /// Until a statement answers, and from one row to the next. The server ends a statement of its own by then.
    pub(super) answer: Duration,
    /// How long something is tried again that others were in the way of, or that the server was away for.
    pub(super) repeat: Duration,
}

impl Limits {
    /// Those of work. [`super::session`] has the server's own limits, which are below these.
    pub(super) const USUAL: Limits =
        Limits { connect: Duration::from_secs(10), answer: Duration::from_secs(40), repeat: Duration::from_secs(30) };
}

/// What was not there in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// The server took nobody.
    Connection(Duration),
    /// The server said nothing, or nothing more.
    Answer(Duration),
    /// All connections of this process were in use.
    Turn(usize),
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |limit: &Duration| limit.as_secs_f64();
        match self {
            Late::Connection(limit) => {
                write!(f, "the server is silent: there was no connection to it within {} s", seconds(limit))
            }
            Late::Answer(limit) => write!(f, "the server is silent: it did not answer within {} s", seconds(limit)),
            Late::Turn(count) => write!(f, "all {count} connections of this process were in use for too long"),
        }
    }
}

impl Error for Late {}
