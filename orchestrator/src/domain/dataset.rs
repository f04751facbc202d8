use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ArtifactRef;

/// Version of how farmctl turns pictures into input: another one may give other bytes for the same picture.
pub const PREPROCESSING_VERSION: u32 = 3;

/// Labelled images that accuracy is measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatalogDataset {
    /// Unique name, for example `digits`.
    pub name: String,
    /// Name as a person writes it.
    pub title: String,
    /// The paper or page it comes from.
    pub source: Option<String>,
    /// Its licence.
    pub licence: Option<String>,
    /// Classes there are; `None` where the folder alone knows.
    pub classes: Option<u32>,
    /// Where the images are.
    pub origin: DatasetOrigin,
    /// What is there, once somebody has looked; `Err` says why that can't be told.
    pub list: Option<Result<DatasetList, String>>,
}

/// Where a dataset's images are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetOrigin {
    /// They come with farmctl.
    Builtin(String),
    /// A folder with one folder for each class. Classes are numbered in the order of the folders' names; or, where
    /// `numbered`, the names are the numbers.
    Folders {
        /// The folder.
        path: PathBuf,
        /// Whether the folders' names are the classes' numbers.
        numbered: bool,
    },
    /// A list of files, each with the number of its class.
    List {
        /// The list: a line for each file, its path and its number with white space between.
        path: PathBuf,
        /// What the paths are relative to: a folder, or a tar archive.
        folder: PathBuf,
    },
    /// A table in CSV, by its name perhaps packed by gzip: a line for each image, its bytes and then its class.
    Csv {
        /// The table.
        path: PathBuf,
        /// Height, width and channels of an image.
        shape: [u32; 3],
        /// Lines before the first image.
        skip: u32,
        /// Where the class stands in a line; the last column where nobody says.
        label: Option<LabelColumn>,
    },
}

/// The column of a table that has the images' classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelColumn {
    /// Before an image's bytes.
    First,
    /// Behind them.
    Last,
    /// The one of that name; names stand in the first line.
    Named(String),
}

/// What a dataset consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetList {
    /// SHA-256 of the list of all images: path, class, and SHA-256 of the content of each.
    pub sha256: String,
    /// Images in it.
    pub images: u32,
    /// Classes there are.
    pub classes: u32,
    /// Classes without an image.
    pub empty_classes: u32,
    /// What lets one doubt that the images have the classes that it gives them, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// How a picture becomes a network's input: what its authors did when they trained it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What is done to get the input's height and width.
    pub resize: ResizeRule,
    /// How pixels are computed where the size changes.
    pub filter: ResizeFilter,
    /// Whether a picture is turned as its EXIF data say. Neither torchvision's nor TensorFlow's training does so.
    #[serde(default)]
    pub exif_orientation: bool,
    /// What is taken from each channel's byte.
    pub mean: Vec<f64>,
    /// What the rest is divided by.
    pub std: Vec<f64>,
}

/// How a picture gets its size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeRule {
    /// It has it: any other is left out.
    None,
    /// The shorter side becomes so many pixels; what is in the middle of that is taken.
    ShorterSide(u32),
    /// A rectangle in the middle, with the input's proportions and this share of the largest such, becomes the input.
    Crop(f64),
}

impl Preprocessing {
    /// What is done to the picture before its bytes become numbers, in words that say all of it, for an input of that
    /// height, width and channels.
    pub fn resize_text(&self, [height, width, channels]: [u32; 3]) -> String {
        let filter = self.filter.as_str();
        let size = match self.resize {
            ResizeRule::None => format!("{width}×{height} as it is"),
            ResizeRule::ShorterSide(side) => {
                format!("shorter side to {side} ({filter}), centre crop of {width}×{height}")
            }
            ResizeRule::Crop(share) => format!("centre crop of {share}, to {width}×{height} ({filter})"),
        };
        let colours = match channels {
            1 => "grey",
            3 => "RGB",
            _ => "as they are",
        };
        let turned = if self.exif_orientation { "applied" } else { "ignored" };
        format!("{colours}, EXIF orientation {turned}, {size}")
    }

    /// All that is done, with the version of the code that does it.
    pub fn text(&self, shape: [u32; 3]) -> String {
        let list = |numbers: &[f64]| match numbers {
            [first, rest @ ..] if rest.iter().all(|number| number == first) => first.to_string(),
            _ => format!("({})", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")),
        };
        let (mean, std) = (list(&self.mean), list(&self.std));
        format!("{}; (x - {mean}) / {std}; farmctl {PREPROCESSING_VERSION}", self.resize_text(shape))
    }
}

/// How pixels are computed where the size changes. Both weigh all pixels that one of the result covers («antialiased»),
/// as Pillow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// Triangle.
    Bilinear,
    /// Catmull-Rom.
    Bicubic,
}

impl ResizeFilter {
    /// Every filter.
    pub const ALL: &'static [ResizeFilter] = &[ResizeFilter::Bilinear, ResizeFilter::Bicubic];

    /// The word used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ResizeFilter::Bilinear => "bilinear",
            ResizeFilter::Bicubic => "bicubic",
        }
    }
}

/// Images that a job shows its network after the timed loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDataset {
    /// Name of the dataset.
    pub name: String,
    /// SHA-256 of its list.
    pub list_sha256: String,
    /// Images in the list.
    pub images: u32,
    /// Classes there are.
    pub classes: u32,
    /// Answers of the network before that of the first class: 1 where the first is «background».
    #[serde(default)]
    pub label_offset: u32,
    /// Name of the output that has an answer for each class; `None` for the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// Height, width and channels of the input.
    pub shape: [u32; 3],
    /// How pictures become input.
    pub preprocessing: Preprocessing,
    /// What became of the images on this host; `None` until they were prepared.
    pub prepared: Option<PreparedImages>,
}

impl JobDataset {
    /// Values of the output that is ranked, for one image.
    pub fn answers(&self) -> u32 {
        self.classes.saturating_add(self.label_offset)
    }

    /// How a picture becomes input, and which answers are counted, in words that say all of it.
    pub fn text(&self) -> String {
        let offset = Some(self.label_offset).filter(|offset| *offset > 0);
        let offset = offset.map(|offset| format!("; answer {offset} is class 0")).unwrap_or_default();
        let scores = self.scores.as_ref().map(|scores| format!("; ranked: {scores}")).unwrap_or_default();
        format!("{}{offset}{scores}", self.preprocessing.text(self.shape))
    }
}

/// A dataset's images, as a network takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedImages {
    /// One file of all: height × width × channels bytes each.
    pub images: ArtifactRef,
    /// How many are in it.
    pub count: u32,
    /// SHA-256 of the file of their classes, which no device gets: little-endian 32-bit numbers in their order.
    pub labels_sha256: String,
    /// Images that are not in it, by reason.
    pub left_out: Vec<Remark>,
    /// Images of which not all was kept, or that were turned, by what was done.
    pub changed: Vec<Remark>,
    /// Classes that had no image to begin with.
    pub empty_classes: u32,
}

/// Something about some images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What, in words: `grey made RGB`.
    pub what: String,
    /// How many.
    pub count: u32,
    /// One of them.
    pub example: String,
}

/// Height, width and channels of an input with the shape of one image, `[1, channels, height, width]` as the catalogue
/// has them.
pub fn image_shape(input_shape: &[u64]) -> Option<[u32; 3]> {
    let &[1, channels, height, width] = input_shape else { return None };
    Some([u32::try_from(height).ok()?, u32::try_from(width).ok()?, u32::try_from(channels).ok()?])
}
