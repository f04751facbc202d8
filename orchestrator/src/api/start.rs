//! What people do with sweeps: preview, start, run again what failed, end.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::domain::SweepId;
use crate::lab::{DeviceEstimate, Order, PlanPreview};
use crate::store::people;

use super::endpoint::{Call, Empty, Items};
use super::sweeps::{StartedAnswer, SweepAnswer};
use super::{Api, Refusal, take_turn};

/// How long somebody who starts a sweep is kept waiting while its files are made ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A file that may be started.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileAnswer {
    file: String,
    /// Whether it is the lab's usual one: what its first schedule runs, or else what was started last.
    is_usual: bool,
}

pub(super) async fn files(call: Call) -> Result<Items<FileAnswer>, Refusal> {
    let read = |api: &Api| {
        let usual = api.usual_file()?;
        let answer = |file: String| FileAnswer { is_usual: usual.as_deref() == Some(&*file), file };
        let files = api.lab.sweep_files().into_iter().map(answer);
        Ok(files.collect::<Vec<_>>().into())
    };
    call.api.blocking(read).await
}

/// What a sweep would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PreviewAnswer {
    /// Cells that would be measured.
    jobs: usize,
    /// How long it takes by the limits of the jobs, devices in parallel where they share nothing.
    seconds: f64,
    /// The same, if each run waits for its device to cool down as long as it may.
    longest_seconds: f64,
    devices: Vec<PreviewOfDevice>,
    skipped: Vec<PreviewOfSkipped>,
    /// What is to be known of its devices, those that are one machine, or may be; and of a clock of the host that is
    /// in doubt.
    remarks: Vec<String>,
}

/// What a device would do.
#[derive(Debug, Serialize, JsonSchema)]
struct PreviewOfDevice {
    device: String,
    jobs: usize,
    seconds: f64,
}

/// Cells that would not be measured, for one reason.
#[derive(Debug, Serialize, JsonSchema)]
struct PreviewOfSkipped {
    cells: usize,
    why: String,
}

impl From<PlanPreview> for PreviewAnswer {
    fn from(preview: PlanPreview) -> PreviewAnswer {
        let device = |it: DeviceEstimate| PreviewOfDevice { device: it.device, jobs: it.jobs, seconds: it.seconds };
        let PlanPreview { jobs, estimate, skipped, remarks } = preview;
        PreviewAnswer {
            jobs,
            seconds: estimate.seconds,
            longest_seconds: estimate.longest_seconds,
            devices: estimate.devices.into_iter().map(device).collect(),
            skipped: skipped.into_iter().map(|(why, cells)| PreviewOfSkipped { cells, why }).collect(),
            remarks,
        }
    }
}

/// What is to be started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBody {
    /// One of `/api/v1/files`.
    #[schemars(length(min = 1, max = 4096))]
    file: String,
    /// Names of devices instead of those that the file names.
    #[schemars(length(min = 1, max = 10000))]
    devices: Option<Vec<String>>,
}

impl StartBody {
    fn order(self) -> Result<Order, Refusal> {
        if self.devices.as_ref().is_some_and(Vec::is_empty) {
            return Err(Refusal::bad_request("no device is named; without `devices` the file's are used"));
        }
        Ok(Order::File(self.file, self.devices))
    }
}

pub(super) async fn start(call: Call<Empty, StartBody>) -> Result<StartedAnswer, Refusal> {
    call.api.start(call.body.order()?, call.person.name).await
}

pub(super) async fn preview(call: Call<Empty, StartBody>) -> Result<PreviewAnswer, Refusal> {
    let order = call.body.order()?;
    call.api.blocking(move |api| Ok(api.lab.preview(&order)?.into())).await
}

pub(super) async fn retry(call: Call<Empty, Empty>) -> Result<StartedAnswer, Refusal> {
    let name = call.name;
    let sweep = call.api.blocking(move |api| Ok(api.find_sweep(&name)?.id)).await?;
    call.api.start(Order::Retry(sweep.0), call.person.name).await
}

pub(super) async fn cancel(call: Call<Empty, Empty>) -> Result<SweepAnswer, Refusal> {
    let act = move |api: &Api| {
        let sweep = api.find_sweep(&call.name)?;
        people::cancel_sweep(api.store.as_ref(), &sweep.id, &call.person.name, api.lab.now())?;
        if api.lab.holder(&sweep.id)?.is_none() {
            api.end_cancelled(sweep.id);
        }
        api.sweep_answer(api.find_sweep(&call.name)?)
    };
    call.api.blocking(act).await
}

impl Api {
    /// The file that the lab's sweeps are of: that of the first schedule, or else of the newest sweep.
    fn usual_file(&self) -> Result<Option<String>, Refusal> {
        if let Some(schedule) = self.now().schedules.iter().find(|schedule| schedule.is_enabled) {
            return Ok(Some(self.lab.short_path(&schedule.sweep)));
        }
        let newest = self.store.newest_sweeps("", 1)?.pop();
        let definition = newest.map(|row| self.store.definition(&row.id)).transpose()?.flatten();
        Ok(definition.map(|definition| definition.config))
    }

    /// Adds a sweep and has it carried out.
    pub(super) async fn start(self: &Arc<Self>, order: Order, by: String) -> Result<StartedAnswer, Refusal> {
        let _turn = take_turn(&self.starters).await?;
        let (sender, started) = oneshot::channel();
        let (lab, progress, person) = (self.lab.clone(), self.progress.clone(), by);
        // Nobody may be waiting any more when its files are there.
        self.background.spawn(move || async move { drop(sender.send(lab.start(order, &person, &progress).await)) });
        let started = match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(started)) => started?,
            Ok(Err(_)) => return Err(Refusal::internal("the start broke off")),
            Err(_) => {
                return Err(Refusal::unavailable("its files take long to be made ready")
                    .with_hint("it begins once they are: look at the list of sweeps later"));
            }
        };
        self.blocking(move |api| api.started_answer(started)).await
    }

    /// Ends a sweep that is marked as cancelled already, where no other process does.
    fn end_cancelled(&self, sweep: SweepId) {
        let (lab, progress) = (self.lab.clone(), self.progress.clone());
        self.background.spawn(move || async move {
            if let Err(error) = lab.end_cancelled(&sweep, &progress).await {
                tracing::warn!(%sweep, %error, "it was not ended");
            }
        });
    }
}
