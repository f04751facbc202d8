//! What the system tells this process: where a person or systemd says «enough».

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::lab::{LabError, Stop};

/// What was asked for by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To stop: Ctrl-C.
    Interrupt,
    /// To end: SIGTERM.
    Terminate,
    /// To read files again: SIGHUP.
    Reload,
}

/// The signals that this process listens to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Listens to Ctrl-C and SIGTERM.
    ///
    /// # Errors
    /// When the system does not let this process listen to signals.
    pub(super) fn listen() -> Result<Signals, LabError> {
        let (interrupt, terminate) = (listen_to(SignalKind::interrupt())?, listen_to(SignalKind::terminate())?);
        Ok(Signals { interrupt, terminate, hang_up: None })
    }

    /// The same, and listens to SIGHUP, which else ends the process.
    ///
    /// # Errors
    /// As for [`Signals::listen`].
    pub(super) fn listen_as_daemon() -> Result<Signals, LabError> {
        Ok(Signals { hang_up: Some(listen_to(SignalKind::hangup())?), ..Signals::listen()? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Asked {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
            _ = hang_up => Asked::Reload,
        }
    }
}

/// Counts how often a person asks to stop, until it is dropped. SIGTERM counts as two: whoever sends it wants an end.
///
/// # Errors
/// As for [`Signals::listen`]; else it never returns.
pub(super) async fn raise(stop: &Stop) -> LabError {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        let more = match signals.next().await {
            Asked::Interrupt => 1,
            Asked::Terminate => 2,
            Asked::Reload => 0,
        };
        stop.raise(stop.times() + more);
    }
}

fn listen_to(kind: SignalKind) -> Result<Signal, LabError> {
    signal(kind).map_err(|error| LabError::internal(format!("failed to listen to signals: {error}")))
}
