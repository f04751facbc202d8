use std::collections::HashMap;
use std::fmt;

use super::outputs::{OUTPUT_TOLERANCE, OutputError, output_error};
use crate::domain::{OutputRef, Precision, Record, RunStatus, WeightsKind};

/// Two engines that answer the same network and input otherwise than each other: one of them computes something else.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement<'a> {
    /// The network.
    pub model: &'a str,
    /// Its arithmetic.
    pub precision: Precision,
    /// The engine whose answer is the reference: that of the first row.
    pub reference: &'a str,
    /// The other one.
    pub engine: &'a str,
    /// What they disagree on.
    pub difference: Difference,
}

/// What two engines disagree on.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// How many outputs there are.
    Count {
        /// By the reference.
        reference: usize,
        /// By the other engine.
        engine: usize,
    },
    /// Shape or type of an output.
    Form {
        /// By the reference: `1x1000 f32`.
        reference: String,
        /// By the other engine.
        engine: String,
    },
    /// The values of an output.
    Values {
        /// Its name.
        output: String,
        /// Largest difference, relative to the largest value of the reference; infinite where they can't be compared.
        error: f64,
        /// What is rounding.
        tolerance: f64,
    },
}

impl fmt::Display for Disagreement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Disagreement { model, precision, reference, engine, difference } = self;
        write!(f, "engines disagree on {model} ({precision}): ")?;
        match difference {
            Difference::Count { reference: expected, engine: found } => {
                write!(f, "{engine} gives {found} outputs, {reference} {expected}")
            }
            Difference::Form { reference: expected, engine: found } => {
                write!(f, "{engine} answers {found}, {reference} {expected}")
            }
            Difference::Values { output, error, tolerance } => write!(
                f,
                "the output {output} of {engine} lies {error:.2e} from that of {reference}, where up to {tolerance:e} \
                 is rounding"
            ),
        }
    }
}

/// What a network's engines are compared by.
type Key<'a> = (&'a str, WeightsKind, Precision, u32, u64);

/// Where engines disagree: for each network, weights, arithmetic, batch and seed, each engine's first row that is `ok`
/// and has outputs, against that of the engine that comes first. Of an engine the first difference is told.
pub fn disagreements<'a>(records: &'a [Record], outputs: &HashMap<String, Vec<f32>>) -> Vec<Disagreement<'a>> {
    let mut cells: Vec<(Key<'a>, Vec<&'a Record>)> = Vec::new();
    let is_told = |record: &&Record| record.status == RunStatus::Ok && !record.measurement.outputs.is_empty();
    for record in records.iter().filter(is_told) {
        let job = &record.job;
        let key = (job.model.name.as_str(), job.model.weights, job.precision, job.batch, job.seed);
        let index = cells.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            cells.push((key, Vec::new()));
            cells.len() - 1
        });
        let engines = &mut cells[index].1;
        if !engines.iter().any(|other| other.job.backend == job.backend) {
            engines.push(record);
        }
    }
    let mut found: Vec<Disagreement<'a>> = Vec::new();
    for (_, engines) in &cells {
        let Some((first, others)) = engines.split_first() else { continue };
        for other in others {
            let Some(difference) = difference(first, other, outputs) else { continue };
            let disagreement = Disagreement {
                model: &first.job.model.name,
                precision: first.job.precision,
                reference: &first.job.backend,
                engine: &other.job.backend,
                difference,
            };
            // Batches and seeds that show the same are one.
            let is_same = |told: &Disagreement<'_>| {
                (told.model, told.precision, told.engine)
                    == (disagreement.model, disagreement.precision, disagreement.engine)
            };
            if !found.iter().any(is_same) {
                found.push(disagreement);
            }
        }
    }
    found
}

/// Differences up to here are rounding: of engines that sum in another order, or round to fewer bits at other places.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Float32 => OUTPUT_TOLERANCE,
        Precision::Float16 => 1e-2,
        Precision::Int8 => 5e-2,
    }
}

/// The first difference between two records' outputs. Outputs of one name belong together, as do the only ones; how
/// others do is not known, and their values are not compared.
fn difference(first: &Record, other: &Record, values: &HashMap<String, Vec<f32>>) -> Option<Difference> {
    let (expected, found) = (&first.measurement.outputs, &other.measurement.outputs);
    if expected.len() != found.len() {
        return Some(Difference::Count { reference: expected.len(), engine: found.len() });
    }
    let is_only = expected.len() == 1;
    let pairs = || {
        let partner = |output: &&OutputRef| found.iter().find(|other| is_only || other.name == output.name);
        expected.iter().filter_map(move |output| Some((output, partner(&output)?)))
    };
    if let Some((reference, engine)) = pairs().find(|(reference, engine)| reference.shape != engine.shape) {
        return Some(Difference::Form { reference: form(reference), engine: form(engine) });
    }
    let tolerance = tolerance(first.job.precision);
    pairs().find_map(|(reference, engine)| {
        if reference.sha256 == engine.sha256 {
            return None;
        }
        let error: OutputError = output_error(values.get(&reference.sha256)?, values.get(&engine.sha256)?);
        let (output, error) = (reference.name.clone(), error.value());
        (error > tolerance).then_some(Difference::Values { output, error, tolerance })
    })
}

fn form(output: &OutputRef) -> String {
    let dimensions: Vec<String> = output.shape.iter().map(u64::to_string).collect();
    if dimensions.is_empty() { "scalar".to_owned() } else { dimensions.join("x") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::{output, record};

    fn of(backend: &str, outputs: Vec<OutputRef>) -> Record {
        let mut record = record("a", "net");
        record.job.backend = backend.to_owned();
        record.measurement.outputs = outputs;
        record
    }

    fn said(records: &[Record]) -> Vec<String> {
        let values =
            [("a", vec![1.0, 2.0]), ("b", vec![1.0, 2.0001]), ("c", vec![1.0, 2.5]), ("nan", vec![1.0, f32::NAN])];
        let values = values.map(|(hash, values)| (hash.to_owned(), values)).into();
        disagreements(records, &values).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn engines_that_agree_are_not_told() {
        let far = of("tract", vec![output("y", "c")]);
        let mut skipped = of("litert", vec![output("y", "c")]);
        skipped.status = RunStatus::Failed;
        let fine = [of("tract", vec![output("y", "a")]), of("onnxruntime", vec![output("other", "b")]), far, skipped];
        assert!(said(&fine).is_empty(), "{:?}", said(&fine));
        // Values that are not kept can't be compared.
        assert!(said(&[of("tract", vec![output("y", "a")]), of("litert", vec![output("y", "gone")])]).is_empty());
    }

    #[test]
    fn a_shape_a_number_of_outputs_and_values_are_disagreed_on() {
        let tract = of("tract", vec![output("y", "a")]);
        let wide = of("litert", vec![OutputRef { shape: vec![1, 2], ..output("z", "a") }]);
        let two = of("caffe2", vec![output("y", "a"), output("z", "a")]);
        let records =
            [tract.clone(), wide, two, of("onnxruntime", vec![output("y", "c")]), of("mnn", vec![output("y", "nan")])];
        assert_eq!(
            said(&records),
            [
                "engines disagree on net (fp32): litert answers 1x2, tract 1",
                "engines disagree on net (fp32): caffe2 gives 2 outputs, tract 1",
                "engines disagree on net (fp32): the output y of onnxruntime lies 2.50e-1 from that of tract, where up \
                 to 1e-4 is rounding",
                "engines disagree on net (fp32): the output y of mnn lies inf from that of tract, where up to 1e-4 is \
                 rounding",
            ]
        );
        // In fewer bits more is rounding; several batches of one engine are told once.
        let in_half = |mut record: Record| {
            record.job.precision = Precision::Float16;
            record
        };
        assert!(said(&[in_half(tract.clone()), in_half(of("onnxruntime", vec![output("y", "b")]))]).is_empty());
        let batched = |mut record: Record| {
            record.job.batch = 8;
            record
        };
        let other = of("onnxruntime", vec![output("y", "c")]);
        assert_eq!(said(&[tract.clone(), other.clone(), batched(tract), batched(other)]).len(), 1);
    }
}
