use super::contest::{Contest, Entrant};
use super::ranking::{Better, Figure, RankedRow, Standing, Term, place};
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

    fn standing(&self, contest: &Contest<'_>, options: &Options<'_>) -> Result<Standing, ScoreError> {
        let devices = || {
            let mut devices: Vec<String> = contest.entrants.iter().map(|entrant| entrant.device.to_owned()).collect();
            devices.dedup();
            devices
        };
        let name = options.reference.ok_or_else(|| ScoreError::NoReference { devices: devices() })?;
        let references: Vec<&Entrant<'_>> = contest.entrants.iter().filter(|entrant| entrant.device == name).collect();
        if references.is_empty() {
            return Err(ScoreError::UnknownReference { name: name.to_owned(), devices: devices() });
        }
        let mut rows: Vec<RankedRow> = contest.entrants.iter().map(|entrant| row(entrant, &references)).collect();
        place(&mut rows, 0, Better::Higher);
        Ok(Standing {
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

fn row(entrant: &Entrant<'_>, references: &[&Entrant<'_>]) -> RankedRow {
    // Compared like with like where the reference was measured with the same settings, else with what there is of it.
    let same = references.iter().find(|reference| reference.settings == entrant.settings);
    let reference = same.or(references.first().filter(|_| references.len() == 1));
    let mut speedups = Vec::new();
    let terms = entrant.cells.iter().enumerate().map(|(index, cell)| {
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
    RankedRow::of_set(entrant, values, terms)
}

fn milliseconds(seconds: f64) -> f64 {
    seconds * 1e3
}

/// By logarithms, which can't overflow.
fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}
