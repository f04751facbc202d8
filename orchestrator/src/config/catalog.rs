//! The models file to the models of a [`Catalog`](crate::domain::Catalog): what it means, checked.

use std::path::Path;

use crate::domain::{Accuracy, ArtifactRef, CatalogModel, InputRange, WeightsFile, WeightsKind, WeightsSource};

use super::document::{Document, Step, place};
use super::fault::{ConfigErrors, any_of, code};
use super::models_file::{FileEntry, ModelEntry, ModelsFile};
use super::source::Source;

/// Format of a file whose name doesn't tell.
const DEFAULT_FORMAT: &str = "onnx";
/// Input of a model that doesn't say its range.
const DEFAULT_RANGE: [f32; 2] = [0.0, 1.0];

/// The models of a file.
pub(super) fn load(source: Source) -> Result<Vec<CatalogModel>, ConfigErrors> {
    let mut document = Document::<ModelsFile>::new(source);
    let Some(content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    let mut models: Vec<(CatalogModel, usize)> = Vec::new();
    for (index, entry) in content.models.into_iter().enumerate() {
        let place = place!["models", index, "name"];
        if let Some((_, first)) = models.iter().find(|(model, _)| model.name == entry.name) {
            let first = document.span(place!["models", *first, "name"]);
            let fault = document.fault(place, format!("the model {} is there twice", code(&entry.name)));
            let fault = fault.note(format!("first at {}:{}", document.source.at(first), first.column));
            document.faults.push(fault.hint("rename one of them"));
        }
        models.push((model(&mut document, entry, index), index));
    }
    ConfigErrors::unless_clean(Some(models.into_iter().map(|(model, _)| model).collect()), document.faults)
}

fn model(document: &mut Document<ModelsFile>, entry: ModelEntry, index: usize) -> CatalogModel {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if entry.name.is_empty() || entry.name.starts_with(['-', '.']) || !entry.name.chars().all(allowed) {
        let hint = "use letters, digits, `.`, `_` and `-`".to_owned();
        document.refuse(place!["models", index, "name"], format!("{} is no good name", code(&entry.name)), Some(hint));
    }
    let [low, high] = entry.input_range.unwrap_or(DEFAULT_RANGE);
    // Not `low >= high`: what can't be compared is refused too.
    if !(low < high && low.is_finite() && high.is_finite()) {
        let message = format!("the range must go from a lower to a higher number, found {low} to {high}");
        document.refuse(place!["models", index, "input_range"], message, None);
    }
    let kinds = [(WeightsKind::Synthetic, entry.weights.synthetic), (WeightsKind::Trained, entry.weights.trained)];
    let mut files = Vec::new();
    let mut declared = false;
    let mut licences: Vec<String> = entry.licence.into_iter().collect();
    for (kind, file) in kinds {
        if let Some(file) = file {
            declared = true;
            licences.extend(file.licence.as_ref().map(|licence| format!("{kind} weights: {licence}")));
            files.extend(weights_file(document, file, kind, place!["models", index, "weights", kind.as_str()]));
        }
    }
    if !declared && document.is_clean() {
        let place = place!["models", index, "weights"];
        let message = format!("the model {} has no weights", code(&entry.name));
        document.refuse(place, message, Some("give it `synthetic` or `trained` weights".to_owned()));
    }
    CatalogModel {
        title: entry.title.unwrap_or_else(|| entry.name.clone()),
        name: entry.name,
        source: entry.source,
        licence: (!licences.is_empty()).then(|| licences.join("; ")),
        input_shape: entry.input_shape,
        preprocessing: entry.preprocessing,
        input_range: InputRange { low, high },
        params: entry.params,
        macs: entry.macs,
        accuracy: entry
            .accuracy
            .map(|accuracy| Accuracy { top1_percent: accuracy.top1_percent, source: accuracy.source }),
        files,
    }
}

fn weights_file(
    document: &mut Document<ModelsFile>,
    entry: FileEntry,
    weights: WeightsKind,
    place: &[Step<'_>],
) -> Option<WeightsFile> {
    let urls = entry.urls.map(|urls| urls.into_vec());
    let clean = document.is_clean();
    for (index, url) in urls.iter().flatten().enumerate() {
        let place = [place, &[Step::Field("urls"), Step::Item(index)]].concat();
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_whitespace) {
            document.refuse(&place, format!("{} is no URL", code(url)), Some("write `https://…`".to_owned()));
        }
    }
    let file_name = entry.path.clone().or_else(|| urls.iter().flatten().next().map(|url| url_path(url).into()));
    let source = match (entry.builtin, urls, entry.path) {
        (Some(name), None, None) => WeightsSource::Builtin(name),
        (None, Some(urls), None) => WeightsSource::Urls(urls),
        (None, None, Some(path)) => {
            WeightsSource::Path(document.source.file.parent().unwrap_or(Path::new("")).join(path))
        }
        _ => {
            if clean {
                let message = format!("needs exactly one of {}", any_of(["builtin", "urls", "path"]));
                refuse_key(document, place, message);
            }
            return None;
        }
    };
    let pinned = matches!(source, WeightsSource::Path(_)) || (entry.sha256.is_some() && entry.size_bytes.is_some());
    if !pinned && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are needed for what isn't a `path`".to_owned());
    }
    let hash = entry.sha256.map(|hash| sha256(document, &hash, place));
    if matches!(source, WeightsSource::Path(_)) && hash.is_some() != entry.size_bytes.is_some() && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are given both or not at all".to_owned());
    }
    let extension = file_name.and_then(|name| Some(name.extension()?.to_str()?.to_lowercase()));
    Some(WeightsFile {
        weights,
        format: entry.format.or(extension).unwrap_or_else(|| DEFAULT_FORMAT.to_owned()),
        artifact: hash.zip(entry.size_bytes).map(|(sha256, size_bytes)| ArtifactRef { sha256, size_bytes }),
        source,
    })
}

fn refuse_key(document: &mut Document<ModelsFile>, place: &[Step<'_>], message: String) {
    let span = document.key_span(place);
    let fault = document.source.fault(span, message);
    document.faults.push(fault);
}

/// A URL without what follows its path.
fn url_path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn sha256(document: &mut Document<ModelsFile>, hash: &str, place: &[Step<'_>]) -> String {
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let place = [place, &[Step::Field("sha256")]].concat();
        let hint = "64 hexadecimal digits, as `sha256sum` prints them".to_owned();
        document.refuse(&place, format!("{} is no SHA-256", code(hash)), Some(hint));
    }
    hash.to_lowercase()
}
