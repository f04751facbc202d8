//! Checks the devices of a schedule before its sweep.

use crate::agent::{Initiator, ProbeResult, Stop};
use crate::domain::{CheckVerdict, Event, EventKind, Unfit};
use crate::progress::Progress;
use crate::schedule::Schedule;

use super::sweep::devices_with_jobs;
use super::{Lab, LabError, PlannedSweep};

/// Most devices that are named as unfit.
const MOST_NAMED: usize = 50;

impl Lab {
    /// Checks the devices that a schedule's sweep has jobs for, and notes what was found, to be told. Returns whether
    /// the sweep is to begin: not once it is to stop. What can't be checked is no obstacle: the sweep finds out by
    /// itself.
    pub(super) async fn check_first(
        &self,
        schedule: &Schedule,
        planned: &PlannedSweep,
        stop: &Stop,
        progress: &Progress,
    ) -> bool {
        let checked = tokio::select! {
            checked = self.check_for(schedule, planned, progress) => checked,
            () = stop.reached(1) => return false,
        };
        if let Err(error) = checked {
            tracing::warn!(schedule = %schedule.name, %error, "its devices were not checked");
        }
        true
    }

    async fn check_for(
        &self,
        schedule: &Schedule,
        planned: &PlannedSweep,
        progress: &Progress,
    ) -> Result<(), LabError> {
        let probes = self.start_probes(Initiator::Daemon, progress)?;
        let devices = devices_with_jobs(&planned.plan, &planned.inventory.devices);
        let answers = probes.check(&devices, Some(&schedule.name)).await?;
        let kind = found(&schedule.name, &answers);
        let event = Event { at: self.now(), sweep_id: None, device: None, job_id: None, run_id: None, kind };
        Ok(probes.store.append_event(&event)?)
    }
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
