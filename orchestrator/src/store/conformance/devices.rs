//! Devices: leases, locks, quarantine, checks, what was heard of them.

use super::*;

pub fn one_process_at_a_time_has_a_device(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let first = taken(open().lease_device("a", Some(&row.id), "host", LEASE, at(0)).unwrap());
    let LeaseOutcome::Held(holder) = open().lease_device("a", None, "other", LEASE, at(59)).unwrap() else { panic!() };
    assert_eq!((holder.holder.as_str(), holder.sweep_id), ("host", Some(row.id.clone())));
    assert_eq!(open().device_leases(at(59)).unwrap()[0].0, "a");
    assert_eq!(open().devices_left(&row.id).unwrap(), ["a"]);
    open().release_device("a", first).unwrap();
    assert_eq!(open().device_leases(at(59)).unwrap(), []);
    assert!(open().devices_left(&row.id).unwrap().is_empty());
    let second = taken(open().lease_device("a", None, "other", LEASE, at(59)).unwrap());
    assert!(second > first, "epochs grow, also over leases that ended");
    open().release_device("a", first).unwrap();
    assert_eq!(open().device_leases(at(60)).unwrap().len(), 1);
}

pub fn a_runner_is_pinned_once(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    assert_eq!(open().pin_runner(&row.id, "arm", "one").unwrap(), "one");
    assert_eq!(open().pin_runner(&row.id, "arm", "two").unwrap(), "one");
    assert_eq!(open().pin_runner(&row.id, "x86", "two").unwrap(), "two");
    let pinned = [("arm", "one"), ("x86", "two")].map(|(target, sha256)| (target.to_owned(), sha256.to_owned()));
    assert_eq!(open().pinned_runners(&row.id).unwrap(), pinned);
}

pub fn devices_are_quarantined_and_released(open: &Open) {
    let store = open();
    assert_eq!(store.device_status("a").unwrap().state, DeviceState::InService);
    assert_eq!(store.device_failed("a", &lost(), at(1)).unwrap().failures_in_row, 1);
    assert_eq!(store.device_failed("a", &lost(), at(2)).unwrap().failures_in_row, 2);
    let status = store.quarantine_device("a", &lost(), at(30), at(3)).unwrap();
    assert_eq!((status.state, status.probe_at, status.failures_in_row), (DeviceState::Quarantined, Some(at(30)), 2));
    let status = store.quarantine_device("a", &lost(), at(90), at(31)).unwrap();
    assert_eq!((status.quarantines_in_row, status.since, status.probe_at), (2, Some(at(3)), Some(at(90))));
    assert_eq!(open().device_statuses().unwrap(), [status]);
    let released = |name, seconds| people::release_device(open().as_ref(), name, "ann", at(seconds)).unwrap();
    assert!(released("a", 91));
    assert!(!released("a", 92));
    let status = store.device_status("a").unwrap();
    assert_eq!((status.state, status.failures_in_row, status.quarantines_in_row), (DeviceState::InService, 0, 2));
    assert_eq!((status.since, status.probe_at, status.failure), (Some(at(91)), None, Some(lost())));
    store.device_worked("a").unwrap();
    assert_eq!(store.device_status("a").unwrap().quarantines_in_row, 0);
    assert!(!released("never-failed", 1));
    assert_eq!(store.device_events("a", 9).unwrap().len(), 1);
    let fresh = store.quarantine_device("b", &lost(), at(30), at(3)).unwrap();
    assert_eq!((fresh.state, fresh.quarantines_in_row), (DeviceState::Quarantined, 1));
}

pub fn device_changes_are_open_until_they_are_undone(open: &Open) {
    let store = open();
    let change = |phone: &str, setting, previous: &str| DeviceChange {
        identity: DeviceIdentity(phone.to_owned()),
        device: "desk".to_owned(),
        setting,
        previous: previous.to_owned(),
        made_at: at(3),
        holder: "host-1".to_owned(),
    };
    let made = [change("a/1", Setting::StayAwake, "0"), change("a/1", Setting::Screen, "Awake; or «x»")];
    let first = store.add_device_changes(&made).unwrap();
    let second = store.add_device_changes(&[change("b/2", Setting::StayAwake, "null")]).unwrap();
    assert_eq!(first.iter().map(|open| &open.change).collect::<Vec<_>>(), made.iter().collect::<Vec<_>>());
    assert!(first[0].number < first[1].number && first[1].number < second[0].number);

    let other = open();
    let of_a = DeviceIdentity("a/1".to_owned());
    assert_eq!(other.open_device_changes(Some(&of_a)).unwrap(), first);
    assert_eq!(other.open_device_changes(None).unwrap(), [first.clone(), second.clone()].concat());
    other.close_device_changes(&[first[1].number, u64::MAX], at(9)).unwrap();
    assert_eq!(store.open_device_changes(Some(&of_a)).unwrap(), first[..1]);
    store.close_device_changes(&[first[0].number, first[1].number, second[0].number], at(10)).unwrap();
    assert_eq!(open().open_device_changes(None).unwrap(), []);
    assert_eq!(store.add_device_changes(&[]).unwrap(), []);
}

pub fn a_lock_keeps_claims_off_until_it_ends(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a", "bb"], 1);
    let lock = |by: &str, why: &str, since: i64, until: i64| DeviceLock {
        device: "a".into(),
        by: by.into(),
        why: why.into(),
        since: at(since),
        until: at(until),
    };
    let locked = |wanted: DeviceLock| people::lock_device(open().as_ref(), &wanted).unwrap();
    assert_eq!(locked(lock("ann", "probing", 0, 50)), None);
    let held = locked(lock("bob", "me too", 1, 99));
    assert_eq!(held, Some(lock("ann", "probing", 0, 50)), "somebody else's stays");
    assert_eq!(locked(lock("ann", "longer", 2, 60)), None);
    let in_force = lock("ann", "longer", 0, 60);
    assert_eq!(open().device_locks(Some("a"), at(59)).unwrap(), std::slice::from_ref(&in_force));
    assert_eq!(open().device_locks(Some("bb"), at(59)).unwrap(), []);

    assert_eq!(open().claim(&row.id, "a", "host", LEASE, at(59)).unwrap(), Claim::Locked(in_force.clone()));
    claim(&*open(), &row, "bb", "host", 59);
    assert_eq!(open().device_locks(None, at(60)).unwrap(), [], "it ends by itself");
    claim(&*open(), &row, "a", "host", 60);

    assert_eq!(locked(lock("bob", "now", 70, 99)), None);
    let unlocked = |seconds| people::unlock_device(open().as_ref(), "a", "cyd", at(seconds)).unwrap();
    assert_eq!(unlocked(71), Some(lock("bob", "now", 70, 99)));
    assert_eq!(unlocked(72), None);
    let events = store.device_events("a", 99).unwrap();
    let told: Vec<_> = events.iter().filter(|event| !matches!(event.kind, EventKind::DeviceLocked { .. })).collect();
    assert_eq!((events.len(), told.len(), told[0].at), (4, 1, at(71)), "each change has one event, a refusal none");
    assert_eq!(open().device_locks(None, at(72)).unwrap(), []);
}

pub fn what_was_last_heard_of_a_device_is_kept(open: &Open) {
    let facts = sample::record("a", "mobilenet_v2").device.unwrap();
    let later = crate::domain::DeviceFacts { os: "Android 16".into(), ..facts.clone() };
    open().device_missed("b", &lost(), at(1)).unwrap();
    open().device_seen("a", &facts, 7, at(2)).unwrap();
    open().device_missed("a", &lost(), at(3)).unwrap();
    open().device_missed("a", &lost(), at(4)).unwrap();
    let [a, b] = open().sightings().unwrap().try_into().unwrap();
    assert_eq!((a.asked_at, a.seen_at, a.silent_since), (at(4), Some(at(2)), Some(at(3))));
    assert_eq!((a.facts, a.free_bytes, a.failure), (Some(facts), Some(7), Some(lost())));
    assert_eq!((b.seen_at, b.facts, b.silent_since), (None, None, Some(at(1))));
    open().device_seen("a", &later, 8, at(5)).unwrap();
    let a = open().sightings().unwrap().remove(0);
    assert_eq!((a.seen_at, a.silent_since, a.failure, a.free_bytes), (Some(at(5)), None, None, Some(8)));
    assert_eq!(a.facts, Some(later));
}

pub fn the_past_of_devices_is_told(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 4);
    let ok = claim(&*store, &row, "a", "host", 10);
    store.finish(ok.epoch, &ended(&row, &ok, RunStatus::Ok), None, at(20)).unwrap();
    let failed = claim(&*store, &row, "a", "host", 30);
    store.finish(failed.epoch, &ended(&row, &failed, RunStatus::Failed), None, at(40)).unwrap();
    for (seconds, counts) in [(50, true), (70, false)] {
        let run = claim(&*store, &row, "a", "host", seconds);
        let failure = lost();
        let given =
            Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts, not_before: at(seconds) };
        store.requeue(&given, at(seconds + 5)).unwrap();
    }
    claim(&*store, &row, "a", "host", 90);
    let past = open().attempt_history(at(0)).unwrap();
    let told: Vec<_> = past.iter().map(|one| (one.from, one.until, one.end)).collect();
    let of = |from, until, end| (at(from), at(until), end);
    let kinds = [FailureKind::Crashed, FailureKind::ConnectionLost].map(AttemptEnd::Failed);
    let expected = [
        of(10, 20, AttemptEnd::Ok),
        of(30, 40, kinds[0]),
        of(50, 55, kinds[1]),
        of(70, 75, AttemptEnd::Other),
        of(90, 150, AttemptEnd::Other),
    ];
    assert_eq!(told, expected);
    assert_eq!(open().attempt_history(at(40)).unwrap(), past[2..]);

    let event = |sweep_id: Option<&SweepId>, kind| {
        let (sweep_id, device) = (sweep_id.cloned(), Some("a".to_owned()));
        Event { at: at(1), sweep_id, device, job_id: None, run_id: None, kind }
    };
    let quarantined = EventKind::DeviceQuarantined { failure: lost(), failures: 1, pause_ns: 1 };
    let events = [event(Some(&row.id), quarantined), event(None, EventKind::DeviceReleased { by: "me".into() })];
    store.append_event(&events[0]).unwrap();
    store.append_event(&event(Some(&row.id), EventKind::DeviceConnecting)).unwrap();
    store.append_event(&events[1]).unwrap();
    assert_eq!(open().availability_events(at(0)).unwrap(), events);
    assert_eq!(open().availability_events(at(1_000_000)).unwrap(), events, "what was so before is told");
    store.append_event(&events[0]).unwrap();
    let after = open().availability_events(at(1_000_000)).unwrap();
    assert_eq!(after.len(), 2, "the last one of each kind: {after:?}");
}

pub fn the_checks_of_a_device_are_its_own(open: &Open) {
    let store = open();
    let check = |round_trip_ms: f64, schedule: Option<&str>| DeviceCheck {
        verdict: CheckVerdict::Warning,
        findings: vec![crate::domain::Finding { what: "slow".into(), remedy: "cool".into() }],
        schedule: schedule.map(str::to_owned),
        figures: CheckFigures {
            target: Some("t".into()),
            round_trip_ms: Some(round_trip_ms),
            clock_off_ms: Some(-7_000),
            calibration: Some(crate::domain::Calibration {
                kernel_version: 1,
                compute: crate::domain::KernelTime { samples: 3, median_ns: 5, fastest_ns: 4 },
                memory: crate::domain::KernelTime { samples: 3, median_ns: 7, fastest_ns: 6 },
            }),
            ..CheckFigures::default()
        },
    };
    let happens = |device: &str, seconds, kind| {
        let device = Some(device.to_owned());
        let event = Event { at: at(seconds), sweep_id: None, device, job_id: None, run_id: None, kind };
        store.append_event(&event).unwrap();
    };
    let checked = |check: DeviceCheck| EventKind::DeviceChecked(Box::new(check));
    happens("a", 1, checked(check(1.5, None)));
    happens("b", 2, checked(check(2.5, None)));
    happens("a", 3, EventKind::DeviceReleased { by: "me".into() });
    happens("a", 4, checked(check(3.5, Some("nightly"))));
    happens("a", 5, checked(DeviceCheck { figures: CheckFigures::default(), ..check(0.0, None) }));
    let checks = open().device_checks("a", 9).unwrap();
    assert_eq!(checks.iter().map(|past| past.at).collect::<Vec<_>>(), [at(1), at(4), at(5)], "oldest first");
    assert_eq!(checks[0].check, check(1.5, None));
    assert_eq!(checks[1].check, check(3.5, Some("nightly")));
    assert_eq!(checks[2].check.figures, CheckFigures::default(), "it failed before anything was measured");
    assert_eq!(open().device_checks("a", 2).unwrap(), checks[1..], "the newest ones");
    assert_eq!(open().device_checks("c", 9).unwrap(), []);
}

pub fn how_fast_a_device_was_is_its_own(open: &Open) {
    let store = open();
    let pace = |median_ns| {
        let time = KernelTime { samples: 9, median_ns, fastest_ns: median_ns };
        let calibration = Calibration { kernel_version: 1, compute: time, memory: time };
        Pace { target: "t".into(), calibration, usual_compute_ns: Some(7).filter(|_| median_ns > 1) }
    };
    let happens = |device: &str, kind| {
        let device = Some(device.to_owned());
        store.append_event(&Event { at: at(0), sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    for (device, median_ns) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        happens(device, EventKind::DeviceCalibrated(Box::new(pace(median_ns))));
        happens(device, EventKind::DeviceReleased { by: "me".into() });
    }
    assert_eq!(open().device_paces("a", 9).unwrap(), [1, 3, 4].map(pace), "oldest first");
    assert_eq!(open().device_paces("a", 2).unwrap(), [3, 4].map(pace), "the newest ones");
    assert_eq!(open().device_paces("c", 9).unwrap(), []);
}

pub fn the_coolest_of_each_day_is_kept_of_a_device(open: &Open) {
    const DAY: i64 = 24 * 60 * 60;
    let store = open();
    let idle = |seconds, celsius| IdleTemperature { at: at(seconds), sensor: format!("cpu {celsius}"), celsius };
    let seen = [(0, 45.5), (60, 43.0), (120, 43.5), (DAY, 41.0), (2 * DAY, 60.25), (2 * DAY + 1, 60.0)];
    for (seconds, celsius) in seen {
        store.note_idle_temperature("a", &idle(seconds, celsius)).unwrap();
    }
    store.note_idle_temperature("b", &idle(0, 30.0)).unwrap();
    let since = |seconds| open().idle_temperatures("a", at(seconds)).unwrap();
    assert_eq!(since(0), [idle(60, 43.0), idle(DAY, 41.0), idle(2 * DAY + 1, 60.0)]);
    assert_eq!(since(61), [idle(DAY, 41.0), idle(2 * DAY + 1, 60.0)]);
    assert_eq!((since(3 * DAY), open().idle_temperatures("c", at(0)).unwrap()), (vec![], vec![]));
    // What is a month old leaves.
    store.note_idle_temperature("a", &idle(33 * DAY, 44.0)).unwrap();
    assert_eq!(since(0), [idle(2 * DAY + 1, 60.0), idle(33 * DAY, 44.0)]);
    assert_eq!(open().idle_temperatures("b", at(0)).unwrap(), [idle(0, 30.0)]);
}

pub fn checks_that_found_devices_unfit_are_news_once(open: &Open) {
    let store = open();
    let unfit = Unfit { device: "a".into(), verdict: CheckVerdict::Failed, findings: Vec::new() };
    let happens = |schedule: &str, unfit: &[Unfit]| {
        let (schedule, devices) = (schedule.to_owned(), unfit.to_vec());
        let kind = EventKind::ScheduleChecked { schedule, checked: 3, unfit: devices.len() as u64, devices };
        let event = Event { at: at(1), sweep_id: None, device: None, job_id: None, run_id: None, kind };
        store.append_event(&event).unwrap();
        event
    };
    let one = happens("one", std::slice::from_ref(&unfit));
    happens("all well", &[]);
    let two = happens("two", &[unfit.clone(), unfit.clone()]);
    let pending = || open().pending(NotificationKind::Checks).unwrap();
    assert_eq!(pending().into_iter().map(|(_, event)| event).collect::<Vec<_>>(), [one, two.clone()]);
    store.mark_notified(NotificationKind::Checks, pending()[0].0).unwrap();
    let left = pending();
    assert_eq!(left.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&two]);
    store.mark_notified(NotificationKind::Checks, left[0].0).unwrap();
    assert_eq!(pending(), []);
}

pub fn the_runs_of_a_device_that_ended_well_are_there_newest_first(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a", "bb"], 3);
    let (second, again) = sweep(&*store, "second", &["a"], 1);
    let finished = |sweep: &SweepRow, job: &Job, seconds, status, samples_ns: &[u64]| {
        let judged = (seconds == 3).then(|| Judgement {
            verdict: Verdict::Noisy,
            reason: "two modes".to_owned(),
            half_interval_percent: Some(6.5),
            temp_max_c: Some(41.5),
            other_load_percent: None,
        });
        let measurement = Measurement { samples_ns: samples_ns.to_vec(), ..Measurement::default() };
        let (finished_at, record) = (at(seconds), record(&sweep.id, job, None, status));
        store.add_record(&Record { measurement, judged, finished_at, ..record }).unwrap();
    };
    let of_a: Vec<&Job> = plan.jobs.iter().filter(|job| job.device == "a").collect();
    let of_bb = plan.jobs.iter().find(|job| job.device == "bb").unwrap();
    finished(&first, of_a[0], 1, RunStatus::Ok, &[10, 11, 9]);
    finished(&first, of_bb, 2, RunStatus::Ok, &[20]);
    finished(&second, &again.jobs[0], 3, RunStatus::Ok, &[30]);
    finished(&first, of_a[1], 4, RunStatus::Failed, &[40]);
    finished(&first, of_a[2], 5, RunStatus::Ok, &[]);
    let runs = open().past_runs_of_device("a", 9).unwrap();
    let told: Vec<(u64, Timestamp, &str)> = runs.iter().map(|run| (run.median_ns, run.at, &*run.model)).collect();
    let model = of_a[0].model.name.as_str();
    assert_eq!(told, [(30, at(3), model), (10, at(1), model)], "none of one that failed, or has no median");
    assert_eq!(runs[0].judged.as_ref().map(|it| (it.verdict, it.temp_max_c)), Some((Verdict::Noisy, Some(41.5))));
    assert_eq!((runs[1].judged.as_ref(), &runs[0].cell), (None, &runs[1].cell));
    let newest: Vec<u64> = open().past_runs_of_device("a", 1).unwrap().iter().map(|run| run.median_ns).collect();
    assert_eq!(newest, [30]);
    assert_eq!(open().past_runs_of_device("c", 9).unwrap(), []);
}

pub fn the_history_of_a_network_knows_what_was_measured_again_and_nothing_of_pairs(open: &Open) {
    let store = open();
    let again = |number: u32, rerun: u32, of: &Job| {
        let rerun = (rerun > 0).then(|| Rerun { of: of.id.clone(), number: rerun, verdict: Verdict::Noisy });
        Job { rerun, ..job("a", number as usize) }
    };
    let first = job("a", 0);
    let [a, b] = [PairSide::A, PairSide::B].map(|side| Job { side: Some(side), ..job("a", 9 + side as usize) });
    let jobs = vec![first.clone(), again(1, 1, &first), again(2, 0, &first), a, b];
    let row = SweepRow { id: SweepId("20270115-080000-again-7f3a".into()), ..sweep(&*store, "other", &[], 0).0 };
    let plan = Plan { sweep: "again".to_owned(), jobs, skipped: Vec::new() };
    store.create_sweep(&NewSweep::new(&row, &definition(), &plan)).unwrap();
    for (seconds, job) in (1..).zip(&plan.jobs) {
        let samples_ns = vec![seconds as u64];
        let measurement = Measurement { samples_ns, ..Measurement::default() };
        let (finished_at, record) = (at(seconds), record(&row.id, job, None, RunStatus::Ok));
        store.add_record(&Record { measurement, finished_at, ..record }).unwrap();
    }
    for device in [None, Some("a")] {
        let wanted = PastRuns { model: "mobilenet_v2", device, since: None, limit: 9 };
        let runs = open().past_runs(wanted).unwrap();
        let told: Vec<(u64, JobId, u32)> = runs
            .into_iter()
            .map(|run| (run.median_ns, run.measured.unwrap()))
            .map(|(median_ns, measured)| (median_ns, measured.first, measured.rerun))
            .collect();
        let third = plan.jobs[2].id.clone();
        assert_eq!(told, [(3, third, 0), (2, first.id.clone(), 1), (1, first.id.clone(), 0)]);
    }
    assert_eq!(open().past_runs_of_device("a", 9).unwrap().len(), 5, "of a device all of its runs are asked for");
}

pub fn how_a_device_was_reached_is_told(open: &Open) {
    let store = open();
    let happens = |device: &str, seconds, kind| {
        let (device, at) = (Some(device.to_owned()), at(seconds));
        store.append_event(&Event { at, sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    let broke = || EventKind::DeviceReconnecting { cause: "closed".into() };
    let pushed = |sent_bytes, duration_ns| EventKind::PushFinished { name: "x".into(), sent_bytes, duration_ns };
    happens("a", 1, broke());
    happens("a", 2, pushed(40_000_000, 1_000_000_000));
    happens("b", 3, broke());
    happens("a", 4, EventKind::DeviceConnecting);
    happens("a", 5, pushed(999_999, 1));
    happens("a", 6, broke());
    happens("a", 7, pushed(3_000_000, 2_000_000_000));
    let told = |seconds, limit| open().link_history("a", at(seconds), limit).unwrap();
    let (slow, quick) = (1.5e6, 40e6);
    assert_eq!(told(0, 9), LinkHistory { broke: 2, push_bytes_per_s: vec![slow, quick] });
    assert_eq!(told(2, 9), LinkHistory { broke: 1, push_bytes_per_s: vec![slow, quick] });
    assert_eq!(told(0, 2), LinkHistory { broke: 1, push_bytes_per_s: vec![slow] }, "the newest");
    assert_eq!(open().link_history("c", at(0), 9).unwrap(), LinkHistory::default());
}
