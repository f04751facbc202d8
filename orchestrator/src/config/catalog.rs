//! The models file to the models of a [`Catalog`](crate::domain::Catalog): what it means, checked.

use std::path::PathBuf;

use crate::domain::{
    Accuracy, CatalogInput, CatalogModel, InputRange, InputValues, Preprocessing, ResizeFilter, ResizeRule,
    WeightsFile, WeightsKind, image_shape,
};

use super::document::{Document, Step, place};
use super::expand::{self, Environment};
use super::fault::{ConfigErrors, code};
use super::models_file::{InputEntry, ModelEntry, ModelsFile, PreprocessingEntry};
use super::source::Source;
use super::weights::weights_files;
use super::words::{Named, OneOrMany};

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

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(allowed)
}

pub(super) fn refuse_key<T>(document: &mut Document<T>, place: &[Step<'_>], message: String) {
    let span = document.key_span(place);
    let fault = document.source.fault(span, message);
    document.faults.push(fault);
}
