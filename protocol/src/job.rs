use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One order to a runner: measure this job, under this run's identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The host's [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// Names the run on the device: letters, digits, `-` and `_` only, at most 64 of them.
    pub run_id: String,
    /// The device ends the run by itself after this many seconds, whether or not a host is there.
    pub deadline_seconds: f64,
    /// Under which lease of the device the host orders this.
    pub fence: Fence,
    /// What to measure.
    pub job: JobSpec,
}

/// A lease of the device, as the device remembers it: it takes no order under an epoch that is lower than one it has
/// seen of the same lab, so that a host which lost its lease, and does not know it yet, starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The lab: letters, digits, `-` and `_` only, at most 64 of them. Each has epochs of its own.
    pub lab: String,
    /// Epoch of the lease: grows with each holder.
    pub epoch: u64,
}

/// What to measure: everything that changes the number is in here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The model's file in the device's store.
    pub model: ArtifactRef,
    /// Further files of a model that consists of several, each under the name of its part: `init`, or where the model's
    /// file says that it lies beside it, `weights/x.bin` for example. Names are relative paths without `.` and `..`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_parts: Vec<NamedArtifact>,
    /// File format of the model, for example `onnx`.
    pub format: String,
    /// Order of the dimensions of the model's image inputs.
    #[serde(default)]
    pub layout: Layout,
    /// Shape of the model's one input for one image, batch first: only where `inputs` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_shape: Option<Vec<u64>>,
    /// Name of the engine.
    pub backend: String,
    /// The program that is the engine; `None` for one that is compiled into the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineSpec>,
    /// Arithmetic the network runs in.
    pub precision: Precision,
    /// Threads the engine uses, at least 1.
    pub threads: u32,
    /// Processors the run is pinned to; `None` leaves it to the kernel.
    pub cpus: Option<Vec<u32>>,
    /// Images in one inference, at least 1.
    pub batch: u32,
    /// Load pattern.
    pub scenario: Scenario,
    /// How long to warm up and to measure.
    pub limits: Limits,
    /// Seed of the pseudo-random input.
    pub seed: u64,
    /// Range of the pseudo-random values of inputs that `inputs` says nothing of.
    pub input_range: InputRange,
    /// Every input of the network as the plan fixed it, in the order of the model's file. Where there are some, an
    /// engine sets exactly these shapes and types, or refuses; it is empty only where the host can't read the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputSpec>,
    /// Images to classify after the timed loop, in the same process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// Images whose classes a network is asked for. What they really show is known to the host alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The images in the device's store, one after the other: height × width × channels unsigned bytes each.
    pub images: ArtifactRef,
    /// How many there are.
    pub count: u32,
    /// Rows of an image.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Bytes of a pixel.
    pub channels: u32,
    /// Name of the output that ranks the classes; `None` for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// Classes that the network tells apart: the values of that output, for one image.
    pub classes: u32,
    /// What is taken from each channel's byte first.
    pub mean: Vec<f64>,
    /// What the rest is divided by.
    pub std: Vec<f64>,
}

impl Evaluation {
    /// Bytes of one image; `None` when that is more than a number holds.
    pub fn image_bytes(&self) -> Option<u64> {
        let sides = u64::from(self.height).checked_mul(u64::from(self.width));
        sides.and_then(|pixels| pixels.checked_mul(u64::from(self.channels)))
    }

    /// Shape of an input with so many of the images.
    pub fn input_shape(&self, batch: u32, layout: Layout) -> [u64; 4] {
        let [height, width, channels] = [self.height, self.width, self.channels].map(u64::from);
        match layout {
            Layout::Nchw => [u64::from(batch), channels, height, width],
            Layout::Nhwc => [u64::from(batch), height, width, channels],
        }
    }
}

impl JobSpec {
    /// The shape of the model's one input with the job's batch in it, where it is known.
    pub fn batched_input_shape(&self) -> Option<Vec<u64>> {
        let rest = self.input_shape.as_ref()?.iter().skip(1).copied();
        Some(std::iter::once(u64::from(self.batch)).chain(rest).collect())
    }
}

/// An immutable file, by its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// An immutable file that has to lie under a certain name to be of use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamedArtifact {
    /// The name. Of an engine's file: letters, digits, `.`, `_`, `+` and `-`, at most 128 of them, the first one no
    /// `.`.
    pub name: String,
    /// The content.
    pub artifact: ArtifactRef,
}

/// An engine that is a program of its own, with all that it needs besides the device's operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSpec {
    /// The program and its libraries. They are seen in one folder, under their names.
    pub files: Vec<NamedArtifact>,
    /// What is started: the name of one of the files, then its arguments. In an argument `{folder}` stands for the
    /// folder with the files, `{model}` for the model's file, and `{model.NAME}` for one of its further parts;
    /// `{threads}`, `{batch}`, `{warmup_runs}`, `{runs}` (the fewest of the limits), `{seconds}` (the shortest) and
    /// `{input_shape}` (with commas, and semicolons between inputs) for what the job says.
    pub command: Vec<String>,
    /// What the program says.
    #[serde(default)]
    pub dialect: Dialect,
    /// Settings that only this engine knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// One input of a network, as it is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Name in the model's file.
    pub name: String,
    /// Type of its elements.
    pub element: ElementType,
    /// Dimensions, outermost first, the batch included; none for a scalar.
    pub shape: Vec<u64>,
    /// Range of its pseudo-random values; of whole numbers where the elements are.
    pub range: InputRange,
    /// Its values in the device's store, little-endian, where it is given some instead of pseudo-random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<ArtifactRef>,
}

/// Half-open range `[low, high)` from which input values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputRange {
    /// Smallest value.
    pub low: f32,
    /// Upper bound.
    pub high: f32,
}

/// When warm-up and timed loop end. A loop ends once both its minima are met and what else is asked of it holds, or as
/// soon as one maximum is met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Fewest inferences before the timed loop.
    pub warmup_min_runs: u32,
    /// Shortest warm-up.
    pub warmup_min_seconds: f64,
    /// Longest warm-up; at least `warmup_min_runs` are done whatever the time.
    pub warmup_max_seconds: f64,
    /// Fewest timed inferences.
    pub min_runs: u32,
    /// Most timed inferences.
    pub max_runs: u32,
    /// Shortest timed loop.
    pub min_seconds: f64,
    /// Longest timed loop; at least one inference is done.
    pub max_seconds: f64,
    /// The warm-up goes on until what is left of its trend changes the latency by less than so many per cent over the
    /// shortest timed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_percent: Option<f64>,
    /// The timed loop goes on until half of the median's interval of 95 % is at most so many per cent of the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_percent: Option<f64>,
}

macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in files and reports.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                $name::ALL.iter().copied().find(|v| v.as_str() == word)
                    .ok_or_else(|| format!(concat!("{:?} is no ", $what), word))
            }
        }
    };
}
pub(crate) use word_enum;

word_enum! {
    /// Arithmetic a network runs in.
    Precision, "precision" {
        /// 32-bit floating point.
        Float32 = "fp32",
        /// 16-bit floating point.
        Float16 = "fp16",
        /// 8-bit integers.
        Int8 = "int8",
    }
}

word_enum! {
    /// Type of a tensor's elements that an input can be made of.
    ElementType, "element type" {
        /// Truth values, one byte each: 0 or 1.
        Bool = "bool",
        /// 8-bit signed integers.
        Int8 = "i8",
        /// 16-bit signed integers.
        Int16 = "i16",
        /// 32-bit signed integers.
        Int32 = "i32",
        /// 64-bit signed integers.
        Int64 = "i64",
        /// 8-bit unsigned integers.
        Uint8 = "u8",
        /// 16-bit unsigned integers.
        Uint16 = "u16",
        /// 32-bit unsigned integers.
        Uint32 = "u32",
        /// 64-bit unsigned integers.
        Uint64 = "u64",
        /// 16-bit floating point (IEEE 754 binary16).
        Float16 = "f16",
        /// 32-bit floating point.
        Float32 = "f32",
        /// 64-bit floating point.
        Float64 = "f64",
    }
}

impl ElementType {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            ElementType::Bool | ElementType::Int8 | ElementType::Uint8 => 1,
            ElementType::Int16 | ElementType::Uint16 | ElementType::Float16 => 2,
            ElementType::Int32 | ElementType::Uint32 | ElementType::Float32 => 4,
            ElementType::Int64 | ElementType::Uint64 | ElementType::Float64 => 8,
        }
    }
}

word_enum! {
    /// Load pattern; the first two in MLPerf's words.
    Scenario, "scenario" {
        /// One query of one sample after the other; the metric is latency.
        SingleStream = "single_stream",
        /// All samples at once, in batches; the metric is throughput.
        Offline = "offline",
        /// Batch after batch for minutes, from a device that is not warm; the metric is the throughput that is kept.
        Sustained = "sustained",
    }
}

word_enum! {
    /// Order of an image's dimensions.
    #[derive(Default)]
    Layout, "layout" {
        /// Image, channel, row, column: ONNX, Caffe2, PyTorch.
        #[default]
        Nchw = "nchw",
        /// Image, row, column, channel: TensorFlow Lite.
        Nhwc = "nhwc",
    }
}

word_enum! {
    /// How the runner speaks with an engine program.
    #[derive(Default)]
    Dialect, "dialect" {
        /// farmctl's own: an order on standard input, messages on standard output.
        #[default]
        Engine = "engine",
        /// TensorFlow Lite's `benchmark_model`, whose output is read.
        TfliteBenchmarkModel = "tflite_benchmark_model",
        /// PyTorch's `speed_benchmark_torch`.
        SpeedBenchmarkTorch = "speed_benchmark_torch",
        /// Caffe2's `speed_benchmark`.
        Caffe2SpeedBenchmark = "caffe2_speed_benchmark",
        /// ncnn's `benchncnn`.
        Benchncnn = "benchncnn",
        /// ONNX Runtime's `onnxruntime_perf_test`.
        OnnxruntimePerfTest = "onnxruntime_perf_test",
        /// A program of one's own that prints JSON Lines: `{"latency_ns": 123}` for each inference, or the fields of
        /// [`Figures`](crate::Figures); lines that are no such objects are passed over.
        JsonLines = "json_lines",
    }
}
