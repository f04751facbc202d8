use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::agent::{Initiator, ProbeResult, Stop};
use crate::daemon::{Sweeps, Trouble};
use crate::domain::{Channel, DueTime, SweepDefinition, SweepId};
use crate::progress::Progress;
use crate::retention::Retention;
use crate::schedule::Schedule;
use crate::store::Store;

use super::super::devices::begin_probes;
use super::super::plan;
use super::super::stored::find_sweep;
use super::super::sweep::{conclude_unseen, drive_unseen, find_unfinished, prepare, prepare_to_go_on};
use super::super::{CliError, Context, cancel, exit, retention};
use super::{checks, notices};

/// Most devices that one sweep works on at the same time.
pub(super) const MAX_DEVICES: usize = 128;
/// Below this, nothing is begun: results would have no room.
const MIN_FREE_BYTES: u64 = 64 << 20;
/// How long ago a sweep may have ended whose reports are looked for.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// Due times of a schedule whose reports are looked for.
const LOOKED_AT: u32 = 20;

/// Carries out the sweeps of this lab.
pub(super) struct LabSweeps {
    context: Context,
    progress: Progress,
}

impl LabSweeps {
    pub(super) fn new(context: Context, progress: Progress) -> LabSweeps {
        LabSweeps { context, progress }
    }

    /// Writes the reports of sweeps that were over when their process was ended, before it had written them.
    pub(super) fn publish_what_is_missing(&self, store: &dyn Store, schedules: &[Schedule]) {
        let reports = self.context.lab.reports();
        for schedule in schedules {
            let starts = store.scheduled_starts(Some(&schedule.name), LOOKED_AT).unwrap_or_default();
            for id in starts.into_iter().filter_map(|start| start.sweep_id) {
                let is_there = crate::publish::sweep_folder(&reports, id.as_str()).join("results.csv").is_file();
                let Ok(sweep) = find_sweep(store, id.as_str()) else { continue };
                // Those of older ones may have left by the rules of retention.
                let is_new = sweep.finished_at.is_some_and(|at| Timestamp::now().duration_since(at) < LATELY);
                if is_there || !is_new {
                    continue;
                }
                if let Err(error) = conclude_unseen(&self.context, store, &sweep.id) {
                    tracing::warn!(sweep = %id, %error, "its reports were not written");
                }
            }
        }
    }

    async fn try_to_begin(&self, schedule: &Schedule, due: DueTime, stop: Arc<Stop>) -> Result<(), CliError> {
        let context = &self.context;
        let devices = Some(schedule.devices.clone()).filter(|devices| !devices.is_empty());
        let loaded = plan::load_on(context, &schedule.sweep, devices)?;
        if schedule.checks_first && !checks::check_first(context, schedule, &loaded, &stop, &self.progress).await {
            // Its due time waits.
            return Ok(());
        }
        let config = super::super::short_path(&schedule.sweep);
        let definition = SweepDefinition { config, sweep: loaded.sweep.clone(), retry_of: None, due: Some(due) };
        let mut drive = prepare(context, loaded, definition, MAX_DEVICES, &self.progress).await?;
        drive.stop = Some(stop);
        drive_unseen(context, drive, &self.progress).await
    }

    async fn try_to_go_on(&self, sweep: &SweepId, stop: Arc<Stop>) -> Result<(), CliError> {
        let (context, store) = (&self.context, self.context.lab.store()?);
        let found = find_unfinished(store.as_ref(), None, sweep.as_str())?;
        let handed = store.submitted_to_daemon()?.into_iter().find(|handed| handed.sweep_id == *sweep);
        let max_devices = handed.map_or(MAX_DEVICES, |handed| handed.submission.max_devices);
        match prepare_to_go_on(context, found, max_devices, &self.progress).await? {
            Some(mut drive) => {
                drive.stop = Some(Arc::clone(&stop));
                drive_unseen(context, drive, &self.progress).await?;
            }
            None => conclude_unseen(context, store.as_ref(), sweep)?,
        }
        let left = store.open_jobs(sweep, None)?.len();
        if left > 0 && stop.times() == 0 {
            return Err(CliError::internal(format!("{left} jobs of sweep {sweep} stay open"))
                .with_hint(format!("`farmctl why {sweep}` says more; `farmctl cancel {sweep}` ends it")));
        }
        Ok(())
    }

    async fn try_to_probe(&self) -> Result<(), CliError> {
        let mut devices = self.context.lab.inventory()?.devices;
        devices.retain(|device| device.disabled.is_none());
        let probes = begin_probes(&self.context, Initiator::Daemon, &self.progress).await?;
        let answers = probes.ask(&devices).await?;
        tracing::info!(
            asked = answers.iter().filter(|answer| ProbeResult::is_asked(answer)).count(),
            "devices were asked"
        );
        Ok(())
    }

    async fn try_to_cancel(&self, sweep: &SweepId) -> Result<(), CliError> {
        let store = self.context.lab.store()?;
        let row = find_sweep(store.as_ref(), sweep.as_str())?;
        if !row.state.is_over() && !cancel::end_what_is_left(&self.context, &row).await? {
            return Ok(());
        }
        conclude_unseen(&self.context, store.as_ref(), sweep)?;
        match store.open_jobs(sweep, None)?.len() {
            0 => Ok(()),
            left => Err(CliError::internal(format!("{left} jobs of sweep {sweep} could not be ended"))
                .with_hint(format!("`farmctl why {sweep}` says more"))),
        }
    }
}

fn trouble(error: CliError) -> Trouble {
    match error.exit_code() {
        exit::NOTHING => Trouble::Nothing(error.text()),
        _ => Trouble::Passing(error.text()),
    }
}

#[async_trait(?Send)]
impl Sweeps for LabSweeps {
    async fn begin(&self, schedule: &Schedule, due: DueTime, stop: Arc<Stop>) -> Result<(), Trouble> {
        self.try_to_begin(schedule, due, stop).await.map_err(trouble)
    }

    async fn go_on(&self, sweep: &SweepId, stop: Arc<Stop>) -> Result<(), Trouble> {
        self.try_to_go_on(sweep, stop).await.map_err(trouble)
    }

    async fn cancel(&self, sweep: &SweepId) -> Result<(), Trouble> {
        self.try_to_cancel(sweep).await.map_err(trouble)
    }

    async fn probe(&self) -> Result<(), Trouble> {
        self.try_to_probe().await.map_err(trouble)
    }

    async fn tidy(&self, rules: &Retention) -> Result<(), Trouble> {
        let removals = retention::tidy(&self.context, rules, false).map_err(trouble)?;
        tracing::info!(what = %retention::summary(&removals, false), "retention");
        Ok(())
    }

    async fn tell(&self, channels: &[Channel]) -> Result<(), Trouble> {
        notices::tell(&self.context, channels).map_err(trouble)
    }

    fn obstacle(&self) -> Option<String> {
        let folder = self.context.lab.daemon_file("");
        let room = nix::sys::statvfs::statvfs(&folder).ok()?;
        let free_bytes = room.blocks_available().saturating_mul(room.fragment_size());
        let least = MIN_FREE_BYTES >> 20;
        let text = || format!("{} MB are free in {}, less than {least} MB", free_bytes >> 20, folder.display());
        (free_bytes < MIN_FREE_BYTES).then(|| format!("{}: nothing is begun", text()))
    }
}
