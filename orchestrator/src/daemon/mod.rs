//! Starts what schedules say, carries out what people hand over, goes on with what was stopped, and holds no truth:
//! what became of each due time is in the store, so that a process that is killed at any moment neither loses a sweep
//! nor begins one twice.
//!
//! Main type: [`Daemon`], which is told to look at regular times; what a sweep takes is behind the trait [`Sweeps`].
//! Never reads a clock but its own, and never touches a device.

mod attend;
mod clock;
mod host;
mod lab_sweeps;
mod rules;
mod submitted;
mod task;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::agent::Stop;
use crate::clock::LabClock;
use crate::domain::{Channel, DaemonStatus, DueTime, SweepId};
use crate::retention::Retention;
use crate::schedule::Schedule;
use crate::store::Store;

pub use lab_sweeps::LabSweeps;
pub use rules::Rules;
use task::Task;
pub use unit::{UNIT, Unit, UnitOptions};

/// How soon it is tried again to begin, or to go on with, a sweep; each time in a row takes twice as long.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// The longest that takes.
const TRY_AGAIN_AT_LAST: SignedDuration = SignedDuration::from_mins(5);

/// How often it is looked whether the files of models are there.
const LOOK_AT_FILES_EVERY: SignedDuration = SignedDuration::from_secs(15);

/// How often it is looked whether a sweep is to be compared.
const COMPARE_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// How soon it is tried again to compare a sweep that could not be.
const COMPARE_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// How often it is looked whether there is anything to tell.
const TELL_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// Why a sweep was not begun, or did not get to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskError {
    /// There is nothing to begin: the due time is left out for this reason.
    Nothing(String),
    /// Something that a person, or time, may mend.
    Passing(String),
}

/// Carries sweeps out. Each call has a thread of its own, which may block for long: the call's future never leaves that
/// thread, so it need not be `Send`.
#[async_trait(?Send)]
pub trait Sweeps: Send + Sync {
    /// Begins the sweep of a due time, and carries it out until its end, or until it is to stop.
    async fn begin(&self, schedule: &Schedule, due: DueTime, stop: Arc<Stop>) -> Result<(), TaskError>;

    /// Goes on with a sweep, until its end, or until it is to stop.
    async fn go_on(&self, sweep: &SweepId, stop: Arc<Stop>) -> Result<(), TaskError>;

    /// Whether this host reaches one of these devices.
    fn reaches_any(&self, devices: &[String]) -> Result<bool, TaskError>;

    /// Ends a sweep that nobody carries out, on its devices too. One that somebody has got hold of meanwhile is theirs
    /// to end.
    async fn cancel(&self, sweep: &SweepId) -> Result<(), TaskError>;

    /// Asks the devices that nobody uses what they are.
    async fn probe(&self) -> Result<(), TaskError>;

    /// Takes out what these rules do not keep.
    async fn tidy(&self, rules: &Retention) -> Result<(), TaskError>;

    /// Compares finished sweeps of these schedules with what was before them, and keeps what got slower.
    async fn compare(&self, schedules: &[Schedule]) -> Result<(), TaskError>;

    /// Tells by these channels what nobody was told of, and notes that.
    async fn notify(&self, channels: &[Channel]) -> Result<(), TaskError>;

    /// Makes sure that the files of models that these schedules take from this host are there, and hold models.
    async fn look_at_files(&self, schedules: &[Schedule]) -> Result<(), TaskError>;

    /// Why nothing can be begun now: no room for its results, for example.
    fn obstacle(&self) -> Option<String>;
}

/// What a daemon is about.
pub struct Daemon {
    store: Arc<dyn Store>,
    sweeps: Arc<dyn Sweeps>,
    clock: LabClock,
    /// When it was last kept what the clock says, for processes to come.
    clock_kept_at: Option<Timestamp>,
    /// Whether a lease's holder has ended without giving it back.
    is_gone: fn(&str) -> bool,
    schedules: Vec<Schedule>,
    /// Schedules that a person has paused, as of the last look.
    paused: BTreeSet<String>,
    /// By the schedule's name; at most one each.
    tasks: BTreeMap<String, Task>,
    /// Of sweeps that were submitted.
    submitted: BTreeMap<SweepId, Task>,
    /// How often devices are asked, and when they are next.
    probes: (Option<Duration>, Option<Timestamp>),
    /// What is kept, and when that is next looked at.
    retention: Option<(Retention, Timestamp)>,
    /// Who is told, and when it is next looked whether there is anything to tell.
    channels: (Vec<Channel>, Option<Timestamp>),
    /// When it is next looked whether a sweep is to be compared.
    compare_at: Option<Timestamp>,
    /// Sweeps that could not be compared when that was last tried, and when it is tried again. A sweep that is not
    /// among them is compared at once.
    uncompared: (BTreeSet<SweepId>, Option<Timestamp>),
    /// When it is next looked whether the files of models are there.
    files_at: Option<Timestamp>,
    /// Work that is no sweep's, by what it is.
    aside: BTreeMap<&'static str, Task>,
    /// Who wants nothing begun here, and what of the troubles is about hosts.
    drained_by: Option<String>,
    troubles_of_hosts: BTreeSet<String>,
    /// What is wrong now, by what it is about.
    troubles: BTreeMap<String, String>,
    /// What is not tried before then, by what it is about, and how long that pause is.
    again_at: BTreeMap<String, (Timestamp, SignedDuration)>,
}

impl Daemon {
    /// A daemon that has not looked yet.
    pub fn new(store: Arc<dyn Store>, sweeps: Arc<dyn Sweeps>, clock: LabClock, is_gone: fn(&str) -> bool) -> Daemon {
        Daemon {
            store,
            sweeps,
            clock,
            clock_kept_at: None,
            is_gone,
            schedules: Vec::new(),
            paused: BTreeSet::new(),
            tasks: BTreeMap::new(),
            submitted: BTreeMap::new(),
            probes: (None, None),
            retention: None,
            channels: (Vec::new(), None),
            compare_at: None,
            uncompared: (BTreeSet::new(), None),
            files_at: None,
            aside: BTreeMap::new(),
            drained_by: None,
            troubles_of_hosts: BTreeSet::new(),
            troubles: BTreeMap::new(),
            again_at: BTreeMap::new(),
        }
    }

    /// Asks devices so often from now on, the first time at once.
    pub fn probe_every(&mut self, pause: Option<Duration>) {
        if self.probes.0 != pause {
            self.probes = (pause, pause.map(|_| self.clock.now()));
        }
    }

    /// Keeps what these rules say from now on, and takes the rest out once a day.
    pub fn set_retention(&mut self, retention: Option<Retention>) {
        if self.retention.as_ref().map(|(rules, _)| rules) != retention.as_ref() {
            let now = self.clock.now();
            self.retention = retention.map(|rules| (rules.clone(), rules.next_at(now)));
        }
    }

    /// Tells by these channels from now on.
    pub fn set_channels(&mut self, channels: Vec<Channel>) {
        self.channels.0 = channels;
    }

    /// Goes by these schedules from now on. A sweep of one that is not among them goes on to its end.
    pub fn set_schedules(&mut self, schedules: Vec<Schedule>) {
        let names: BTreeSet<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        self.troubles.retain(|about, _| about.strip_prefix("schedule ").is_none_or(|name| names.contains(name)));
        self.again_at.clear();
        self.files_at = None;
        self.uncompared.1 = None;
        self.schedules = schedules;
    }

    /// Notes what is wrong about something, or that nothing is any more.
    pub fn note(&mut self, about: &str, trouble: Option<String>) {
        match trouble {
            Some(trouble) => {
                if self.troubles.get(about) != Some(&trouble) {
                    tracing::warn!(about, %trouble, "trouble");
                }
                self.troubles.insert(about.to_owned(), trouble);
            }
            None => {
                if self.troubles.remove(about).is_some() {
                    tracing::info!(about, "trouble is over");
                }
            }
        }
    }

    /// Who is told.
    pub fn channels(&self) -> &[Channel] {
        &self.channels.0
    }

    /// What it goes by.
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// What it is at.
    pub fn status(&self) -> DaemonStatus {
        let now = self.clock.now();
        let is_in_force = |schedule: &&Schedule| schedule.is_enabled && !self.paused.contains(&schedule.name);
        let enabled = self.schedules.iter().filter(is_in_force);
        let next = enabled.filter_map(|schedule| {
            let starts_at = schedule.starts_at(schedule.next_due(now)?);
            Some((schedule.name.clone(), starts_at))
        });
        let troubles = self.troubles.iter().map(|(about, trouble)| format!("{about}: {trouble}"));
        DaemonStatus {
            running: self.tasks.keys().cloned().chain(self.submitted.keys().map(|id| format!("sweep {id}"))).collect(),
            next: next.min_by_key(|(_, at)| *at),
            troubles: troubles.collect(),
        }
    }

    /// Looks at each schedule, and does what is to be done.
    pub async fn tick(&mut self) {
        self.collect().await;
        let obstacle = self.sweeps.obstacle();
        self.note("room", obstacle);
        let mut trouble = None;
        if let Err(error) = self.look_at_clock() {
            trouble = Some(format!("failed to {error}"));
        }
        match self.in_force().await {
            Ok(schedules) => {
                // What is due by a clock in doubt waits; sweeps that are under way go on.
                let is_in_doubt = self.clock.doubt().is_some();
                for schedule in schedules.into_iter().filter(|_| !is_in_doubt) {
                    if let Err(error) = self.attend(&schedule).await {
                        trouble = Some(format!("failed to {error}"));
                        break;
                    }
                }
            }
            Err(error) => trouble = Some(format!("failed to {error}")),
        }
        if let Err(error) = self.attend_to_submitted().await {
            trouble = Some(format!("failed to {error}"));
        }
        if let Err(error) = self.look_at_comparisons().await {
            trouble = Some(format!("failed to {error}"));
        }
        if let Err(error) = self.look_at_notices().await {
            trouble = Some(format!("failed to {error}"));
        }
        self.note("store", trouble);
        self.look_at_probes().await;
        self.look_at_retention().await;
        self.look_at_files().await;
    }

    /// Starts no more jobs, and waits for those under way; returns when they have ended, or after this time. What still
    /// runs then goes on on its device, and is collected by whoever goes on with the sweep.
    pub async fn stop(&mut self, patience: Duration) {
        self.tasks.values().chain(self.submitted.values()).for_each(|task| task.stop.raise(1));
        let ended = tokio::time::timeout(patience, async {
            for task in self.tasks.values_mut().chain(self.submitted.values_mut()) {
                // How it ended is in the store.
                let _ = task.ended().await;
            }
        });
        if ended.await.is_err() {
            tracing::info!("runs go on on devices");
        }
    }
}
