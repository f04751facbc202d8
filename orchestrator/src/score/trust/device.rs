//! How well a device repeats itself, and what of it stands out among devices of its model.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::Verdict;
use crate::domain::{Judgement, LinkHistory};
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
                write!(f, "its connection broke {times} times in {runs} runs: look at its cable, port or network")
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
fn middle(runs: &[PastMeasurement<'_>], value: fn(&Judgement) -> Option<f64>) -> Option<f64> {
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
    let heat = |runs: &[PastMeasurement<'_>]| middle(runs, |judged| judged.temp_max_c);
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
    let busy = middle(own, |judged| judged.other_load_percent).filter(|percent| *percent >= BUSY_PERCENT);
    found.extend(busy.map(|percent| StandOut::Busy { percent }));
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn run(cell: &'static str, p50_ns: u64) -> PastMeasurement<'static> {
        PastMeasurement { cell, p50_ns, judged: None }
    }

    fn said(trust: &DeviceTrust) -> Vec<String> {
        trust.stands_out.iter().map(ToString::to_string).collect()
    }

    fn judgement(verdict: Verdict, temp_max_c: f64, other_load_percent: f64) -> Judgement {
        let (temp_max_c, other_load_percent) = (Some(temp_max_c), Some(other_load_percent));
        Judgement { verdict, reason: String::new(), half_interval_percent: None, temp_max_c, other_load_percent }
    }

    #[test]
    fn nine_of_ten_pairs_are_told() {
        // Ten pairs of one cell by 1 %, but for one by a half; between them those of another cell.
        let mut runs = Vec::new();
        let mut level = 1_000_000;
        for step in 0..11 {
            runs.extend([run("a", level), run("b", 500)]);
            level = if step == 4 { level * 3 / 2 } else { level * 101 / 100 };
        }
        runs.retain(|run| run.cell == "a");
        let trust = DeviceTrust::of(&runs, &[]);
        assert_eq!((trust.runs, trust.cells, trust.pairs, trust.pairs_within), (11, 1, 10, 9));
        assert_eq!(trust.repeats(), "within 1.0 % in 9 of 10 pairs");
        let few = DeviceTrust::of(&runs[4..6], &[]);
        assert_eq!(few.repeats(), "within 50.0 % in 1 of 1 pairs");
        let none = DeviceTrust::of(&[run("a", 5), run("b", 7), run("c", 0)], &[]);
        assert_eq!((none.cells, none.pairs, none.repeats(), none.slower_percent), (2, 0, String::new(), None));
    }

    #[test]
    fn a_device_is_held_against_its_siblings_by_what_all_have_measured() {
        let own = [run("a", 1100), run("a", 1102), run("b", 2200), run("c", 9)];
        let like = vec![run("a", 1000), run("b", 2000), run("d", 1)];
        let slow = vec![run("a", 1500)];
        let trust = DeviceTrust::of(&own, &[like.clone(), slow, vec![run("e", 7)]]);
        // Cell a: 1101 by 1250; cell b: 2200 by 2000.
        let expected = ((1101.0_f64 / 1250.0 * 1.1).sqrt() - 1.0) * 100.0;
        assert_eq!(trust.siblings, 2, "one has measured nothing of the same");
        assert!((trust.slower_percent.unwrap() - expected).abs() < 1e-9, "{trust:?}");
        assert_eq!(said(&trust), Vec::<String>::new());
        let trust = DeviceTrust::of(&own, &[like]);
        assert_eq!(said(&trust), ["10.0 % slower than its sibling"]);
        // One that varies by as much can't be told from that.
        let unsteady = [run("a", 1000), run("a", 1200), run("a", 1100)];
        assert_eq!(said(&DeviceTrust::of(&unsteady, &[vec![run("a", 1000)]])), Vec::<String>::new());
    }

    #[test]
    fn a_bad_cable_is_said_and_a_quiet_twin_is_not() {
        let link = |broke: usize, megabytes_per_s: &[f64]| LinkHistory {
            broke,
            push_bytes_per_s: megabytes_per_s.iter().map(|it| it * 1e6).collect(),
        };
        let runs: Vec<PastMeasurement<'_>> = (0..20).map(|_| run("a", 100)).collect();
        let trust = DeviceTrust::of(&runs, &[]);
        let (well, bad) = (link(1, &[38.0, 40.0, 41.0]), link(7, &[3.0, 4.0, 39.0, 3.5]));
        let told = said(&trust.clone().with_link(&bad, &[&well, &well]));
        let expected = [
            "its connection broke 7 times in 20 runs: look at its cable, port or network",
            "files reach it at 3.8 MB/s, its siblings at 40.0: look at its cable, port or network",
        ];
        assert_eq!(told, expected);
        assert_eq!(said(&trust.clone().with_link(&well, &[&bad, &well])), Vec::<String>::new());
        assert_eq!(said(&trust.clone().with_link(&link(2, &[3.0, 3.0]), &[&well])), Vec::<String>::new(), "too few");
        assert_eq!(said(&trust.with_link(&link(0, &[3.0; 5]), &[])), Vec::<String>::new(), "nobody to compare with");
    }

    #[test]
    fn what_stands_out_is_said() {
        let (well, hot) = (judgement(Verdict::Ok, 40.0, 0.1), judgement(Verdict::Throttled, 52.0, 3.0));
        let of =
            |judged: &'static str, levels: &[u64], judgement: &'static Judgement| -> Vec<PastMeasurement<'static>> {
                levels
                    .iter()
                    .map(|level| PastMeasurement { cell: judged, p50_ns: *level, judged: Some(judgement) })
                    .collect()
            };
        let (well, hot): (&'static Judgement, &'static Judgement) =
            (Box::leak(Box::new(well)), Box::leak(Box::new(hot)));
        let siblings = vec![of("a", &[100, 100, 101, 100, 100, 101], well); 3];
        let own = of("a", &[100, 110, 100, 109, 100, 110], hot);
        let trust = DeviceTrust::of(&own, &siblings);
        let expected = [
            "12 °C hotter than its 3 siblings",
            "its runs lie 10.0 % apart, those of its siblings 1.0 %",
            "throttled in 6 of 6 runs",
            "something else uses 3.0 % of its processors' time",
        ];
        assert_eq!(said(&trust), expected);
        assert_eq!((trust.judged, trust.doubtful), (6, 6));
        assert_eq!(
            said(&DeviceTrust::of(&siblings[0], &siblings[1..])),
            Vec::<String>::new(),
            "a quiet twin is not told"
        );
        assert_eq!(said(&DeviceTrust::of(&own[..2], &siblings)), Vec::<String>::new(), "two runs say nothing");
    }
}
