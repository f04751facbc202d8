#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::{CellPattern, Failure, FailureKind, Record, sample};

fn rule(pairs: u32) -> LookRule {
    LookRule { pairs, cells: 1, alpha: 0.01, threshold_percent: 3.0 }
}

/// Pairs whose ratio is off by turns.
fn pairs(count: u32, ratio: f64, off: f64) -> Vec<Pair> {
    let turns = [0.3, -1.0, 0.8, -0.4, 0.1, 1.0, -0.7, 0.5, -0.2, -0.6];
    (1..=count).map(|repeat| Pair { repeat, log_ratio: ratio.ln() + off * turns[repeat as usize * 7 % 10] }).collect()
}

fn settled(pairs: Vec<Pair>, repeats: u32, rule: &LookRule) -> Option<Settled> {
    settle_cells(&[pairs], repeats, rule)[0]
}

#[test]
fn it_is_looked_at_few_numbers_of_pairs_and_at_the_end() {
    let looks = |pairs| rule(pairs).looks().collect::<Vec<_>>();
    assert_eq!(looks(6), [6]);
    assert_eq!(looks(12), [6, 10, 12]);
    assert_eq!(looks(40), [6, 10, 16, 24, 40]);
    assert_eq!(looks(MOST_PAIRS).last(), Some(&MOST_PAIRS));
}

#[test]
fn a_cell_is_settled_by_the_first_look_that_tells() {
    let of = |ratio: f64, off: f64| settled(pairs(40, ratio, off), 40, &rule(40)).map(|it| (it.verdict, it.repeats));
    assert_eq!(of(1.2, 0.01), Some((Verdict::Slower, 6)));
    assert_eq!(of(1.0 / 1.2, 0.01), Some((Verdict::Faster, 6)));
    assert_eq!(of(1.0, 0.005), Some((Verdict::Same, 6)));
    let later = of(1.05, 0.05).unwrap();
    assert!(later.0 == Verdict::Slower && later.1 > 6, "{later:?}");
    assert_eq!(of(1.027, 0.02), None, "about the threshold");
    assert_eq!(settled(pairs(40, 1.2, 0.01), 5, &rule(40)), None, "before the first look");
    assert_eq!(settled(pairs(5, 1.2, 0.01), 40, &rule(40)), None, "five pairs say nothing");
}

#[test]
fn what_came_after_the_look_changes_nothing() {
    let mut changing = pairs(10, 1.2, 0.01);
    changing.extend((11..=40).map(|repeat| Pair { repeat, log_ratio: 0.0 }));
    let now = settled(changing, 40, &rule(40)).unwrap();
    assert_eq!((now.verdict, now.repeats), (Verdict::Slower, 6));
}

#[test]
fn looks_and_cells_share_the_chance_to_be_wrong() {
    let p = |rule: &LookRule| settled(pairs(40, 1.2, 0.01), 40, rule).unwrap().p_adjusted;
    let one = p(&rule(40));
    let many = p(&LookRule { cells: 18, ..rule(40) });
    assert!((many / one - 18.0).abs() < 1e-6, "{many} {one}");
    let single = p(&rule(6));
    assert!((one / single - 5.0).abs() < 1e-6, "five looks: {one} {single}");
}

#[test]
fn a_wild_pair_makes_no_verdict() {
    let mut wild = pairs(6, 1.0, 0.0001);
    wild[3].log_ratio = 3.0;
    assert_eq!(settled(wild, 6, &LookRule { alpha: 0.9, ..rule(6) }), None);
}

/// A run of a side, at this minute.
fn run(side: PairSide, repeat: u32, ns: u64, minute: i64) -> Record {
    let mut record: Record = sample::record("pi", "net");
    (record.job.side, record.job.repeat) = (Some(side), repeat);
    record.job.backend = if side == PairSide::A { "a".into() } else { "b".into() };
    record.measurement.samples_ns = vec![ns; 3];
    record.started_at = Some(sample::at(minute * 60));
    record
}

fn of_engines() -> SideBySide {
    SideBySide { b: CellPattern { backends: vec!["b".into()], ..CellPattern::default() }, ..SideBySide::sample() }
}

#[test]
fn runs_that_did_not_follow_each_other_are_no_pair() {
    let (a, b) = (PairSide::A, PairSide::B);
    // B's first was given back, since the device was taken.
    let records = [
        run(a, 1, 100, 0),
        run(b, 2, 110, 2),
        run(a, 2, 100, 3),
        run(a, 3, 100, 4),
        run(b, 3, 110, 5),
        run(b, 1, 150, 6),
    ];
    let found = pairs_of(&records, &of_engines()).into_values().next().unwrap();
    assert_eq!(found.iter().map(|pair| pair.repeat).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_side_that_cannot_run_is_found_at_once_and_one_that_fails_by_chance_is_not() {
    let fails = |side: PairSide, repeat: u32, kind: FailureKind| {
        let mut record = run(side, repeat, 100, i64::from(repeat));
        record.status = RunStatus::Failed;
        record.failure = Some(Failure::new(kind, "x"));
        record
    };
    let of = |records: &[Record]| cells_that_fail(records, &of_engines()).into_values().next();
    let (a, b) = (PairSide::A, PairSide::B);
    let unsupported = [run(a, 1, 100, 0), fails(b, 1, FailureKind::BackendUnsupported)];
    assert_eq!(of(&unsupported).as_deref(), Some("B can't run: backend_unsupported: x"));
    let crashes: Vec<Record> = (1..=3).map(|repeat| fails(b, repeat, FailureKind::Crashed)).collect();
    assert_eq!(of(&crashes[..2]), None);
    assert_eq!(of(&crashes).as_deref(), Some("B can't run: crashed: x"));
    let ran_once = [crashes, vec![run(b, 4, 100, 9)]].concat();
    assert_eq!(of(&ran_once), None);
}

#[test]
fn looks_that_were_are_those_of_the_pairs_there_are() {
    assert_eq!(rule(40).taken(6), [6]);
    assert_eq!(rule(40).taken(16), [6, 10, 16]);
    assert_eq!(rule(40).taken(11), [6, 10, 11], "the budget was spent");
    assert_eq!(rule(40).taken(5), Vec::<u32>::new());
}

#[test]
fn pairs_are_of_one_repeat_and_of_both_sides() {
    let sides = of_engines();
    let record = |side: PairSide, repeat: u32, ns: u64| run(side, repeat, ns, 0);
    let mut failed = record(PairSide::B, 3, 100);
    failed.status = RunStatus::Failed;
    let records = [
        record(PairSide::B, 1, 110),
        record(PairSide::A, 1, 100),
        record(PairSide::A, 2, 100),
        record(PairSide::A, 3, 100),
        failed,
    ];
    let found = pairs_of(&records, &sides);
    assert_eq!(found.len(), 1, "one cell, whichever engine: {found:?}");
    let pairs = found.into_values().next().unwrap();
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert!(pairs[0].repeat == 1 && (pairs[0].log_ratio - 1.1_f64.ln()).abs() < 1e-12);
}
