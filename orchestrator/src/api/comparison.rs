//! Two sweeps against each other, cell by cell, part by part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::{ComparedCell, Comparison, Difference, Geomean, Options, Side, Verdict};
use crate::domain::SweepRow;

use super::endpoint::{Call, limit_of};
use super::{Api, Refusal};

/// Most cells that are told at once.
const MAX_CELLS: u32 = 1000;
const DEFAULT_CELLS: u32 = 200;
/// Comparisons of sweeps that are over are kept for who reads on: so many.
const KEPT: usize = 4;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ComparisonQuery {
    /// The sweep to compare with: its identifier, the beginning of one, its name, `latest`, or `baseline:NAME`.
    #[schemars(length(min = 1, max = 200))]
    a: String,
    /// The sweep to compare, likewise.
    #[schemars(length(min = 1, max = 200))]
    b: String,
    /// Only cells of this verdict: `slower`, `faster`, `same`, `unclear` or `not comparable`.
    #[schemars(length(max = 20))]
    verdict: Option<String>,
    /// Most cells; 200 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(range(min = 0, max = 4294967295_u64))]
    after: Option<u32>,
}

/// Two sweeps against each other.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ComparisonAnswer {
    /// What was compared with.
    a: String,
    /// What was compared.
    b: String,
    /// Smaller changes are the same, in per cent.
    threshold_percent: f64,
    /// Cells by verdict.
    counts: BTreeMap<String, u64>,
    /// What differs between the two besides times, what moves time first.
    differences: Vec<DifferenceAnswer>,
    /// The geometric mean of each device.
    geomeans: Vec<GeomeanAnswer>,
    /// What a reader must know.
    notes: Vec<String>,
    /// The cells, those that got slower first.
    items: Vec<ComparedAnswer>,
    /// Where the next part is; null: there is none.
    next: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DifferenceAnswer {
    what: String,
    a: String,
    b: String,
    /// Whether cells can't be compared for it.
    moves_time: bool,
    devices: Vec<String>,
    cells: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct GeomeanAnswer {
    device: String,
    cells: u64,
    a_ms: f64,
    b_ms: f64,
    change_percent: f64,
}

/// A cell of both, or of one of them.
#[derive(Debug, Serialize, JsonSchema)]
struct ComparedAnswer {
    device: String,
    model: String,
    backend: String,
    delegate: String,
    precision: String,
    weights: String,
    threads: String,
    batch: u32,
    scenario: String,
    a: SideAnswer,
    b: SideAnswer,
    /// How much slower the second is (faster: negative), in per cent; null where one has no time.
    change_percent: Option<f64>,
    /// Low end of its interval of 95 %; null where the runs are too few.
    change_low_percent: Option<f64>,
    /// High end of it.
    change_high_percent: Option<f64>,
    /// p-value, corrected over all cells.
    p_adjusted: Option<f64>,
    /// `slower`, `faster`, `same`, `unclear` or `not comparable`.
    verdict: String,
    /// Why it is unclear or not comparable, with what would settle it; and of any cell that the second lost runs: a
    /// notable share more of them have no time than of the first's.
    why: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SideAnswer {
    /// Median of its runs; null without one.
    median_ms: Option<f64>,
    /// What stands behind ±, in per cent; null of fewer than six runs.
    plus_minus_percent: Option<f64>,
    /// Runs that count.
    runs: u64,
}

/// Comparisons that were asked for last, the newest at the end.
#[derive(Default)]
pub(super) struct Compared(Mutex<Vec<KeptComparison>>);

struct KeptComparison {
    /// Each with its counts: a result that came late changes them.
    sweeps: [String; 2],
    comparison: Arc<Comparison>,
}

impl Compared {
    fn of(&self, sweeps: &[String; 2]) -> Option<Arc<Comparison>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|kept| kept.sweeps == *sweeps).map(|kept| Arc::clone(&kept.comparison))
    }

    fn keep(&self, sweeps: [String; 2], comparison: &Arc<Comparison>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|it| it.sweeps != sweeps);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(KeptComparison { sweeps, comparison: Arc::clone(comparison) });
    }
}

impl Api {
    fn comparison(&self, a: &str, b: &str) -> Result<Arc<Comparison>, Refusal> {
        let (a, b) = (self.lab.compared_sweep(a)?, self.lab.compared_sweep(b)?);
        let key = |sweep: &SweepRow| -> Result<String, Refusal> {
            Ok(format!("{} {:?}", sweep.id, self.store.counts(&sweep.id)?))
        };
        let sweeps = [key(&a)?, key(&b)?];
        let are_over = a.state.is_over() && b.state.is_over();
        if let Some(known) = self.compared.of(&sweeps).filter(|_| are_over) {
            return Ok(known);
        }
        let comparison = Arc::new(self.lab.compare_sweeps(&a, &b, &Options::default())?);
        if are_over {
            self.compared.keep(sweeps, &comparison);
        }
        Ok(comparison)
    }
}

pub(super) async fn show(call: Call<ComparisonQuery>) -> Result<ComparisonAnswer, Refusal> {
    let ComparisonQuery { a, b, verdict, limit, after } = call.query;
    let limit = limit_of(limit, DEFAULT_CELLS, MAX_CELLS)? as usize;
    let verdict = verdict.filter(|word| !word.is_empty()).as_deref().map(verdict_of).transpose()?;
    let skipped = after.unwrap_or(0) as usize;
    let read = move |api: &Api| Ok(answer(&*api.comparison(&a, &b)?, verdict, skipped, limit));
    call.api.blocking(read).await
}

fn verdict_of(word: &str) -> Result<Verdict, Refusal> {
    let known = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == word);
    let words = Verdict::ALL.map(Verdict::as_str).join(", ");
    known.ok_or_else(|| Refusal::bad_request(format!("`verdict` is one of: {words}")))
}

fn answer(comparison: &Comparison, verdict: Option<Verdict>, skipped: usize, limit: usize) -> ComparisonAnswer {
    let count = |verdict: Verdict| comparison.cells.iter().filter(|cell| cell.verdict == verdict).count() as u64;
    let is_wanted = |cell: &&ComparedCell| verdict.is_none_or(|verdict| cell.verdict == verdict);
    let mut cells: Vec<&ComparedCell> = comparison.cells.iter().filter(is_wanted).collect();
    // What people act on comes first; cells of one verdict stay in the order of their names.
    let rank = |verdict| {
        let order = [Verdict::Slower, Verdict::Faster, Verdict::Unclear, Verdict::NotComparable, Verdict::Same];
        order.iter().position(|it| *it == verdict)
    };
    cells.sort_by_key(|cell| rank(cell.verdict));
    let end = skipped.saturating_add(limit);
    ComparisonAnswer {
        a: comparison.a.clone(),
        b: comparison.b.clone(),
        threshold_percent: comparison.options.threshold_percent,
        counts: Verdict::ALL.into_iter().map(|verdict| (verdict.as_str().to_owned(), count(verdict))).collect(),
        differences: comparison.differences.iter().map(DifferenceAnswer::of).collect(),
        geomeans: comparison.geomeans.iter().map(GeomeanAnswer::of).collect(),
        notes: comparison.notes.clone(),
        next: (cells.len() > end).then(|| end.to_string()),
        items: cells.into_iter().skip(skipped).take(limit).map(ComparedAnswer::of).collect(),
    }
}

impl DifferenceAnswer {
    fn of(it: &Difference) -> DifferenceAnswer {
        DifferenceAnswer {
            what: it.what.to_owned(),
            a: it.a.clone(),
            b: it.b.clone(),
            moves_time: it.is_in_the_way,
            devices: it.devices.clone(),
            cells: it.cells as u64,
        }
    }
}

impl GeomeanAnswer {
    fn of(it: &Geomean) -> GeomeanAnswer {
        let (device, cells) = (it.device.clone(), it.cells as u64);
        GeomeanAnswer { device, cells, a_ms: it.a_s * 1e3, b_ms: it.b_s * 1e3, change_percent: it.percent }
    }
}

impl ComparedAnswer {
    fn of(cell: &ComparedCell) -> ComparedAnswer {
        let key = cell.key.clone();
        let change = cell.change.filter(|_| cell.is_compared());
        let ends = change.and_then(|change| change.interval_percent);
        ComparedAnswer {
            device: key.device,
            model: key.model,
            backend: key.backend,
            delegate: key.delegate,
            precision: key.precision,
            weights: key.weights,
            threads: key.threads,
            batch: key.batch,
            scenario: key.scenario,
            a: SideAnswer::of(&cell.a),
            b: SideAnswer::of(&cell.b),
            change_percent: change.map(|change| change.percent),
            change_low_percent: ends.map(|(low, _)| low),
            change_high_percent: ends.map(|(_, high)| high),
            p_adjusted: cell.p_adjusted,
            verdict: cell.verdict.as_str().to_owned(),
            why: cell.remark(),
        }
    }
}

impl SideAnswer {
    fn of(side: &Side) -> SideAnswer {
        SideAnswer {
            median_ms: side.median_s().map(|median_s| median_s * 1e3),
            plus_minus_percent: side.plus_minus_percent(),
            runs: side.times_s.len() as u64,
        }
    }
}
