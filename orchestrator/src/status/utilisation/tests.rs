#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::Failure;
use crate::domain::sample::at;

const HOUR: i64 = 3600;

fn attempt(device: &str, from: i64, until: i64, end: AttemptEnd) -> PastAttempt {
    PastAttempt { device: device.to_owned(), from: at(from * HOUR), until: at(until * HOUR), end }
}

fn event(device: &str, hour: i64, kind: EventKind) -> Event {
    let device = Some(device.to_owned());
    Event { at: at(hour * HOUR), sweep_id: None, device, job_id: None, run_id: None, kind }
}

fn locked(until: i64) -> EventKind {
    EventKind::DeviceLocked { by: "ann".into(), why: "mine".into(), until: at(until * HOUR) }
}

fn shares(row: &Utilisation) -> [f64; 4] {
    [row.busy, row.locked, row.broken, row.idle].map(|share| (share * 1e6).round() / 1e6)
}

#[test]
fn each_moment_counts_once_and_all_of_them_are_the_period() {
    let failure = Failure::new(FailureKind::Unreachable, "away");
    let quarantined = EventKind::DeviceQuarantined { failure: failure.clone(), failures: 3, pause_ns: 1 };
    let history = LabHistory {
        attempts: vec![
            // Half of it lies before the period.
            attempt("a", -2, 2, AttemptEnd::Ok),
            attempt("a", 1, 3, AttemptEnd::Failed(FailureKind::Timeout)),
            attempt("a", 9, 99, AttemptEnd::Other),
            attempt("b", -9, -8, AttemptEnd::Ok),
        ],
        events: vec![
            // The run of before ends under the lock; a second lock takes the place of the first; the third runs
            // out.
            event("a", 2, locked(8)),
            event("a", 4, locked(6)),
            event("a", 5, EventKind::DeviceUnlocked { by: "bob".into(), locked_by: "ann".into() }),
            event("a", 6, locked(7)),
            event("b", -3, quarantined.clone()),
            event("b", 1, quarantined),
            event("b", 2, EventKind::DeviceReleased { by: "ann".into() }),
        ],
        sightings: vec![Sighting {
            device: "b".into(),
            asked_at: at(0),
            seen_at: None,
            facts: None,
            free_bytes: None,
            silent_since: Some(at(8 * HOUR)),
            failure: Some(failure),
        }],
        first_events: ["a", "b", "c"].map(|device| (device.to_owned(), at(-9 * HOUR))).into(),
        disabled: BTreeSet::new(),
    };
    let devices = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let rows = utilisation(&devices, &history, at(0), at(10 * HOUR));
    assert_eq!(shares(&rows[0]), [0.4, 0.3, 0.0, 0.3]);
    assert_eq!(shares(&rows[1]), [0.0, 0.0, 0.4, 0.6]);
    assert_eq!(shares(&rows[2]), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(shares(&rows[3]), [0.133333, 0.1, 0.133333, 0.633333]);
    assert_eq!((rows[0].attempts, rows[0].failed, rows[1].attempts), (2, 0.5, 0));
    assert_eq!(rows[0].failed_by_kind, BTreeMap::from([("timeout".to_owned(), 0.5)]));
    assert!((rows[0].jobs_per_day - 2.4).abs() < 1e-9, "{}", rows[0].jobs_per_day);
    assert_eq!((rows[3].device.clone(), rows[3].attempts), (None, 2));
}

#[test]
fn a_device_is_not_idle_before_the_lab_knew_it_nor_while_it_is_out_of_service() {
    let history = LabHistory {
        attempts: vec![attempt("off", 1, 2, AttemptEnd::Ok)],
        first_events: [("new".to_owned(), at(6 * HOUR))].into(),
        disabled: ["off".to_owned()].into(),
        ..LabHistory::default()
    };
    let devices = ["new", "never", "off"].map(str::to_owned);
    let rows = utilisation(&devices, &history, at(0), at(10 * HOUR));
    let rest = |row: &Utilisation| [row.idle, row.not_known, row.out_of_service].map(|it| (it * 1e6).round() / 1e6);
    assert_eq!(rest(&rows[0]), [0.4, 0.6, 0.0]);
    assert_eq!(rest(&rows[1]), [0.0, 1.0, 0.0]);
    assert_eq!((rest(&rows[2]), rows[2].busy), ([0.0, 0.0, 0.9], 0.1));
}

#[test]
fn no_time_and_no_devices_are_no_division_by_zero() {
    let rows = utilisation(&[], &LabHistory::default(), at(5), at(5));
    assert_eq!((rows.len(), rows[0].idle, rows[0].jobs_per_day), (1, 1.0, 0.0));
}
