//! Models and backends: what there is, where its files come from, and what a network costs.
//!
//! Main types: [`ArtifactCache`], which has a model's file ready on this host, [`Datasets`], which does so for labelled
//! images, [`EngineFiles`], which does so for engines, [`analysis::GraphSummary`], and the networks that farmctl writes
//! by itself ([`networks`]). Never touches a device, reads no YAML and no environment, and never runs a network.
//!
//! Calls block for as long as a disk or a download takes; async callers wrap them in `spawn_blocking`.

pub mod analysis;
mod archives;
mod artifacts;
mod backends;
pub mod checkpoint;
mod content;
mod datasets;
mod download;
mod engines;
mod error;
pub mod formats;
mod hashing;
mod look;
pub mod networks;
pub mod onnx;
mod published;
mod sharing;
mod signature;
mod torch;
mod values;

pub use artifacts::{ArtifactCache, LocalArtifact, LocalModel};
pub use backends::builtin_backends;
pub use datasets::{BUILTIN_DATASETS, DatasetError, Datasets};
pub use download::{DownloadSettings, Proxy};
pub use engines::{EngineFileError, EngineFiles};
pub use error::{CatalogError, UrlFailure};
pub use hashing::{Activity, Progress};
pub use published::{PublishedNetwork, published_network, published_networks};
pub use signature::SignatureError;

/// The catalogue that comes with farmctl: `configs/models.yaml` as it was when the program was built.
pub fn builtin_yaml() -> &'static str {
    include_str!("../../../configs/models.yaml")
}
