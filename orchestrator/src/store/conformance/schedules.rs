//! What is due, and what is handed to the daemon.

use super::*;

pub fn a_due_time_is_begun_once(open: &Open) {
    let store = open();
    assert_eq!(store.settled_until("nightly", "at ten", at(0)).unwrap(), at(0));
    let why = Some("overlap".to_owned());
    store.settle_due("nightly", &[(at(10), None), (at(20), why.clone()), (at(30), None)], at(31)).unwrap();
    store.settle_due("nightly", &[(at(10), why.clone())], at(32)).unwrap();
    assert_eq!(open().settled_until("nightly", "at ten", at(99)).unwrap(), at(30));
    assert_eq!(open().waiting_starts("nightly").unwrap(), [at(30)]);

    let begin = |name: &str, seconds: i64| {
        let row = SweepRow { id: SweepId(name.to_owned()), ..crate::domain::sample::sweep() };
        let row = SweepRow { finished_at: None, state: SweepState::Open, ..row };
        let due = DueTime { schedule: "nightly".into(), due_at: at(seconds) };
        let plan = Plan { sweep: name.to_owned(), jobs: vec![job("a", 0)], skipped: Vec::new() };
        let definition = SweepDefinition { due: Some(due), ..definition() };
        open().create_sweep(&NewSweep::new(&row, &definition, &plan)).map(|()| row)
    };
    let row = begin("one", 30).unwrap();
    for seconds in [10, 20, 30, 40] {
        assert!(matches!(begin("two", seconds), Err(StoreError::NotWaiting { .. })), "{seconds}");
    }
    assert_eq!(open().sweeps().unwrap().len(), 1, "what was refused is not there");
    // Settled again, by a process that did not know: nothing changes.
    store.settle_due("nightly", &[(at(30), None)], at(33)).unwrap();
    store.settle_due("nightly", &[(at(30), why.clone())], at(33)).unwrap();
    assert_eq!(open().waiting_starts("nightly").unwrap(), []);

    let [unfinished] = open().unfinished_sweeps("nightly").unwrap().try_into().unwrap();
    assert_eq!((unfinished.sweep_id, unfinished.due_at, unfinished.state), (row.id.clone(), at(30), SweepState::Open));
    let starts = open().scheduled_starts(Some("nightly"), 2).unwrap();
    let of = |start: &crate::domain::ScheduledStart| {
        (start.due.due_at, start.state, start.why.clone(), start.sweep_id.clone())
    };
    assert_eq!(of(&starts[0]), (at(30), StartState::Begun, None, Some(row.id.clone())));
    assert_eq!(of(&starts[1]), (at(20), StartState::Skipped, why, None));
    assert_eq!(open().scheduled_starts(Some("other"), 9).unwrap(), []);

    let run = claim(&*store, &row, "a", "host", 40);
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(41)).unwrap();
    store.finish_sweep(&row.id, at(41)).unwrap();
    assert_eq!(open().unfinished_sweeps("nightly").unwrap(), []);
}

pub fn what_people_begin_by_a_schedule_is_among_its_starts(open: &Open) {
    let begin = |name: &str, seconds: i64, schedule: Option<&str>| {
        let row = SweepRow { id: SweepId(name.to_owned()), started_at: at(seconds), ..crate::domain::sample::sweep() };
        let row = SweepRow { finished_at: None, state: SweepState::Open, ..row };
        let ordered = crate::domain::SweepOrder { by: "anna".into(), schedule: schedule.map(str::to_owned) };
        let definition = SweepDefinition { ordered: Some(ordered), ..definition() };
        let plan = Plan { sweep: name.to_owned(), jobs: vec![job("a", 0)], skipped: Vec::new() };
        let order = crate::store::people::order(&row.id, "anna", "it", at(seconds));
        let new = NewSweep { order: Some(&order), ..NewSweep::new(&row, &definition, &plan) };
        open().create_sweep(&new).unwrap();
    };
    open().settled_until("nightly", "at ten", at(0)).unwrap();
    begin("one", 10, Some("nightly"));
    begin("two", 20, None);
    begin("three", 30, Some("nightly"));
    open().settle_due("nightly", &[(at(20), Some("overlap".to_owned()))], at(21)).unwrap();
    let starts = open().scheduled_starts(Some("nightly"), 9).unwrap();
    let told: Vec<_> = starts.iter().map(|it| (it.due.due_at, it.by.as_deref(), it.sweep_id.clone())).collect();
    let id = |name: &str| Some(SweepId(name.to_owned()));
    assert_eq!(told, [(at(30), Some("anna"), id("three")), (at(20), None, None), (at(10), Some("anna"), id("one"))]);
    assert_eq!(open().scheduled_starts(None, 1).unwrap().len(), 1);
    assert!(open().unfinished_sweeps("nightly").unwrap().is_empty(), "none of them keeps the schedule's own off");
    let acts = open().past_events(crate::store::PastEvents::Acts, None, 9).unwrap();
    assert_eq!(acts.len(), 3, "who began a sweep is kept with it");
}

pub fn a_schedule_that_changes_begins_anew(open: &Open) {
    open().settled_until("nightly", "at ten", at(0)).unwrap();
    open().settle_due("nightly", &[(at(10), None)], at(10)).unwrap();
    assert_eq!(open().settled_until("nightly", "at ten", at(50)).unwrap(), at(10));
    assert_eq!(open().settled_until("nightly", "at four", at(60)).unwrap(), at(60));
    assert_eq!(open().settled_until("nightly", "at four", at(70)).unwrap(), at(60));
    assert_eq!(open().waiting_starts("nightly").unwrap(), [at(10)], "what waits is not forgotten");
    assert_eq!(open().settled_until("weekly", "at four", at(80)).unwrap(), at(80));
}

pub fn a_schedule_is_paused_by_one_until_it_is_resumed(open: &Open) {
    let pause = |by: &str| SchedulePause { schedule: "nightly".into(), by: by.into(), since: at(5) };
    assert_eq!(open().schedule_pauses().unwrap(), []);
    assert!(people::pause_schedule(open().as_ref(), &pause("anna")).unwrap());
    assert!(!people::pause_schedule(open().as_ref(), &pause("ben")).unwrap(), "it is paused already");
    assert_eq!(open().schedule_pauses().unwrap(), [pause("anna")]);
    let resumed = |name| people::resume_schedule(open().as_ref(), name, "anna", at(6)).unwrap();
    assert!(!resumed("weekly") && resumed("nightly") && !resumed("nightly"));
    assert_eq!(open().last_event().unwrap(), 2, "each change has one event");
    assert_eq!(open().schedule_pauses().unwrap(), []);
}

pub fn a_person_goes_before_a_schedule(open: &Open) {
    let store = open();
    store.settled_until("nightly", "at ten", at(0)).unwrap();
    store.settle_due("nightly", &[(at(1), None)], at(1)).unwrap();
    let due = DueTime { schedule: "nightly".into(), due_at: at(1) };
    let row = SweepRow { id: SweepId("night".into()), finished_at: None, state: SweepState::Open, ..sample::sweep() };
    let plan = Plan { sweep: "night".into(), jobs: vec![job("a", 0), job("a", 1)], skipped: Vec::new() };
    let definition = SweepDefinition { due: Some(due), ..definition() };
    store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
    let (person, _) = sweep(&*store, "person", &["a"], 2);
    let (other, _) = sweep(&*store, "other", &["a"], 1);

    let wait = Duration::from_secs(40);
    store.add_device_waiter("a", &person.id, wait, at(0)).unwrap();
    assert_eq!(open().claim(&row.id, "a", "host", LEASE, at(10)).unwrap(), Claim::Preempted(person.id.clone()));
    assert_eq!(open().preempted_by("a", &row.id, at(39)).unwrap(), Some(person.id.clone()));
    assert_eq!(open().preempted_by("b", &row.id, at(39)).unwrap(), None);
    assert_eq!(open().preempted_by("a", &other.id, at(39)).unwrap(), None, "people are equal");
    assert_eq!(open().preempted_by("a", &row.id, at(40)).unwrap(), None, "whoever waited is gone");
    store.add_device_waiter("a", &person.id, wait, at(50)).unwrap();
    store.remove_device_waiter("a", &person.id).unwrap();
    claim(&*open(), &row, "a", "host", 50);
    store.add_device_waiter("a", &row.id, wait, at(50)).unwrap();
    claim(&*open(), &person, "a", "host", 51);
}

pub fn a_sweep_and_its_skipped_cells_are_handed_over_at_once(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a"], 1);
    let row = SweepRow { id: SweepId("given".into()), ..first };
    let (definition, submission) = (definition(), handed("ann", 1));
    let twice = [(); 2].map(|()| record(&row.id, &job("bb", 9), None, RunStatus::Skipped));
    let new = NewSweep { submission: Some(&submission), skipped: &twice, ..NewSweep::new(&row, &definition, &plan) };
    // A cell has one record: all of it is undone.
    assert!(store.create_sweep(&new).is_err());
    assert_eq!((store.sweeps().unwrap().len(), store.submitted_to_daemon().unwrap()), (1, vec![]));
    store.create_sweep(&NewSweep { skipped: &twice[..1], ..new }).unwrap();
    assert_eq!(open().records(&row.id).unwrap(), twice[..1]);
    assert_eq!(
        open().submitted_to_daemon().unwrap(),
        [SubmittedSweep { sweep_id: row.id, state: SweepState::Open, submission }]
    );
}

pub fn a_sweep_is_handed_over_and_taken_back(open: &Open) {
    let store = open();
    let (one, _) = sweep(&*store, "one", &["a"], 1);
    let (two, _) = sweep(&*store, "two", &["a"], 0);
    assert!(store.submit_to_daemon(&SweepId("unknown".into()), &handed("ann", 1)).is_err());
    store.submit_to_daemon(&one.id, &handed("ann", 1)).unwrap();
    store.submit_to_daemon(&two.id, &handed("bob", 2)).unwrap();
    store.submit_to_daemon(&one.id, &handed("cyd", 3)).unwrap();
    let given = || open().submitted_to_daemon().unwrap().into_iter().map(|it| (it.sweep_id, it.submission.by));
    assert_eq!(given().collect::<Vec<_>>(), [(two.id.clone(), "bob".into()), (one.id.clone(), "cyd".to_owned())]);
    assert!(store.finish_sweep(&two.id, at(4)).unwrap());
    store.cancel_sweep(&one.id, None).unwrap();
    assert_eq!(
        store.submitted_to_daemon().unwrap()[0].state,
        SweepState::Cancelling,
        "what is over is the daemon's no more"
    );
    assert!(store.withdraw(&one.id).unwrap() && !store.withdraw(&one.id).unwrap());
    assert_eq!(given().count(), 0);
}
