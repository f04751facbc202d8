//! Two sides that are measured in pairs until what differs is settled: when a cell is, and what it says then.
//!
//! Who looks after each pair and stops at the first «slower» is wrong far more often than the test says (P. Armitage,
//! C. K. McPherson and B. C. Rowe, Journal of the Royal Statistical Society A 132, 1969). So it is looked at fixed
//! numbers of pairs alone, and each look has an equal part of the chance to be wrong, as has each cell (Bonferroni): no
//! more than `alpha` that any cell of equal sides is ever called slower or faster, whatever depends on what, and
//! whenever one stops.

use std::collections::{BTreeMap, BTreeSet};

use super::ranks::{middle_of_pairs, signed_rank_p};
use super::student::{Estimate, moderated};
use super::{ComparedCell, Comparison, Method, Verdict};
use crate::domain::{FailureKind, Job, PairSide, Record, RunStatus, SideBySide};
use crate::score::Statistics;

/// Pairs at which it is looked: where the signed-rank test can say something first, then each about half as many more.
const LOOKS: [u32; 9] = [6, 10, 16, 24, 40, 60, 90, 140, 200];
/// Most pairs of a cell.
pub const MOST_PAIRS: u32 = 200;
/// Fewest pairs of a cell: fewer never say anything.
pub const FEWEST_PAIRS: u32 = LOOKS[0];
/// How likely an interval misses what it is of, over all looks together.
const MISS: f64 = 0.05;
/// The level at which the test by ranks has to agree, so that one wild pair makes no verdict.
const BY_RANKS: f64 = 0.05;

/// Runs of a side that have to fail, with none that is ok, before it is taken for one that can't run; of failures that
/// might be chance.
pub const TRIED: u32 = 3;

/// A run of either side in one repeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Which repeat, from 1.
    pub repeat: u32,
    /// The logarithm of B's median over A's.
    pub log_ratio: f64,
}

/// What is decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookRule {
    /// Pairs of each cell that are planned.
    pub pairs: u32,
    /// Cells of the sweep, on all devices.
    pub cells: usize,
    /// How likely any cell of equal sides may be called slower or faster.
    pub alpha: f64,
    /// Smaller changes are the same, in per cent.
    pub threshold_percent: f64,
}

/// That a cell is settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// Slower, faster or the same.
    pub verdict: Verdict,
    /// The look at which that was: repeats up to this one count.
    pub repeats: u32,
    /// How likely chance makes such a difference, over all looks and cells together.
    pub p_adjusted: f64,
}

impl LookRule {
    /// What a sweep of these jobs decides by: all that were planned.
    pub fn of(jobs: &[Job], sides: &SideBySide) -> LookRule {
        let cells: BTreeSet<CellName> = jobs.iter().map(|job| (job.device.clone(), sides.cell(job))).collect();
        LookRule {
            pairs: jobs.iter().map(|job| job.repeat).max().unwrap_or(FEWEST_PAIRS),
            cells: cells.len(),
            alpha: sides.alpha,
            threshold_percent: sides.threshold_percent,
        }
    }

    /// The numbers of pairs at which it is looked: the last is all that are planned.
    pub fn looks(&self) -> impl Iterator<Item = u32> + use<> {
        let pairs = self.pairs;
        LOOKS.into_iter().filter(move |look| *look < pairs).chain([pairs])
    }

    /// The looks that took place while so many pairs were measured: the last at those where it is no planned one.
    pub fn taken(&self, pairs: u32) -> Vec<u32> {
        let mut taken: Vec<u32> = self.looks().filter(|look| *look <= pairs).collect();
        if pairs >= FEWEST_PAIRS && taken.last() != Some(&pairs) {
            taken.push(pairs);
        }
        taken
    }

    /// Looks and cells that share the chance to be wrong.
    fn parts(&self) -> f64 {
        (self.looks().count() * self.cells.max(1)) as f64
    }

    /// The changes between which two sides are the same, as logarithms: −2.9 % is the other way of +3 %.
    fn limit(&self) -> f64 {
        (self.threshold_percent / 100.0).ln_1p()
    }
}

/// Which cells of a device are settled after so many repeats, in the order given; by the pairs of each alone and by
/// what its other cells say of the spread. The same pairs give the same answer each time, so nothing of it has to be
/// kept: whoever goes on with a sweep finds it anew.
pub fn settle_cells(cells: &[Vec<Pair>], repeats: u32, rule: &LookRule) -> Vec<Option<Settled>> {
    let mut settled: Vec<Option<Settled>> = vec![None; cells.len()];
    for look in rule.looks().take_while(|look| *look <= repeats) {
        let until = |at: usize| settled[at].map_or(look, |settled| settled.repeats);
        let counted: Vec<Vec<f64>> = cells
            .iter()
            .enumerate()
            .map(|(at, pairs)| pairs.iter().filter(|pair| pair.repeat <= until(at)).map(|it| it.log_ratio).collect())
            .collect();
        let known: Vec<(usize, Estimate)> =
            counted.iter().enumerate().filter_map(|(at, ratios)| Some((at, Estimate::of_pairs(ratios)?))).collect();
        let estimates: Vec<Estimate> = known.iter().map(|(_, estimate)| *estimate).collect();
        for ((at, _), estimate) in known.iter().zip(moderated(&estimates)) {
            if settled[*at].is_none() && counted[*at].len() >= FEWEST_PAIRS as usize {
                settled[*at] = settle(&counted[*at], &estimate, look, rule);
            }
        }
    }
    settled
}

/// What a look says of a cell.
fn settle(ratios: &[f64], estimate: &Estimate, look: u32, rule: &LookRule) -> Option<Settled> {
    let (middle, by_ranks) = middle_of_pairs(ratios)?;
    let p_adjusted = (estimate.p() * rule.parts()).min(1.0);
    let limit = rule.limit();
    let lies_within = |(low, high): (f64, f64)| low > -limit && high < limit;
    let interval = estimate.interval(MISS / rule.looks().count() as f64);
    let is_sure = p_adjusted <= rule.alpha && signed_rank_p(ratios) <= BY_RANKS;
    let verdict = match middle {
        _ if lies_within(interval) && by_ranks.is_some_and(lies_within) => Verdict::Same,
        middle if is_sure && middle >= limit => Verdict::Slower,
        middle if is_sure && middle <= -limit => Verdict::Faster,
        _ => return None,
    };
    Some(Settled { verdict, repeats: look, p_adjusted })
}

/// A cell of two sides: its device, and what is the same of both.
pub type CellName = (String, String);

/// What is settled of a sweep of these jobs, of which some are open, with what it was decided by. A device's cells are
/// looked at after its whole repeats.
pub fn settled_cells(
    jobs: &[Job],
    open: &[Job],
    records: &[Record],
    sides: &SideBySide,
) -> (LookRule, BTreeMap<CellName, Settled>) {
    let rule = LookRule::of(jobs, sides);
    let mut of_devices: BTreeMap<String, Vec<(CellName, Vec<Pair>)>> = BTreeMap::new();
    for (cell, pairs) in pairs_of(records, sides) {
        of_devices.entry(cell.0.clone()).or_default().push((cell, pairs));
    }
    let mut settled = BTreeMap::new();
    for (device, cells) in of_devices {
        let of_device = open.iter().filter(|job| job.device == device);
        let repeats = of_device.map(|job| job.repeat).min().map_or(rule.pairs, |repeat| repeat.saturating_sub(1));
        let pairs: Vec<Vec<Pair>> = cells.iter().map(|(_, pairs)| pairs.clone()).collect();
        let found = settle_cells(&pairs, repeats, &rule);
        settled.extend(cells.into_iter().zip(found).filter_map(|((cell, _), found)| Some((cell, found?))));
    }
    (rule, settled)
}

/// A side's run of a repeat, by its place among the runs of its device.
#[derive(Clone, Copy)]
struct Placed {
    place: usize,
    median_ns: f64,
}

/// The pairs of each cell, by its device and by what is the same of both sides: the runs of one repeat, one right after
/// the other among all runs of the sweep on that device. So a repeat of which one side has no time is no pair, and
/// neither is one of which a run had to wait for a device that was taken.
pub fn pairs_of<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    sides: &SideBySide,
) -> BTreeMap<CellName, Vec<Pair>> {
    let mut started: Vec<&Record> = records.into_iter().filter(|record| record.started_at.is_some()).collect();
    started.sort_by_key(|record| (record.job.device.clone(), record.started_at));
    let mut runs: BTreeMap<CellName, BTreeMap<u32, [Option<Placed>; 2]>> = BTreeMap::new();
    for (place, record) in started.into_iter().enumerate() {
        let Some(side) = record.job.side else { continue };
        let of_cell = runs.entry((record.job.device.clone(), sides.cell(&record.job))).or_default();
        let median_ns = median_ns(record).filter(|median_ns| *median_ns > 0.0);
        let slot = match side {
            PairSide::A => 0,
            PairSide::B => 1,
        };
        of_cell.entry(record.job.repeat).or_default()[slot] = median_ns.map(|median_ns| Placed { place, median_ns });
    }
    let pair = |(repeat, [a, b]): (u32, [Option<Placed>; 2])| {
        let (a, b) = (a?, b?);
        (a.place.abs_diff(b.place) == 1).then(|| Pair { repeat, log_ratio: (b.median_ns / a.median_ns).ln() })
    };
    runs.into_iter().map(|(cell, of_cell)| (cell, of_cell.into_iter().filter_map(pair).collect())).collect()
}

/// The median of a run that ended well: of its inferences by nearest rank, or as its program told it.
fn median_ns(record: &Record) -> Option<f64> {
    let measurement = &record.measurement;
    let reported = || measurement.reported.as_ref().and_then(|figures| figures.median_ns);
    let measured = Statistics::of(&measurement.samples_ns).map(|statistics| statistics.p50_ns);
    measured.or_else(reported).filter(|_| record.status == RunStatus::Ok).map(|median_ns| median_ns as f64)
}

/// Which cells have a side that can't run, by device and name, with that side and how it fails: at once where no try
/// goes better, else after [`TRIED`] runs of which none was ok.
pub fn cells_that_fail<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    sides: &SideBySide,
) -> BTreeMap<CellName, String> {
    let mut of_sides: BTreeMap<(CellName, PairSide), (bool, Vec<&Record>)> = BTreeMap::new();
    for record in records {
        let Some(side) = record.job.side else { continue };
        let cell = (record.job.device.clone(), sides.cell(&record.job));
        let (is_ok, failed) = of_sides.entry((cell, side)).or_default();
        match record.status {
            RunStatus::Ok => *is_ok = true,
            RunStatus::Failed => failed.push(record),
            RunStatus::Skipped | RunStatus::Cancelled => {}
        }
    }
    let fails = of_sides.into_iter().filter(|(_, (is_ok, _))| !is_ok).filter_map(|((cell, side), (_, failed))| {
        let is_last =
            |record: &&&Record| record.failure.as_ref().is_some_and(|failure| no_try_goes_better(failure.kind));
        let said = failed.iter().find(is_last).or(failed.get(TRIED as usize - 1))?;
        let failure = said.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        Some((cell, format!("{} can't run: {failure}", side.as_str().to_uppercase())))
    });
    fails.collect()
}

/// Whether it follows from what was asked for alone.
fn no_try_goes_better(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::BackendUnsupported | FailureKind::ModelLoad | FailureKind::ArtifactUnavailable)
}

/// Gives each cell of a comparison of two sides what is settled of it, by the cell's name, in place of what a single
/// look would say.
pub fn judge_sides(comparison: &mut Comparison, settled: &BTreeMap<String, Settled>, rule: &LookRule) {
    let p_values = p_by_looks(&comparison.cells, rule);
    let threshold = comparison.options.threshold_percent;
    for (at, cell) in comparison.cells.iter_mut().enumerate().filter(|(_, cell)| cell.is_compared()) {
        cell.has_looks = true;
        match settled.get(&cell.key.to_string()) {
            Some(settled) => {
                (cell.verdict, cell.p_adjusted) = (settled.verdict, Some(settled.p_adjusted));
                (cell.why, cell.more_runs) = (None, None);
            }
            None => {
                // That of the comparison is not of the test that settles a cell.
                cell.p_adjusted = p_values.get(&at).copied();
                if cell.verdict != Verdict::Unclear {
                    let looks = rule.looks().count();
                    cell.why =
                        Some(format!("it seems {}, and is not sure enough for {looks} looks", cell.verdict.as_str()));
                }
                cell.verdict = Verdict::Unclear;
                let all = cell.more_runs.map(|more| more + cell.a.times_s.len() as u64);
                if all.is_some_and(|all| all > u64::from(MOST_PAIRS)) {
                    cell.why = Some(format!(
                        "more pairs than {MOST_PAIRS}, which `--pairs` ends at, would settle {threshold} %: a larger \
                         `--threshold` helps, or a device that is quieter"
                    ));
                    cell.more_runs = None;
                }
            }
        }
    }
}

/// By the places of the cells that were measured in pairs: how likely chance makes such a difference, over all looks
/// and cells, as of a look at what is there now.
fn p_by_looks(cells: &[ComparedCell], rule: &LookRule) -> BTreeMap<usize, f64> {
    let mut of_devices: BTreeMap<&str, Vec<(usize, Estimate)>> = BTreeMap::new();
    for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_compared()) {
        let change = cell.change.filter(|change| change.method == Method::Pairs);
        if let Some(estimate) = change.and_then(|change| change.estimate) {
            of_devices.entry(cell.device()).or_default().push((at, estimate));
        }
    }
    let of_device = |cells: Vec<(usize, Estimate)>| {
        let estimates: Vec<Estimate> = cells.iter().map(|(_, estimate)| *estimate).collect();
        let p_values = moderated(&estimates).into_iter().map(|estimate| (estimate.p() * rule.parts()).min(1.0));
        cells.into_iter().map(|(at, _)| at).zip(p_values).collect::<Vec<_>>()
    };
    of_devices.into_values().flat_map(of_device).collect()
}

#[cfg(test)]
mod tests;
