//! The outputs that an engine gave, held against what the model's file says of them.

use crate::domain::{Dimension, Job, Measurement, TensorElement, TensorSignature};

/// Says which outputs can't be those of the file: one of another shape or type than the file fixes is not what its
/// network computes, or the file is wrong.
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
    let told = |output: &TensorSignature, given: &str, said: &str| {
        format!(
            "{} gives the output {} as {given}, and the file says {said}: the engine computes something else, or the \
             file is wrong",
            job.backend, output.name
        )
    };
    if let Some((output, shape)) = wrong {
        return Some(told(output, &format!("{shape:?}"), &output.shape_text()));
    }
    measurement.output_tensors.iter().find_map(|tensor| {
        let output = declared.iter().find(|output| are_only || output.name == tensor.name)?;
        let TensorElement::Number(element) = output.element else { return None };
        // An engine may give what is quantised as the numbers that it stands for.
        let is_free = output.is_quantised || tensor.quantization.is_some() || tensor.element == element.as_str();
        (!is_free).then(|| told(output, &tensor.element, element.as_str()))
    })
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

    fn output(dims: Option<Vec<Dimension>>) -> TensorSignature {
        TensorSignature {
            name: "y".to_owned(),
            element: TensorElement::Number(ElementType::Float32),
            dims,
            is_quantised: false,
            is_probability: false,
            first_dimension: None,
        }
    }

    #[test]
    fn an_output_of_another_shape_than_the_file_fixes_is_told() {
        let said = |dims: &[Option<u64>], shape: &[u64], batch: u32| {
            let mut job = job("board-1", "net");
            job.batch = batch;
            let dim = |size: &Option<u64>| size.map_or(Dimension::Open(None), Dimension::Fixed);
            job.model.outputs = vec![output(Some(dims.iter().map(dim).collect()))];
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

    #[test]
    fn an_output_of_another_type_than_the_file_has_is_told() {
        let mut job = job("board-1", "net");
        job.model.outputs = vec![output(None)];
        let of = |element| Measurement {
            output_tensors: vec![TensorInfo::new("y", element, vec![1, 10])],
            ..Measurement::default()
        };
        let given = of("f64");
        assert_eq!(contradicted(&job, &of("f32")), None);
        let told = contradicted(&job, &given).unwrap();
        assert!(told.starts_with("tract gives the output y as f64, and the file says f32"), "{told}");
        job.model.outputs[0].is_quantised = true;
        assert_eq!(contradicted(&job, &given), None);
    }
}
