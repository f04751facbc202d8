//! Checks the devices of a schedule before its sweep.

use jiff::Timestamp;

use crate::agent::{Initiator, ProbeResult, Stop};
use crate::domain::{CheckVerdict, Event, EventKind, Unfit};
use crate::progress::Progress;
use crate::schedule::Schedule;

use super::super::devices::begin_probes;
use super::super::plan::Loaded;
use super::super::sweep::devices_with_jobs;
use super::super::{CliError, Context};

/// Most devices that are named as unfit.
const MOST_NAMED: usize = 50;

/// Checks them, and notes what was found, to be told. Returns whether the sweep is to begin: not once it is to stop. What
/// can't be checked is no obstacle: the sweep finds out by itself.
pub(super) async fn check_first(
    context: &Context,
    schedule: &Schedule,
    loaded: &Loaded,
    stop: &Stop,
    progress: &Progress,
) -> bool {
    let checked = tokio::select! {
        checked = check(context, schedule, loaded, progress) => checked,
        () = stop.reached(1) => return false,
    };
    if let Err(error) = checked {
        tracing::warn!(schedule = %schedule.name, %error, "its devices were not checked");
    }
    true
}

async fn check(context: &Context, schedule: &Schedule, loaded: &Loaded, progress: &Progress) -> Result<(), CliError> {
    let probes = begin_probes(context, Initiator::Daemon, progress).await?;
    let devices = devices_with_jobs(&loaded.plan, &loaded.inventory.devices);
    let answers = probes.check(&devices, Some(&schedule.name)).await?;
    let kind = found(&schedule.name, &answers);
    let event = Event { at: Timestamp::now(), sweep_id: None, device: None, job_id: None, run_id: None, kind };
    Ok(probes.store.append_event(&event)?)
}

/// What was found out about all of them.
fn found(schedule: &str, answers: &[ProbeResult]) -> EventKind {
    let checks = || answers.iter().filter_map(|answer| Some((&answer.device, answer.check.as_ref()?)));
    let unfit = || checks().filter(|(_, check)| check.verdict != CheckVerdict::Ok);
    let devices = unfit().take(MOST_NAMED).map(|(device, check)| Unfit {
        device: device.clone(),
        verdict: check.verdict,
        findings: check.findings.clone(),
    });
    EventKind::ScheduleChecked {
        schedule: schedule.to_owned(),
        checked: checks().count() as u64,
        unfit: unfit().count() as u64,
        devices: devices.collect(),
    }
}
