use std::collections::HashMap;
use std::fmt;

use super::outputs::{OUTPUT_TOLERANCE, error_of};
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
#[derive(PartialEq, Eq)]
struct Key<'a> {
    model: &'a str,
    weights: WeightsKind,
    precision: Precision,
    batch: u32,
    seed: u64,
}

impl<'a> Key<'a> {
    fn of(record: &'a Record) -> Key<'a> {
        let job = &record.job;
        let (model, weights) = (job.model.name.as_str(), job.model.weights);
        Key { model, weights, precision: job.precision, batch: job.batch, seed: job.seed }
    }
}

/// Where engines disagree: for each network, weights, arithmetic, batch and seed, each engine's first row that is `ok`
/// and tells outputs, against that of the engine that comes first. Of an engine the first difference is told.
pub fn disagreements<'a>(records: &'a [Record], outputs: &HashMap<String, Vec<f32>>) -> Vec<Disagreement<'a>> {
    let mut cells: Vec<(Key<'a>, Vec<&'a Record>)> = Vec::new();
    let is_told = |record: &&Record| record.status == RunStatus::Ok && !answered(record).is_empty();
    for record in records.iter().filter(is_told) {
        let key = Key::of(record);
        let index = cells.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            cells.push((key, Vec::new()));
            cells.len() - 1
        });
        let engines = &mut cells[index].1;
        if !engines.iter().any(|other| other.job.backend == record.job.backend) {
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

/// An output as an engine gave it.
struct Answered<'a> {
    name: &'a str,
    shape: &'a [u64],
    /// What it is made of; `None` where the record does not tell it.
    element: Option<&'a str>,
    /// Its values by their hash; `None` where they were left out.
    sha256: Option<&'a str>,
}

impl Answered<'_> {
    fn form(&self, with_element: bool) -> String {
        let sizes: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let shape = if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("x") };
        match self.element.filter(|_| with_element) {
            Some(element) => format!("{shape} {element}"),
            None => shape,
        }
    }
}

/// The outputs of a record: all that the first inference gave, where that was told, else those that are kept.
fn answered(record: &Record) -> Vec<Answered<'_>> {
    let kept = &record.measurement.outputs;
    if record.measurement.output_tensors.is_empty() {
        let answered = kept.iter().map(|OutputRef { name, shape, sha256 }| Answered {
            name,
            shape,
            element: None,
            sha256: Some(sha256),
        });
        return answered.collect();
    }
    let values = |name: &str| kept.iter().find(|output| output.name == name).map(|output| output.sha256.as_str());
    let answered = record.measurement.output_tensors.iter().map(|tensor| Answered {
        name: &tensor.name,
        shape: &tensor.shape,
        element: Some(&tensor.element),
        sha256: values(&tensor.name),
    });
    answered.collect()
}

/// The first difference between two records' outputs. Outputs of one name belong together, as do the only ones; how
/// others do is not known, and their values are not compared. Types are those of one file: another may have others by
/// right, a quantised one for example. So is the order of dimensions: a file of another format may have the channels
/// last where this one has them first.
fn difference(first: &Record, other: &Record, values: &HashMap<String, Vec<f32>>) -> Option<Difference> {
    let (expected, found) = (answered(first), answered(other));
    if expected.len() != found.len() {
        return Some(Difference::Count { reference: expected.len(), engine: found.len() });
    }
    let is_only = expected.len() == 1;
    let is_same_file = first.job.model.artifact == other.job.model.artifact;
    let pairs = || {
        let partner = |output: &Answered<'_>| found.iter().find(|other| is_only || other.name == output.name);
        expected.iter().filter_map(move |output| Some((output, partner(output)?)))
    };
    let is_another_type = |reference: &Answered<'_>, engine: &Answered<'_>| {
        let types = reference.element.zip(engine.element);
        is_same_file && types.is_some_and(|(reference, engine)| reference != engine)
    };
    let is_another = |(reference, engine): &(&Answered<'_>, &Answered<'_>)| {
        let is_turned = !is_same_file && !turns(reference.shape, engine.shape).is_empty();
        (reference.shape != engine.shape && !is_turned) || is_another_type(reference, engine)
    };
    if let Some((reference, engine)) = pairs().find(is_another) {
        return Some(Difference::Form { reference: reference.form(is_same_file), engine: engine.form(is_same_file) });
    }
    let tolerance = tolerance(first.job.precision);
    pairs().find_map(|(reference, engine)| {
        let (reference_sha256, engine_sha256) = (reference.sha256?, engine.sha256?);
        if reference_sha256 == engine_sha256 {
            return None;
        }
        let (expected, given) = (values.get(reference_sha256)?, values.get(engine_sha256)?);
        let error_to = |expected: &[f32]| error_of(first, reference.name, expected, given).value();
        let straight = (reference.shape == engine.shape).then(|| error_to(expected));
        let turns = if is_same_file { Vec::new() } else { turns(reference.shape, engine.shape) };
        let turned = turns.into_iter().map(|turn| error_to(&turn.of(expected)));
        let error = straight.into_iter().chain(turned).reduce(f64::min)?;
        let output = reference.name.to_owned();
        (error > tolerance).then_some(Difference::Values { output, error, tolerance })
    })
}

/// How values change their order where the channels move behind all other dimensions of an image, or before them: in
/// each image, a table of so many rows and columns is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    rows: usize,
    columns: usize,
}

impl Turn {
    fn of(self, values: &[f32]) -> Vec<f32> {
        let Turn { rows, columns } = self;
        let images = values.chunks((rows * columns).max(1));
        let turned = images.flat_map(|image| {
            (0..columns).flat_map(move |column| (0..rows).filter_map(move |row| image.get(row * columns + column)))
        });
        turned.copied().collect()
    }
}

/// The turns by which a tensor of this shape gets that one: channels from first to last, from last to first; none where
/// these are no two orders of one shape.
fn turns(from: &[u64], to: &[u64]) -> Vec<Turn> {
    let ([images, first, inner @ ..], [_, ..]) = (from, to) else { return Vec::new() };
    let Some((last, before)) = inner.split_last() else { return Vec::new() };
    let count = |sizes: &[u64]| sizes.iter().product::<u64>() as usize;
    let to_last: Vec<u64> = [&[*images], inner, &[*first]].concat();
    let to_first: Vec<u64> = [&[*images, *last], &[*first][..], before].concat();
    let last_turn = (to_last == to).then_some(Turn { rows: *first as usize, columns: count(inner) });
    let first_turn =
        (to_first == to).then_some(Turn { rows: *first as usize * count(before), columns: *last as usize });
    last_turn.into_iter().chain(first_turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TensorInfo;
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
    fn types_are_compared_of_one_file_and_shapes_of_what_was_left_out() {
        let typed = |backend: &str, element: &str, shape: &[u64]| {
            let mut record = of(backend, Vec::new());
            record.measurement.output_tensors = vec![TensorInfo::new("y", element, shape.to_vec())];
            record
        };
        let tract = typed("tract", "i64", &[1, 8]);
        assert_eq!(
            said(&[tract.clone(), typed("onnxruntime", "f32", &[1, 8]), typed("mnn", "i64", &[8])]),
            [
                "engines disagree on net (fp32): onnxruntime answers 1x8 f32, tract 1x8 i64",
                "engines disagree on net (fp32): mnn answers 8 i64, tract 1x8 i64",
            ]
        );
        let mut converted = typed("litert", "i32", &[1, 8]);
        converted.job.model.artifact = None;
        assert!(said(&[tract, converted]).is_empty(), "another format may have another type");
    }

    #[test]
    fn channels_may_stand_last_in_a_file_of_another_format() {
        // One image of two channels and three places.
        let (first, last) = (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let values = [("first", first.clone()), ("last", last), ("wrong", vec![1.0; 6])];
        let values = values.map(|(hash, values)| (hash.to_owned(), values)).into();
        let of = |backend: &str, shape: &[u64], hash: &str| {
            let output = OutputRef { shape: shape.to_vec(), ..output("y", hash) };
            let mut record = of(backend, vec![output]);
            record.job.model.artifact = None;
            record
        };
        let mut tract = of("tract", &[1, 2, 3], "first");
        tract.job.model.artifact = record("a", "net").job.model.artifact;
        let told = |other: Record| disagreements(&[tract.clone(), other], &values).len();
        assert_eq!(told(of("litert", &[1, 3, 2], "last")), 0);
        assert_eq!(told(of("litert", &[1, 3, 2], "wrong")), 1);
        assert_eq!(told(of("litert", &[1, 6], "first")), 1, "no order of the same dimensions");
        let mut same_file = of("onnxruntime", &[1, 3, 2], "last");
        same_file.job.model.artifact = tract.job.model.artifact.clone();
        assert_eq!(told(same_file), 1);
        let turn = turns(&[1, 2, 3], &[1, 3, 2]);
        assert_eq!(turns(&[1, 3, 2], &[1, 2, 3])[0].of(&turn[0].of(&first)), first);
        assert!(turns(&[2, 3], &[3, 2]).is_empty() && turns(&[], &[]).is_empty());
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
