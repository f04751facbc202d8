//! The form of a sweep file. The comments here are the descriptions of its JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::words::{OneOrMany, PrecisionWord, PresetWord, ScenarioWord, Threads, WeightsWord};

/// A sweep: a matrix of runs. Every list may be one value alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl sweep (configs/*.yaml)")]
pub(super) struct SweepFile {
    /// Name of the sweep; without it, the name of the file.
    pub(super) name: Option<String>,
    /// Devices: `all` (the default), names, globs (`pixel-*`), or tags (`{ tag: arch=arm64 }`); any of them selects.
    pub(super) devices: Option<OneOrMany<SelectorEntry>>,
    /// Models of the catalogue, by name.
    pub(super) models: OneOrMany<String>,
    /// Kinds of weights; without it, `synthetic`.
    pub(super) weights: Option<OneOrMany<WeightsWord>>,
    /// Engines; without it, `tract`.
    pub(super) backends: Option<OneOrMany<String>>,
    /// Arithmetic; without it, `fp32`.
    pub(super) precision: Option<OneOrMany<PrecisionWord>>,
    /// Threads of the engine; without it, 1.
    pub(super) threads: Option<OneOrMany<Threads>>,
    /// Images in one inference; without it, 1.
    pub(super) batch: Option<OneOrMany<Batch>>,
    /// Load pattern; without it, `single_stream`.
    pub(super) scenario: Option<OneOrMany<ScenarioWord>>,
    /// Runs of each cell; without it, 1. All cells of a device run once before any runs a second time.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) repeats: Option<u32>,
    /// In what order a device runs the cells of a repeat; without it, `shuffled`.
    pub(super) order: Option<OrderWord>,
    /// More cells: each entry is a small matrix of its own, where what it leaves out is as in the sweep. `exclude` does
    /// not touch them.
    pub(super) include: Option<OneOrMany<PatternEntry>>,
    /// Cells to leave out: those that match an entry in every field that it names.
    pub(super) exclude: Option<OneOrMany<PatternEntry>>,
    /// `limits` under a name that people know. What `limits` and `timeouts` say beside it goes before it. Without it,
    /// the defaults of `limits`.
    pub(super) preset: Option<PresetWord>,
    /// How long to warm up and to measure.
    pub(super) limits: Option<LimitsEntry>,
    /// How long things may take, in seconds.
    pub(super) timeouts: Option<TimeoutsEntry>,
    /// What a device is given before each run, so that none begins hot; without it, nothing. `{}` has the defaults.
    pub(super) cooldown: Option<CooldownEntry>,
    /// After a failed run; without it, `continue`.
    pub(super) on_failure: Option<OnFailureWord>,
    /// What a failure of a device, or of the way to it, means for its jobs.
    pub(super) retry: Option<RetryEntry>,
    /// Seed of the pseudo-random input; without it, 1.
    pub(super) seed: Option<u64>,
    /// Labelled images (configs/datasets.yaml) that networks with trained weights are shown after their timed loop:
    /// what share of them they classify right is their accuracy. Without it, none is measured.
    pub(super) dataset: Option<String>,
    /// When a number is believed, and how often a doubtful one is measured again.
    pub(super) trust: Option<TrustEntry>,
}

/// When a number is believed: the limits of the verdicts, and how often what is doubtful is measured again. They are
/// kept with the sweep, and its reports go by them ever after.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustEntry {
    /// How often a row is measured again at most whose verdict is noisy, unsteady, throttled or disturbed: on the same
    /// device, behind all else that it has to do. The first that is ok counts, else the last. Without it, 0.
    #[schemars(range(max = 10))]
    pub(super) max_reruns: Option<u32>,
    /// Shortest pause between a run and the one that measures it again, in seconds; without it, 30.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) rerun_pause_seconds: Option<f64>,
    /// Fewest samples of a run: below, it is too_few. Without it, 10.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) min_samples: Option<u32>,
    /// Fewest independent samples that a run's samples are worth: below, it is too_few. Without it, 6.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) min_effective_samples: Option<f64>,
    /// Modified z-score above which a sample is an outlier; without it, 3.5.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub(super) outlier_z: Option<f64>,
    /// Largest share of outliers, in per cent: above, it is noisy. Without it, 10.
    #[schemars(range(min = 0, max = 100))]
    pub(super) outlier_percent: Option<f64>,
    /// Largest half of the median's interval of 95 %, in per cent of the median: above, it is noisy. Without it, 5.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub(super) interval_percent: Option<f64>,
    /// How far two modes are apart at least, in per cent of the quicker, for it to be noisy; without it, 3.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub(super) modes_percent: Option<f64>,
    /// Smallest share of a mode, in per cent, that counts as one; without it, 10.
    #[schemars(range(min = 0, max = 50))]
    pub(super) mode_share_percent: Option<f64>,
    /// Smallest change of level, in per cent, for it to be unsteady or slow_start; without it, 3.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub(super) change_percent: Option<f64>,
    /// How long a start may be, in per cent of the samples, to be a slow_start; without it, 40.
    #[schemars(range(min = 0, max = 100))]
    pub(super) start_percent: Option<f64>,
    /// Largest share of the processors' time that went to others, in per cent: above, it is disturbed. Without it, 5.
    #[schemars(range(min = 0, max = 100))]
    pub(super) other_load_percent: Option<f64>,
    /// Largest share of time that the host of a virtual machine took away, in per cent: above, it is disturbed. Without
    /// it, 1.
    #[schemars(range(min = 0, max = 100))]
    pub(super) stolen_percent: Option<f64>,
}

/// Some cells of the matrix.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternEntry {
    /// Devices.
    pub(super) devices: Option<OneOrMany<SelectorEntry>>,
    /// Models.
    pub(super) models: Option<OneOrMany<String>>,
    /// Kinds of weights.
    pub(super) weights: Option<OneOrMany<WeightsWord>>,
    /// Engines.
    pub(super) backends: Option<OneOrMany<String>>,
    /// Arithmetic.
    pub(super) precision: Option<OneOrMany<PrecisionWord>>,
    /// Threads.
    pub(super) threads: Option<OneOrMany<Threads>>,
    /// Images in one inference.
    pub(super) batch: Option<OneOrMany<Batch>>,
    /// Load pattern.
    pub(super) scenario: Option<OneOrMany<ScenarioWord>>,
}

/// Devices: `all`, a name, a glob, or a tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum SelectorEntry {
    /// `all`, a name, or a glob: `pixel-*`.
    Name(String),
    /// All devices with a tag.
    Tag(TagEntry),
}

/// All devices with a tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TagEntry {
    /// `key=value`, a plain word, or a key alone for any of its values.
    pub(super) tag: String,
}

/// Images in one inference.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Batch(pub(super) u32);

impl JsonSchema for Batch {
    fn schema_name() -> Cow<'static, str> {
        "Batch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "description": "Images in one inference.", "minimum": 1, "maximum": 4096 })
    }
}

/// How long to warm up and to measure.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsEntry {
    /// Before the timed loop.
    pub(super) warmup: Option<WarmupEntry>,
    /// The timed loop.
    pub(super) measure: Option<MeasureEntry>,
    /// The timed loop in the scenario `sustained`, in place of `measure`.
    pub(super) sustained: Option<SustainedEntry>,
}

/// The warm-up ends once both minima are met, and `steady_percent` where it is given, or at its maximum.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmupEntry {
    /// Fewest inferences; without it, 3. They are done whatever the time.
    #[schemars(range(max = 1_000_000))]
    pub(super) min_runs: Option<u32>,
    /// Shortest time; without it, 1 second.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) min_seconds: Option<f64>,
    /// Longest time; without it, 10 seconds.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) max_seconds: Option<f64>,
    /// Goes on until the trend that is left changes the latency by less than so many per cent over the shortest timed
    /// loop; the column `steady` says whether it came to that. Without it, that is not asked.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100))]
    pub(super) steady_percent: Option<f64>,
}

/// The timed loop ends once both minima are met, and `interval_percent` where it is given, or at one of the maxima.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MeasureEntry {
    /// Fewest inferences; without it, 10.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) min_runs: Option<u32>,
    /// Most inferences; without it, 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_runs: Option<u32>,
    /// Shortest time; without it, 3 seconds.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) min_seconds: Option<f64>,
    /// Longest time; without it, 60 seconds. One inference is always done.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) max_seconds: Option<f64>,
    /// Goes on until the median is known to ± so many per cent (half of its interval of 95 %), for 200 inferences at
    /// least. Without it, that is not asked.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100))]
    pub(super) interval_percent: Option<f64>,
}

/// Sustained load.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SustainedEntry {
    /// How long; without it, 300 seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub(super) seconds: Option<f64>,
}

/// How long things may take, in seconds. What expires is a failure that names its limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeoutsEntry {
    /// Reaching a device and logging in; without it, 10.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) connect_seconds: Option<f64>,
    /// Each step of bringing a device up; without it, 60.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) bring_up_seconds: Option<f64>,
    /// A push that moves no byte; without it, 30.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) push_stall_seconds: Option<f64>,
    /// A run, from start to last message; without it, 600.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 604_800))]
    pub(super) run_seconds: Option<f64>,
    /// What passes by itself before a device has answered in the sweep (a boot, a name that nobody can look up for
    /// now, another machine at its address); without it, 120.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) arrive_seconds: Option<f64>,
    /// Getting back a device that had answered in the sweep, whatever it refuses; without it, 60.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) reconnect_seconds: Option<f64>,
    /// The last messages of a run that ended; without it, 60.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86_400))]
    pub(super) collect_seconds: Option<f64>,
}

/// How long a device may cool down before a run, in seconds, and how cool it is to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CooldownEntry {
    /// The run begins once the hottest sensor of the processor is at or below this, in °C; without it, within 1.5 °C of
    /// what the device itself is at rest.
    #[schemars(range(min = -40, max = 150))]
    pub(super) start_temp_c: Option<f64>,
    /// Shortest wait, however cool it is; without it, 0.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) min_seconds: Option<f64>,
    /// Longest wait, however hot it is; without it, 120.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) max_seconds: Option<f64>,
    /// Wait of a device that tells no temperature; without it, 5.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) pause_seconds: Option<f64>,
}

/// What a failure of a device, or of the way to it, means for its jobs. A failure of a model or an engine is never
/// tried again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryEntry {
    /// Most attempts of a run, the first one included; without it, 3.
    #[schemars(range(min = 1, max = 100))]
    pub(super) attempts: Option<u32>,
    /// Pause before the second attempt, in seconds; it doubles with each further one. Without it, 1.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) pause_seconds: Option<f64>,
    /// Longest pause, in seconds; without it, 60.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) max_pause_seconds: Option<f64>,
    /// Failures in a row after which a device is quarantined, until a health probe passes; without it, 3.
    #[schemars(range(min = 1, max = 100))]
    pub(super) quarantine_after: Option<u32>,
    /// Key of a tag: devices with the same value of it are equal, and a run whose attempts are used up moves to another
    /// of them. Without it, runs never move.
    #[schemars(length(min = 1))]
    pub(super) equal_by: Option<String>,
}

/// In what order a device runs the cells of a repeat.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderWord {
    /// Shuffled by the seed, on each device and in each repeat anew, so that heat favours no cell.
    Shuffled,
    /// As they are listed: by model, then weights, backend and so on.
    Listed,
}

/// What a failed run means for those after it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnFailureWord {
    /// Go on with the next job.
    Continue,
    /// Start no more jobs on this device.
    StopDevice,
    /// Start no more jobs anywhere.
    StopSweep,
}
