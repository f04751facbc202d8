//! What the way to an engine has room for.

use farmctl_protocol::{MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS};

use crate::domain::{InputSpec, ModelSignature};

/// Most bytes that all inputs of an inference take together.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Refuses what the way to an engine has no room for.
pub(super) fn check_bounds(signature: &ModelSignature) -> Result<(), String> {
    for (what, tensors) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
        if tensors.len() > MAX_TENSORS {
            return Err(format!("it has {} {what}, and farmctl measures with {MAX_TENSORS} at most", tensors.len()));
        }
        for tensor in tensors {
            let name = &tensor.name;
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
                let length = name.len();
                return Err(format!(
                    "one of its {what} has a name of {length} bytes, {:?}: farmctl takes 1 to {MAX_NAME_BYTES}, \
                     without control characters; export it with another name",
                    name.chars().take(40).collect::<String>()
                ));
            }
            let rank = tensor.dims.as_ref().map_or(0, Vec::len);
            if rank > MAX_RANK {
                return Err(format!("{name} has {rank} dimensions, and farmctl measures with {MAX_RANK} at most"));
            }
        }
    }
    Ok(())
}

/// Refuses inputs that are larger than is fed.
pub(super) fn check_size(inputs: &[InputSpec]) -> Result<(), String> {
    let bytes = |input: &InputSpec| {
        let size = input.element.size_bytes() as u64;
        input.shape.iter().try_fold(size, |bytes, size| bytes.checked_mul(*size))
    };
    let total = inputs.iter().try_fold(0u64, |sum, input| sum.checked_add(bytes(input)?));
    if total.is_some_and(|total| total <= MAX_INPUT_BYTES) {
        return Ok(());
    }
    let shapes: Vec<String> = inputs.iter().map(|input| format!("{} {:?}", input.name, input.shape)).collect();
    Err(format!(
        "its inputs take more than {MAX_INPUT_BYTES} bytes, the most that farmctl feeds: {}",
        shapes.join(", ")
    ))
}
