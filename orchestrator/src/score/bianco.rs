use super::ranking::{Better, Figure, RankedRow, ScoreResult, place};
use super::result_matrix::{Cell, ResultMatrix, SystemUnderTest};
use super::{Options, Score, ScoreError, Top};

/// What Bianco et al. compare networks by («Benchmark Analysis of Representative Deep Neural Network Architectures»,
/// IEEE Access 2018): accuracy density, and accuracy beside speed.
pub(super) struct Bianco;

const FIGURES: [Figure; 5] = [
    Figure {
        name: "density_percent_per_million",
        title: "density",
        unit: "%/10^6",
        description: "top-1 accuracy in per cent, by millions of parameters",
    },
    Figure { name: "top1_percent", title: "top-1", unit: "%", description: "top-1 accuracy" },
    Figure { name: "params_millions", title: "parameters", unit: "10^6", description: "parameters of the network" },
    Figure { name: "images_per_s", title: "1 / t", unit: "images/s", description: "1 / t" },
    Figure { name: "valid_images_per_s", title: "acc / t", unit: "images/s", description: "accuracy x speed: acc / t" },
];

impl Score for Bianco {
    fn name(&self) -> &'static str {
        "bianco"
    }

    fn description(&self) -> &'static str {
        "accuracy density (top-1 a million parameters), and accuracy beside speed"
    }

    fn accuracy(&self) -> Option<Top> {
        Some(Top::One)
    }

    fn result(&self, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<ScoreResult, ScoreError> {
        let mut rows: Vec<RankedRow> = matrix.asked_cells().map(|(system, cell)| row(system, cell, options)).collect();
        place(&mut rows, 0, Better::Higher);
        Ok(ScoreResult {
            definition: vec![
                "Density = top-1 accuracy in per cent / millions of parameters: what a network makes of its size. It \
                 is the network's, whatever the device."
                    .to_owned(),
                "acc / t is accuracy x speed, with t in seconds an image.".to_owned(),
            ],
            figures: FIGURES.to_vec(),
            term_figures: Vec::new(),
            rows,
            notes: Vec::new(),
        })
    }
}

fn row(system: &SystemUnderTest<'_>, cell: &Cell<'_>, options: &Options<'_>) -> RankedRow {
    let Some(run) = cell.counting else {
        return RankedRow::for_cell(system, cell, vec![None; FIGURES.len()], cell.without_run());
    };
    let top1 = options.share(Top::One, run);
    let millions = options.params(run).map(|params| params as f64 / 1e6);
    let images_per_s = run.seconds_per_image().map(|seconds| 1.0 / seconds);
    let known = top1.as_ref().ok().copied();
    let values = vec![
        known.zip(millions).map(|(top1, millions)| top1 * 100.0 / millions),
        known.map(|top1| top1 * 100.0),
        millions,
        images_per_s,
        known.zip(images_per_s).map(|(top1, images_per_s)| top1 * images_per_s),
    ];
    let no_params = || millions.is_none().then(|| "its number of parameters is not known".to_owned());
    RankedRow::for_cell(system, cell, values, top1.err().or_else(no_params))
}
