//! What got slower.

use super::{Open, at, definition, sweep};
use crate::domain::{
    Against, Baseline, Event, EventKind, Plan, Regression, RegressionEnd, RegressionId, RegressionState, SweepCompared,
    SweepDefinition, SweepId, SweepOrder, SweepRow, SweepState, sample,
};
use crate::store::{DueComparison, NewSweep, NotificationKind, PastEvents, Store, people};

/// A sweep without jobs, of a schedule or of none, which is over at once.
fn finished(store: &dyn Store, name: &str, schedule: Option<&str>) -> SweepId {
    let row = SweepRow { id: SweepId(name.to_owned()), started_at: at(1), ..sample::sweep() };
    let row = SweepRow { finished_at: None, state: SweepState::Open, ..row };
    let ordered = SweepOrder { by: "anna".into(), schedule: schedule.map(str::to_owned) };
    let definition = SweepDefinition { ordered: Some(ordered), ..definition() };
    let plan = Plan { sweep: name.to_owned(), jobs: Vec::new(), skipped: Vec::new() };
    store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
    assert!(store.finish_sweep(&row.id, at(30)).unwrap());
    row.id
}

fn compared(sweep: &SweepId, found: &[Regression], is_told: bool) -> Event {
    let compared = SweepCompared {
        schedule: "nightly".into(),
        against: "history".into(),
        cells: 9,
        is_told,
        found: found.len() as u64,
        gone: 0,
        slower: found.to_vec(),
        ended: Vec::new(),
    };
    let kind = EventKind::SweepCompared(Box::new(compared));
    Event { at: at(40), sweep_id: Some(sweep.clone()), device: None, job_id: None, run_id: None, kind }
}

fn named(id: &str, seen_in: &SweepId) -> Regression {
    Regression { id: RegressionId(id.into()), seen_in: seen_in.clone(), ..sample::regression("a") }
}

/// A cell that a schedule's sweep found slower.
pub fn with_a_regression(store: &dyn Store) -> RegressionId {
    let sweep = finished(store, "compared", Some("nightly"));
    let found = [named("r1", &sweep)];
    assert!(store.keep_comparison(&sweep, &found, &compared(&sweep, &found, true)).unwrap());
    found[0].id.clone()
}

pub fn each_finished_sweep_of_a_schedule_is_compared_once(open: &Open) {
    let store = open();
    let (one, two) = (finished(&*store, "one", Some("nightly")), finished(&*store, "two", Some("nightly")));
    finished(&*store, "by hand", None);
    sweep(&*store, "open", &["a"], 1);
    let due = |sweep: &SweepId| DueComparison { sweep: sweep.clone(), schedule: "nightly".into() };
    assert_eq!(open().due_comparisons().unwrap(), [due(&one), due(&two)]);
    let found = [named("r1", &one)];
    assert!(store.keep_comparison(&one, &found, &compared(&one, &found, true)).unwrap());
    assert!(!open().keep_comparison(&one, &[named("r2", &one)], &compared(&one, &[], true)).unwrap());
    assert_eq!(open().regressions(true).unwrap(), found, "another process was faster, and what it found is there");
    assert_eq!(open().due_comparisons().unwrap(), [due(&two)]);
    let news = || open().pending(NotificationKind::Regressions).unwrap();
    assert_eq!(news().len(), 1);
    store.mark_notified(NotificationKind::Regressions, news()[0].0).unwrap();
    let found = [Regression { since: SweepId("another".into()), ..named("r3", &two) }];
    assert!(store.keep_comparison(&two, &found, &compared(&two, &found, false)).unwrap());
    assert_eq!(news(), [], "nobody is told of what is not to be told");
    let three = finished(&*store, "three", Some("nightly"));
    assert!(store.remove_sweep(&three).unwrap());
    assert_eq!(open().due_comparisons().unwrap(), []);
    let four = finished(&*store, "four", Some("nightly"));
    store.leave_comparison(&four).unwrap();
    assert_eq!(open().due_comparisons().unwrap(), []);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

pub fn what_is_acknowledged_stays_so(open: &Open) {
    let store = open();
    let (one, two) = (finished(&*store, "one", Some("nightly")), finished(&*store, "two", Some("nightly")));
    let found = Regression {
        against: Against::Baseline("main".into()),
        reference: SweepId("base".into()),
        ..named("r1", &one)
    };
    store.keep_comparison(&one, std::slice::from_ref(&found), &compared(&one, &[], true)).unwrap();
    let acknowledge = || people::acknowledge_regression(&*open(), &found, "anna", at(50)).unwrap();
    let acknowledged = acknowledge().unwrap();
    assert_eq!((acknowledged.state, acknowledge()), (RegressionState::Acknowledged, None));
    let acts = store.past_events(PastEvents::Acts, None, 9).unwrap();
    let expected = EventKind::RegressionAcknowledged {
        by: "anna".into(),
        regression: found.id.clone(),
        what: "a: m tract +10.0 %".into(),
    };
    assert_eq!(acts.iter().map(|(_, act)| act.kind.clone()).collect::<Vec<_>>(), [expected]);
    // A comparison that was begun before does not undo it.
    let end = RegressionEnd { at: at(60), by: None, why: "gone".into() };
    let late = Regression { seen_in: two.clone(), ..found.clone() }.ended(RegressionState::Gone, end);
    store.keep_comparison(&two, &[late], &compared(&two, &[], true)).unwrap();
    assert_eq!((open().regressions(false).unwrap(), open().regressions(true).unwrap()), (vec![acknowledged], vec![]));

    // The sweep that has the new level stays while the baseline is the one that it was compared with.
    let base = finished(&*store, "base", None);
    let set = |sweep: &SweepId| {
        let baseline = Baseline { name: "main".into(), sweep: sweep.clone(), by: "ben".into(), at: at(70) };
        people::set_baseline(&*open(), &baseline).unwrap();
    };
    set(&base);
    let kept = store.pinned_sweeps().unwrap();
    let word = "anna as a new level beside the baseline main";
    assert!(kept.contains(&(one.clone(), word.to_owned())), "{kept:?}");
    assert!(!store.remove_sweep(&one).unwrap());
    set(&two);
    assert!(store.remove_sweep(&one).unwrap());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
