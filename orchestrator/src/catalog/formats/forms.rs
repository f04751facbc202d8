//! The forms that a network can be had in, and what their files are known to be.

use std::sync::OnceLock;

use serde::Deserialize;

use super::FileKind;
use crate::catalog::networks;
use crate::domain::{ArtifactRef, FilePart, Precision, WeightsFile, WeightsKind, WeightsSource};

/// A format in a precision, and the files that it takes.
struct Form {
    format: &'static str,
    precision: Precision,
    kind: FileKind,
    /// Further files by name.
    parts: &'static [(&'static str, FileKind)],
}

/// Every form. The first is what a job takes that could take any.
const FORMS: &[Form] = &[
    Form { format: "onnx", precision: Precision::Float32, kind: FileKind::Onnx, parts: &[] },
    Form { format: "tflite", precision: Precision::Float32, kind: FileKind::Tflite, parts: &[] },
    Form { format: "tflite", precision: Precision::Int8, kind: FileKind::TfliteInt8, parts: &[] },
    Form {
        format: "caffe2",
        precision: Precision::Float32,
        kind: FileKind::Caffe2Predict,
        parts: &[("init", FileKind::Caffe2Init)],
    },
    Form { format: "torchscript_lite", precision: Precision::Float32, kind: FileKind::TorchscriptLite, parts: &[] },
];

/// What one file of a network is: `pins.csv`, which `cargo run --example pins` makes.
#[derive(Debug, Deserialize)]
struct Pin {
    network: String,
    weights: WeightsKind,
    format: String,
    precision: Precision,
    part: Option<String>,
    size_bytes: u64,
    sha256: String,
}

fn pins() -> &'static [Pin] {
    static PINS: OnceLock<Vec<Pin>> = OnceLock::new();
    PINS.get_or_init(|| {
        let mut reader = csv::Reader::from_reader(include_bytes!("pins.csv").as_slice());
        reader.deserialize().collect::<Result<_, _>>().expect("the committed file is right")
    })
}

/// Names of the networks that farmctl builds with such weights.
pub fn builtin_names(weights: WeightsKind) -> Vec<&'static str> {
    let names = networks::names();
    names.filter(|name| pins().iter().any(|pin| pin.network == *name && pin.weights == weights)).collect()
}

/// The files that farmctl builds of a network, one for each form; none when it doesn't know the network.
pub fn builtin_files(network: &str, weights: WeightsKind) -> Vec<WeightsFile> {
    let source = WeightsSource::Builtin(network.to_owned());
    let file = |form: &Form| {
        let pinned = |part: Option<&str>| {
            let same = |pin: &&Pin| {
                (&*pin.network, pin.weights, &*pin.format, pin.precision, pin.part.as_deref())
                    == (network, weights, form.format, form.precision, part)
            };
            let pin = pins().iter().find(same)?;
            Some(ArtifactRef { sha256: pin.sha256.clone(), size_bytes: pin.size_bytes })
        };
        let part = |(name, _): &(&str, FileKind)| {
            Some(FilePart { name: (*name).to_owned(), artifact: Some(pinned(Some(name))?), source: source.clone() })
        };
        Some(WeightsFile {
            weights,
            format: form.format.to_owned(),
            declared_precision: Some(form.precision),
            layout: WeightsFile::usual_layout(form.format),
            artifact: Some(pinned(None)?),
            source: source.clone(),
            parts: form.parts.iter().map(part).collect::<Option<_>>()?,
            signature: None,
            macs: None,
        })
    };
    FORMS.iter().filter_map(file).collect()
}

/// How a file of that format and precision is written, or a further file of it.
pub fn file_kind(format: &str, precision: Precision, part: Option<&str>) -> Option<FileKind> {
    let form = FORMS.iter().find(|form| form.format == format && form.precision == precision)?;
    match part {
        None => Some(form.kind),
        Some(wanted) => form.parts.iter().find(|(name, _)| *name == wanted).map(|(_, kind)| *kind),
    }
}

/// A file that is written.
pub struct WrittenFile {
    /// Its format.
    pub format: &'static str,
    /// The arithmetic that it holds.
    pub precision: Precision,
    /// The name of a further file; `None` for the model's own.
    pub part: Option<&'static str>,
    /// How it is written.
    pub kind: FileKind,
}

/// Every format, precision and part that is written.
pub fn written_files() -> impl Iterator<Item = WrittenFile> {
    FORMS.iter().flat_map(|Form { format, precision, kind, parts, .. }| {
        let file = |part, kind: &FileKind| WrittenFile { format, precision: *precision, part, kind: *kind };
        let parts = parts.iter().map(move |(name, kind)| file(Some(*name), kind));
        std::iter::once(file(None, kind)).chain(parts)
    })
}
