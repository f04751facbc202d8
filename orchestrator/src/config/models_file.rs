//! The form of `configs/models.yaml`. The comments here are the descriptions of its JSON Schema.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::backends_file::ArchiveEntry;
use super::words::{ElementWord, LayoutWord, Named, OneOrMany, PrecisionWord, ResizeFilterWord};

/// The catalogue of models. Paths are relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl models (configs/models.yaml)")]
pub(super) struct ModelsFile {
    /// The models.
    #[schemars(length(min = 1))]
    pub(super) models: Vec<ModelEntry>,
}

/// A network. Its name and one entry of weights are enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    /// Name that sweeps use, unique: letters, digits, `.`, `_` and `-`.
    pub(super) name: String,
    /// Name as a person writes it; without it, `name`.
    pub(super) title: Option<String>,
    /// The paper or page it comes from.
    pub(super) source: Option<String>,
    /// Licence of the network's definition and weights.
    pub(super) licence: Option<String>,
    /// Shape of the (first) input for one image, batch first: `[1, 3, 224, 224]`; of images always `[1, channels,
    /// height, width]`, whatever the `layout` of the file. It sets the dimensions that the file leaves open; one that
    /// the file contradicts is not measured. A file whose first dimension is another number than this 1 has so many
    /// images in each inference. Without it, the file's own shape is taken.
    #[schemars(length(min = 1, max = 8), inner(range(min = 1)))]
    pub(super) input_shape: Option<Vec<u64>>,
    /// Inputs by their name in the file: where there are several, or they are no images. For `caffe2` and
    /// `torchscript_lite`, whose files don't tell them, all in their order.
    pub(super) inputs: Option<Named<InputEntry>>,
    /// Classes that it tells apart: what accuracy is measured by.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) classes: Option<u32>,
    /// Answers before that of the first class: 1 where the first of 1001 is «background».
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub(super) label_offset: u32,
    /// Name of the output that has an answer for each class, in a network with several; without it, the one that has as
    /// many values as there are classes.
    #[schemars(length(min = 1))]
    pub(super) scores: Option<String>,
    /// How a picture becomes the input: what accuracy is measured with.
    pub(super) preprocessing: Option<PreprocessingEntry>,
    /// Range of the pseudo-random inputs, lowest value and upper bound. Without it, `[0, 1]` for floats, all numbers
    /// for 8 bits, and 0 and 1 for other whole numbers.
    pub(super) input_range: Option<[f32; 2]>,
    /// Parameters as published.
    pub(super) params: Option<u64>,
    /// Multiply-adds of one image (FLOPs = 2 × MACs).
    pub(super) macs: Option<u64>,
    /// Published accuracy on ImageNet; never reported as measured.
    pub(super) accuracy: Option<AccuracyEntry>,
    /// The files it can be had as.
    pub(super) weights: WeightsEntries,
}

/// What is said of one input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InputEntry {
    /// Shape for one image, batch first, in the file's own order of dimensions.
    #[schemars(length(min = 1, max = 8), inner(range(min = 1)))]
    pub(super) shape: Option<Vec<u64>>,
    /// Range of its pseudo-random values, lowest value and upper bound: `[0, 30521]` for the numbers of words.
    pub(super) range: Option<[f32; 2]>,
    /// A file with its values, which are then no pseudo-random ones: NumPy's `.npy`, ONNX's TensorProto `.pb`, or any
    /// other name for the bare numbers, little-endian. They have the input's own type and shape; the shape of an `.npy`
    /// or `.pb` sets the dimensions that the model's file leaves open.
    pub(super) values: Option<PathBuf>,
    /// Type of its elements, where the file does not tell it; without it, `f32`.
    #[serde(rename = "type")]
    pub(super) element: Option<ElementWord>,
}

/// How a picture becomes the input. Without `shorter_side` and `crop` only pictures of the input's size are taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreprocessingEntry {
    /// The shorter side becomes so many pixels, and what is in the middle becomes the input (torchvision's way).
    #[schemars(range(min = 1, max = 16384))]
    pub(super) shorter_side: Option<u32>,
    /// A part in the middle, with this share of the shorter side, is resized to the input (TensorFlow's way).
    #[schemars(range(min = 0.01, max = 1))]
    pub(super) crop: Option<f64>,
    /// How pixels are computed; without it, `bilinear`.
    pub(super) filter: Option<ResizeFilterWord>,
    /// Whether pictures are turned as their EXIF data say; without it they are not, as in torchvision's and
    /// TensorFlow's training.
    #[serde(default)]
    pub(super) exif_orientation: bool,
    /// What is taken from each channel's byte (0 to 255): one number, or one for each channel; without it, 0.
    pub(super) mean: Option<OneOrMany<f64>>,
    /// What the rest is divided by; without it, 255.
    pub(super) std: Option<OneOrMany<f64>>,
}

/// A published accuracy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccuracyEntry {
    /// Top-1, per cent.
    #[schemars(range(min = 0, max = 100))]
    pub(super) top1_percent: f64,
    /// Who published it.
    pub(super) source: String,
}

/// The files of a model, by kind of weights; at least one. Several of a kind are the same network in several formats: a
/// job takes the one that its engine loads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsEntries {
    /// Weights drawn from a fixed seed: the true cost, no accuracy.
    pub(super) synthetic: Option<OneOrMany<FileEntry>>,
    /// Trained weights.
    pub(super) trained: Option<OneOrMany<FileEntry>>,
}

/// A file of a model: exactly one of `builtin`, `archive`, `urls` and `path` says where it comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Built by farmctl from its own definition of the network with that name: in every format that it writes, or in
    /// `format` alone.
    pub(super) builtin: Option<String>,
    /// Trained weights for `builtin`, where they don't come with farmctl.
    pub(super) checkpoint: Option<CheckpointEntry>,
    /// A zip file that it is in, for example the wheel of a Python package.
    pub(super) archive: Option<ArchiveEntry>,
    /// Its path inside the archive.
    pub(super) member: Option<String>,
    /// Downloaded from the first of these URLs that has it.
    pub(super) urls: Option<OneOrMany<String>>,
    /// A file on this host.
    pub(super) path: Option<PathBuf>,
    /// SHA-256 of the file, 64 hexadecimal digits; may be left out for a `path`, and for a `builtin`.
    pub(super) sha256: Option<String>,
    /// Size of the file; may be left out where `sha256` may.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: Option<u64>,
    /// Licence of this file, where it isn't the model's.
    pub(super) licence: Option<String>,
    /// File format: `onnx`, `tflite`, `caffe2`, `torchscript_lite` …; without it, the ending of the file's name.
    #[schemars(length(min = 1))]
    pub(super) format: Option<String>,
    /// Arithmetic that the file holds. Without it, what an `onnx` or `tflite` file says of itself, and `fp32` for
    /// others. A job in `int8` takes an `int8` file, one in `fp16` an `fp16` file or an engine that `converts_to` it.
    pub(super) precision: Option<PrecisionWord>,
    /// Order of the dimensions of its images; without it, `nhwc` for `tflite` and `nchw` for others.
    pub(super) layout: Option<LayoutWord>,
    /// Further files of a format that has several: Caffe2's `init` beside the network.
    pub(super) parts: Option<OneOrMany<PartEntry>>,
}

/// A file of weights that PyTorch wrote before its version 1.6.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointEntry {
    /// The zip file that it is in, for example a Python wheel.
    pub(super) archive: ArchiveEntry,
    /// Its path inside the archive.
    pub(super) member: String,
    /// SHA-256 of the checkpoint, 64 hexadecimal digits.
    pub(super) sha256: String,
    /// Its size.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: u64,
}

/// A further file of a model: exactly one of `urls` and `path` says where it comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartEntry {
    /// What it is to the model: letters, digits, `.`, `_` and `-`.
    pub(super) name: String,
    /// Downloaded from the first of these URLs that has it.
    pub(super) urls: Option<OneOrMany<String>>,
    /// A file on this host.
    pub(super) path: Option<PathBuf>,
    /// SHA-256 of the file, 64 hexadecimal digits; may be left out for a `path`.
    pub(super) sha256: Option<String>,
    /// Size of the file; may be left out for a `path`.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: Option<u64>,
}
