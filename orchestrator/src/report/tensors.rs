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
    // A type of elements is one word; an engine describes what is no tensor in several.
    if element.contains(' ') {
        return element.to_owned();
    }
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("x") };
    format!("{shape} {element}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tensor_has_no_shape() {
        let tensors = [("f32", vec![1, 10]), ("i64", vec![]), ("no tensor (Sequence<Map<i64, f32>>)", vec![])];
        let tensors = tensors.map(|(element, shape)| TensorInfo::new("y", element, shape));
        assert_eq!(tensors_text(&tensors), "1x10 f32; scalar i64; no tensor (Sequence<Map<i64, f32>>)");
    }
}
