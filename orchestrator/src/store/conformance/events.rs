//! Events, and what is told of them.

use super::*;

pub fn events_come_back_in_order(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 1);
    let event = |seconds, device: Option<&str>, kind| Event {
        at: at(seconds),
        sweep_id: Some(row.id.clone()),
        device: device.map(str::to_owned),
        job_id: device.map(|_| plan.jobs[0].id.clone()),
        run_id: None,
        kind,
    };
    let failure = Failure { stderr_tail: vec!["a".into(), "b".into()], ..Failure::new(FailureKind::Refused, "no") };
    let events = [
        event(3, None, EventKind::SweepStarted { name: "s".into(), jobs: 1, skipped: 0, devices: 1 }),
        event(2, Some("a"), EventKind::DeviceConnecting),
        event(4, Some("a"), EventKind::DeviceFailed { failure }),
    ];
    events.iter().for_each(|event| store.append_event(event).unwrap());
    assert_eq!(open().events(&row.id).unwrap(), events);
    let all = store.events_after(&row.id, 0, 9).unwrap();
    assert_eq!(all.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), events);
    assert_eq!(open().events_after(&row.id, all[0].0, 1).unwrap(), all[1..2]);
    assert_eq!(open().events_after(&row.id, all[2].0, 9).unwrap(), []);
    let released = Event { sweep_id: None, ..event(5, Some("a"), EventKind::DeviceReleased { by: "me".into() }) };
    store.append_event(&released).unwrap();
    assert_eq!(open().events(&row.id).unwrap(), events, "it is of no sweep");
    assert_eq!(open().device_events("a", 2).unwrap(), [events[2].clone(), released]);
    assert_eq!(open().device_events("b", 2).unwrap(), []);
}

pub fn new_events_are_those_of_everything(open: &Open) {
    let store = open();
    assert_eq!(store.last_event().unwrap(), 0);
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let event = |sweep_id: Option<SweepId>, device: Option<&str>| Event {
        at: at(1),
        sweep_id,
        device: device.map(str::to_owned),
        job_id: None,
        run_id: None,
        kind: EventKind::DeviceReleased { by: "anna".into() },
    };
    let all = [event(Some(row.id.clone()), Some("a")), event(None, Some("bb")), event(None, None)];
    all.iter().for_each(|event| store.append_event(event).unwrap());
    let told = open().new_events(0, 2).unwrap();
    assert_eq!(told.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), all[..2]);
    let rest = open().new_events(told[1].0, 9).unwrap();
    assert_eq!((rest.len(), &rest[0].1), (1, &all[2]));
    assert_eq!(open().last_event().unwrap(), rest[0].0);
    assert_eq!(open().new_events(rest[0].0, 9).unwrap(), []);
}

pub fn old_events_leave_and_those_of_what_stays_do_not(open: &Open) {
    let store = open();
    let (pinned, finished) = (over(&*store, "pinned"), over(&*store, "finished"));
    let (still_open, _) = sweep(&*store, "open", &["a"], 1);
    people::pin_sweep(&*store, &pinned.id, "ann", at(60)).unwrap();
    for (sweep_id, seconds) in [(Some(&still_open.id), 5), (None, 5), (None, 60)] {
        let (sweep_id, device) = (sweep_id.cloned(), Some("a".to_owned()));
        let kind = EventKind::DeviceReleased { by: "me".into() };
        store.append_event(&Event { at: at(seconds), sweep_id, device, job_id: None, run_id: None, kind }).unwrap();
    }
    assert_eq!(store.old_events(at(50)).unwrap(), 2);
    assert_eq!((store.remove_old_events(at(50)).unwrap(), open().old_events(at(50)).unwrap()), (2, 0));
    let left = [&pinned, &still_open, &finished].map(|row| store.events(&row.id).unwrap().len());
    assert_eq!((left, store.device_events("a", 9).unwrap().len()), ([1, 1, 0], 2));
}

pub fn what_nobody_was_told_of_is_news_once(open: &Open) {
    let store = open();
    let (done, _) = (over(&*store, "done"), sweep(&*store, "open", &["a"], 1));
    let news = || open().pending_sweeps().unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(news(), std::slice::from_ref(&done.id));
    store.mark_sweep_notified(&done.id).unwrap();
    assert_eq!(news(), []);

    let happens = |device: &str, kind| {
        let device = Some(device.to_owned());
        store.append_event(&Event { at: at(1), sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    let quarantined = || EventKind::DeviceQuarantined { failure: lost(), failures: 3, pause_ns: 1 };
    happens("a", quarantined());
    happens("b", quarantined());
    happens("a", quarantined());
    let devices = || -> Vec<(u64, String)> {
        let pending = open().pending(NotificationKind::Quarantines).unwrap();
        pending.into_iter().map(|(sequence, event)| (sequence, event.device.unwrap())).collect()
    };
    let names = || devices().into_iter().map(|(_, device)| device).collect::<Vec<_>>();
    assert_eq!(names(), ["a", "b"], "one that is prolonged is no news");
    store.mark_notified(NotificationKind::Quarantines, devices()[0].0).unwrap();
    assert_eq!(names(), ["b"]);
    happens("a", EventKind::DeviceReleased { by: "me".into() });
    happens("a", quarantined());
    assert_eq!(names(), ["b", "a"]);
    store.mark_notified(NotificationKind::Quarantines, devices()[1].0).unwrap();
    assert_eq!(names(), Vec::<String>::new());
}
