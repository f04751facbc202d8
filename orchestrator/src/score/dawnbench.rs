use super::ranking::{Better, Figure, RankedRow, ScoreResult, place};
use super::result_matrix::{Cell, ResultMatrix, SystemUnderTest};
use super::run::ScoredRun;
use super::{AccuracySource, Options, Score, ScoreError, Top, wilson_95};

/// The two inference scores of DAWNBench (Coleman et al. 2017): the latency of one image, and the cost of classifying
/// 10,000 images, among networks that are right often enough.
pub(super) struct DawnBench;

/// Top-5 accuracy on ImageNet that a network must reach.
const REQUIRED_TOP5: f64 = 0.93;
/// Images that the cost is for.
const IMAGES: f64 = 10_000.0;

impl Score for DawnBench {
    fn name(&self) -> &'static str {
        "dawnbench"
    }

    fn description(&self) -> &'static str {
        "latency, and cost of 10,000 images, of what is at least 93 % right in its first five answers"
    }

    fn accuracy(&self) -> Option<Top> {
        Some(Top::Five)
    }

    fn result(&self, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<ScoreResult, ScoreError> {
        let mut rows: Vec<RankedRow> = matrix.asked_cells().map(|(system, cell)| row(system, cell, options)).collect();
        place_costs(&mut rows);
        place(&mut rows, LATENCY, Better::Lower);
        Ok(ScoreResult {
            definition: vec![
                "Ranked by latency: the mean time until a query (of one batch) is answered.".to_owned(),
                "Cost of 10,000 images = price of an hour of the device (price_per_hour in its farm file) x t x 10,000 \
                 / 3600, with t in seconds an image."
                    .to_owned(),
                "Only what is right in its first five answers for at least 93 % of the images takes part.".to_owned(),
            ],
            figures: FIGURES.to_vec(),
            term_figures: Vec::new(),
            rows,
            notes: doubts(matrix, options).into_iter().collect(),
        })
    }
}

const FIGURES: [Figure; 4] = [
    Figure { name: "latency_ms", title: "latency", unit: "ms", description: "mean latency of a query" },
    Figure {
        name: "cost_10k_images",
        title: "cost of 10,000",
        unit: "",
        description: "cost of 10,000 images, in the lab's currency",
    },
    Figure { name: "cost_rank", title: "by cost", unit: "place", description: "place by cost" },
    Figure {
        name: "top5",
        title: "top-5",
        unit: "",
        description: "share of images whose class was among the first five answers",
    },
];
const LATENCY: usize = 0;
const COST: usize = 1;
const COST_RANK: usize = 2;

fn row(system: &SystemUnderTest<'_>, cell: &Cell<'_>, options: &Options<'_>) -> RankedRow {
    let Some(run) = cell.counting else {
        return RankedRow::for_cell(system, cell, vec![None; FIGURES.len()], cell.without_run());
    };
    let top5 = options.share(Top::Five, run);
    let unranked = match &top5 {
        Err(reason) => Some(reason.clone()),
        Ok(top5) if *top5 < REQUIRED_TOP5 => Some(format!("top-5 is {:.2} %, below 93 %", top5 * 100.0)),
        Ok(_) => None,
    };
    let values = vec![run.latency_s.map(|latency_s| latency_s * 1e3), cost(run), None, top5.ok()];
    RankedRow::for_cell(system, cell, values, unranked)
}

fn cost(run: &ScoredRun) -> Option<f64> {
    Some(run.price_per_hour? * run.seconds_per_image()? * IMAGES / 3600.0)
}

/// Gives the places by cost, as a value of the rows.
fn place_costs(rows: &mut [RankedRow]) {
    let costs: Vec<f64> = rows.iter().filter(|row| row.unranked.is_none()).filter_map(|row| row.values[COST]).collect();
    for row in rows.iter_mut().filter(|row| row.unranked.is_none()) {
        let cheaper = row.values[COST].map(|cost| costs.iter().filter(|other| **other < cost).count());
        row.values[COST_RANK] = cheaper.map(|cheaper| cheaper as f64 + 1.0);
    }
}

/// Which runs passed by a margin that their few images don't bear out.
fn doubts(matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Option<String> {
    if options.accuracy == AccuracySource::Published {
        return None;
    }
    let runs = matrix.asked_cells().filter_map(|(_, cell)| cell.counting);
    let doubted = runs.filter(|run| {
        let counted = run.accuracy.and_then(|accuracy| accuracy.top5.zip(accuracy.n_images));
        counted.is_some_and(|(top5, n_images)| {
            let low = wilson_95((top5 * n_images as f64).round() as u64, n_images).map(|(low, _)| low);
            top5 >= REQUIRED_TOP5 && low.is_some_and(|low| low < REQUIRED_TOP5)
        })
    });
    let count = doubted.count();
    (count > 0).then(|| {
        format!(
            "{count} of those that take part were shown too few images to be sure of 93 %: the interval of 95 % of \
             their top-5 begins below it."
        )
    })
}
