use super::ranking::{Better, Figure, RankedRow, ScoreResult, Term, place};
use super::result_matrix::{ResultMatrix, SystemUnderTest};
use super::{Options, Score, ScoreError, Top};

/// AIoTBench's sums without accuracy, for weights that have none.
pub(super) struct Throughput;

impl Score for Throughput {
    fn name(&self) -> &'static str {
        "throughput"
    }

    fn description(&self) -> &'static str {
        "images a second, summed over all workloads, whether they are answered rightly or not"
    }

    fn accuracy(&self) -> Option<Top> {
        None
    }

    fn result(&self, matrix: &ResultMatrix<'_>, _: &Options<'_>) -> Result<ScoreResult, ScoreError> {
        let mut rows: Vec<RankedRow> = matrix.systems.iter().map(row).collect();
        place(&mut rows, 0, Better::Higher);
        Ok(ScoreResult {
            definition: vec![
                "Throughput = sum of 1 / t over all workloads, t in seconds an image. Accuracy plays no part."
                    .to_owned(),
            ],
            figures: vec![Figure {
                name: "images_per_s",
                title: "throughput",
                unit: "images/s",
                description: "sum of 1 / t",
            }],
            term_figures: vec![
                Figure { name: "ms_per_image", title: "t", unit: "ms", description: "mean latency by batch" },
                Figure { name: "term_images_per_s", title: "1 / t", unit: "images/s", description: "what it adds" },
            ],
            rows,
            notes: Vec::new(),
        })
    }
}

fn row(system: &SystemUnderTest<'_>) -> RankedRow {
    let terms: Vec<Term> = system
        .cells
        .iter()
        .map(|cell| {
            let seconds = cell.counting.and_then(|run| run.seconds_per_image());
            let values = vec![seconds.map(|seconds| seconds * 1e3), seconds.map(|seconds| 1.0 / seconds)];
            Term::of(cell, values, cell.without_run())
        })
        .collect();
    let sum = terms.iter().filter_map(|term| term.values[1]).fold(0.0, |sum, rate| sum + rate);
    RankedRow::for_set(system, vec![Some(sum)], terms)
}
