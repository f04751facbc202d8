//! How well a device repeats itself, and what of it stands out among devices of its model.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::Verdict;
use crate::domain::{Judgement, LinkHistory, many};
use farmctl_statistics::median;

/// Share of its pairs that the distance told of a device holds for. All would be the worst of them, which grows with
/// their number.
const SHARE_TOLD: f64 = 0.9;
/// Fewest runs that something is concluded from.
const FEWEST_RUNS: usize = 3;
/// Fewest pairs, likewise.
const FEWEST_PAIRS: usize = 5;
/// How much slower than its siblings a device is to be told, in per cent. Chips of one kind differ by a few per cent.
const SLOWER_PERCENT: f64 = 5.0;
/// How much hotter, in °C: half of what lies between two steps of a phone's throttling.
const HOTTER_C: f64 = 5.0;
/// How many times as far as those of its siblings its runs lie apart to be told, and how far that is at least.
const WIDER: f64 = 2.0;
/// The least of it, in per cent: a tenth of runs that differ by less is what a busy day makes.
const WIDER_PERCENT: f64 = 3.0;
/// Share of runs with the same doubt to be told.
const OFTEN: f64 = 0.2;
/// Load of others in the middle run to be told, in per cent: half of what makes a run `disturbed`.
const BUSY_PERCENT: f64 = 2.5;

/// How many times as fast as to it files go to its siblings to be told: a USB 2 cable in a USB 3 port is a tenth.
const SLOWER_LINK: f64 = 3.0;
/// Share of its runs as often as which its connection broke to be told.
const BREAKS: f64 = 0.1;

/// A run of the past that ended well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastMeasurement<'a> {
    /// What was measured: the same on all devices.
    pub cell: &'a str,
    /// Its median.
    pub p50_ns: u64,
    /// What was found of it; `None` of runs of older versions.
    pub judged: Option<&'a Judgement>,
}

/// How well a device repeats itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceTrust {
    /// Runs that were looked at.
    pub runs: usize,
    /// Different cells of which they are.
    pub cells: usize,
    /// Pairs of runs of the same, one after the other.
    pub pairs: usize,
    /// How far the medians of a pair lie apart, in per cent of the quicker: so many and less in `pairs_within` of
    /// `pairs`. `None` without a pair.
    pub within_percent: Option<f64>,
    /// Nine of ten pairs, rounded up.
    pub pairs_within: usize,
    /// Runs of which it is known whether they are to be believed.
    pub judged: usize,
    /// Those of them that are doubtful.
    pub doubtful: usize,
    /// Other devices of its model with a cell of the same.
    pub siblings: usize,
    /// How much slower than they it is (quicker: negative), in per cent: the mean over the cells that it shares with
    /// them, each against the median of theirs. `None` without one.
    pub slower_percent: Option<f64>,
    /// What stands out.
    pub stands_out: Vec<StandOut>,
}

/// What of a device is not as of others.
#[derive(Debug, Clone, PartialEq)]
pub enum StandOut {
    /// It is slower than its siblings.
    Slower {
        /// By so much.
        percent: f64,
        /// Than so many.
        siblings: usize,
    },
    /// It is hotter than its siblings.
    Hotter {
        /// By so much.
        celsius: f64,
        /// Than so many.
        siblings: usize,
    },
    /// Its runs lie further apart than those of its siblings.
    Wider {
        /// So far.
        percent: f64,
        /// Theirs, the median of them.
        theirs: f64,
    },
    /// The same doubt often.
    Often {
        /// The doubt.
        verdict: Verdict,
        /// In so many runs.
        runs: usize,
        /// Of so many.
        of: usize,
    },
    /// Its connection breaks while it works.
    Breaks {
        /// So often.
        times: usize,
        /// In so many runs.
        runs: usize,
    },
    /// Files go to it more slowly than to its siblings.
    SlowLink {
        /// So fast, in megabytes a second, in the median.
        megabytes_per_s: f64,
        /// To its siblings, the median of them.
        theirs: f64,
    },
    /// Something else uses it all the time.
    Busy {
        /// So much of the processors' time, in the median of its runs.
        percent: f64,
    },
}

impl fmt::Display for StandOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of =
            |siblings: usize| if siblings == 1 { "its sibling".to_owned() } else { format!("its {siblings} siblings") };
        match self {
            StandOut::Slower { percent, siblings } => write!(f, "{percent:.1} % slower than {}", of(*siblings)),
            StandOut::Hotter { celsius, siblings } => write!(f, "{celsius:.0} °C hotter than {}", of(*siblings)),
            StandOut::Wider { percent, theirs } => {
                write!(f, "its runs lie {percent:.1} % apart, those of its siblings {theirs:.1} %")
            }
            StandOut::Often { verdict, runs, of } => write!(f, "{verdict} in {runs} of {of} runs"),
            StandOut::Breaks { times, runs } => {
                let [times, runs] = [(*times, "time"), (*runs, "run")].map(|(count, one)| many(count as u64, one));
                write!(f, "its connection broke {times} in {runs}: look at its cable, port or network")
            }
            StandOut::SlowLink { megabytes_per_s, theirs } => {
                write!(f, "files reach it at {megabytes_per_s:.1} MB/s, its siblings at {theirs:.1}: look at its ")?;
                f.write_str("cable, port or network")
            }
            StandOut::Busy { percent } => write!(f, "something else uses {percent:.1} % of its processors' time"),
        }
    }
}

impl Serialize for StandOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl DeviceTrust {
    /// What the runs of a device say, oldest first, and those of each of its siblings. Every run counts, doubtful ones
    /// too: it is the device that is judged.
    pub fn of(own: &[PastMeasurement<'_>], siblings: &[Vec<PastMeasurement<'_>>]) -> DeviceTrust {
        let distances = distances(own);
        let (within_percent, pairs_within) = told(distances.clone());
        let levels = levels(own);
        let others: Vec<BTreeMap<&str, f64>> = siblings.iter().map(|runs| self::levels(runs)).collect();
        let others: Vec<_> =
            others.into_iter().filter(|other| levels.keys().any(|cell| other.contains_key(cell))).collect();
        let mut trust = DeviceTrust {
            runs: own.len(),
            cells: levels.len(),
            pairs: distances.len(),
            within_percent,
            pairs_within,
            judged: own.iter().filter(|run| run.judged.is_some()).count(),
            doubtful: own.iter().filter(|run| run.judged.is_some_and(|it| it.verdict != Verdict::Ok)).count(),
            siblings: others.len(),
            slower_percent: slower_percent(&levels, &others),
            stands_out: Vec::new(),
        };
        trust.stands_out = stands_out(&trust, own, siblings);
        trust
    }

    /// The same, with what stands out of how the device is reached, and its siblings.
    #[must_use]
    pub fn with_link(mut self, own: &LinkHistory, siblings: &[&LinkHistory]) -> DeviceTrust {
        if own.broke >= FEWEST_RUNS && own.broke as f64 >= BREAKS * self.runs as f64 {
            self.stands_out.push(StandOut::Breaks { times: own.broke, runs: self.runs });
        }
        let speed = |link: &LinkHistory| {
            let mut speeds = link.push_bytes_per_s.clone();
            if speeds.len() < FEWEST_RUNS { None } else { median(&mut speeds).map(|speed| speed / 1e6) }
        };
        let mut theirs: Vec<f64> = siblings.iter().filter_map(|link| speed(link)).collect();
        if let Some((megabytes_per_s, theirs)) = speed(own).zip(median(&mut theirs))
            && megabytes_per_s * SLOWER_LINK <= theirs
        {
            self.stands_out.push(StandOut::SlowLink { megabytes_per_s, theirs });
        }
        self
    }

    /// How far runs lie apart, for people: «within 1.8 % in 9 of 10 pairs».
    pub fn repeats(&self) -> String {
        let (within, pairs) = (self.pairs_within, self.pairs);
        self.within_percent
            .map_or_else(String::new, |percent| format!("within {percent:.1} % in {within} of {pairs} pairs"))
    }
}

/// How far each two runs of the same lie apart that follow each other, in per cent of the quicker. Of those far apart
/// in time the lab's changes would be told as the device's.
fn distances(runs: &[PastMeasurement<'_>]) -> Vec<f64> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut distances = Vec::new();
    for run in runs.iter().filter(|run| run.p50_ns > 0) {
        if let Some(before) = last.insert(run.cell, run.p50_ns) {
            distances.push(distance_percent(before, run.p50_ns));
        }
    }
    distances
}

/// How far two medians, above 0, lie apart, in per cent of the quicker.
pub(super) fn distance_percent(one_ns: u64, other_ns: u64) -> f64 {
    one_ns.abs_diff(other_ns) as f64 / one_ns.min(other_ns) as f64 * 100.0
}

/// The distance that holds for nine of ten pairs, by nearest rank, and how many pairs that are.
pub(super) fn told(mut distances: Vec<f64>) -> (Option<f64>, usize) {
    distances.sort_by(f64::total_cmp);
    let rank = (distances.len() as f64 * SHARE_TOLD).ceil() as usize;
    (rank.checked_sub(1).and_then(|index| distances.get(index).copied()), rank)
}

/// The level of each cell: the median of its runs.
fn levels<'a>(runs: &[PastMeasurement<'a>]) -> BTreeMap<&'a str, f64> {
    let mut cells: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.p50_ns > 0) {
        cells.entry(run.cell).or_default().push(run.p50_ns as f64);
    }
    cells.into_iter().filter_map(|(cell, mut runs)| Some((cell, median(&mut runs)?))).collect()
}

/// The geometric mean of a device's levels by the medians of its siblings', less one, in per cent.
fn slower_percent(levels: &BTreeMap<&str, f64>, others: &[BTreeMap<&str, f64>]) -> Option<f64> {
    let ratio = |(cell, level): (&&str, &f64)| {
        let mut theirs: Vec<f64> = others.iter().filter_map(|other| other.get(cell).copied()).collect();
        Some((level / median(&mut theirs)?).ln())
    };
    let ratios: Vec<f64> = levels.iter().filter_map(ratio).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    (!ratios.is_empty()).then(|| (mean.exp() - 1.0) * 100.0)
}

/// The median of what is known of some runs; `None` of fewer than three.
fn median_of(runs: &[PastMeasurement<'_>], value: fn(&Judgement) -> Option<f64>) -> Option<f64> {
    let mut known: Vec<f64> = runs.iter().filter_map(|run| value(run.judged?)).collect();
    if known.len() < FEWEST_RUNS { None } else { median(&mut known) }
}

fn stands_out(
    trust: &DeviceTrust,
    own: &[PastMeasurement<'_>],
    siblings: &[Vec<PastMeasurement<'_>>],
) -> Vec<StandOut> {
    let mut found = Vec::new();
    // What is within what the device itself varies by says nothing.
    let limit = trust.within_percent.unwrap_or_default().max(SLOWER_PERCENT);
    if let Some(percent) = trust.slower_percent.filter(|percent| *percent > limit && trust.runs >= FEWEST_RUNS) {
        found.push(StandOut::Slower { percent, siblings: trust.siblings });
    }
    let heat = |runs: &[PastMeasurement<'_>]| median_of(runs, |judged| judged.temp_max_c);
    let mut theirs: Vec<f64> = siblings.iter().filter_map(|runs| heat(runs)).collect();
    let with_heat = theirs.len();
    if let Some(celsius) =
        heat(own).zip(median(&mut theirs)).map(|(own, theirs)| own - theirs).filter(|it| *it >= HOTTER_C)
    {
        found.push(StandOut::Hotter { celsius, siblings: with_heat });
    }
    let apart = |runs: &[PastMeasurement<'_>]| {
        let distances = distances(runs);
        if distances.len() < FEWEST_PAIRS { None } else { told(distances).0 }
    };
    let mut theirs: Vec<f64> = siblings.iter().filter_map(|runs| apart(runs)).collect();
    if let Some((percent, theirs)) = apart(own).zip(median(&mut theirs))
        && percent >= WIDER_PERCENT
        && percent >= WIDER * theirs
    {
        found.push(StandOut::Wider { percent, theirs });
    }
    for verdict in Verdict::DOUBTS.into_iter().rev() {
        let runs = own.iter().filter(|run| run.judged.is_some_and(|judged| judged.verdict == verdict)).count();
        if runs >= FEWEST_RUNS && runs as f64 >= OFTEN * trust.judged as f64 {
            found.push(StandOut::Often { verdict, runs, of: trust.judged });
        }
    }
    let busy = median_of(own, |judged| judged.other_load_percent).filter(|percent| *percent >= BUSY_PERCENT);
    found.extend(busy.map(|percent| StandOut::Busy { percent }));
    found
}

#[cfg(test)]
mod tests;
