//! What the API may do to the lab.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::api::{Actions, LabDevice, Order, Refusal};
use crate::daemon::Sweeps as _;
use crate::domain::{DeviceSelector, SweepDefinition, SweepId};
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::transport;

use super::super::plan::{self, Loaded};
use super::super::sweep::hand_over;
use super::super::{CliError, Context, exit};
use super::sweeps::{LabSweeps, MAX_DEVICES};

/// How long somebody who starts a sweep is kept waiting while its files are made ready.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// Files in `configs/` that are no sweeps.
const NO_SWEEPS: &[&str] = &["backends", "daemon", "datasets", "models"];

/// The farm files as they were when they were read: path, time of change, size.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Does to this lab what the API is asked for.
pub(super) struct LabActions {
    context: Context,
    progress: Progress,
    sweeps: Arc<LabSweeps>,
    runtime: Handle,
    devices: Mutex<Option<(Stamp, Arc<[LabDevice]>)>>,
    /// What was begun here and may not have ended.
    begun: Mutex<JoinSet<()>>,
}

impl LabActions {
    pub(super) fn new(context: Context, progress: Progress, sweeps: Arc<LabSweeps>) -> LabActions {
        let (devices, begun) = (Mutex::new(None), Mutex::default());
        LabActions { context, progress, sweeps, runtime: Handle::current(), devices, begun }
    }

    fn begun(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what was begun.
    pub(super) async fn stop(&self) {
        let mut begun = std::mem::take(&mut *self.begun());
        while begun.join_next().await.is_some() {}
    }

    fn stamp(&self) -> Stamp {
        let of_file = |path: PathBuf| {
            let about = path.metadata().ok();
            let changed_at = about.as_ref().and_then(|about| about.modified().ok());
            (path, changed_at, about.map_or(0, |about| about.len()))
        };
        let paths = self.context.lab.farm_paths();
        let inside = paths.iter().filter_map(|path| path.read_dir().ok()).flatten();
        let inside: Vec<PathBuf> = inside.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let mut stamp: Stamp = paths.iter().cloned().chain(inside).map(of_file).collect();
        stamp.sort();
        stamp
    }

    fn read_devices(&self) -> Result<Arc<[LabDevice]>, CliError> {
        let options = self.context.lab.connect_options();
        let devices = self.context.lab.inventory()?.devices.into_iter();
        Ok(devices
            .map(|device| LabDevice { address: transport::address(&device.transport, &options), device })
            .collect())
    }

    fn of_file(
        self: &Arc<Self>,
        file: &str,
        names: Option<Vec<String>>,
    ) -> Result<(PathBuf, Option<Vec<DeviceSelector>>), Refusal> {
        if !self.sweep_files().iter().any(|known| known == file) {
            return Err(Refusal::bad_request(format!("{file:?} is no sweep of this lab"))
                .with_hint("/api/v1/files lists those there are"));
        }
        let known = self.devices()?;
        let unknown = |name: &&String| !known.iter().any(|it| it.device.name == **name);
        if let Some(name) = names.iter().flatten().find(unknown) {
            return Err(Refusal::bad_request(format!("no farm file has a device {name:?}")));
        }
        let names = names.map(|names| names.into_iter().map(DeviceSelector::Name).collect());
        Ok((self.context.lab.path(Path::new(file)), names))
    }

    fn of_schedule(schedule: Schedule) -> (PathBuf, Option<Vec<DeviceSelector>>) {
        (schedule.sweep, Some(schedule.devices).filter(|devices| !devices.is_empty()))
    }

    /// Adds the sweep, as one that is the daemon's to carry out.
    async fn hand_over(&self, loaded: Loaded, config: String, by: &str) -> Told {
        let definition = SweepDefinition { config, sweep: loaded.sweep.clone(), retry_of: None, due: None };
        hand_over(&self.context, loaded, definition, (by, MAX_DEVICES), &self.progress).await
    }
}

/// What becomes of a sweep that is to begin.
type Told = Result<SweepId, CliError>;

impl Actions for Arc<LabActions> {
    fn devices(&self) -> Result<Arc<[LabDevice]>, Refusal> {
        let stamp = self.stamp();
        let mut known = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, devices)) = known.as_ref()
            && *of == stamp
        {
            return Ok(Arc::clone(devices));
        }
        match (self.read_devices(), known.take()) {
            (Ok(devices), _) => Ok(Arc::clone(&known.insert((stamp, devices)).1)),
            // What was good before stays until the fault is mended.
            (Err(error), Some((_, devices))) => {
                tracing::warn!(%error, "the farm files are faulty; those of before stay in force here");
                Ok(Arc::clone(&known.insert((stamp, devices)).1))
            }
            (Err(error), None) => Err(refusal(&error)),
        }
    }

    fn sweep_files(&self) -> Vec<String> {
        let folder = self.context.lab.path(Path::new("configs"));
        let entries = folder.read_dir().into_iter().flatten().filter_map(Result::ok);
        let is_sweep = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            is_yaml && path.is_file() && !stem.starts_with('.') && !NO_SWEEPS.contains(&stem)
        };
        let names = entries.map(|entry| entry.path()).filter(is_sweep);
        let names = names.filter_map(|path| Some(format!("configs/{}", path.file_name()?.to_str()?)));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn start(&self, order: Order, by: &str) -> Result<SweepId, Refusal> {
        let (path, devices) = match order {
            Order::File(file, names) => self.of_file(&file, names)?,
            Order::Schedule(schedule) => LabActions::of_schedule(*schedule),
        };
        if let Some(obstacle) = self.sweeps.obstacle() {
            return Err(Refusal::unavailable(obstacle));
        }
        let loaded = plan::load_on(&self.context, &path, devices).map_err(|error| refusal(&error))?;
        let (sender, told) = sync_channel(1);
        let (actions, runtime, by) = (Arc::clone(self), self.runtime.clone(), by.to_owned());
        let config = super::super::short_path(&path);
        // Nobody may be waiting any more when its files are there.
        let work = move || drop(sender.try_send(runtime.block_on(actions.hand_over(loaded, config, &by))));
        self.begun().spawn_blocking_on(work, &self.runtime);
        match told.recv_timeout(START_PATIENCE) {
            Ok(told) => told.map_err(|error| refusal(&error)),
            Err(RecvTimeoutError::Timeout) => Err(Refusal::unavailable("its files take long to be made ready")
                .with_hint("it begins once they are: look at the list of sweeps later")),
            Err(RecvTimeoutError::Disconnected) => Err(Refusal::internal("the start broke off")),
        }
    }

    fn cancel(&self, sweep: &SweepId) {
        let (sweeps, runtime, sweep) = (Arc::clone(&self.sweeps), self.runtime.clone(), sweep.clone());
        let work = move || {
            if let Err(trouble) = runtime.block_on(sweeps.cancel(&sweep)) {
                tracing::warn!(%sweep, ?trouble, "it was not ended");
            }
        };
        self.begun().spawn_blocking_on(work, &self.runtime);
    }
}

/// What the command line would say, for the API.
fn refusal(error: &CliError) -> Refusal {
    match error.exit_code() {
        exit::USAGE | exit::INVALID => Refusal::bad_request(error.text()),
        exit::NOTHING | exit::NO_DEVICE => Refusal::conflict(error.text()),
        _ => Refusal::unavailable(error.text()),
    }
}
