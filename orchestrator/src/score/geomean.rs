use super::ranking::{Better, Figure, RankedRow, ScoreResult, Term, place};
use super::result_matrix::{ResultMatrix, SystemUnderTest};
use super::{Options, Score, ScoreError, Top};

/// How many times as fast as a reference device, as the geometric mean over workloads: the way AI Benchmark (Ignatov et
/// al.; its Python package multiplies this by 10,000) and SPEC compare devices. Whatever the unit and whichever the
/// reference, the ratio of two devices stays the same.
pub(super) struct Geomean;

impl Score for Geomean {
    fn name(&self) -> &'static str {
        "geomean"
    }

    fn description(&self) -> &'static str {
        "geometric mean of the speed-ups against a reference device (--reference), as AI Benchmark does"
    }

    fn accuracy(&self) -> Option<Top> {
        None
    }

    fn result(&self, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<ScoreResult, ScoreError> {
        let devices = || {
            let mut devices: Vec<String> = matrix.systems.iter().map(|system| system.device.to_owned()).collect();
            devices.dedup();
            devices
        };
        let name = options.reference.ok_or_else(|| ScoreError::NoReference { devices: devices() })?;
        let references: Vec<&SystemUnderTest<'_>> =
            matrix.systems.iter().filter(|system| system.device == name).collect();
        if references.is_empty() {
            return Err(ScoreError::UnknownReference { name: name.to_owned(), devices: devices() });
        }
        let mut rows: Vec<RankedRow> = matrix.systems.iter().map(|system| row(system, &references)).collect();
        place(&mut rows, 0, Better::Higher);
        Ok(ScoreResult {
            definition: vec![
                format!("geomean = geometric mean, over all workloads, of t of {name} / t; {name} itself has 1."),
                "t is seconds an image. Accuracy plays no part.".to_owned(),
            ],
            figures: vec![
                Figure { name: "geomean", title: "geomean", unit: "", description: "geometric mean of the speed-ups" },
                Figure {
                    name: "least_speedup",
                    title: "least",
                    unit: "",
                    description: "smallest speed-up of a workload",
                },
                Figure { name: "most_speedup", title: "most", unit: "", description: "largest speed-up of a workload" },
            ],
            term_figures: vec![
                Figure { name: "ms_per_image", title: "t", unit: "ms", description: "mean latency by batch" },
                Figure {
                    name: "reference_ms_per_image",
                    title: "t of reference",
                    unit: "ms",
                    description: "t of the reference device",
                },
                Figure { name: "speedup", title: "speed-up", unit: "", description: "t of the reference / t" },
            ],
            rows,
            notes: Vec::new(),
        })
    }
}

fn row(system: &SystemUnderTest<'_>, references: &[&SystemUnderTest<'_>]) -> RankedRow {
    // Compared like with like where the reference was measured with the same settings, else with what there is of it.
    let same = references.iter().find(|reference| reference.settings == system.settings);
    let reference = same.or(references.first().filter(|_| references.len() == 1));
    let mut speedups = Vec::new();
    let terms = system.cells.iter().enumerate().map(|(index, cell)| {
        let seconds = cell.counting.and_then(|run| run.seconds_per_image());
        let counterpart = reference.and_then(|reference| reference.cells[index].counting);
        let reference_seconds = counterpart.and_then(|run| run.seconds_per_image());
        let speedup = seconds.zip(reference_seconds).map(|(seconds, reference)| reference / seconds);
        speedups.extend(speedup);
        let not_counted = cell.without_run().or_else(|| match (reference, reference_seconds) {
            (None, _) => Some("the reference has no run with these settings".to_owned()),
            (Some(_), None) => Some("the reference has no result".to_owned()),
            (Some(_), Some(_)) => None,
        });
        Term::of(cell, vec![seconds.map(milliseconds), reference_seconds.map(milliseconds), speedup], not_counted)
    });
    let terms = terms.collect();
    let values = vec![
        geometric_mean(&speedups),
        speedups.iter().copied().min_by(f64::total_cmp),
        speedups.iter().copied().max_by(f64::total_cmp),
    ];
    RankedRow::for_set(system, values, terms)
}

fn milliseconds(seconds: f64) -> f64 {
    seconds * 1e3
}

/// By logarithms, which can't overflow.
fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}
