use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Archive, ArtifactRef, BackendProgram, CatalogDataset, InputRange, Layout, Precision, Preprocessing};

/// Models and backends that a sweep can name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// Models, in the order of the file; names are unique.
    pub models: Vec<CatalogModel>,
    /// Engines, in the order they were registered; names are unique.
    pub backends: Vec<Backend>,
    /// Labelled images, in the order of the file; names are unique.
    pub datasets: Vec<CatalogDataset>,
}

impl Catalog {
    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&CatalogModel> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The engine of that name.
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.name == name)
    }

    /// The dataset of that name.
    pub fn dataset(&self, name: &str) -> Option<&CatalogDataset> {
        self.datasets.iter().find(|dataset| dataset.name == name)
    }
}

/// A network, whatever its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogModel {
    /// Unique name, for example `mobilenet_v2`.
    pub name: String,
    /// Name as a person writes it.
    pub title: String,
    /// The paper or page it comes from.
    pub source: Option<String>,
    /// Licence of the network's definition and weights.
    pub licence: Option<String>,
    /// Shape of the input for one image, batch first: `[1, 3, 224, 224]`. `None` when the file alone knows.
    pub input_shape: Option<Vec<u64>>,
    /// Classes that it tells apart.
    pub classes: Option<u32>,
    /// Answers before that of the first class: 1 where the first is «background».
    pub label_offset: u32,
    /// Name of the output that has an answer for each class; `None` when its number of values tells it.
    pub scores: Option<String>,
    /// How a picture becomes the input.
    pub preprocessing: Option<Preprocessing>,
    /// Range of the pseudo-random input.
    pub input_range: InputRange,
    /// Parameters as published.
    pub params: Option<u64>,
    /// Multiply-adds of one image.
    pub macs: Option<u64>,
    /// Published top-1 accuracy on ImageNet. Never reported as measured.
    pub accuracy: Option<Accuracy>,
    /// The files it can be had as.
    pub files: Vec<WeightsFile>,
}

impl CatalogModel {
    /// The file with that kind of weights that a job takes: the first that suits the engine, in the engine's order of
    /// formats. When none does, one that doesn't suit by its precision, else the first there is.
    pub fn file(&self, kind: WeightsKind, backend: Option<&Backend>, precision: Precision) -> Option<&WeightsFile> {
        let files = || self.files.iter().filter(|file| file.weights == kind);
        let formats = backend.map(|backend| backend.formats.as_slice()).unwrap_or_default();
        let loaded = || formats.iter().flat_map(|format| files().filter(move |file| file.format == *format));
        loaded().find(|file| file.serves(precision)).or_else(|| loaded().next()).or_else(|| files().next())
    }
}

/// A published accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Top-1, per cent.
    pub top1_percent: f64,
    /// Who published it.
    pub source: String,
}

/// What was published about a network. Never measured, and never reported as measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedNetwork {
    /// Name, as in the catalogue of models where that has it.
    pub name: String,
    /// Width and height of the image that the figures are for, in pixels.
    pub input_px: u32,
    /// Parameters.
    pub params: Option<u64>,
    /// Multiply-adds of one image (FLOPs are twice as many), mostly rounded to millions.
    pub macs: u64,
    /// Top-1 accuracy on ImageNet's validation set, per cent.
    pub top1_percent: f64,
    /// Top-5 accuracy on ImageNet's validation set, per cent.
    pub top5_percent: Option<f64>,
    /// Who published it; says so where the figures were not checked against it.
    pub source: String,
}

/// A model in one format: one file, in some formats with further ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightsFile {
    /// Kind of weights in it.
    pub weights: WeightsKind,
    /// File format, for example `onnx`.
    pub format: String,
    /// Numbers that it holds: a file of 8-bit integers runs in these alone.
    pub precision: Precision,
    /// Order of the dimensions of its images.
    pub layout: Layout,
    /// Its content. `None` for a file of the user's whose hash is not pinned; it is then taken as found.
    pub artifact: Option<ArtifactRef>,
    /// Where it comes from.
    pub source: WeightsSource,
    /// Further files that belong to it.
    pub parts: Vec<FilePart>,
}

impl WeightsFile {
    /// The order of the dimensions that files of a format have, where nothing else is said.
    pub fn usual_layout(format: &str) -> Layout {
        if format == "tflite" { Layout::Nhwc } else { Layout::Nchw }
    }

    /// Whether it can be run in that precision: an engine may compute with less than 32-bit floats hold, but what was
    /// quantised has ranges that only its file knows.
    pub fn serves(&self, precision: Precision) -> bool {
        self.precision == precision || (self.precision == Precision::Float32 && precision == Precision::Float16)
    }
}

/// A further file of a model that consists of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilePart {
    /// What it is to the model: `init`.
    pub name: String,
    /// Its content, as that of the model's file.
    pub artifact: Option<ArtifactRef>,
    /// Where it comes from.
    pub source: WeightsSource,
}

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsKind {
    /// Drawn from a fixed seed: the true cost, no accuracy.
    Synthetic,
    /// Trained by the network's authors or others.
    Trained,
}

impl WeightsKind {
    /// Every kind.
    pub const ALL: &'static [WeightsKind] = &[WeightsKind::Synthetic, WeightsKind::Trained];

    /// The word used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            WeightsKind::Synthetic => "synthetic",
            WeightsKind::Trained => "trained",
        }
    }
}

impl std::fmt::Display for WeightsKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How to get a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsSource {
    /// Built by farmctl from its own definition of the network with that name.
    Builtin(String),
    /// Built by farmctl from its own definition of a network, with the weights of a PyTorch checkpoint.
    Checkpoint {
        /// The network.
        network: String,
        /// The archive that the checkpoint is in.
        archive: Box<Archive>,
        /// Its path inside.
        member: String,
        /// Its content.
        artifact: ArtifactRef,
    },
    /// Downloaded from the first of these URLs that has it.
    Urls(Vec<String>),
    /// A file on this host.
    Path(PathBuf),
}

/// An inference engine, as a plan must know it before any device is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Name.
    pub name: String,
    /// Version that the runner of this build carries; checked against the runner's hello at bring-up.
    pub version: String,
    /// Model file formats it loads.
    pub formats: Vec<String>,
    /// Precisions it runs.
    pub precisions: Vec<Precision>,
    /// Whether it uses more than one thread.
    pub multi_threaded: bool,
    /// The program that it is; `None` for an engine that is compiled into the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<BackendProgram>,
}
