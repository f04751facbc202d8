use super::normal::{self, Moments, Z_975};
use super::ranks::{mann_whitney_p, middle_of_pairs, shift_interval, signed_rank_p};
use super::runs::Run;
use super::side::{Side, time_s};
use super::student::Estimate;

/// How often a change of that size shall be found with as many runs as are asked for.
const POWER: f64 = 0.9;
/// Steps in which that number is found.
const STEPS: usize = 8;
/// Pairs that a test by ranks needs to say anything, and runs a side without pairs.
const FEWEST_PAIRS: usize = 6;
const FEWEST_RUNS: usize = 4;

/// How two sides were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// In pairs, since they were measured in turn: Wilcoxon's signed-rank test.
    Pairs,
    /// As two samples: Mann and Whitney's test.
    Samples,
    /// By the spread from run to run that is known of the device.
    KnownSpread,
    /// Not at all: too few runs.
    TooFew,
}

impl Method {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Pairs => "signed_rank",
            Method::Samples => "mann_whitney",
            Method::KnownSpread => "known_spread",
            Method::TooFew => "too_few",
        }
    }
}

/// How the second side of a cell differs from the first. Changes are of the time: more is slower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// How it was compared.
    pub method: Method,
    /// The change in per cent: of the medians, or in pairs the middle of the pairs' changes.
    pub percent: f64,
    /// Its interval of 95 %, in per cent; `None` where the runs are too few.
    pub interval_percent: Option<(f64, f64)>,
    /// How likely chance alone makes such a difference; of the test by ranks, or of the known spread.
    pub p: Option<f64>,
    /// What the family of all cells goes by: the same question put to Student's test of the logarithms. A test by ranks
    /// of ten pairs never says less than 2 / 2^10, so that among thirty cells none could ever be found. `None` where
    /// the spread is known, and so `p` is.
    pub estimate: Option<Estimate>,
    /// Standard deviation of the difference of one run of each side, of the logarithm; `None` of single runs.
    pub spread: Option<f64>,
}

impl Change {
    /// The change from one side to the other; `None` where one has no time. `pairs`: what was measured in turn, as
    /// logarithms of ratios.
    pub(super) fn of(a: &Side, b: &Side, pairs: Option<&[f64]>, known: Option<f64>) -> Option<Change> {
        let of_medians = (b.median_s()? / a.median_s()?).ln();
        let (n, m) = (a.times_s.len(), b.times_s.len());
        let is_enough = pairs.map_or(n.min(m) >= FEWEST_RUNS, |pairs| pairs.len() >= FEWEST_PAIRS);
        Some(match (pairs, known) {
            (Some(pairs), _) if is_enough => in_pairs(pairs, of_medians),
            (None, _) if is_enough => of_samples(a, b, of_medians),
            (_, Some(known)) if known > 0.0 => by_known_spread(of_medians, known, n, m),
            _ => Change {
                method: Method::TooFew,
                percent: percent(of_medians),
                interval_percent: None,
                p: None,
                estimate: None,
                spread: pairs.and_then(Moments::of).map(|moments| moments.variance.sqrt()).or(spread(a, b)),
            },
        })
    }

    /// Whether chance alone is unlikely, for this cell by itself.
    pub(super) fn excludes_none(&self) -> bool {
        self.interval_percent.is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }

    /// How many more runs a side would settle whether it is `threshold` per cent: enough to have it called changed with
    /// 90 % if it is what it seems, or the same if it is less than that. `None` where the spread is not known, or
    /// as many would not do.
    pub(super) fn more_runs(&self, runs: usize, threshold: f64, level: f64) -> Option<u64> {
        let spread = self.spread?;
        let (seems, limit) = ((1.0 + self.percent / 100.0).ln().abs(), (1.0 + threshold / 100.0).ln());
        // Nearer to the threshold than half of it would take very many: a little luck is supposed there.
        let (tail, size) = match seems >= limit {
            true => (level / 2.0, seems),
            false => (0.025, (limit - seems).max(limit / 2.0)),
        };
        let fewest = if self.method == Method::Samples { FEWEST_RUNS } else { FEWEST_PAIRS } as f64;
        let (z_tail, z_power) = (-normal::quantile(tail), normal::quantile(POWER));
        let mut all = fewest;
        // Student's quantile is of the number that is sought.
        for _ in 0..STEPS {
            let standard_errors = normal::student_quantile(all - 1.0, z_tail) + z_power;
            all = (standard_errors * spread / size).powi(2).ceil().max(fewest);
        }
        (all <= 1e6).then(|| (all as u64).saturating_sub(runs as u64).max(1))
    }
}

fn percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}

/// The interval in per cent, not without what it is of.
fn interval(ends: Option<(f64, f64)>, middle: f64) -> Option<(f64, f64)> {
    ends.map(|(low, high)| (percent(low.min(middle)), percent(high.max(middle))))
}

fn in_pairs(pairs: &[f64], of_medians: f64) -> Change {
    let (middle, ends) = middle_of_pairs(pairs).unwrap_or((of_medians, None));
    Change {
        method: Method::Pairs,
        percent: percent(middle),
        interval_percent: interval(ends, middle),
        p: Some(signed_rank_p(pairs)),
        estimate: Estimate::of_pairs(pairs),
        spread: Moments::of(pairs).map(|moments| moments.variance.sqrt()),
    }
}

fn of_samples(a: &Side, b: &Side, of_medians: f64) -> Change {
    let [first, second] = [a, b].map(|side| side.times_s.iter().map(|time_s| time_s.ln()).collect::<Vec<_>>());
    Change {
        method: Method::Samples,
        percent: percent(of_medians),
        interval_percent: interval(shift_interval(&first, &second), of_medians),
        p: Some(mann_whitney_p(&first, &second)),
        estimate: Estimate::of_samples(&first, &second),
        spread: spread(a, b),
    }
}

fn by_known_spread(of_medians: f64, known: f64, n: usize, m: usize) -> Change {
    let error = known * (1.0 / n as f64 + 1.0 / m as f64).sqrt();
    let p = (2.0 * normal::upper_tail(of_medians.abs() / error)).min(1.0);
    Change {
        method: Method::KnownSpread,
        percent: percent(of_medians),
        interval_percent: interval(Some((of_medians - Z_975 * error, of_medians + Z_975 * error)), of_medians),
        p: Some(p),
        estimate: None,
        spread: Some(known * std::f64::consts::SQRT_2),
    }
}

fn spread(a: &Side, b: &Side) -> Option<f64> {
    let of = |side: &Side| side.log_variance();
    match (of(a), of(b)) {
        (Some(a), Some(b)) => Some((a + b).sqrt()),
        (one, other) => one.or(other).map(|variance| (2.0 * variance).sqrt()),
    }
}

/// A run by when it was started.
struct Started {
    at_ns: i64,
    is_b: bool,
    log_time: f64,
}

/// The logarithms of the ratios of runs that were measured in turn: sorted by when they were started, each two that
/// follow each other are one of either side. `None` where they were not, or that is not known.
pub(super) fn pairs(a: &[Run], b: &[Run], by_mean: bool) -> Option<Vec<f64>> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let of =
        |run: &Run, is_b: bool| Some(Started { at_ns: run.started_ns()?, is_b, log_time: time_s(run, by_mean).ln() });
    let both = a.iter().map(|run| of(run, false)).chain(b.iter().map(|run| of(run, true)));
    let mut both = both.collect::<Option<Vec<_>>>()?;
    both.sort_by_key(|run| (run.at_ns, run.is_b));
    let ratio = |couple: &[Started]| match couple {
        [a, b] if !a.is_b && b.is_b => Some(b.log_time - a.log_time),
        [b, a] if b.is_b && !a.is_b => Some(b.log_time - a.log_time),
        _ => None,
    };
    both.chunks(2).map(ratio).collect()
}
