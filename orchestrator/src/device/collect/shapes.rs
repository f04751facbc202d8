//! The outputs that an engine gave, held against what the model's file says of them.

use crate::domain::{Dimension, Job, Measurement, TensorSignature};

/// Says which outputs can't be those of the file: one of another shape than the file fixes is not what its network
/// computes, or the file is wrong.
pub(super) fn contradicted(job: &Job, measurement: &Measurement) -> Option<String> {
    let declared = &job.model.outputs;
    let told = measurement.output_tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    let kept = measurement.outputs.iter().map(|output| (output.name.as_str(), output.shape.as_slice()));
    let given: Vec<Given<'_>> = if measurement.output_tensors.is_empty() { kept.collect() } else { told.collect() };
    let are_only = declared.len() == 1 && given.len() == 1;
    let wrong = given.iter().find_map(|(name, shape)| {
        let output = declared.iter().find(|output| are_only || output.name == *name)?;
        (!may_be(output, shape, job.batch)).then_some((output, shape))
    });
    let (output, shape) = wrong?;
    Some(format!(
        "{} gives the output {} as {shape:?}, and the file says {}: the engine computes something else, or the file is \
         wrong",
        job.backend,
        output.name,
        output.shape_text()
    ))
}

/// An output as an engine gave it: its name and its shape.
type Given<'a> = (&'a str, &'a [u64]);

/// Whether an output can have this shape. Where a file has 1 for the batch, its engine may have made it another.
fn may_be(output: &TensorSignature, shape: &[u64], batch: u32) -> bool {
    let Some(dims) = &output.dims else { return true };
    let fits = |(axis, (dim, size)): (usize, (&Dimension, &u64))| match dim.size() {
        Some(1) if axis == 0 => *size == 1 || *size == u64::from(batch),
        fixed => fixed.is_none_or(|fixed| fixed == *size),
    };
    dims.len() == shape.len() && dims.iter().zip(shape).enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::job;
    use crate::domain::{ElementType, TensorElement, TensorInfo};

    #[test]
    fn an_output_of_another_shape_than_the_file_fixes_is_told() {
        let said = |dims: &[Option<u64>], shape: &[u64], batch: u32| {
            let mut job = job("board-1", "net");
            job.batch = batch;
            let dim = |size: &Option<u64>| size.map_or(Dimension::Open(None), Dimension::Fixed);
            job.model.outputs = vec![TensorSignature {
                name: "y".to_owned(),
                element: TensorElement::Number(ElementType::Float32),
                dims: Some(dims.iter().map(dim).collect()),
                is_quantised: false,
                is_probability: false,
                first_dimension: None,
            }];
            let info = TensorInfo {
                name: "logits".to_owned(),
                element: "f32".to_owned(),
                shape: shape.to_vec(),
                quantization: None,
            };
            contradicted(&job, &Measurement { output_tensors: vec![info], ..Measurement::default() })
        };
        assert_eq!(
            said(&[None, Some(10)], &[1, 8], 1).as_deref(),
            Some(
                "tract gives the output y as [1, 8], and the file says [?, 10]: the engine computes something else, or \
                 the file is wrong"
            )
        );
        assert_eq!(said(&[None, Some(10)], &[4, 10], 4), None);
        assert_eq!(said(&[Some(1), Some(10)], &[4, 10], 4), None);
        assert!(said(&[Some(1), Some(10)], &[2, 10], 4).is_some());
        assert!(said(&[None, Some(10)], &[10], 1).is_some());
        assert_eq!(contradicted(&job("board-1", "net"), &Measurement::default()), None);
    }
}
