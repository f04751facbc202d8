//! Shapes and types in one line: `1x3x224x224 f32; scalar i64`.

use crate::domain::{InputSpec, TensorInfo};

/// What an engine said of tensors.
pub(super) fn tensors_text(tensors: &[TensorInfo]) -> String {
    let text = tensors.iter().map(|tensor| one(&tensor.shape, &tensor.element));
    text.collect::<Vec<_>>().join("; ")
}

/// The inputs that a plan fixed.
pub fn inputs_text(inputs: &[InputSpec]) -> String {
    let text = inputs.iter().map(|input| one(&input.shape, input.element.as_str()));
    text.collect::<Vec<_>>().join("; ")
}

fn one(shape: &[u64], element: &str) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("x") };
    format!("{shape} {element}")
}
