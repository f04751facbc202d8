//! Sweeps: made, finished, cancelled, taken out.

use super::*;

pub fn sweep_is_there_once(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a"], 2);
    let again = store.create_sweep(&NewSweep::new(&first, &definition(), &plan));
    assert!(matches!(again, Err(StoreError::SweepExists { .. })));
    let later = SweepRow { id: SweepId("later".into()), started_at: at(5), ..first.clone() };
    let retry = SweepDefinition { retry_of: Some(first.id.clone()), ..definition() };
    store.create_sweep(&NewSweep { jobs: &[], ..NewSweep::new(&later, &retry, &plan) }).unwrap();
    assert_eq!(open().sweeps().unwrap(), [later.clone(), first.clone()]);
    assert_eq!(open().open_jobs(&first.id, None).unwrap(), plan.jobs);
    assert_eq!(open().definition(&later.id).unwrap(), Some(retry));
    assert!(matches!(store.definition(&SweepId("unknown".into())), Err(StoreError::UnknownSweep { .. })));
    assert_eq!(store.lab_id().unwrap(), open().lab_id().unwrap());
}

pub fn records_come_in_the_order_of_the_plan(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 3);
    let skipped = [job("elsewhere", 9), job("elsewhere", 8)].map(|job| record(&row.id, &job, None, RunStatus::Skipped));
    skipped.iter().for_each(|record| store.add_record(record).unwrap());
    assert!(is_stale(store.add_record(&skipped[0])), "a cell that is no job has one record too");
    let cells: Vec<_> = plan.jobs.iter().map(|job| record(&row.id, job, None, RunStatus::Cancelled)).collect();
    cells.iter().rev().for_each(|record| store.add_record(record).unwrap());
    let all = [&cells[..], &skipped[..]].concat();
    assert_eq!(store.records(&row.id).unwrap(), all);
    let numbers = store.record_numbers(&row.id).unwrap();
    assert_eq!(store.records_by_number(&row.id, &numbers).unwrap(), all, "part by part they are the same");
    assert_eq!(store.records_by_number(&row.id, &numbers[1..3]).unwrap(), all[1..3]);
    let elsewhere = SweepId("elsewhere".into());
    assert_eq!(store.record_numbers(&elsewhere).unwrap(), [0i64; 0]);
    let gone = store.records_by_number(&elsewhere, &numbers[..1]);
    assert!(matches!(gone, Err(StoreError::UnknownSweep { .. })), "{gone:?}");
}

pub fn sweep_finishes_with_its_last_record(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Cancelled)).unwrap();
    assert!(!store.finish_sweep(&row.id, at(1)).unwrap());
    store.add_record(&record(&row.id, &plan.jobs[1], None, RunStatus::Cancelled)).unwrap();
    assert!(store.finish_sweep(&row.id, at(2)).unwrap());
    assert!(store.finish_sweep(&row.id, at(3)).unwrap());
    let finished = &store.sweeps().unwrap()[0];
    assert_eq!((finished.finished_at, finished.state), (Some(at(2)), SweepState::Finished), "the first time stays");
    assert!(matches!(store.finish_sweep(&SweepId("unknown".into()), at(1)), Err(StoreError::UnknownSweep { .. })));
}

pub fn sweeps_that_are_long_over_are_told_apart(open: &Open) {
    let store = open();
    let end = |name, seconds| {
        let (row, plan) = sweep(&*store, name, &["a"], 1);
        store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Ok)).unwrap();
        assert!(store.finish_sweep(&row.id, at(seconds)).unwrap());
    };
    end("long", 10);
    end("just", 20);
    let (ending, _) = sweep(&*store, "ending", &["a"], 1);
    store.cancel_sweep(&ending.id, None).unwrap();
    sweep(&*store, "open", &["a"], 1);
    let since = |seconds| -> Vec<String> {
        store
            .sweeps_since(at(seconds))
            .unwrap()
            .into_iter()
            .map(|row| row.id.0[16..row.id.0.len() - 5].to_owned())
            .collect()
    };
    assert_eq!(since(10), ["open", "just", "ending"]);
    assert_eq!(since(9), ["open", "long", "just", "ending"]);
    assert_eq!(since(20), ["open", "ending"]);
    let all = store.sweeps().unwrap();
    assert_eq!(store.newest_sweeps("", 2).unwrap(), all[..2]);
    let wanted = all.iter().find(|row| row.name == "long").unwrap();
    assert_eq!(store.newest_sweeps(wanted.id.as_str(), 9).unwrap(), std::slice::from_ref(wanted));
    assert_eq!(store.newest_sweeps("no such", 9).unwrap(), []);
    assert_eq!(store.sweep(&wanted.id).unwrap().as_ref(), Some(wanted));
    assert_eq!(store.sweep(&SweepId("unknown".into())).unwrap(), None);
    let open: Vec<_> = store.open_sweeps().unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(open, all.iter().filter(|row| !row.state.is_over()).map(|row| row.name.clone()).collect::<Vec<_>>());
    assert_eq!(store.last_start(&wanted.id).unwrap(), None);
}

pub fn a_cancelled_sweep_ends_so(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 1);
    store.cancel_sweep(&row.id, None).unwrap();
    store.cancel_sweep(&row.id, None).unwrap();
    assert_eq!(open().sweep_state(&row.id).unwrap(), SweepState::Cancelling);
    store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Cancelled)).unwrap();
    assert!(store.finish_sweep(&row.id, at(2)).unwrap());
    assert_eq!(open().sweep_state(&row.id).unwrap(), SweepState::Cancelled);
    let error = people::cancel_sweep(&*store, &row.id, "ann", at(3)).unwrap_err();
    assert!(matches!(error, StoreError::IllegalStep { .. }), "{error}");
}

pub fn one_process_at_a_time_has_a_sweep(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let first = taken(open().lease_sweep(&row.id, "host", LEASE, at(0)).unwrap());
    let LeaseOutcome::Held(holder) = open().lease_sweep(&row.id, "other", LEASE, at(59)).unwrap() else { panic!() };
    assert_eq!((holder.holder.as_str(), holder.until), ("host", at(60)));
    assert_eq!(open().sweep_holder(&row.id, at(59)).unwrap(), Some(holder));
    assert_eq!(open().sweep_holder(&row.id, at(60)).unwrap(), None);
    let second = taken(open().lease_sweep(&row.id, "other", LEASE, at(60)).unwrap());
    assert!(second > first);
    open().release_sweep(&row.id, first).unwrap();
    assert!(open().sweep_holder(&row.id, at(61)).unwrap().is_some(), "what was lost can't be given back");
    open().release_sweep(&row.id, second).unwrap();
    assert_eq!(open().sweep_holder(&row.id, at(61)).unwrap(), None);
}

pub fn a_sweep_leaves_whole_or_not_at_all(open: &Open) {
    let store = open();
    let (pinned, gone) = (over(&*store, "pinned"), over(&*store, "gone"));
    let (still_open, _) = sweep(&*store, "open", &["a"], 1);
    people::pin_sweep(&*store, &pinned.id, "ann", at(40)).unwrap();
    assert!(!people::pin_sweep(&*store, &pinned.id, "bob", at(41)).unwrap());
    assert_eq!(open().pinned_sweeps().unwrap(), [(pinned.id.clone(), "ann".to_owned())]);
    assert!(people::pin_sweep(&*store, &SweepId("unknown".into()), "ann", at(40)).is_err());
    let bytes: Vec<SweepId> =
        store.sweep_bytes().unwrap().into_iter().filter(|(_, bytes)| *bytes > 100).map(|(id, _)| id).collect();
    assert_eq!(bytes, [gone.id.clone(), pinned.id.clone()]);
    assert_eq!(store.outputs_named().unwrap().into_iter().collect::<Vec<_>>(), ["gone", "pinned"]);

    assert!(!store.remove_sweep(&pinned.id).unwrap() && !store.remove_sweep(&still_open.id).unwrap());
    store.append_event(&people::order(&gone.id, "ann", "configs/all.yaml", at(1))).unwrap();
    let acts = || store.past_events(PastEvents::Acts, None, 9).unwrap();
    let before = acts();
    assert!(store.remove_sweep(&gone.id).unwrap() && !store.remove_sweep(&gone.id).unwrap());
    assert_eq!(acts(), before, "who began it is told for longer than the sweep");
    let kinds: Vec<_> = before.iter().map(|(_, event)| &event.kind).collect();
    let pinned_by_ann = EventKind::SweepPinned { by: "ann".into(), sweep: pinned.id.clone() };
    let ordered = EventKind::SweepOrdered { by: "ann".into(), what: "configs/all.yaml".into() };
    assert_eq!(kinds, [&ordered, &pinned_by_ann]);
    let left: BTreeSet<SweepId> = open().sweeps().unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, BTreeSet::from([pinned.id.clone(), still_open.id]));
    assert_eq!((store.records(&gone.id).unwrap().len(), store.events(&gone.id).unwrap().len()), (0, 0));
    assert_eq!(store.outputs_named().unwrap().into_iter().collect::<Vec<_>>(), ["pinned"]);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let unpin = || people::unpin_sweep(&*store, &pinned.id, "ann", at(50)).unwrap();
    assert!(unpin() && !unpin());
    for kind in [
        EventKind::TokenAdded { by: "ann".into(), name: "ben".into(), role: "view".into() },
        EventKind::TokenRemoved { by: "ann".into(), name: "ben".into() },
    ] {
        people::note(&*store, None, kind, at(51)).unwrap();
    }
    people::note(&*store, Some("a"), EventKind::DeviceEdited { by: "ann".into(), what: "x".into() }, at(52)).unwrap();
    let removed = |by: Option<&str>| EventKind::Removed {
        kind: "sweep".into(),
        name: "gone".into(),
        bytes: 1,
        why: "old".into(),
        by: by.map(str::to_owned),
    };
    people::note(&*store, None, removed(None), at(53)).unwrap();
    people::note(&*store, None, removed(Some("ann")), at(54)).unwrap();
    assert_eq!(acts().len(), before.len() + 5, "what the daemon did by itself is nobody's act");
    assert_eq!(acts()[0].1.kind, removed(Some("ann")));
    let older = store.past_events(PastEvents::Acts, Some(before[0].0), 9).unwrap();
    assert_eq!(older, before[1..], "one page after the other");
    assert!(store.remove_sweep(&pinned.id).unwrap());
}

pub fn a_baseline_keeps_its_sweep(open: &Open) {
    let store = open();
    let (first, second) = (over(&*store, "first"), over(&*store, "second"));
    let baseline = |name: &str, sweep: &SweepId, seconds| Baseline {
        name: name.into(),
        sweep: sweep.clone(),
        by: "ann".into(),
        at: at(seconds),
    };
    let set = |baseline: &Baseline| people::set_baseline(&*store, baseline);
    assert_eq!(set(&baseline("main", &first.id, 40)).unwrap(), None);
    assert_eq!(set(&baseline("main", &first.id, 41)).unwrap().as_ref(), Some(&first.id), "nothing is new");
    assert_eq!(set(&baseline("edge", &first.id, 42)).unwrap(), None);
    assert!(set(&baseline("x", &SweepId("unknown".into()), 43)).is_err());
    assert_eq!(open().baselines().unwrap(), [baseline("edge", &first.id, 42), baseline("main", &first.id, 40)]);
    assert_eq!(store.pinned_sweeps().unwrap(), [(first.id.clone(), "ann as the baseline edge".to_owned())]);
    assert!(!store.remove_sweep(&first.id).unwrap());
    assert_eq!(store.old_events(at(50)).unwrap(), 3, "two acts, and what happened in the second sweep");
    let acts: Vec<_> = store.past_events(PastEvents::Acts, None, 9).unwrap();
    let set_main = EventKind::BaselineSet { by: "ann".into(), name: "main".into(), sweep: first.id.clone() };
    assert_eq!((acts.len(), &acts[1].1.kind), (2, &set_main));

    assert_eq!(set(&baseline("main", &second.id, 60)).unwrap().as_ref(), Some(&first.id));
    assert!(people::unset_baseline(&*store, "edge", "ben", at(61)).unwrap());
    assert!(!people::unset_baseline(&*store, "edge", "ben", at(62)).unwrap());
    assert!(store.remove_sweep(&first.id).unwrap() && !store.remove_sweep(&second.id).unwrap());
    people::pin_sweep(&*store, &second.id, "ben", at(63)).unwrap();
    assert_eq!(store.pinned_sweeps().unwrap(), [(second.id.clone(), "ben".to_owned())], "the pin's word goes before");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
