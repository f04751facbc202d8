//! Operators of a file that an engine can't have, as far as that is known before any device is asked.
//!
//! Main function: [`reason`]. A benchmark program of somebody's may have any operator built in: nothing is said of
//! those, unless their entry in backends.yaml does.

use super::kernels;
use crate::domain::{Backend, Dialect, ModelSignature, Operator, Peculiarity, WeightsFile};

/// Custom operators that TensorFlow Lite's own set of kernels has nevertheless.
const TFLITE_OWN: [&str; 4] = ["AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"];
/// Operators of ONNX that tract has, one a line. A test of the runner, which links tract, writes it and holds it.
const TRACT: &str = include_str!("tract_operators.txt");
/// Sets whose operators tract means by their names: it asks for no domain.
const TRACT_DOMAINS: [&str; 3] = ["ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// Says which operator of a model's file an engine lacks; `None` where it may have all.
pub(super) fn reason(model: &str, file: &WeightsFile, backend: &Backend) -> Option<String> {
    let signature = file.signature.as_ref()?.as_ref().ok()?;
    let name = &backend.name;
    match &backend.program {
        None => tract_reason(model, signature, backend),
        Some(_) if file.format == "onnx" && !backend.operator_domains.is_empty() => {
            let is_lacking = |it: &&Operator| !it.is_defined && !backend.operator_domains.contains(&it.domain);
            let Some((first, more)) = first_of(signature.operators.iter().filter(is_lacking)) else {
                return kernels::reason(model, signature, backend);
            };
            Some(format!(
                "{name} has no operator {first}{more}, which {model} needs: export it without, or add the domain to \
                 the `operator_domains` of {name} in backends.yaml where it has them"
            ))
        }
        Some(program) if program.dialect == Dialect::Engine && file.format == "tflite" => {
            let is_lacking = |name: &&String| !TFLITE_OWN.contains(&name.as_str());
            let (first, more) = first_of(signature.foreign_operators.iter().filter(is_lacking))?;
            Some(format!(
                "{name} has no custom operator {first:?}{more}, which {model} needs: convert it with the format's own \
                 operators"
            ))
        }
        Some(_) => None,
    }
}

/// tract is compiled into the runner, which is of the same build as the list.
fn tract_reason(model: &str, signature: &ModelSignature, backend: &Backend) -> Option<String> {
    let has = |it: &Operator| TRACT.lines().any(|name| name == it.name);
    let (name, version) = (&backend.name, &backend.version);
    let is_lacking = |it: &&Operator| !it.is_defined && !has(it);
    if let Some((first, more)) = first_of(signature.operators.iter().filter(is_lacking)) {
        return Some(format!(
            "{name} {version} has no operator {first}{more}, which {model} needs: run it on another engine, or export \
             it without"
        ));
    }
    // It would run an operator of its own that has the function's name.
    let is_unread = |it: &&Operator| it.is_defined && !(has(it) && TRACT_DOMAINS.contains(&it.domain.as_str()));
    if let Some((first, more)) = first_of(signature.operators.iter().filter(is_unread)) {
        return Some(format!(
            "{name} {version} does not read functions that a file defines, and {model} calls {first}{more}: write them \
             out with `onnx.inliner.inline_local_functions`, or run it on another engine"
        ));
    }
    if let Some((first, more)) = first_of(signature.foreign_elements.iter()) {
        return Some(format!(
            "{name} {version} reads no numbers of type {first}{more}, of which {model} has weights: export it without, \
             or run it on another engine"
        ));
    }
    let having = |peculiarity| {
        let has = move |it: &&Operator| it.peculiarities.contains(&peculiarity);
        first_of(signature.operators.iter().filter(has))
    };
    if let Some((first, more)) = having(Peculiarity::AlongOtherDimensions) {
        return Some(format!(
            "{name} {version} lays the second input of {first}{more} along the last dimensions of the first, and \
             {model} means others: convert it to opset 7 with `onnx.version_converter`, or run it on another engine"
        ));
    }
    let (first, more) = having(Peculiarity::ShapeFromInput)?;
    Some(format!(
        "{name} {version} must know every shape before it runs, and {model} takes that of {first}{more} from the \
         values of an input: export it with a fixed shape, or run it on another engine"
    ))
}

/// The first, and how many more there are in words.
pub(super) fn first_of<T>(mut lacking: impl Iterator<Item = T>) -> Option<(T, String)> {
    let first = lacking.next()?;
    let more = lacking.count();
    Some((first, if more > 0 { format!(" and {more} more") } else { String::new() }))
}
