use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::domain::{OutputRef, Precision, Record, RunStatus, WeightsKind};

/// Up to here two outputs count as equal: 32-bit floats summed in another order. tract's outputs on ARM and x86_64 were
/// seen 1.3e-6 apart.
pub const OUTPUT_TOLERANCE: f64 = 1e-4;

/// How far one output lies from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputError {
    /// Largest relative difference; 0 for equal outputs.
    Relative(f64),
    /// The outputs have different numbers of values.
    Length {
        /// Values of the reference.
        reference: usize,
        /// Values compared with it.
        values: usize,
    },
    /// A value is NaN or infinite, and the other one is not the same.
    NotFinite {
        /// Index of the first such value, in either.
        index: usize,
    },
}

impl OutputError {
    /// The difference as one number: infinite for outputs that can't be compared, so that no tolerance accepts them.
    pub fn value(self) -> f64 {
        match self {
            OutputError::Relative(difference) => difference,
            OutputError::Length { .. } | OutputError::NotFinite { .. } => f64::INFINITY,
        }
    }
}

/// Largest difference of two values at the same place, relative to the largest absolute value of the reference. NaN is
/// equal to NaN, and an infinite value to one of the same sign; the scale is that of the finite ones.
///
/// The scale is the whole output's and not each value's own: a network's rounding errors are proportional to the size
/// of its activations, so a logit near zero would turn harmless rounding into an error of any size. Where the reference
/// is all zeros, any difference is infinite.
pub fn output_error(reference: &[f32], values: &[f32]) -> OutputError {
    scaled_error(reference, values, 0.0)
}

/// The scale that an output of probabilities has at least. A sigmoid rounds where its values are near 1, and small ones
/// are off by as much: tract's were seen 4.5e-7 from ONNX Runtime's, where the largest was 3.4e-4.
const LEAST_SCALE: f64 = 0.01;

/// How far an output of a record lies from its reference: as [`output_error`], and of probabilities by the scale that
/// their rounding has.
pub(super) fn error_of(record: &Record, output: &str, reference: &[f32], values: &[f32]) -> OutputError {
    let signature = match record.job.model.outputs.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|signature| signature.name == output),
    };
    let is_probability = signature.is_some_and(|signature| signature.is_probability);
    scaled_error(reference, values, if is_probability { LEAST_SCALE } else { 0.0 })
}

fn scaled_error(reference: &[f32], values: &[f32], least_scale: f64) -> OutputError {
    if reference.len() != values.len() {
        return OutputError::Length { reference: reference.len(), values: values.len() };
    }
    let mut scale = least_scale;
    let mut largest = 0.0f64;
    for (index, (&expected, &found)) in reference.iter().zip(values).enumerate() {
        if !expected.is_finite() || !found.is_finite() {
            // NaN has many forms in bits, and all say the same.
            if expected == found || (expected.is_nan() && found.is_nan()) {
                continue;
            }
            return OutputError::NotFinite { index };
        }
        scale = scale.max(f64::from(expected).abs());
        largest = largest.max((f64::from(expected) - f64::from(found)).abs());
    }
    OutputError::Relative(if largest == 0.0 { 0.0 } else { largest / scale })
}

/// What must be the same for two outputs to be comparable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    model: String,
    weights: WeightsKind,
    precision: Precision,
    batch: u32,
    seed: u64,
    /// The output's name; empty of a network that has one.
    output: String,
}

impl Key {
    fn of(record: &Record, output: &OutputRef) -> Key {
        let (job, model) = (&record.job, &record.job.model);
        let output = if record.measurement.outputs.len() == 1 { String::new() } else { output.name.clone() };
        let (name, weights) = (model.name.clone(), model.weights);
        Key { model: name, weights, precision: job.precision, batch: job.batch, seed: job.seed, output }
    }
}

/// An output that others are held against.
#[derive(Debug, Clone)]
struct Reference {
    sha256: String,
    is_finite: bool,
}

/// What each output of a sweep is held against: the first of a record with status `ok`, the same network and weights,
/// in whatever format and by whatever engine, the same precision, batch and seed, and that output, finite; where it is
/// finite in none, the first of them. A network's only output is the same whatever a format calls it.
#[derive(Debug, Clone, Default)]
pub struct References(HashMap<Key, Reference>);

impl References {
    /// Takes in the outputs of a record. They are to come in the order of the plan. `is_finite` says of an output, by
    /// its hash, whether all of its values are finite; of one that is not there it is supposed.
    pub fn take(&mut self, record: &Record, mut is_finite: impl FnMut(&str) -> bool) {
        for output in record.measurement.outputs.iter().filter(|_| is_ok(record)) {
            let found = |is_finite| Reference { sha256: output.sha256.clone(), is_finite };
            match self.0.entry(Key::of(record, output)) {
                Entry::Vacant(place) => {
                    place.insert(found(is_finite(&output.sha256)));
                }
                Entry::Occupied(mut known) => {
                    if !known.get().is_finite && is_finite(&output.sha256) {
                        known.insert(found(true));
                    }
                }
            }
        }
    }

    /// The hashes of the outputs that others are held against.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|reference| reference.sha256.as_str())
    }

    /// The `output_error` of a record: the largest over its outputs. That whose output is the reference has 0.
    ///
    /// `None` for a record without outputs or not `ok`, and where the values of an output or its reference are not in
    /// `outputs` (by their hash) and the hashes differ.
    pub fn error(&self, record: &Record, outputs: &HashMap<String, Vec<f32>>) -> Option<f64> {
        let list = Some(&record.measurement.outputs).filter(|list| !list.is_empty() && is_ok(record))?;
        let error = |output: &OutputRef| -> Option<f64> {
            let reference = self.0.get(&Key::of(record, output))?;
            if reference.sha256 == output.sha256 {
                return Some(0.0);
            }
            let (reference, values) = (outputs.get(&reference.sha256)?, outputs.get(&output.sha256)?);
            Some(error_of(record, &output.name, reference, values).value())
        };
        list.iter().try_fold(0.0f64, |largest, output| Some(largest.max(error(output)?)))
    }
}

/// Whether all values of an output are finite; of one that is not there it is supposed.
pub fn is_finite(outputs: &HashMap<String, Vec<f32>>, sha256: &str) -> bool {
    outputs.get(sha256).is_none_or(|values| values.iter().all(|value| value.is_finite()))
}

/// The `output_error` of each record, all of them against the [`References`] among them.
pub fn output_errors(records: &[Record], outputs: &HashMap<String, Vec<f32>>) -> Vec<Option<f64>> {
    let mut references = References::default();
    records.iter().for_each(|record| references.take(record, |sha256| is_finite(outputs, sha256)));
    records.iter().map(|record| references.error(record, outputs)).collect()
}

fn is_ok(record: &Record) -> bool {
    record.status == RunStatus::Ok
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sample::{output, record};
    use crate::domain::{ElementType, TensorElement, TensorSignature};

    #[test]
    fn known_values() {
        assert_eq!(output_error(&[1.0, -4.0], &[1.5, -4.0]), OutputError::Relative(0.125));
        assert_eq!(output_error(&[], &[]), OutputError::Relative(0.0));
        assert_eq!(output_error(&[0.0], &[0.0]), OutputError::Relative(0.0));
        assert_eq!(output_error(&[0.0], &[1.0]).value(), f64::INFINITY);
        assert_eq!(output_error(&[1.0], &[1.0, 2.0]), OutputError::Length { reference: 1, values: 2 });
        let other_nan = f32::from_bits(f32::NAN.to_bits() ^ 1 << 31);
        let (nan, infinite) = ([2.0, f32::NAN, f32::INFINITY], [1.0, other_nan, f32::INFINITY]);
        assert_eq!(output_error(&nan, &infinite), OutputError::Relative(0.5));
        assert_eq!(output_error(&[1.0, f32::NAN], &[1.0, 1.0]), OutputError::NotFinite { index: 1 });
        assert_eq!(output_error(&[f32::INFINITY], &[-f32::INFINITY]), OutputError::NotFinite { index: 0 });
        assert_eq!(output_error(&[1.0], &[f32::INFINITY]).value(), f64::INFINITY);
        assert_eq!(output_error(&[f32::MAX], &[f32::MIN]), OutputError::Relative(2.0));
        // What a sigmoid rounds at 1 is rounding of a small probability, too.
        let mut record = record("a", "net");
        record.job.model.outputs = vec![TensorSignature {
            name: "y".to_owned(),
            element: TensorElement::Number(ElementType::Float32),
            dims: None,
            is_quantised: false,
            is_probability: true,
            first_dimension: None,
        }];
        assert_eq!(error_of(&record, "z", &[0.0, 0.001], &[0.0001, 0.001]).value(), f64::from(0.0001f32) / 0.01);
        assert_eq!(error_of(&record, "z", &[1.0], &[0.5]).value(), 0.5);
        record.job.model.outputs[0].is_probability = false;
        assert!(error_of(&record, "z", &[0.0, 0.001], &[0.0001, 0.001]).value() > 0.09);
    }

    #[test]
    fn first_ok_record_is_the_reference() {
        let store: HashMap<String, Vec<f32>> =
            [("a", vec![2.0]), ("b", vec![2.5]), ("nan", vec![f32::NAN])].map(|(k, v)| (k.to_owned(), v)).into();
        let with = |sha256: &str, change: fn(&mut Record)| {
            let mut record = record("a", "net");
            record.measurement.outputs = vec![output("y", sha256)];
            change(&mut record);
            record
        };
        let records = [
            with("b", |record| record.status = RunStatus::Failed),
            with("nan", |_| ()),
            with("a", |_| ()),
            with("b", |_| ()),
            with("b", |record| record.job.batch = 8),
            with("gone", |_| ()),
            with("b", |record| {
                (record.job.backend, record.job.model.format) = ("litert".into(), "tflite".into());
                record.job.model.artifact = None;
                record.measurement.outputs[0].name = "logits".into();
            }),
            with("b", |record| record.job.precision = Precision::Int8),
            with("a", |record| record.measurement.outputs.push(output("z", "b"))),
            with("a", |record| record.measurement.outputs.clear()),
        ];
        // Where none is finite, the first is the reference.
        let only_nan = [with("nan", |_| ()), with("nan", |_| ()), with("gone", |record| record.job.batch = 8)];
        assert_eq!(output_errors(&only_nan, &store), [Some(0.0); 3]);
        let infinity = Some(f64::INFINITY);
        let same = Some(0.0);
        let expected = [None, infinity, same, Some(0.25), same, None, Some(0.25), same, same, None];
        assert_eq!(output_errors(&records, &store), expected);
    }

    proptest! {
        #[test]
        fn bounds(pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..50)) {
            let (reference, values): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            prop_assert_eq!(output_error(&reference, &reference).value(), 0.0);
            let error = output_error(&reference, &values).value();
            prop_assert!(error >= 0.0);
            let scaled = |list: &[f32]| list.iter().map(|value| value * 4.0).collect::<Vec<_>>();
            prop_assert_eq!(output_error(&scaled(&reference), &scaled(&values)).value(), error);
        }
    }
}
