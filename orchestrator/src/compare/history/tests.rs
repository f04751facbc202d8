#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::sample::{at, history_cell};
use crate::domain::{JobId, Judgement, MeasuredJob, Verdict};

fn cell(device: &str) -> Arc<HistoryCell> {
    Arc::new(history_cell(device, "m"))
}

fn facts(entries: &[(&str, &str)]) -> Facts {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn run(night: usize, median_ns: u64, environment: &[(&str, &str)], circumstances: &[(&str, &str)]) -> PastRun {
    PastRun {
        sweep_id: SweepId(format!("night-{night:02}")),
        at: at(night as i64 * 86_400),
        model: "m".to_owned(),
        judged: None,
        cell: cell("a"),
        median_ns,
        environment: Arc::new(facts(environment)),
        circumstances: Arc::new(facts(circumstances)),
        measured: None,
    }
}

/// A level that is off by turns.
fn off(night: usize, median_ns: u64) -> u64 {
    median_ns + [40, 0, 90, 10, 60][night % 5] * median_ns / 10_000
}

fn history(runs: &[PastRun]) -> CellHistory {
    let mut found = cell_histories(runs, &ChangeRules::default());
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn repeats_of_a_sweep_are_one_point() {
    let runs: Vec<PastRun> = [30, 10, 20, 50].iter().map(|ns| run(1, *ns, &[], &[])).collect();
    let found = history(&runs);
    assert_eq!((found.points.len(), found.points[0].p50_ns, found.points[0].runs), (1, 25.0, 4));
    assert!(found.changes.is_empty());
}

#[test]
fn what_was_measured_again_counts_once() {
    let measured = |job: &str, rerun: u32, median_ns: u64, verdict: Verdict| {
        let judged = Judgement {
            verdict,
            reason: String::new(),
            half_interval_percent: None,
            temp_max_c: None,
            other_load_percent: None,
        };
        let measured = Some(MeasuredJob { first: JobId(job.to_owned()), rerun });
        PastRun { judged: Some(Arc::new(judged)), measured, ..run(1, median_ns, &[], &[]) }
    };
    let (ok, noisy) = (Verdict::Ok, Verdict::Noisy);
    // The first that is ok; else the last; and what was measured once, whatever it is. The newest come first.
    let runs = [
        measured("a", 2, 77, ok),
        measured("b", 1, 20, noisy),
        measured("a", 1, 10, ok),
        measured("c", 0, 30, noisy),
        measured("b", 0, 99, noisy),
        measured("a", 0, 88, noisy),
    ];
    let found = history(&runs);
    assert_eq!((found.points.len(), found.points[0].p50_ns, found.points[0].runs), (1, 20.0, 3));
    let other_sweep = PastRun { sweep_id: SweepId("night-02".to_owned()), ..measured("a", 0, 50, noisy) };
    let found = history(&[runs[0].clone(), other_sweep]);
    assert_eq!(found.points.len(), 2, "a job of another sweep is another one");
}

#[test]
fn a_step_is_told_with_what_changed_there() {
    let runs: Vec<PastRun> = (0..20)
        .map(|night| {
            let (ns, farmctl, warm) = if night < 12 { (1_000_000, "0.1", "30.0") } else { (1_100_000, "0.2", "41.0") };
            run(night, off(night, ns), &[("os", "A")], &[("farmctl", farmctl), ("temp_start_c", warm)])
        })
        .collect();
    let found = history(&runs);
    assert_eq!(found.changes.len(), 1, "{:?}", found.changes);
    let change = &found.changes[0];
    assert_eq!((change.kind, change.point, change.sweep_id.as_str()), (ChangeKind::Slower, 12, "night-12"));
    assert!((change.percent - 10.0).abs() < 0.5 && change.certainty.unwrap().p_value < 1e-6, "{change:?}");
    let changed: Vec<&str> = change.changed.iter().map(|it| it.fact.as_str()).collect();
    assert_eq!(changed, ["farmctl", "temp_start_c"]);
    assert_eq!(change.changed[1].after.as_deref(), Some("41.0"));
}

#[test]
fn another_environment_is_another_series_and_no_alarm() {
    let runs: Vec<PastRun> = (0..20)
        .map(|night| {
            let (ns, build) = if night < 10 { (1_000_000, "A") } else { (1_300_000, "B") };
            run(night, off(night, ns), &[("build", build)], &[])
        })
        .collect();
    let found = history(&runs);
    assert_eq!(found.changes.len(), 1, "{:?}", found.changes);
    let change = &found.changes[0];
    assert_eq!((change.kind, change.point, change.certainty), (ChangeKind::Environment, 10, None));
    assert!((change.percent - 30.0).abs() < 0.5, "{change:?}");
    let expected = FactChange { fact: "build".into(), before: Some("A".into()), after: Some("B".into()) };
    assert_eq!(change.changed, [expected]);
    assert_eq!(found.points.iter().map(|it| it.series).max(), Some(2));
}

#[test]
fn nights_of_another_environment_do_not_end_a_series() {
    let runs: Vec<PastRun> = (0..24)
        .map(|night| {
            let build = if (10..12).contains(&night) { "B" } else { "A" };
            run(night, off(night, if night < 18 { 1_000_000 } else { 1_100_000 }), &[("build", build)], &[])
        })
        .collect();
    let kinds: Vec<ChangeKind> = history(&runs).changes.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [ChangeKind::Environment, ChangeKind::Environment, ChangeKind::Slower]);
}

#[test]
fn each_cell_has_its_own_history() {
    let mut runs: Vec<PastRun> = (0..3).map(|night| run(night, 10, &[], &[])).collect();
    runs[1].cell = cell("b");
    let found = cell_histories(&runs, &ChangeRules::default());
    let points: Vec<usize> = found.iter().map(|it| it.points.len()).collect();
    assert_eq!(points, [2, 1]);
}
