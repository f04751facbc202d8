//! The form of `configs/datasets.yaml`. The comments here are the descriptions of its JSON Schema.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Labelled images that accuracy is measured on. Paths are relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl datasets (configs/datasets.yaml)")]
pub(super) struct DatasetsFile {
    /// The datasets.
    pub(super) datasets: Vec<DatasetEntry>,
}

/// A dataset: exactly one of `builtin`, `folders`, `list` and `csv` says where its images are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetEntry {
    /// Name that sweeps use, unique: letters, digits, `.`, `_` and `-`.
    pub(super) name: String,
    /// Name as a person writes it; without it, `name`.
    pub(super) title: Option<String>,
    /// The paper or page it comes from.
    pub(super) source: Option<String>,
    /// Its licence.
    pub(super) licence: Option<String>,
    /// Classes there are, which are numbered from 0. Needed for all but `folders` whose names are no numbers.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) classes: Option<u32>,
    /// Comes with farmctl, under that name.
    pub(super) builtin: Option<String>,
    /// A folder with one folder for each class, which has its pictures (JPEG or PNG).
    pub(super) folders: Option<FoldersEntry>,
    /// A list of pictures: a line for each, its path and the number of its class.
    pub(super) list: Option<ListEntry>,
    /// A table: a line for each image, its bytes and its class.
    pub(super) csv: Option<CsvEntry>,
}

/// One folder for each class.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FoldersEntry {
    /// The folder that they are in.
    pub(super) path: PathBuf,
    /// Whether the folders' names are the numbers of the classes; without it, classes are numbered in the order of the
    /// names, as ImageNet's are.
    #[serde(default)]
    pub(super) numbered: bool,
}

/// A list of pictures.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListEntry {
    /// The list.
    pub(super) path: PathBuf,
    /// What its paths are relative to: a folder, or a tar archive, which is read as it is; without it, the folder that
    /// the list is in.
    pub(super) folder: Option<PathBuf>,
}

/// A table in CSV; packed by gzip or not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvEntry {
    /// The table.
    pub(super) path: PathBuf,
    /// Height, width and channels of an image; its bytes are in that order, channels last.
    #[schemars(inner(range(min = 1, max = 4096)))]
    pub(super) shape: [u32; 3],
    /// Lines to pass over: a header, those that were trained on.
    #[serde(default)]
    pub(super) skip: u32,
    /// Where the class stands: `first`, `last`, or the name of its column in the first line, which then is a header and
    /// is passed over. Without it, `last`.
    #[schemars(length(min = 1))]
    pub(super) label: Option<String>,
}
