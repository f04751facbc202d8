use std::fmt;
use std::path::{Path, PathBuf};

use super::analysis::AnalysisError;
use super::checkpoint::CheckpointError;
use super::engines::EngineFileError;
use super::onnx::OnnxError;
use crate::domain::ArtifactRef;

/// Why a model's file can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A network that farmctl has no definition of.
    #[error("build {network:?} for model {model}: farmctl has no such network; it has {known}")]
    UnknownNetwork {
        /// The model.
        model: String,
        /// The name in its entry.
        network: String,
        /// Names that there are.
        known: String,
    },
    /// A network in a format that farmctl doesn't write.
    #[error("build model {model}: farmctl does not write {format} files of it")]
    UnknownFormat {
        /// The model.
        model: String,
        /// The format.
        format: String,
    },
    /// The script that makes a TorchScript file can't run here, or failed.
    #[error("make a TorchScript file of model {model}: {cause}")]
    Script {
        /// The model.
        model: String,
        /// Why.
        cause: String,
    },
    /// A checkpoint that can't be had.
    #[error("get the weights of model {model}: {cause}")]
    Weights {
        /// The model.
        model: String,
        /// Why.
        #[source]
        cause: Box<EngineFileError>,
    },
    /// A checkpoint that isn't what a network needs.
    #[error("take the weights of model {model} from {path}: {cause}")]
    Checkpoint {
        /// The model.
        model: String,
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: CheckpointError,
    },
    /// The content isn't what the catalogue says.
    #[error(
        "use {path} for model {model}: the catalogue says sha256 {} ({} bytes), it has sha256 {} ({} bytes)",
        expected.sha256, expected.size_bytes, found.sha256, found.size_bytes
    )]
    WrongContent {
        /// The model.
        model: String,
        /// The file, or what it would have become.
        path: PathBuf,
        /// The catalogue's word.
        expected: ArtifactRef,
        /// What was found.
        found: ArtifactRef,
    },
    /// A download without a hash to check it by.
    #[error("download model {model}: its entry has urls, but no sha256 and size_bytes to check the file by; add them")]
    Unpinned {
        /// The model.
        model: String,
    },
    /// A hash that is no hash: it becomes a file name.
    #[error("find model {model}: {sha256:?} is no sha256 of 64 lower-case hexadecimal digits")]
    BadHash {
        /// The model.
        model: String,
        /// What stands in its entry.
        sha256: String,
    },
    /// None of the addresses has it.
    #[error("download model {model}: {}", joined(failures))]
    Download {
        /// The model.
        model: String,
        /// What each address answered.
        failures: Vec<UrlFailure>,
    },
    /// Too slow.
    #[error("{action}: it was not done by its deadline")]
    Deadline {
        /// What was being done.
        action: String,
    },
    /// The work on a file broke off before it was done.
    #[error("get {name}: {cause}")]
    BrokeOff {
        /// What the file is of.
        name: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The cache or the user's file can't be read or written.
    #[error("{action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The file isn't ONNX.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The network is at odds with itself or with its entry.
    #[error("model {model}: {cause}")]
    Analysis {
        /// The model.
        model: String,
        /// What is wrong.
        #[source]
        cause: AnalysisError,
    },
}

/// Why an address didn't give the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFailure {
    /// The address, without what may be secret in it.
    pub url: String,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for UrlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

fn joined(failures: &[UrlFailure]) -> String {
    if failures.is_empty() {
        return "its entry has no urls".to_owned();
    }
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Makes an I/O error one that names what was tried, and the file.
pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> CatalogError + 'a {
    move |cause| CatalogError::Io { action, path: path.to_owned(), cause }
}
