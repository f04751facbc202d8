//! What is known of a model, for people.

use crate::domain::{ArtifactRef, CatalogModel, InputRange, InputSpec, WeightsFile, WeightsSource, image_shape};
use crate::wording::field_line;

/// Columns of what a line is about.
const WIDTH: usize = 14;

fn line(what: &str, value: &str) -> String {
    field_line(what, WIDTH, value)
}

/// What the catalogue says of a model: a line for each fact, and for each file.
pub fn model_text(model: &CatalogModel) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text.push_str(&line(what, &value));
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    line("model", format!("{} ({})", model.name, model.title));
    line("source", or_unknown(model.source.clone()));
    line("licence", or_unknown(model.licence.clone()));
    let shape = model.input_shape.as_deref().and_then(image_shape);
    let preprocessing = model.preprocessing.as_ref().zip(shape).map(|(rule, shape)| rule.text(shape));
    line("preprocessing", or_unknown(preprocessing));
    line("params", or_unknown(model.params.map(|params| format!("{params} as published"))));
    line("macs", or_unknown(model.macs.map(|macs| format!("{macs} multiply-adds an image (FLOPs are twice as many)"))));
    if let Some(accuracy) = &model.accuracy {
        line("top-1", format!("{} % as published, never measured here ({})", accuracy.top1_percent, accuracy.source));
    }
    for file in &model.files {
        text.push_str(&origin_lines(file));
    }
    text
}

/// Where a file of a model is from, and what is in it.
fn origin_lines(file: &WeightsFile) -> String {
    let from = match &file.source {
        WeightsSource::Builtin(network) => format!("built by farmctl from its definition of {network}"),
        WeightsSource::Checkpoint { network, archive, .. } => {
            format!("built by farmctl from its definition of {network} and the weights in {}", archive.file_name())
        }
        WeightsSource::Archive { archive, member } => format!("{member} of {}", archive.origin()),
        WeightsSource::Urls(urls) => format!("from {}", urls.join(" or ")),
        WeightsSource::Path(path) => format!("at {}", path.display()),
    };
    let sha256 = |artifact: &Option<ArtifactRef>| {
        artifact.as_ref().map_or_else(|| "not pinned".to_owned(), |artifact| artifact.sha256.clone())
    };
    let (weights, format, own) = (file.weights, &file.format, sha256(&file.artifact));
    let precision = match file.precision_word() {
        "" => String::new(),
        precision => format!(" in {precision}"),
    };
    let mut text = line("file", &format!("{weights} weights, {format}{precision}, sha256 {own}, {from}"));
    for part in &file.parts {
        text.push_str(&line("", &format!("with {}, sha256 {}", part.name, sha256(&part.artifact))));
    }
    text
}

/// What the chosen file says of itself, and what is measured of it.
pub fn model_file_text(file: &WeightsFile, measured: &Result<Vec<InputSpec>, String>) -> String {
    let mut text = String::new();
    match &file.signature {
        Some(Ok(signature)) => {
            signature.inputs.iter().for_each(|tensor| text.push_str(&line("input", &tensor.to_string())));
            signature.outputs.iter().for_each(|tensor| text.push_str(&line("output", &tensor.to_string())));
            text.push_str(&line("computes in", &signature.arithmetic.words));
            for data in &signature.data_files {
                text.push_str(&line("weights in", &data.location));
            }
            if !signature.foreign_operators.is_empty() {
                text.push_str(&line("not standard", &signature.foreign_operators.join(", ")));
            }
        }
        Some(Err(why)) => return line("no model", why),
        None => {}
    }
    match measured {
        Ok(inputs) if inputs.is_empty() => {}
        Ok(inputs) => {
            let shown = inputs.iter().map(|input| {
                let InputRange { low, high } = input.range;
                format!("{} {} {:?} from [{low}, {high})", input.name, input.element, input.shape)
            });
            text.push_str(&line("measured with", &shown.collect::<Vec<_>>().join("; ")));
        }
        Err(why) => text.push_str(&line("not measured", why)),
    }
    match &file.macs {
        Some(Ok(macs)) => text.push_str(&line("macs of one", &format!("{macs}, counted in the graph"))),
        Some(Err(why)) => text.push_str(&line("macs of one", why)),
        None => {}
    }
    text
}
