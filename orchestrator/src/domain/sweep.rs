use std::fmt;

use farmctl_protocol::CoreKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Cooldown, DueTime, Limits, Precision, Scenario, SideBySide, SweepId, SweepState, Tag, TrustPolicy, WeightsKind,
};

/// The declared matrix: models × backends × precision × threads × batch × scenario × devices, `repeats` times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Name: the file's stem unless the file says another.
    pub name: String,
    /// Devices it runs on: the union of the selectors.
    pub devices: Vec<DeviceSelector>,
    /// Names of catalogue models.
    pub models: Vec<String>,
    /// Kinds of weights, for each model.
    pub weights: Vec<WeightsKind>,
    /// Names of engines.
    pub backends: Vec<String>,
    /// Arithmetic.
    pub precisions: Vec<Precision>,
    /// Threads of the engine.
    pub threads: Vec<ThreadCount>,
    /// Images in one inference.
    pub batches: Vec<u32>,
    /// Load patterns.
    pub scenarios: Vec<Scenario>,
    /// Jobs per cell.
    pub repeats: u32,
    /// In what order a device runs the jobs of a repeat.
    #[serde(default = "listed")]
    pub order: Order,
    /// Cells beside the matrix: each adds the cells of its own small matrix, where what it leaves out comes from the
    /// sweep's.
    pub include: Vec<CellPattern>,
    /// Cells that are taken out of the matrix: all that match one of these in every field it names.
    pub exclude: Vec<CellPattern>,
    /// Warm-up and length of the timed loop.
    pub limits: Limits,
    /// Length of the timed loop under sustained load, where its other limits do not hold.
    #[serde(default = "default_sustained_seconds")]
    pub sustained_seconds: f64,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What a device is given before each run, so that none begins hot; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Cooldown>,
    /// What a failed run means for those after it.
    pub on_failure: OnFailure,
    /// What a failure of the device, or of the way to it, means for the job.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Seed of the input.
    pub seed: u64,
    /// Labelled images that networks with trained weights are shown after their timed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// When a number is believed; in sweeps of older versions as the rules are that were in force then.
    #[serde(default)]
    pub trust: TrustPolicy,
    /// Two sides that are measured in pairs, a pair a repeat; `None`: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_by_side: Option<SideBySide>,
}

impl Sweep {
    /// Whether some cell may be of a model of that name with such weights, whatever is excluded.
    pub fn names_files(&self, model: &str, weights: WeightsKind) -> bool {
        let names = |models: &[String], kinds: &[WeightsKind]| {
            models.iter().any(|name| name == model) && kinds.contains(&weights)
        };
        // What B has in place of A's goes before what a pattern names, and that before what the matrix has.
        let of = |pattern: &CellPattern, b: Option<&CellPattern>| {
            let models = [b.map(|b| &b.models), Some(&pattern.models), Some(&self.models)];
            let kinds = [b.map(|b| &b.weights), Some(&pattern.weights), Some(&self.weights)];
            let models = models.into_iter().flatten().find(|models| !models.is_empty());
            let kinds = kinds.into_iter().flatten().find(|kinds| !kinds.is_empty());
            models.zip(kinds).is_some_and(|(models, kinds)| names(models, kinds))
        };
        let (matrix, b) = (CellPattern::default(), self.side_by_side.as_ref().map(|sides| &sides.b));
        let mut patterns = std::iter::once(&matrix).chain(&self.include);
        patterns.any(|pattern| of(pattern, None) || of(pattern, b))
    }
}

/// What it takes to go on with a sweep, beside its jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepDefinition {
    /// Its file, as it was named then.
    pub config: String,
    /// What the file said.
    pub sweep: Sweep,
    /// The sweep whose failed jobs these are.
    pub retry_of: Option<SweepId>,
    /// The due time that it was begun for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DueTime>,
    /// Who began it; none where a schedule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<SweepOrder>,
    /// Most devices that are worked on at the same time, as its schedule says; none where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// A person began a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepOrder {
    /// Who: `user@host`, or the name of a token.
    pub by: String,
    /// The schedule whose sweep it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

impl SweepDefinition {
    /// Most devices that are worked on at the same time, where whoever carries it out allows so many.
    pub fn at_once(&self, most: usize) -> usize {
        self.max_parallel.and_then(|own| usize::try_from(own).ok()).map_or(most, |own| own.min(most))
    }

    /// The schedule whose sweep it is, whoever began it.
    pub fn schedule(&self) -> Option<&str> {
        let due = self.due.as_ref().map(|due| due.schedule.as_str());
        due.or_else(|| self.ordered.as_ref()?.schedule.as_deref())
    }
}

/// That a sweep is the daemon's to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Most devices that are worked on at the same time.
    pub max_devices: usize,
}

/// One start of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// Identifier.
    pub id: SweepId,
    /// Name of the sweep.
    pub name: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its last job got its record.
    pub finished_at: Option<Timestamp>,
    /// Version and commit of the farmctl that started it.
    pub farmctl_version: String,
    /// What it is.
    pub state: SweepState,
}

/// Some cells of a matrix, by any of its axes. An empty list stands for «any» (exclude) or «the sweep's» (include).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CellPattern {
    /// Devices.
    pub devices: Vec<DeviceSelector>,
    /// Models, by name.
    pub models: Vec<String>,
    /// Kinds of weights.
    pub weights: Vec<WeightsKind>,
    /// Engines, by name.
    pub backends: Vec<String>,
    /// Arithmetic.
    pub precisions: Vec<Precision>,
    /// Threads.
    pub threads: Vec<ThreadCount>,
    /// Images in one inference.
    pub batches: Vec<u32>,
    /// Load patterns.
    pub scenarios: Vec<Scenario>,
}

/// In what order a device runs the jobs of a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Shuffled by the sweep's seed: what heats the device up favours no cell.
    Shuffled,
    /// In the order of the sweep's axes.
    Listed,
}

/// What sweeps of older versions have.
fn listed() -> Order {
    Order::Listed
}

/// Picks devices of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceSelector {
    /// By name, which may be a glob: `pixel-*`.
    Name(String),
    /// By tag; a tag without a value matches any value of its key.
    Tag(Tag),
}

/// Threads that a job asks for; what is no number becomes one on the device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadCount {
    /// So many, not pinned.
    Count(u32),
    /// One on each of the slowest cores, pinned to them.
    Little,
    /// One on each of those between little and big, likewise.
    Mid,
    /// One on each of the fastest cores but for prime ones, likewise.
    Big,
    /// One on each core that is faster than the big ones, likewise.
    Prime,
    /// One on each core, not pinned.
    All,
    /// One on each of these cores, by the kernel's index, in rising order, pinned to them.
    Cores(Vec<u32>),
}

impl ThreadCount {
    /// The kind of core that is asked for, if one is.
    pub fn kind(&self) -> Option<CoreKind> {
        match self {
            ThreadCount::Little => Some(CoreKind::Little),
            ThreadCount::Mid => Some(CoreKind::Mid),
            ThreadCount::Big => Some(CoreKind::Big),
            ThreadCount::Prime => Some(CoreKind::Prime),
            ThreadCount::Count(_) | ThreadCount::All | ThreadCount::Cores(_) => None,
        }
    }

    /// Whether it is one thread, whatever the device is.
    pub fn is_one(&self) -> bool {
        match self {
            ThreadCount::Count(count) => *count == 1,
            ThreadCount::Cores(cores) => cores.len() == 1,
            _ => false,
        }
    }
}

impl fmt::Display for ThreadCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThreadCount::Count(count) => f.pad(&count.to_string()),
            ThreadCount::Little => f.pad("little"),
            ThreadCount::Mid => f.pad("mid"),
            ThreadCount::Big => f.pad("big"),
            ThreadCount::Prime => f.pad("prime"),
            ThreadCount::All => f.pad("all"),
            ThreadCount::Cores(cores) => {
                let words: Vec<String> = cores.iter().map(u32::to_string).collect();
                f.pad(&format!("cores {}", words.join(" ")))
            }
        }
    }
}

/// How long things may take. What expires is a failure that names its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Reaching a device and logging in.
    pub connect_seconds: f64,
    /// Each step of bring-up.
    pub bring_up_seconds: f64,
    /// A push that moves no byte.
    pub push_stall_seconds: f64,
    /// A run, from start to last message.
    pub run_seconds: f64,
    /// What passes by itself before a device has answered in this sweep: its boot, its name, the network around it.
    #[serde(default = "default_arrive_seconds")]
    pub arrive_seconds: f64,
    /// Getting back a device that had answered in this sweep, whatever it refuses.
    pub reconnect_seconds: f64,
    /// The last messages of a run that ended, or of one that an earlier process had left.
    #[serde(default = "default_collect_seconds")]
    pub collect_seconds: f64,
}

/// Length of sustained load in a sweep that names none: phones throttle within the first minutes.
pub const DEFAULT_SUSTAINED_SECONDS: f64 = 300.0;

fn default_sustained_seconds() -> f64 {
    DEFAULT_SUSTAINED_SECONDS
}

fn default_arrive_seconds() -> f64 {
    Timeouts::default().arrive_seconds
}

fn default_collect_seconds() -> f64 {
    Timeouts::default().collect_seconds
}

impl Default for Timeouts {
    /// What a sweep has that names none: generous for a slow board, short for a person who waits.
    fn default() -> Timeouts {
        Timeouts {
            connect_seconds: 10.0,
            bring_up_seconds: 60.0,
            push_stall_seconds: 30.0,
            run_seconds: 600.0,
            arrive_seconds: 120.0,
            reconnect_seconds: 60.0,
            collect_seconds: 60.0,
        }
    }
}

/// What a failure of a device, or of the way to it, means for its jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Most attempts of a job, the first one included. Those that their host gave up do not count.
    pub max_attempts: u32,
    /// Pause before the second attempt; it doubles with each further one.
    pub pause_seconds: f64,
    /// Longest pause.
    pub max_pause_seconds: f64,
    /// Infrastructure failures in a row after which a device is quarantined.
    pub quarantine_after: u32,
    /// Devices whose tag of this key has the same value are equal: a job whose attempts are used up moves to another
    /// of them. `None`: jobs never move.
    pub equal_by: Option<String>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            pause_seconds: 1.0,
            max_pause_seconds: 60.0,
            quarantine_after: 3,
            equal_by: None,
        }
    }
}

/// What a failed run means for those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Go on with the next job.
    Continue,
    /// Start no more jobs on this device.
    StopDevice,
    /// Start no more jobs anywhere.
    StopSweep,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    #[test]
    fn a_schedule_takes_no_more_devices_at_once_than_it_says_and_no_more_than_it_gets() {
        let definition = |max_parallel| SweepDefinition {
            config: "configs/s.yaml".to_owned(),
            sweep: sample::sweep_definition(),
            retry_of: None,
            due: None,
            ordered: None,
            max_parallel,
        };
        assert_eq!([None, Some(3), Some(900)].map(|most| definition(most).at_once(128)), [128, 3, 128]);
        // One of before says nothing of it.
        let mut before = serde_json::to_value(definition(Some(3))).expect("JSON");
        before.as_object_mut().expect("an object").remove("max_parallel");
        let before: SweepDefinition = serde_json::from_value(before).expect("read");
        assert_eq!(before.max_parallel, None);
    }
}
