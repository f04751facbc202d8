//! The models file to the models of a [`Catalog`](crate::domain::Catalog): what it means, checked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::catalog::{formats, networks};
use crate::domain::{
    Accuracy, ArtifactRef, CatalogInput, CatalogModel, FilePart, InputRange, InputValues, Precision, Preprocessing,
    ResizeFilter, ResizeRule, WeightsFile, WeightsKind, WeightsSource, image_shape,
};

use super::backends;
use super::backends_file::ArchiveEntry;
use super::document::{Document, Step, place};
use super::expand::{self, Environment};
use super::fault::{ConfigErrors, any_of, code, did_you_mean};
use super::models_file::{
    CheckpointEntry, FileEntry, InputEntry, ModelEntry, ModelsFile, PartEntry, PreprocessingEntry,
};
use super::source::Source;
use super::words::{Named, OneOrMany};

/// Format of a file whose name doesn't tell.
const DEFAULT_FORMAT: &str = "onnx";
/// What to do about a name that is none.
pub(super) const NAME_HINT: &str = "use letters, digits, `.`, `_` and `-`";

/// The models of a file.
pub(super) fn load(source: Source, environment: Environment<'_>) -> Result<Vec<CatalogModel>, ConfigErrors> {
    let mut document = Document::<ModelsFile>::new(source);
    let Some(mut content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    expand_paths(&mut document, &mut content, environment);
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

/// Makes each path one that this process can open.
fn expand_paths(document: &mut Document<ModelsFile>, content: &mut ModelsFile, environment: Environment<'_>) {
    let file = document.source.file.clone();
    let mut expand = |path: &mut Option<PathBuf>, place: &[Step<'_>], field| {
        let Some(text) = path.as_ref().map(|path| path.to_string_lossy().into_owned()) else { return };
        match expand::path(&text, &file, environment) {
            Ok(expanded) => *path = Some(expanded),
            Err(refusal) => document.refuse(&[place, &[Step::Field(field)]].concat(), refusal.message, refusal.hint),
        }
    };
    for (index, model) in content.models.iter_mut().enumerate() {
        for (name, input) in model.inputs.iter_mut().flat_map(|Named(inputs)| inputs) {
            expand(&mut input.values, place!["models", index, "inputs", name.as_str()], "values");
        }
        let kinds = [("synthetic", &mut model.weights.synthetic), ("trained", &mut model.weights.trained)];
        for (kind, files) in kinds {
            for (number, file) in files.iter_mut().flat_map(OneOrMany::as_mut_slice).enumerate() {
                let place = place!["models", index, "weights", kind, number];
                expand(&mut file.path, place, "path");
                for (part, entry) in file.parts.iter_mut().flat_map(OneOrMany::as_mut_slice).enumerate() {
                    expand(&mut entry.path, &[&place[..], &[Step::Field("parts"), Step::Item(part)]].concat(), "path");
                }
            }
        }
    }
}

/// A range of pseudo-random values; one that holds nothing is refused.
fn input_range(document: &mut Document<ModelsFile>, [low, high]: [f32; 2], place: &[Step<'_>]) -> InputRange {
    // Not `low >= high`: what can't be compared is refused too.
    if !(low < high && low.is_finite() && high.is_finite()) {
        let message = format!("the range must go from a lower to a higher number, found {low} to {high}");
        document.refuse(place, message, None);
    }
    InputRange { low, high }
}

/// What an entry says of its inputs.
fn inputs(document: &mut Document<ModelsFile>, entries: Vec<(String, InputEntry)>, index: usize) -> Vec<CatalogInput> {
    let input = |(name, entry): (String, InputEntry)| {
        let place = place!["models", index, "inputs", name.as_str(), "range"];
        if entry.range.is_some() && entry.values.is_some() {
            document.refuse(
                place,
                "`range` is of pseudo-random values, and `values` gives others: leave one out",
                None,
            );
        }
        let range = entry.range.map(|range| input_range(document, range, place));
        let values = entry.values.map(|path| InputValues { path, found: None });
        CatalogInput { shape: entry.shape, range, element: entry.element.map(|word| word.0), values, name }
    };
    entries.into_iter().map(input).collect()
}

fn model(document: &mut Document<ModelsFile>, entry: ModelEntry, index: usize) -> CatalogModel {
    if !is_name(&entry.name) {
        let message = format!("{} is no good name", code(&entry.name));
        document.refuse(place!["models", index, "name"], message, Some(NAME_HINT.to_owned()));
    }
    let range = place!["models", index, "input_range"];
    let input_range = entry.input_range.map(|range_of| input_range(document, range_of, range));
    let inputs = inputs(document, entry.inputs.map_or_else(Vec::new, |Named(entries)| entries), index);
    let kinds = [(WeightsKind::Synthetic, entry.weights.synthetic), (WeightsKind::Trained, entry.weights.trained)];
    let mut files: Vec<WeightsFile> = Vec::new();
    let mut declared = false;
    let mut licences: Vec<String> = entry.licence.into_iter().collect();
    for (kind, entries) in kinds {
        for (number, file) in entries.into_iter().flat_map(OneOrMany::into_vec).enumerate() {
            declared = true;
            licences.extend(file.licence.as_ref().map(|licence| format!("{kind} weights: {licence}")));
            let place = place!["models", index, "weights", kind.as_str(), number];
            for file in weights_files(document, file, kind, place) {
                // What is left out is what the files hold, which the plan looks at.
                let like = |other: &&WeightsFile| {
                    let key = |file: &WeightsFile| (file.weights, file.format.clone(), file.declared_precision);
                    file.declared_precision.is_some() && key(other) == key(&file)
                };
                if let (Some(precision), true) = (file.declared_precision, files.iter().any(|other| like(&other)))
                    && document.is_clean()
                {
                    let message = format!("the {kind} weights in {} and {precision} are there twice", file.format);
                    refuse_key(document, place, message);
                }
                files.push(file);
            }
        }
    }
    if !declared && document.is_clean() {
        let place = place!["models", index, "weights"];
        let message = format!("the model {} has no weights", code(&entry.name));
        document.refuse(place, message, Some("give it `synthetic` or `trained` weights".to_owned()));
    }
    let preprocessing = entry.preprocessing.and_then(|preprocessing| {
        let shape = entry.input_shape.as_deref().and_then(image_shape);
        preprocessing_of(document, preprocessing, shape, place!["models", index, "preprocessing"])
    });
    CatalogModel {
        title: entry.title.unwrap_or_else(|| entry.name.clone()),
        name: entry.name,
        source: entry.source,
        licence: (!licences.is_empty()).then(|| licences.join("; ")),
        input_shape: entry.input_shape,
        inputs,
        classes: entry.classes,
        label_offset: entry.label_offset,
        scores: entry.scores,
        preprocessing,
        input_range,
        params: entry.params,
        macs: entry.macs,
        accuracy: entry
            .accuracy
            .map(|accuracy| Accuracy { top1_percent: accuracy.top1_percent, source: accuracy.source }),
        files,
    }
}

/// How a picture becomes an input of that height, width and channels.
fn preprocessing_of(
    document: &mut Document<ModelsFile>,
    entry: PreprocessingEntry,
    shape: Option<[u32; 3]>,
    place: &[Step<'_>],
) -> Option<Preprocessing> {
    let Some([height, width, channels]) = shape else {
        let message = "`preprocessing` needs an `input_shape` of [1, channels, height, width]".to_owned();
        refuse_key(document, place, message);
        return None;
    };
    let at = |field| [place, &[Step::Field(field)]].concat();
    let resize = match (entry.shorter_side, entry.crop) {
        (None, None) => ResizeRule::None,
        (Some(side), None) => ResizeRule::ShorterSide(side),
        (None, Some(share)) => ResizeRule::Crop(share),
        (Some(_), Some(_)) => {
            let message = "`shorter_side` and `crop` are two ways to do one thing; name one of them";
            document.refuse(&at("crop"), message, None);
            return None;
        }
    };
    if entry.shorter_side.is_some_and(|side| side < height.max(width)) {
        let message =
            format!("a picture of which the shorter side has so many pixels holds no input of {width}×{height}");
        document.refuse(&at("shorter_side"), message, None);
    }
    let mut each = |field, numbers: Option<OneOrMany<f64>>, default: f64| {
        let mut numbers = numbers.map_or_else(|| vec![default], OneOrMany::into_vec);
        if let [one] = numbers.as_slice() {
            numbers = vec![*one; channels as usize];
        }
        if numbers.len() != channels as usize {
            let message = format!("{} numbers for {channels} channels", numbers.len());
            document.refuse(&at(field), message, None);
        }
        if numbers.iter().any(|number| !number.is_finite() || (field == "std" && *number <= 0.0)) {
            document.refuse(&at(field), "these numbers can't be computed with", None);
        }
        numbers
    };
    Some(Preprocessing {
        resize,
        filter: entry.filter.map_or(ResizeFilter::Bilinear, |word| word.0),
        exif_orientation: entry.exif_orientation,
        mean: each("mean", entry.mean, 0.0),
        std: each("std", entry.std, 255.0),
    })
}

/// The files of an entry: one, or of a `builtin` one for each format.
fn weights_files(
    document: &mut Document<ModelsFile>,
    mut entry: FileEntry,
    weights: WeightsKind,
    place: &[Step<'_>],
) -> Vec<WeightsFile> {
    let parts = entry.parts.take().map(OneOrMany::into_vec).unwrap_or_default();
    if let Some(network) = entry.builtin.take_if(|_| entry.urls.is_none() && entry.path.is_none()) {
        if !parts.is_empty() && document.is_clean() {
            refuse_key(document, place, "`parts` are for `urls` and `path`: farmctl knows those it builds".to_owned());
        }
        let checkpoint =
            entry.checkpoint.take().map(|checkpoint| checkpoint_source(document, checkpoint, &network, place));
        let mut files = builtin_files(document, &entry, &network, weights, place);
        if weights == WeightsKind::Trained
            && networks::takes_checkpoint(&network) != checkpoint.is_some()
            && document.is_clean()
        {
            let message = match checkpoint {
                Some(_) => format!("farmctl makes {} of no `checkpoint`", code(&network)),
                None => format!("the trained weights of {} are in a `checkpoint`: say where that is", code(&network)),
            };
            refuse_key(document, place, message);
        }
        if let Some(source) = checkpoint {
            files.iter_mut().for_each(|file| {
                file.parts.iter_mut().for_each(|part| part.source = source.clone());
                file.source = source.clone();
            });
        }
        return files;
    }
    let named = [entry.builtin.is_some(), entry.archive.is_some(), entry.urls.is_some(), entry.path.is_some()];
    if named.into_iter().filter(|there| *there).count() != 1 || entry.archive.is_some() != entry.member.is_some() {
        if document.is_clean() {
            let message =
                format!("needs exactly one of {}", any_of(["builtin", "archive` with `member", "urls", "path"]));
            refuse_key(document, place, message);
        }
        return Vec::new();
    }
    let member = entry.archive.zip(entry.member);
    let origin =
        Origin { member, urls: entry.urls, path: entry.path, sha256: entry.sha256, size_bytes: entry.size_bytes };
    let Some(Located { file_name, artifact, source }) = located(document, origin, place) else { return Vec::new() };
    let extension = file_name.and_then(|name| Some(name.extension()?.to_str()?.to_lowercase()));
    let parts = parts.into_iter().enumerate().filter_map(|(index, part)| {
        file_part(document, part, &[place, &[Step::Field("parts"), Step::Item(index)]].concat())
    });
    let format = entry.format.or(extension).unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
    vec![WeightsFile {
        weights,
        parts: parts.collect(),
        layout: entry.layout.map_or_else(|| WeightsFile::usual_layout(&format), |word| word.0),
        format,
        declared_precision: entry.precision.map(|word| word.0),
        artifact,
        source,
        signature: None,
        macs: None,
    }]
}

fn checkpoint_source(
    document: &mut Document<ModelsFile>,
    entry: CheckpointEntry,
    network: &str,
    place: &[Step<'_>],
) -> WeightsSource {
    let place = [place, &[Step::Field("checkpoint")]].concat();
    WeightsSource::Checkpoint {
        network: network.to_owned(),
        artifact: backends::artifact(document, &entry.sha256, entry.size_bytes, &place),
        archive: Box::new(backends::archive(
            document,
            entry.archive,
            &[&place[..], &[Step::Field("archive")]].concat(),
        )),
        member: entry.member,
    }
}

/// What farmctl builds of a network: in the format that the entry names, else in all.
fn builtin_files(
    document: &mut Document<ModelsFile>,
    entry: &FileEntry,
    network: &str,
    weights: WeightsKind,
    place: &[Step<'_>],
) -> Vec<WeightsFile> {
    let clean = document.is_clean();
    if entry.sha256.is_some() != entry.size_bytes.is_some() && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are given both or not at all".to_owned());
    }
    let pinned = entry.sha256.as_ref().zip(entry.size_bytes);
    let pinned = pinned.map(|(hash, size_bytes)| ArtifactRef { sha256: sha256(document, hash, place), size_bytes });
    // A hash is that of one file.
    let format = entry.format.as_deref().or(pinned.as_ref().map(|_| DEFAULT_FORMAT));
    let precision = entry.precision.map(|word| word.0).or(pinned.as_ref().map(|_| Precision::Float32));
    let mut files = formats::builtin_files(network, weights);
    files.retain(|file| {
        format.is_none_or(|format| file.format == format)
            && precision.is_none_or(|wanted| file.declared_precision == Some(wanted))
    });
    if files.is_empty() && clean {
        let known = formats::builtin_names(weights);
        let (field, message, hint) = if known.contains(&network) {
            let forms: BTreeSet<&str> = formats::written_files().map(|file| file.format).collect();
            let message = format!("farmctl does not write {} in that format and precision", code(network));
            ("format", message, did_you_mean(format.unwrap_or_default(), forms))
        } else {
            let message = format!("farmctl has no network {} with {weights} weights", code(network));
            ("builtin", message, did_you_mean(network, known))
        };
        document.refuse(&[place, &[Step::Field(field)]].concat(), message, hint);
    }
    if let (Some(pinned), Some(file)) = (pinned, files.first_mut()) {
        file.artifact = Some(pinned);
    }
    files
}

fn file_part(document: &mut Document<ModelsFile>, entry: PartEntry, place: &[Step<'_>]) -> Option<FilePart> {
    if !is_name(&entry.name) {
        let place = [place, &[Step::Field("name")]].concat();
        document.refuse(&place, format!("{} is no good name", code(&entry.name)), Some(NAME_HINT.to_owned()));
    }
    if entry.urls.is_some() == entry.path.is_some() {
        if document.is_clean() {
            let message = format!("needs exactly one of {}", any_of(["urls", "path"]));
            refuse_key(document, place, message);
        }
        return None;
    }
    let origin =
        Origin { member: None, urls: entry.urls, path: entry.path, sha256: entry.sha256, size_bytes: entry.size_bytes };
    let Located { artifact, source, .. } = located(document, origin, place)?;
    Some(FilePart { name: entry.name, artifact, source })
}

/// Where a file comes from, and what it must be.
struct Origin {
    /// An archive, and the path in it.
    member: Option<(ArchiveEntry, String)>,
    urls: Option<OneOrMany<String>>,
    path: Option<PathBuf>,
    sha256: Option<String>,
    size_bytes: Option<u64>,
}

/// A file that is downloaded or the user's.
struct Located {
    file_name: Option<PathBuf>,
    /// Its content.
    artifact: Option<ArtifactRef>,
    source: WeightsSource,
}

fn located(document: &mut Document<ModelsFile>, origin: Origin, place: &[Step<'_>]) -> Option<Located> {
    let clean = document.is_clean();
    let urls = origin.urls.map(OneOrMany::into_vec);
    for (index, url) in urls.iter().flatten().enumerate() {
        let place = [place, &[Step::Field("urls"), Step::Item(index)]].concat();
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_whitespace) {
            document.refuse(&place, format!("{} is no URL", code(url)), Some("write `https://…`".to_owned()));
        }
    }
    let in_archive = origin.member.as_ref().map(|(_, member)| PathBuf::from(member));
    let file_name = origin.path.clone().or_else(|| urls.iter().flatten().next().map(|url| url_path(url).into()));
    let file_name = file_name.or(in_archive);
    let source = match (origin.member, urls, origin.path) {
        (Some((archive, member)), ..) => {
            let place = [place, &[Step::Field("archive")]].concat();
            WeightsSource::Archive { archive: Box::new(backends::archive(document, archive, &place)), member }
        }
        (None, Some(urls), _) => WeightsSource::Urls(urls),
        (None, None, path) => WeightsSource::Path(path?),
    };
    let is_path = matches!(source, WeightsSource::Path(_));
    if !is_path && (origin.sha256.is_none() || origin.size_bytes.is_none()) && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are needed for what isn't a `path`".to_owned());
    }
    let hash = origin.sha256.map(|hash| sha256(document, &hash, place));
    if is_path && hash.is_some() != origin.size_bytes.is_some() && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are given both or not at all".to_owned());
    }
    let artifact = hash.zip(origin.size_bytes).map(|(sha256, size_bytes)| ArtifactRef { sha256, size_bytes });
    Some(Located { file_name, artifact, source })
}

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(allowed)
}

pub(super) fn refuse_key<T>(document: &mut Document<T>, place: &[Step<'_>], message: String) {
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
