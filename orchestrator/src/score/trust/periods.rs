//! How well a device repeated itself over time: by day or by week.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::Verdict;
use super::device::{PastMeasurement, distance_percent, told};

/// How long the stretches are that time is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodLength {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
}

impl PeriodLength {
    /// Each of them.
    pub const ALL: [PeriodLength; 2] = [PeriodLength::Day, PeriodLength::Week];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            PeriodLength::Day => "day",
            PeriodLength::Week => "week",
        }
    }

    /// The first day of the stretch that a day is in.
    pub fn first_day(self, day: Date) -> Date {
        match self {
            PeriodLength::Day => day,
            PeriodLength::Week => day.saturating_sub(i32::from(day.weekday().to_monday_zero_offset()).days()),
        }
    }
}

/// A run of the past, with the day that it was on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DatedMeasurement<'a> {
    /// By the clocks of the lab.
    pub day: Date,
    /// The run.
    pub run: PastMeasurement<'a>,
}

/// How well a device repeated itself in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustPeriod {
    /// Its first day.
    pub first_day: Date,
    /// Runs in it.
    pub runs: usize,
    /// Pairs of runs of the same, one after the other, whose later run is in it.
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
}

/// What is known of a stretch so far.
#[derive(Default)]
struct Collected {
    runs: usize,
    distances: Vec<f64>,
    judged: usize,
    doubtful: usize,
}

/// The stretches that there are runs in, oldest first. The runs are in the order of time; a pair may reach over the
/// border of two stretches, and counts for the later one.
pub fn trust_periods(runs: &[DatedMeasurement<'_>], length: PeriodLength) -> Vec<TrustPeriod> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut periods: BTreeMap<Date, Collected> = BTreeMap::new();
    for DatedMeasurement { day, run } in runs {
        let period = periods.entry(length.first_day(*day)).or_default();
        period.runs += 1;
        period.judged += usize::from(run.judged.is_some());
        period.doubtful += usize::from(run.judged.is_some_and(|judged| judged.verdict != Verdict::Ok));
        if run.p50_ns == 0 {
            continue;
        }
        if let Some(before) = last.insert(run.cell, run.p50_ns) {
            period.distances.push(distance_percent(before, run.p50_ns));
        }
    }
    let period = |(first_day, Collected { runs, distances, judged, doubtful })| {
        let pairs = distances.len();
        let (within_percent, pairs_within) = told(distances);
        TrustPeriod { first_day, runs, pairs, within_percent, pairs_within, judged, doubtful }
    };
    periods.into_iter().map(period).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::Judgement;

    fn judgement(verdict: Verdict) -> Judgement {
        Judgement {
            verdict,
            reason: String::new(),
            half_interval_percent: None,
            temp_max_c: None,
            other_load_percent: None,
        }
    }

    fn run<'a>(day: i8, cell: &'a str, p50_ns: u64, judged: Option<&'a Judgement>) -> DatedMeasurement<'a> {
        DatedMeasurement { day: date(2026, 11, day), run: PastMeasurement { cell, p50_ns, judged } }
    }

    #[test]
    fn weeks_begin_on_monday() {
        // The 23rd of November 2026 is one.
        let first = |day| PeriodLength::Week.first_day(date(2026, 11, day));
        assert_eq!([first(22), first(23), first(29), first(30)].map(|day| day.day()), [16, 23, 23, 30]);
        assert_eq!(PeriodLength::Week.first_day(date(2027, 1, 1)), date(2026, 12, 28));
        assert_eq!(PeriodLength::Day.first_day(date(2026, 11, 29)), date(2026, 11, 29));
    }

    #[test]
    fn a_pair_counts_where_its_later_run_is() {
        let (well, bad) = (judgement(Verdict::Ok), judgement(Verdict::Noisy));
        let runs = [
            run(20, "a", 1000, Some(&well)),
            run(21, "a", 1020, Some(&bad)),
            run(22, "b", 7, None),
            run(22, "b", 0, None),
            run(23, "a", 1122, Some(&bad)),
            run(24, "a", 1122, Some(&bad)),
        ];
        let [first, second] = &trust_periods(&runs, PeriodLength::Week)[..] else { panic!("two weeks") };
        assert_eq!((first.first_day, second.first_day), (date(2026, 11, 16), date(2026, 11, 23)));
        assert_eq!((first.runs, first.pairs, first.judged, first.doubtful), (4, 1, 2, 1));
        assert!((first.within_percent.unwrap_or_default() - 2.0).abs() < 1e-9, "{first:?}");
        assert_eq!((second.runs, second.pairs, second.pairs_within, second.doubtful), (2, 2, 2, 2));
        assert!((second.within_percent.unwrap_or_default() - 10.0).abs() < 1e-9, "{second:?}");
        let days = trust_periods(&runs, PeriodLength::Day);
        let pairs: Vec<(i8, usize)> = days.iter().map(|day| (day.first_day.day(), day.pairs)).collect();
        assert_eq!(pairs, [(20, 0), (21, 1), (22, 0), (23, 1), (24, 1)]);
        assert_eq!((days[0].within_percent, days[2].judged), (None, 0));
        assert_eq!(trust_periods(&[], PeriodLength::Day), []);
    }
}
