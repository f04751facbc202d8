use super::ranking::{Better, Figure, RankedRow, ScoreResult, Term, place};
use super::result_matrix::{Cell, ResultMatrix, SystemUnderTest};
use super::run::Workload;
use super::{Options, Score, ScoreError, Top};

/// VIPS and VOPS of Luo et al., «Comparison and Benchmarking of AI Models and Frameworks on Mobile Devices» (2020,
/// arXiv 2005.05085): valid images and valid operations a second.
pub(super) struct AIoTBench;

/// AIoTBench's own networks.
const NETWORKS: [&str; 6] = ["densenet121", "inception_v3", "mnasnet1_0", "mobilenet_v2", "resnet50", "squeezenet1_0"];

const TERM_FIGURES: [Figure; 5] = [
    Figure { name: "ms_per_image", title: "t", unit: "ms", description: "mean latency by batch" },
    Figure { name: "top1", title: "acc", unit: "", description: "share of images whose class was the first answer" },
    Figure { name: "operations", title: "F", unit: "", description: "operations of one image" },
    Figure { name: "valid_images_per_s", title: "acc / t", unit: "images/s", description: "what it adds to VIPS" },
    Figure {
        name: "valid_goperations_per_s",
        title: "acc x F / t",
        unit: "10^9/s",
        description: "what it adds to VOPS",
    },
];

impl Score for AIoTBench {
    fn name(&self) -> &'static str {
        "aiotbench"
    }

    fn description(&self) -> &'static str {
        "VIPS and VOPS: accuracy-weighted images and operations a second, summed over all workloads"
    }

    fn accuracy(&self) -> Option<Top> {
        Some(Top::One)
    }

    fn result(&self, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<ScoreResult, ScoreError> {
        let mut rows: Vec<RankedRow> = matrix.systems.iter().map(|system| row(system, options)).collect();
        place(&mut rows, 0, Better::Higher);
        let unit = if options.flops { "GFLOP/s" } else { "GMAC/s" };
        Ok(ScoreResult {
            definition: definition(options),
            figures: vec![
                Figure { name: "vips", title: "VIPS", unit: "images/s", description: "valid images a second" },
                Figure { name: "vops", title: "VOPS", unit, description: "valid operations a second" },
                Figure {
                    name: "images_per_s",
                    title: "unweighted",
                    unit: "images/s",
                    description: "the same sum without accuracy",
                },
                Figure {
                    name: "goperations_per_s",
                    title: "unweighted",
                    unit,
                    description: "the same sum without accuracy",
                },
            ],
            term_figures: TERM_FIGURES.to_vec(),
            rows,
            notes: set_note(matrix).into_iter().chain(options.borrowed_macs(matrix)).collect(),
        })
    }
}

fn definition(options: &Options<'_>) -> Vec<String> {
    let operations = if options.flops {
        "F is FLOPs of one image, twice its multiply-adds (MACs)."
    } else {
        "F is multiply-adds (MACs) of one image; --flops counts each as two."
    };
    vec![
        "VIPS = sum of acc / t, VOPS = sum of acc x F / t, over all workloads (network x engine x delegate x \
         precision)."
            .to_owned(),
        "t is seconds an image, from the run that acc is from. A workload without a result adds nothing.".to_owned(),
        operations.to_owned(),
        "Unweighted are the same sums without acc.".to_owned(),
    ]
}

fn row(system: &SystemUnderTest<'_>, options: &Options<'_>) -> RankedRow {
    let parts: Vec<Part> = system.cells.iter().map(|cell| Part::of(cell, options)).collect();
    let sum = |value: fn(&Part) -> Option<f64>| parts.iter().filter_map(value).fold(0.0, |sum, value| sum + value);
    // An unknown F is no zero: without it the sum over operations is not known.
    let knows = parts.iter().all(|part| part.seconds.is_none() || part.operations.is_some());
    let values = vec![
        Some(sum(Part::valid_images_per_s)),
        knows.then(|| sum(Part::valid_operations_per_s) / 1e9),
        Some(sum(|part| Some(1.0 / part.seconds?))),
        knows.then(|| sum(|part| Some(part.operations? / part.seconds?)) / 1e9),
    ];
    let terms = system.cells.iter().zip(&parts).map(|(cell, part)| {
        let values = vec![
            part.seconds.map(|seconds| seconds * 1e3),
            part.top1.as_ref().ok().copied(),
            part.operations,
            part.valid_images_per_s(),
            part.valid_operations_per_s().map(|operations| operations / 1e9),
        ];
        Term::of(cell, values, part.top1.as_ref().err().cloned())
    });
    RankedRow::for_set(system, values, terms.collect())
}

/// What a workload adds.
struct Part {
    seconds: Option<f64>,
    /// The accuracy, or why it doesn't count.
    top1: Result<f64, String>,
    operations: Option<f64>,
}

impl Part {
    fn of(cell: &Cell<'_>, options: &Options<'_>) -> Part {
        let Some(run) = cell.counting else {
            return Part { seconds: None, top1: Err(cell.without_run().unwrap_or_default()), operations: None };
        };
        Part {
            seconds: run.seconds_per_image(),
            top1: options.share(Top::One, run),
            operations: options.macs(run).map(|macs| macs as f64 * if options.flops { 2.0 } else { 1.0 }),
        }
    }

    fn valid_images_per_s(&self) -> Option<f64> {
        Some(self.top1.as_ref().ok()? / self.seconds?)
    }

    fn valid_operations_per_s(&self) -> Option<f64> {
        Some(self.top1.as_ref().ok()? * self.operations? / self.seconds?)
    }
}

/// How the set differs from AIoTBench's own.
fn set_note(matrix: &ResultMatrix<'_>) -> Option<String> {
    let missing: Vec<&str> = NETWORKS
        .into_iter()
        .filter(|network| !matrix.workloads.iter().any(|Workload { model, .. }| model == network))
        .collect();
    (!missing.is_empty()).then(|| format!("Not AIoTBench's own set of six networks: without {}.", missing.join(", ")))
}
