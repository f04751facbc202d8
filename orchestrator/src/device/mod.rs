//! What we do to one device: bring it up, put files on it, run a job, follow it through a broken cable.
//!
//! Main type: [`Session`], a device that answered and whose runner speaks. Knows jobs and runners, but neither the
//! store nor other devices, and keeps no truth: whatever is lost here is found again on the device.

use std::time::Duration;

use crate::domain::{Failure, FailureKind};
use crate::transport::{Command, ErrorKind, Transport, TransportError, run_collect, script};

mod android;
mod bounds;
mod bring_up;
mod check;
mod clean;
mod collect;
mod engine;
mod hello;
mod lines;
mod machine;
mod measuring_state;
mod part;
mod prepare;
mod probe;
mod push;
mod refusal;
mod request;
mod rest;
mod run;
mod runner_choice;
mod runner_push;
mod target;
mod trial;

pub use android::{PhoneAnswer, ask_android};
pub use bring_up::{BringUp, RunnerProvider, Session};
pub use check::ThermalSensor;
pub use clean::Trimmed;
pub use collect::Collected;
pub use engine::{EngineProgram, EngineProvider};
pub use hello::Heard;
pub use machine::{MachineIdentity, Relation};
pub use measuring_state::{ChangePlan, MeasuringState};
pub use prepare::{change_settings, measuring_state, undo_settings};
pub use probe::{DeviceProbe, connect_and_probe};
pub use push::{PushProgress, Pushed};
pub use run::{Canceller, Order, RunFailure, RunObserver};
pub use runner_push::RunnerFile;
pub use target::{Machine, target_of_machine};

/// Most bytes that a short command on a device may print.
const SHORT_OUTPUT_BYTES: usize = 4 << 20;

/// Says that `action` on a device failed because of its transport.
fn transport_failure(device: &str, action: &str, error: &TransportError) -> Failure {
    let mut message = format!("failed to {action} on {device}: {error}");
    if let Some(hint) = &error.hint {
        message.push_str(&format!(" ({hint})"));
    }
    Failure::new(FailureKind::from(error.kind), message)
}

/// Runs a short command of the device's shell whose failure is an error, and returns its standard output.
async fn run_checked(
    transport: &dyn Transport,
    argv: Vec<String>,
    deadline: Duration,
) -> Result<Vec<u8>, TransportError> {
    let command = Command { argv, deadline };
    let finished = run_collect(transport, &command, b"", SHORT_OUTPUT_BYTES).await?;
    if finished.exit.success() {
        return Ok(finished.stdout);
    }
    let stderr = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
    let program = command.argv.first().map_or("", String::as_str);
    Err(TransportError::new(
        script::kind_of_exit(finished.exit, ErrorKind::File),
        format!("{program} ended with {}: {}", finished.exit, lines::excerpt(stderr.as_bytes())),
    ))
}
