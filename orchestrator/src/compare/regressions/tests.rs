#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::compare::change_points::ChangeRules;
use crate::compare::history::cell_histories;
use crate::domain::sample::{at, history_cell};
use crate::domain::{Facts, PastRun, RegressionId};

/// A lab that measures one cell each night, and what it was told.
struct Nights {
    runs: Vec<PastRun>,
    known: Vec<Regression>,
    told: Vec<(usize, &'static str, String)>,
}

impl Nights {
    fn new() -> Nights {
        Nights { runs: Vec::new(), known: Vec::new(), told: Vec::new() }
    }

    fn cell() -> HistoryCell {
        history_cell("a", "m")
    }

    /// So many nights of this level, which is off by turns, each looked through when it is over.
    fn pass(&mut self, nights: usize, level_ns: u64, build: &str) {
        for _ in 0..nights {
            let night = self.runs.len();
            let off = [40, 0, 90, 10, 60, 30, 80][night % 7] * level_ns / 10_000;
            self.runs.push(PastRun {
                sweep_id: sweep(night),
                at: at(night as i64 * 86_400),
                model: "m".to_owned(),
                judged: None,
                measured: None,
                cell: Arc::new(Nights::cell()),
                median_ns: level_ns + off,
                environment: Arc::new(Facts::from([("build".to_owned(), build.to_owned())])),
                circumstances: Arc::new(Facts::new()),
            });
            self.look(night);
        }
    }

    fn look(&mut self, night: usize) {
        let id = sweep(night);
        let runs = until_sweep(self.runs.clone(), &id);
        let history = cell_histories(&runs, &ChangeRules::default()).remove(0);
        let watch = Watch {
            sweep: &id,
            at: at(0),
            schedule: "nightly",
            against: &Against::History,
            threshold_percent: 3.0,
            known: &self.known,
        };
        let watched = in_history("m", &history, &watch);
        assert_eq!(watched.cells, 1);
        self.take(night, watched);
    }

    /// The same nights, looked through when all of them were over.
    fn looked_through_late(self) -> Nights {
        let mut late = Nights { runs: self.runs, ..Nights::new() };
        (0..late.runs.len()).for_each(|night| late.look(night));
        late
    }

    fn take(&mut self, night: usize, watched: Watched) {
        for (word, list) in [("slower", watched.found), ("still", watched.still), ("gone", watched.gone)] {
            for regression in list {
                if word != "still" {
                    self.told.push((night, word, regression.since.to_string()));
                }
                self.known.retain(|known| known.id != regression.id);
                self.known.push(regression);
            }
        }
    }

    fn acknowledge(&mut self) {
        for known in self.known.iter_mut().filter(|known| known.state == RegressionState::Open) {
            let end = RegressionEnd { at: at(0), by: Some("ann".into()), why: "acknowledged".into() };
            *known = known.clone().ended(RegressionState::Acknowledged, end);
        }
    }

    fn told(&self) -> Vec<(usize, &str, &str)> {
        self.told.iter().map(|(night, word, since)| (*night, *word, since.as_str())).collect()
    }
}

fn sweep(night: usize) -> SweepId {
    SweepId(format!("night-{night:02}"))
}

#[test]
fn a_step_is_told_once_however_long_it_lasts() {
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(40, 1_100_000, "A");
    let told = nights.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1 == "slower" && (15..=17).contains(&told[0].0), "by its fourth night: {told:?}");
    let known = &nights.known[0];
    assert!((known.percent - 10.0).abs() < 0.5 && known.low_percent < 10.0 && known.p_value < 1e-3, "{known:?}");
    assert_eq!((known.reference.as_str(), known.since.as_str()), ("night-11", "night-12"));
    assert_eq!((known.seen_in.clone(), known.state), (sweep(51), RegressionState::Open), "the newest still has it");
    assert!(known.cell.starts_with("a: m ") && known.device == "a", "{}", known.cell);
}

#[test]
fn it_ends_when_it_is_gone_and_another_one_is_told_again() {
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(10, 1_100_000, "A");
    nights.pass(10, 1_000_000, "A");
    nights.pass(10, 1_150_000, "A");
    let told = nights.told();
    let words: Vec<&str> = told.iter().map(|(_, word, _)| *word).collect();
    assert_eq!(words, ["slower", "gone", "slower"], "{told:?}");
    assert!(told[1].0 >= 22 && told[1].0 <= 27 && told[1].2 == told[0].2, "{told:?}");
    let gone = nights.known.iter().find(|known| known.state == RegressionState::Gone).unwrap();
    assert!(gone.end.as_ref().is_some_and(|end| end.by.is_none() && end.why.contains("it takes 1.0")), "{gone:?}");
}

#[test]
fn what_is_acknowledged_is_the_new_level() {
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(8, 1_100_000, "A");
    nights.acknowledge();
    nights.pass(30, 1_100_000, "A");
    assert_eq!(nights.told().len(), 1, "{:?}", nights.told());
    nights.pass(10, 1_210_000, "A");
    let told = nights.told();
    assert_eq!(told.len(), 2, "a step from the new level is one: {told:?}");
    let newest = nights.known.iter().find(|known| known.state == RegressionState::Open).unwrap();
    assert!((newest.percent - 10.0).abs() < 0.7, "of the level that was acknowledged: {newest:?}");
}

#[test]
fn another_environment_is_no_alarm_and_ends_those_of_the_old_one() {
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(12, 1_300_000, "B");
    assert_eq!(nights.told(), [], "slower with another system");
    nights.pass(8, 1_450_000, "B");
    nights.pass(3, 1_450_000, "C");
    let told = nights.told();
    let words: Vec<&str> = told.iter().map(|(_, word, _)| *word).collect();
    assert_eq!(words, ["slower", "gone"], "{told:?}");
    assert_eq!(told[1].0, 32, "with the first night of the new one");
}

#[test]
fn what_is_small_noisy_faster_or_long_ago_is_no_news() {
    for (level_ns, what) in [(1_024_000, "below the threshold"), (900_000, "faster")] {
        let mut nights = Nights::new();
        nights.pass(12, 1_000_000, "A");
        nights.pass(12, level_ns, "A");
        assert_eq!(nights.told(), [], "{what}");
    }
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(60, 1_100_000, "A");
    (nights.known, nights.told) = (Vec::new(), Vec::new());
    nights.look(71);
    assert_eq!(nights.told(), [], "sixty nights ago");
}

#[test]
fn a_history_says_what_became_of_the_alarm() {
    let mut nights = Nights::new();
    nights.pass(12, 1_000_000, "A");
    nights.pass(8, 1_100_000, "A");
    let mut history = cell_histories(&nights.runs, &ChangeRules::default()).remove(0);
    with_alarms("m", &mut history, &nights.known);
    assert_eq!(history.changes[0].alarm, Some(nights.known[0].clone()));
    with_alarms("another network", &mut history.clone(), &nights.known);
    let mut other = cell_histories(&nights.runs, &ChangeRules::default()).remove(0);
    with_alarms("another network", &mut other, &nights.known);
    assert_eq!(other.changes[0].alarm, None);
}

mod baselines {
    use super::*;
    use crate::compare::tests::{STEADY, medians, run, set, side, times};
    use crate::compare::{Options, Runs, compare};

    fn looked(a: &Runs, b: &Runs, night: usize, known: &[Regression]) -> Watched {
        let comparison = compare(a, b, &Options::default()).unwrap();
        let (id, against) = (sweep(night), Against::Baseline("main".into()));
        let watch =
            Watch { sweep: &id, at: at(0), schedule: "nightly", against: &against, threshold_percent: 3.0, known };
        in_comparison(&comparison, &SweepId("base".into()), &watch)
    }

    fn ids(list: &[Regression]) -> Vec<RegressionId> {
        list.iter().map(|it| it.id.clone()).collect()
    }

    #[test]
    fn two_slower_nights_are_told_once_and_the_end_too() {
        let base = medians("base", &STEADY);
        let night = |name: &str, factor: f64| medians(name, &times(&STEADY, factor));
        let first = looked(&base, &night("one", 1.1), 1, &[]);
        assert_eq!((first.cells, first.found.len(), first.gone.len()), (1, 1, 0));
        let found = &first.found[0];
        assert!((found.percent - 10.0).abs() < 0.5 && found.low_percent < found.percent, "{found:?}");
        assert_eq!((found.reference.as_str(), found.since.clone()), ("base", sweep(1)));
        let second = looked(&base, &night("two", 1.1), 2, &first.found);
        assert_eq!((second.found.len(), ids(&second.still)), (0, ids(&first.found)));
        assert_eq!(second.still[0].seen_in, sweep(2));
        let third = looked(&base, &night("three", 1.0), 3, &second.still);
        assert_eq!((third.found.len(), ids(&third.gone)), (0, ids(&first.found)));
        let again = looked(&base, &night("four", 1.1), 4, &third.gone);
        assert_eq!(again.found.len(), 1, "it was gone in between");
        assert_ne!(again.found[0].id, found.id);
    }

    #[test]
    fn what_cannot_be_told_changes_nothing() {
        let base = medians("base", &STEADY);
        let first = looked(&base, &medians("one", &times(&STEADY, 1.1)), 1, &[]);
        let single = looked(&base, &medians("two", &[1.0]), 2, &first.found);
        assert_eq!((single.found.len(), single.gone.len()), (0, 0));
        // Another system: not comparable.
        let of_system = |name: &str, factor: f64, os: &str| {
            let runs = STEADY.iter().enumerate().map(|(number, median_s)| {
                let mut facts = run("net", name, number, median_s * factor);
                set(&mut facts, "os", os);
                facts
            });
            side(name, runs)
        };
        let other = looked(&of_system("a", 1.0, "A"), &of_system("b", 1.5, "B"), 3, &[]);
        assert_eq!((other.cells, other.found.len()), (0, 0), "{other:?}");
    }
}

#[test]
fn a_backlog_is_told_as_each_night_would_have_been() {
    let pass = || {
        let mut nights = Nights::new();
        nights.pass(12, 1_000_000, "a");
        nights.pass(12, 1_200_000, "a");
        nights.pass(12, 1_000_000, "a");
        nights
    };
    let in_time = pass();
    assert!(in_time.told.iter().any(|(_, word, _)| *word == "slower"), "{:?}", in_time.told);
    assert_eq!(pass().looked_through_late().told, in_time.told, "no night is judged by those behind it");
}
