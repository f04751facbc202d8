use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Archive, ArtifactRef, BackendProgram, CatalogDataset, ElementType, InputRange, Layout, ModelSignature, Precision,
    Preprocessing,
};

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
    /// Shape of the first input for one image, batch first: `[1, 3, 224, 224]`. Images are written channels first,
    /// whatever the file's layout is. `None` when the file alone knows.
    pub input_shape: Option<Vec<u64>>,
    /// What is said of single inputs, in the order of the catalogue.
    pub inputs: Vec<CatalogInput>,
    /// Classes that it tells apart.
    pub classes: Option<u32>,
    /// Answers before that of the first class: 1 where the first is «background».
    pub label_offset: u32,
    /// Name of the output that has an answer for each class; `None` when its number of values tells it.
    pub scores: Option<String>,
    /// How a picture becomes the input.
    pub preprocessing: Option<Preprocessing>,
    /// Range of the pseudo-random input, where one is given.
    pub input_range: Option<InputRange>,
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
    /// A network of which nothing is said but how it is called.
    pub fn unknown(name: &str, title: &str) -> CatalogModel {
        CatalogModel {
            name: name.to_owned(),
            title: title.to_owned(),
            source: None,
            licence: None,
            input_shape: None,
            inputs: Vec::new(),
            classes: None,
            label_offset: 0,
            scores: None,
            preprocessing: None,
            input_range: None,
            params: None,
            macs: None,
            accuracy: None,
            files: Vec::new(),
        }
    }
}

impl CatalogModel {
    /// The file with that kind of weights that a job takes: of those in a format that the engine loads, in the engine's
    /// order, the first of exactly that precision; then one that the engine computes in that precision, whatever it
    /// holds. When none does, one that doesn't suit, else the first there is.
    pub fn file(&self, kind: WeightsKind, backend: Option<&Backend>, precision: Precision) -> Option<&WeightsFile> {
        let files = || self.files.iter().filter(|file| file.weights == kind);
        let formats = backend.map(|backend| backend.formats.as_slice()).unwrap_or_default();
        let loaded = || formats.iter().flat_map(|format| files().filter(move |file| file.format == *format));
        let converted = |file: &&WeightsFile| backend.is_some_and(|backend| backend.converts(file, precision));
        let exact = loaded().find(|file| file.precision() == Some(precision));
        // One that is called so, and is not: it is there to be told.
        let called = || loaded().find(|file| file.declared_precision == Some(precision));
        let exact = exact.or_else(called).or_else(|| loaded().find(converted));
        exact.or_else(|| loaded().next()).or_else(|| files().next())
    }
}

/// What the catalogue says of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogInput {
    /// Name in the model's file.
    pub name: String,
    /// Shape for one image, batch first, in the file's own order of dimensions.
    pub shape: Option<Vec<u64>>,
    /// Range of its pseudo-random values.
    pub range: Option<InputRange>,
    /// Type of its elements, for files that do not tell it.
    pub element: Option<ElementType>,
    /// Values that it is given instead of pseudo-random ones.
    pub values: Option<InputValues>,
}

/// Values of an input, in a file on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputValues {
    /// The file.
    pub path: PathBuf,
    /// What is in it, or why it can't be used; `None` where nobody has looked.
    pub found: Option<Result<GivenValues, String>>,
}

/// What a file of values holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenValues {
    /// What they are made of; `None` where the file has the bare numbers.
    pub element: Option<ElementType>,
    /// Their shape; `None` where the file has the bare numbers.
    pub shape: Option<Vec<u64>>,
    /// The numbers in their own type, little-endian, in the cache of this host.
    pub artifact: ArtifactRef,
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
    /// Arithmetic that it holds, as its entry says; see [`WeightsFile::precision`].
    pub declared_precision: Option<Precision>,
    /// Order of the dimensions of its images.
    pub layout: Layout,
    /// Its content. `None` for a file of the user's whose hash is not pinned; it is then taken as found.
    pub artifact: Option<ArtifactRef>,
    /// Where it comes from.
    pub source: WeightsSource,
    /// Further files that belong to it.
    pub parts: Vec<FilePart>,
    /// What the file says of itself, or why it is no model. `None` where nobody has looked, where the file is not on
    /// this host yet, and for formats that are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Result<ModelSignature, String>>,
    /// Multiply-adds of one image as its graph has them, or why they can't be counted. `None` where nobody has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<Result<u64, String>>,
}

impl WeightsFile {
    /// The order of the dimensions that files of a format have, where nothing else is said.
    pub fn usual_layout(format: &str) -> Layout {
        if format == "tflite" { Layout::Nhwc } else { Layout::Nchw }
    }

    /// Arithmetic that it holds: what the file says, else what its entry says, else 32-bit floats. `None` for a file
    /// that is known to hold something that no sweep can ask for.
    pub fn precision(&self) -> Option<Precision> {
        match &self.signature {
            Some(Ok(signature)) => signature.arithmetic.precision,
            _ => Some(self.declared_precision.unwrap_or(Precision::Float32)),
        }
    }

    /// Its size with that of its parts; `None` where one of them is not known.
    pub fn size_bytes(&self) -> Option<u64> {
        let parts = self.parts.iter().map(|part| part.artifact.as_ref());
        let all = std::iter::once(self.artifact.as_ref()).chain(parts);
        all.map(|artifact| artifact.map(|artifact| artifact.size_bytes)).sum()
    }

    /// The word for its precision, as far as it is known; empty where it isn't.
    pub fn precision_word(&self) -> &'static str {
        match (&self.signature, self.declared_precision) {
            (None, None) => "",
            (None, Some(declared)) => declared.as_str(),
            (Some(_), _) => self.precision().map_or("other", Precision::as_str),
        }
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
    /// Taken out of an archive.
    Archive {
        /// The archive.
        archive: Box<Archive>,
        /// Its path inside.
        member: String,
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
    /// Those of them that it computes in though a file holds 32-bit floats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub converts_to: Vec<Precision>,
    /// Sets of operators of ONNX that it has; none where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator_domains: Vec<String>,
    /// Whether it uses more than one thread.
    pub multi_threaded: bool,
    /// The program that it is; `None` for an engine that is compiled into the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<BackendProgram>,
}

impl Backend {
    /// Whether it computes in that precision with what such a file holds.
    pub fn converts(&self, file: &WeightsFile, precision: Precision) -> bool {
        file.precision() == Some(Precision::Float32) && self.converts_to.contains(&precision)
    }

    /// Whether it computes in that precision when it is given that file.
    pub fn computes_in(&self, file: &WeightsFile, precision: Precision) -> bool {
        file.precision() == Some(precision) || self.converts(file, precision)
    }
}
