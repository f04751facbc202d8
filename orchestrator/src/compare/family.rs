use std::collections::BTreeMap;

use super::change::{Change, Method};
use super::conditions::Difference;
use super::student::{Estimate, holm, moderated_p};
use super::{CellKey, Options, Side};

/// What a cell's comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The second takes longer, by the threshold or more, and chance would hardly do that in any cell.
    Slower,
    /// The second takes less time, likewise.
    Faster,
    /// The whole interval of the change lies within the threshold.
    Same,
    /// Neither: more runs would tell.
    Unclear,
    /// The two were not measured under the same conditions, or one has no time.
    NotComparable,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 5] =
        [Verdict::Slower, Verdict::Faster, Verdict::Same, Verdict::Unclear, Verdict::NotComparable];

    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::Unclear => "unclear",
            Verdict::NotComparable => "not comparable",
        }
    }
}

/// A cell of both, or of one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedCell {
    /// What it is. The part along which values are compared is empty.
    pub key: CellKey,
    /// The two values that are compared within one sweep.
    pub across: Option<(String, String)>,
    /// What the first has of it.
    pub a: Side,
    /// What the second has of it.
    pub b: Side,
    /// Whether means were compared, since a table tells no medians.
    pub by_mean: bool,
    /// How they differ; `None` where one has no time.
    pub change: Option<Change>,
    /// The family's p-value of it, by Holm; `None` where it is in no family.
    pub p_adjusted: Option<f64>,
    /// Whether it was measured in turn, with looks: `p_adjusted` is then for all of them, and is what is shown.
    pub has_looks: bool,
    /// What differs in its conditions.
    pub differences: Vec<Difference>,
    /// What it says.
    pub verdict: Verdict,
    /// Why it is unclear or not comparable, with what would settle it.
    pub why: Option<String>,
    /// Runs a side that would settle it, where it is unclear and that can be told.
    pub more_runs: Option<u64>,
}

impl ComparedCell {
    /// The device that it is told under.
    pub fn device(&self) -> &str {
        if self.key.device.is_empty() { "across devices" } else { &self.key.device }
    }

    /// Its name, with the values that are compared.
    pub fn name(&self) -> String {
        match &self.across {
            Some((a, b)) => format!("{}, {a} → {b}", self.key),
            None => self.key.to_string(),
        }
    }

    /// That many of B's runs have no time, and not of A's, in words: what is compared is what was left. `None` where B
    /// has none at all, which is why the cell is not comparable, and where B lost no notable share: by more than
    /// a tenth more than A.
    pub fn lost(&self) -> Option<String> {
        let (lost, asked) = (self.b.lost, self.b.asked());
        let asked_a = self.a.asked().max(1);
        // Whole numbers: no share of a tenth is more than a tenth by its last bit.
        let is_notable = 100 * lost * asked_a > asked * (100 * self.a.lost + NOTABLE_SHARE_PERCENT * asked_a);
        if self.b.times_s.is_empty() || !is_notable {
            return None;
        }
        let verb = if lost == 1 { "has" } else { "have" };
        let failure = self.b.failure.as_ref().map_or_else(String::new, |failure| format!(": {failure}"));
        Some(format!("{lost} of {asked} runs in B {verb} no time{failure}"))
    }

    /// What is to be said beside its figures: why it can't be told, and that runs were lost.
    pub fn remark(&self) -> Option<String> {
        let said: Vec<String> = self.why.clone().into_iter().chain(self.lost()).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Whether its two sides could be compared.
    pub fn is_compared(&self) -> bool {
        self.verdict != Verdict::NotComparable
    }

    /// Why it can't be compared; `None` where it can.
    fn obstacle(&self, options: &Options) -> Option<String> {
        let without = |name: &str, side: &Side| match &side.failure {
            _ if side.median_s().is_some() => None,
            Some(failure) => Some(format!("no time in {name}: {failure}")),
            None => Some(format!("not measured in {name}")),
        };
        let (of_a, of_b) = (without("A", &self.a), without("B", &self.b));
        // The side that failed is to blame, where the other was left out for it.
        let missing = match self.b.has_failed && !self.a.has_failed {
            true => of_b.or(of_a),
            false => of_a.or(of_b),
        };
        let in_the_way = || {
            let names: Vec<&str> = self.differences.iter().filter(|it| it.is_in_the_way).map(|it| it.what).collect();
            (!names.is_empty() && !options.anyway).then(|| format!("differs: {}", names.join(", ")))
        };
        missing.or_else(in_the_way)
    }
}

/// The part of B's runs without a time, above that of A's, from which on it is told and no gate passes the cell, in per
/// cent.
const NOTABLE_SHARE_PERCENT: usize = 10;

/// The geometric mean of a device's cells that could be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Geomean {
    /// The device.
    pub device: String,
    /// The values that are compared within one sweep.
    pub across: Option<(String, String)>,
    /// Cells that it is over.
    pub cells: usize,
    /// Of the first's medians, in seconds.
    pub a_s: f64,
    /// Of the second's medians, in seconds.
    pub b_s: f64,
    /// The geometric mean of the cells' changes, in per cent.
    pub percent: f64,
}

impl Geomean {
    /// Its name, with the values that are compared.
    pub fn name(&self) -> String {
        match &self.across {
            Some((a, b)) => format!("{}, {a} → {b}", self.device),
            None => self.device.clone(),
        }
    }
}

/// Gives each cell its verdict, all together: the more cells are looked at, the more each has to show.
pub(super) fn settle(cells: &mut [ComparedCell], options: &Options) {
    for cell in cells.iter_mut() {
        if let Some(obstacle) = cell.obstacle(options) {
            (cell.verdict, cell.why) = (Verdict::NotComparable, Some(obstacle));
        }
    }
    let family = family(cells);
    let p_values: Vec<f64> = family.iter().map(|(_, p)| *p).collect();
    for ((index, _), p_adjusted) in family.iter().zip(holm(&p_values)) {
        cells[*index].p_adjusted = Some(p_adjusted);
    }
    let level = options.alpha / family.len().max(1) as f64;
    for cell in cells.iter_mut().filter(|cell| cell.verdict != Verdict::NotComparable) {
        let Some(change) = cell.change else { continue };
        cell.verdict = verdict(&change, cell.p_adjusted, options);
        if cell.verdict == Verdict::Unclear {
            let runs = cell.a.times_s.len().min(cell.b.times_s.len());
            cell.more_runs = change.more_runs(runs, options.threshold_percent, level);
            cell.why = Some(open_question(&change, runs, cell.more_runs, options.threshold_percent));
        }
    }
}

/// The p-value of each cell that has one, by its place. Cells of one device that were compared in one way lend each
/// other what they know of their spread.
fn family(cells: &[ComparedCell]) -> Vec<(usize, f64)> {
    let mut kinds: BTreeMap<(&str, &str), Vec<(usize, Estimate)>> = BTreeMap::new();
    let mut family = Vec::new();
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_compared()) {
        let Some(change) = cell.change else { continue };
        match (change.estimate, change.p) {
            (Some(estimate), _) => {
                kinds.entry((cell.device(), change.method.as_str())).or_default().push((index, estimate));
            }
            (None, Some(p)) => family.push((index, p)),
            (None, None) => {}
        }
    }
    for kind in kinds.into_values() {
        let estimates: Vec<Estimate> = kind.iter().map(|(_, estimate)| *estimate).collect();
        family.extend(kind.iter().map(|(index, _)| *index).zip(moderated_p(&estimates)));
    }
    family
}

fn verdict(change: &Change, p_adjusted: Option<f64>, options: &Options) -> Verdict {
    let threshold = options.threshold_percent;
    // Twice as slow and half as slow are as far apart: −2.9 % is the other way of +3 %.
    let limits = ((1.0 / (1.0 + threshold / 100.0) - 1.0) * 100.0, threshold);
    let is_sure = p_adjusted.is_some_and(|p| p <= options.alpha) && change.excludes_none();
    match change.interval_percent {
        Some((low, high)) if low > limits.0 && high < limits.1 => Verdict::Same,
        _ if is_sure && change.percent >= limits.1 => Verdict::Slower,
        _ if is_sure && change.percent <= limits.0 => Verdict::Faster,
        _ => Verdict::Unclear,
    }
}

/// What keeps a cell unclear, and what would settle it.
fn open_question(change: &Change, runs: usize, more: Option<u64>, threshold: f64) -> String {
    let unit = if change.method == Method::Pairs { "pair" } else { "run" };
    let asked = |more: u64| {
        let (s, verb) = if more == 1 { ("", "settles") } else { ("s", "settle") };
        let a_side = if unit == "run" { " a side" } else { "" };
        format!("{more} more {unit}{s}{a_side} {verb} {threshold} %")
    };
    match (change.method, more) {
        (_, Some(more)) => asked(more),
        (Method::TooFew, None) if runs <= 1 => {
            format!("one run a side tells nothing of the next: {} more and 6 in all begin to", 6 - runs)
        }
        _ => "the runs differ so much that no number of them is told".to_owned(),
    }
}

/// The geometric mean of each device, in the order of the cells.
pub(super) fn geomeans(cells: &[ComparedCell]) -> Vec<Geomean> {
    let mut found: Vec<(Geomean, f64)> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.verdict != Verdict::NotComparable) {
        let (Some(a_s), Some(b_s), Some(change)) = (cell.a.median_s(), cell.b.median_s(), cell.change) else {
            continue;
        };
        // Cells stand by device, so the last ones are looked at first.
        let is_of = |(one, _): &(Geomean, f64)| one.device == cell.device() && one.across == cell.across;
        let at = found.iter().rposition(is_of).unwrap_or_else(|| {
            let (device, across) = (cell.device().to_owned(), cell.across.clone());
            found.push((Geomean { device, across, cells: 0, a_s: 0.0, b_s: 0.0, percent: 0.0 }, 0.0));
            found.len() - 1
        });
        let (geomean, sum) = &mut found[at];
        geomean.cells += 1;
        geomean.a_s += a_s.ln();
        geomean.b_s += b_s.ln();
        *sum += (1.0 + change.percent / 100.0).ln();
    }
    let of_sums = |(geomean, sum): (Geomean, f64)| {
        let count = geomean.cells as f64;
        let (a_s, b_s) = ((geomean.a_s / count).exp(), (geomean.b_s / count).exp());
        Geomean { a_s, b_s, percent: (sum / count).exp_m1() * 100.0, ..geomean }
    };
    found.into_iter().map(of_sums).collect()
}
