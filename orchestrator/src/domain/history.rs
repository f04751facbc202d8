use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::{JobId, Judgement, Precision, Scenario, SweepId, ThreadCount, WeightsKind};

/// Names and texts of what something was like. What is not known is not in it.
pub type Facts = BTreeMap<String, String>;

/// What is measured again and again: a cell of a matrix on a device, but for the network's name and the repeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HistoryCell {
    /// The device.
    pub device: String,
    /// Weights of the network.
    pub weights: WeightsKind,
    /// Format of its file.
    pub format: String,
    /// The inference engine.
    pub backend: String,
    /// Its settings.
    pub options: BTreeMap<String, String>,
    /// Arithmetic.
    pub precision: Precision,
    /// Threads that were asked for. Whoever reads it gets a word.
    #[serde(serialize_with = "as_word")]
    pub threads: ThreadCount,
    /// Images in one inference.
    pub batch: u32,
    /// Load pattern.
    pub scenario: Scenario,
}

fn as_word<S: Serializer>(threads: &ThreadCount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(threads)
}

impl fmt::Display for HistoryCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HistoryCell { device, weights, backend, precision, threads, batch, scenario, .. } = self;
        write!(f, "{device}: {backend} {precision}, threads {threads}, batch {batch}, {scenario}, {weights}")?;
        self.options.iter().try_for_each(|(name, value)| write!(f, ", {name} {value}"))
    }
}

/// A run of the past that ended well, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// Its sweep.
    pub sweep_id: SweepId,
    /// When its record was made.
    pub at: Timestamp,
    /// The network's name.
    pub model: String,
    /// What it was of, but for the network.
    pub cell: Arc<HistoryCell>,
    /// Median latency: above 0.
    pub median_ns: u64,
    /// What moves time, and is not there to be measured: another one begins another series.
    pub environment: Arc<Facts>,
    /// What may have had a part in a change, and begins no series.
    pub circumstances: Arc<Facts>,
    /// What was found of it then; `None` of runs of older versions.
    pub judged: Option<Arc<Judgement>>,
    /// What it measured; `None` where the job is not known any more.
    pub measured: Option<MeasuredJob>,
}

/// A job that may have been measured again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredJob {
    /// The job as it was planned.
    pub first: JobId,
    /// Which measurement of it this is: 0 for the first.
    pub rerun: u32,
}

/// How a device was reached over some time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LinkHistory {
    /// How often its connection broke while work was under way.
    pub broke: usize,
    /// How fast files of a megabyte and more went to it, in bytes a second, in no order.
    pub push_bytes_per_s: Vec<f64>,
}
