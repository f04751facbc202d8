#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;

use super::*;

/// A host whose clocks the test sets, in seconds.
#[derive(Clone, Default)]
struct Host {
    passed: Arc<AtomicI64>,
    off: Arc<AtomicI64>,
}

impl Host {
    fn clock(&self) -> LabClock {
        let host = self.clone();
        LabClock::of(Arc::new(move || host.moment()))
    }

    fn moment(&self) -> Moment {
        let (passed, off) = (self.passed.load(Ordering::Relaxed), self.off.load(Ordering::Relaxed));
        Moment {
            wall: Timestamp::from_second(1_800_000_000 + passed + off).unwrap(),
            since_boot: Duration::from_secs(u64::try_from(1_000 + passed).unwrap()),
        }
    }

    fn pass(&self, seconds: i64) {
        self.passed.fetch_add(seconds, Ordering::Relaxed);
    }

    fn set_off(&self, seconds: i64) {
        self.off.store(seconds, Ordering::Relaxed);
    }

    fn right(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.passed.load(Ordering::Relaxed)).unwrap()
    }
}

const YEARS: i64 = 10 * 31_557_600;

#[test]
fn a_jump_either_way_is_no_time_that_passed() {
    for off in [YEARS, -YEARS, 3 * 3_600, -3 * 3_600, 181, -181] {
        let (host, clock) = (Host::default(), Host::default().clock());
        assert_eq!(clock.look(), None);
        let clock = host.clock();
        host.pass(5);
        assert_eq!(clock.look(), None);
        host.set_off(off);
        assert!(clock.doubt().is_some(), "in doubt before anybody looks");
        assert!(matches!(clock.look(), Some(ClockNews::Jumped(doubt)) if doubt.off.as_secs() == off), "{off}");
        assert!(clock.doubt().is_some() && clock.believed(0).is_none());
        host.pass(4);
        assert_eq!((clock.look(), clock.now()), (None, host.right()), "{off}: told once, and time goes on");
        host.set_off(0);
        assert_eq!(clock.look(), Some(ClockNews::Returned));
        assert!(clock.doubt().is_none());
        assert_eq!(clock.now(), host.right());
    }
}

#[test]
fn small_steps_are_followed_however_many_there_are() {
    let host = Host::default();
    let clock = host.clock();
    for step in 1..500 {
        host.set_off(4 * step);
        host.pass(60);
        assert_eq!((clock.look(), clock.doubt()), (None, None));
    }
    // Sleep is counted by both.
    host.pass(8 * 3_600);
    assert_eq!((clock.look(), clock.doubt()), (None, None));
}

#[test]
fn an_hour_of_even_time_or_a_person_ends_the_doubt() {
    let host = Host::default();
    let clock = host.clock();
    host.set_off(3 * 3_600);
    assert!(clock.look().is_some());
    host.pass(3_599);
    assert!(clock.look().is_none() && clock.doubt().is_some());
    // Another jump begins the hour anew.
    host.set_off(5 * 3_600);
    assert!(matches!(clock.look(), Some(ClockNews::Jumped(_))));
    host.pass(3_599);
    assert!(clock.look().is_none() && clock.doubt().unwrap().ends_in == Duration::from_secs(1));
    host.pass(1);
    assert_eq!(clock.look(), Some(ClockNews::Steady));
    assert_eq!(clock.now().duration_since(host.right()).as_hours(), 5);
    host.set_off(0);
    assert!(matches!(clock.look(), Some(ClockNews::Jumped(_))));
    clock.believe();
    assert!(clock.doubt().is_none());
    assert_eq!(clock.now(), host.right());
}

#[test]
fn over_a_restart_it_is_held_against_what_is_known_of_before() {
    let host = Host::default();
    let before = host.clock().believed(7).unwrap();
    host.pass(600);
    for (off, is_doubted) in [(0, false), (120, false), (3 * 3_600, true), (-3_600, true), (YEARS, true)] {
        host.set_off(off);
        let next = host.clock();
        next.hold_against(Some(&before), &[]);
        assert_eq!(next.doubt().is_some(), is_doubted, "{off} s off in the same boot");
        assert!(!is_doubted || next.now() == host.right());
    }
    // Over a boot a host may have been off for weeks, and its clock may not have gone back.
    let elsewhere = BelievedClock { boot: "another".to_owned(), ..before };
    for (off, is_doubted) in [(0, false), (30 * 86_400, false), (-3_600, true), (YEARS, true)] {
        host.set_off(off);
        let right = host.right();
        for (believed, events) in [(Some(&elsewhere), vec![]), (None, vec![right]), (Some(&elsewhere), vec![right])] {
            let next = host.clock();
            next.hold_against(believed, &events);
            assert_eq!(next.doubt().is_some(), is_doubted, "{off} s off after a boot");
        }
    }
    let fresh = host.clock();
    fresh.hold_against(None, &[]);
    assert!(fresh.doubt().is_none(), "a new lab knows nothing better");
}

/// Each process of a lab without a daemon holds the clock against what those before it have left in the store.
#[test]
fn what_a_clock_in_doubt_has_dated_is_no_reason_to_believe_it() {
    let host = Host::default();
    let right = host.right();
    let of_another_boot = BelievedClock { boot: "another".to_owned(), ..host.clock().believed(7).unwrap() };
    host.set_off(YEARS);
    let mut events = vec![right];
    for process in 0..5 {
        for believed in [None, Some(&of_another_boot)] {
            let next = host.clock();
            next.hold_against(believed, &events);
            assert!(next.doubt().is_some() && next.dates_in_doubt(), "process {process}");
        }
        host.pass(60);
        events.push(host.moment().wall);
    }
    // Set right again, it is believed, whatever has a date of years ahead.
    host.set_off(0);
    let next = host.clock();
    next.hold_against(Some(&of_another_boot), &events);
    assert_eq!(next.doubt(), None);
    // A lab that was used now and then for a year is not in doubt.
    let months: Vec<Timestamp> =
        (0..12).rev().map(|month| right - SignedDuration::from_hours(24 * 30 * month)).collect();
    let next = host.clock();
    next.hold_against(None, &months);
    assert_eq!(next.doubt(), None);
}
