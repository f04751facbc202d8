//! Commands on this host that may bring a device back, as its farm entry names them.

use std::process::Stdio;
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::{Device, EventKind};
use crate::store::StoreError;

use super::events::Subject;
use super::{Agent, AgentError};

/// Longest time for one command.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes at the end of what a command prints that are kept.
const TOLD_BYTES: usize = 400;
/// Events of a device that are looked through for earlier recoveries.
const LOOKED_AT: u32 = 500;
/// What the first command of a recovery is for.
const FIRST_PURPOSES: [&str; 2] = ["reset", "power_off"];

/// Runs the device's commands and waits until it may answer again; returns whether there was anything that was done.
pub(super) async fn recover(agent: &Agent, device: &Device) -> Result<bool, AgentError> {
    let recovery = &device.recovery;
    if recovery.is_empty() || !is_allowed(agent, device)? {
        return Ok(false);
    }
    let commands = match &recovery.reset {
        Some(reset) => vec![("reset", reset)],
        None => {
            let (off, on) = (recovery.power_off.as_ref(), recovery.power_on.as_ref());
            [("power_off", off), ("power_on", on)].into_iter().filter_map(|(word, argv)| Some((word, argv?))).collect()
        }
    };
    for (purpose, argv) in commands {
        let (succeeded, outcome) = match run(argv).await {
            Ok(outcome) => (true, outcome),
            Err(outcome) => (false, outcome),
        };
        tracing::info!(device = %device.name, purpose, ?argv, succeeded, %outcome, "a command on this host");
        let kind = EventKind::HostCommand { purpose: purpose.to_owned(), argv: argv.clone(), outcome, succeeded };
        agent.events.emit(Subject::device(&device.name), kind).await;
        if !succeeded {
            return Ok(false);
        }
    }
    tokio::time::sleep(Duration::from_secs_f64(recovery.settle_seconds)).await;
    Ok(true)
}

/// Whether the device was not recovered too often in the last hour.
fn is_allowed(agent: &Agent, device: &Device) -> Result<bool, StoreError> {
    let events = agent.store.device_events(&device.name, LOOKED_AT)?;
    let since = agent.now() - SignedDuration::from_hours(1);
    let begun = events.iter().filter(|event| {
        let is_first = matches!(&event.kind, EventKind::HostCommand { purpose, .. }
            if FIRST_PURPOSES.contains(&purpose.as_str()));
        is_first && event.at >= since
    });
    Ok(begun.count() < device.recovery.max_per_hour as usize)
}

/// Runs a command to its end; says how that was.
async fn run(argv: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("it names no program".to_owned()) };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("failed to start {program}: {error}")),
        Err(_) => return Err(format!("ended after {} s without an end of its own", TIMEOUT.as_secs())),
    };
    let printed = [output.stdout, output.stderr].concat();
    let end = String::from_utf8_lossy(&printed[printed.len().saturating_sub(TOLD_BYTES)..]).trim().to_owned();
    let told = if end.is_empty() { output.status.to_string() } else { format!("{}: {end}", output.status) };
    if output.status.success() { Ok(told) } else { Err(told) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_command_is_an_argument_vector_and_its_end_is_told() {
        // No shell: what looks like one is an argument.
        let told = run(&argv(&["echo", "$(reboot); `x`"])).await.unwrap();
        assert!(told.ends_with("$(reboot); `x`"), "{told}");
        assert!(run(&argv(&["sh", "-c", "echo no port >&2; exit 3"])).await.unwrap_err().contains("no port"));
        assert!(run(&argv(&["/nowhere/at/all"])).await.unwrap_err().contains("failed to start"));
        assert!(run(&[]).await.is_err());
    }
}
