#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard};

use jiff::SignedDuration;

use super::*;
use crate::domain::{
    BelievedClock, EventKind, Failure, FailureKind, Moment, RunStatus, StartState, Submission, SweepDefinition,
    SweepRow, SweepState, sample,
};
use crate::schedule::Overlap;
use crate::store::sqlite::SqliteStore;
use crate::store::{NewSweep, StoreError, conformance};

mod beside;
mod clocks;
mod handed_over;
mod hosts;
mod lab;

use lab::{Fake, Lab};

#[tokio::test]
async fn killed_at_any_step_a_due_time_is_begun_once() {
    let lab = Lab::new("0 2 * * *", |_| {});
    lab.daemon().tick().await;
    // Settled, and then killed before its sweep was there.
    lab.set("01T02:00");
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("killed".to_owned()));
    lab.daemon().tick().await;
    assert_eq!(lab.states(), [(StartState::Waiting, None)]);
    *Fake::lock(&lab.fake.refuses) = None;
    // Hours later another process does it, and is killed in the middle.
    lab.set("01T05:00");
    let mut second = lab.daemon();
    lab.look_until(&mut second, 1).await;
    drop(second);
    let mut third = lab.daemon();
    lab.look_until(&mut third, 2).await;
    lab.fake.ends.raise(1);
    lab.look_until_idle(&mut third).await;
    third.tick().await;
    assert_eq!(lab.told(), ["begun of 01T02:00:00Z", "gone on with of 01T02:00:00Z"]);
    assert_eq!(lab.states(), [(StartState::Begun, None)]);
}

#[tokio::test]
async fn a_window_that_ends_stops_the_sweep_and_the_next_night_goes_on_with_it() {
    let lab = Lab::new("0 22 * * *", |schedule| schedule.window = Some("22:00-06:00".parse().unwrap()));
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.set("01T22:00");
    lab.look_until(&mut daemon, 1).await;
    lab.set("02T06:00");
    daemon.tick().await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("02T12:00");
    daemon.tick().await;
    assert_eq!((lab.told().len(), daemon.status().running.len()), (1, 0), "nothing goes on by day");
    lab.set("02T22:00");
    lab.look_until(&mut daemon, 2).await;
    assert_eq!(lab.told()[1], "gone on with of 01T22:00:00Z");
    let (state, why) = lab.states().pop().unwrap();
    assert!(state == StartState::Skipped && why.unwrap().starts_with("overlap"));
}

#[tokio::test]
async fn a_sweep_is_replaced_when_the_schedule_says_so() {
    let lab = Lab::new("0 * * * *", |schedule| schedule.overlap = Overlap::Replace);
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.set("01T01:00");
    lab.look_until(&mut daemon, 1).await;
    // As if its process had been killed: what nobody carries out is ended by the daemon.
    let mut daemon = lab.daemon();
    lab.set("01T02:00");
    lab.look_until_begun(&mut daemon, 2).await;
    // That the first is over is told beside, sooner or later.
    let done: Vec<String> = lab.told().into_iter().filter(|line| !line.starts_with("told of")).collect();
    assert_eq!(done, ["begun of 01T01:00:00Z", "ended of 01T01:00:00Z", "begun of 01T02:00:00Z"]);
    let first = SweepId("of 2026-05-01T01:00:00Z".to_owned());
    assert_eq!(lab.store.sweep_state(&first).unwrap(), SweepState::Cancelled);
}

#[tokio::test]
async fn without_room_nothing_is_begun_and_nothing_is_lost() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    *Fake::lock(&lab.fake.obstacle) = Some("3 MB are free".to_owned());
    lab.set("01T02:00");
    daemon.tick().await;
    assert_eq!((lab.told().len(), lab.states()), (0, vec![(StartState::Waiting, None)]));
    assert!(daemon.status().line().starts_with("TROUBLE: room: 3 MB are free"), "{}", daemon.status().line());
    *Fake::lock(&lab.fake.obstacle) = None;
    lab.look_until(&mut daemon, 1).await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
}

#[tokio::test]
async fn what_has_nothing_to_run_is_left_out_and_what_fails_is_tried_again() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("a farm file is faulty".to_owned()));
    lab.set("01T02:00");
    daemon.tick().await;
    lab.look_until_idle(&mut daemon).await;
    assert_eq!(daemon.status().troubles, ["schedule nightly: a farm file is faulty"]);
    daemon.tick().await;
    assert!(daemon.status().running.is_empty(), "not before a while");
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Nothing("every device is disabled".to_owned()));
    lab.set("01T02:01");
    daemon.tick().await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    assert_eq!(lab.states(), [(StartState::Skipped, Some("every device is disabled".to_owned()))]);
}

#[tokio::test]
async fn told_to_stop_it_starts_no_more_and_leaves_the_rest_for_later() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.set("01T02:00");
    lab.look_until(&mut daemon, 1).await;
    daemon.stop(Duration::from_secs(20)).await;
    let mut later = lab.daemon();
    *Fake::lock(&lab.now) += SignedDuration::from_mins(5);
    lab.look_until(&mut later, 2).await;
    assert_eq!(lab.told()[1], "gone on with of 01T02:00:00Z");
}

/// What is older than nine days leaves each day at half past four.
fn rules() -> Retention {
    let rule = crate::retention::Rule { days: Some(9), ..Default::default() };
    Retention {
        at: jiff::civil::time(4, 30, 0, 0),
        time_zone: jiff::tz::TimeZone::UTC,
        reports: rule,
        sweeps: rule,
        events_days: None,
        artifacts_bytes: None,
        most_percent: crate::retention::MOST_PERCENT,
    }
}

#[tokio::test]
async fn a_finished_sweep_of_a_schedule_is_compared_once() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.hand_over("given");
    lab.fake.ends.raise(1);
    lab.look_until(&mut daemon, 1).await;
    lab.set("01T02:00");
    lab.look_until(&mut daemon, 2).await;
    lab.look_until_idle(&mut daemon).await;
    for minute in ["01T02:01", "01T02:02", "01T02:03"] {
        lab.set(minute);
        daemon.tick().await;
        lab.look_until_compared(&mut daemon).await;
    }
    let name = &lab.schedule.name;
    let expected = format!("of 2026-05-01T02:00:00Z of {name}, true");
    assert_eq!(*Fake::lock(&lab.fake.compared), [expected], "what a person hands over is no schedule's");
}

#[tokio::test]
async fn a_sweep_that_cannot_be_compared_holds_up_no_other_and_is_tried_again_within_a_minute() {
    let lab = Lab::new("0 * * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.fake.ends.raise(1);
    let first = SweepId("of 2026-05-01T01:00:00Z".to_owned());
    *Fake::lock(&lab.fake.uncomparable) = Some(first.clone());
    lab.set("01T01:00");
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("01T01:59");
    lab.pass(50);
    lab.look_until_so(&mut daemon, |daemon| !daemon.status().troubles.is_empty()).await;
    // A second sweep is over a few seconds later, and waits for nothing.
    lab.set("01T02:00");
    lab.look_until(&mut daemon, 2).await;
    lab.look_until_idle(&mut daemon).await;
    let second = format!("of 2026-05-01T02:00:00Z of {}, true", lab.schedule.name);
    let has_compared = |_: &Daemon| Fake::lock(&lab.fake.compared).contains(&second);
    let is_due = || lab.store.due_comparisons().unwrap().len() == 2;
    lab.look_until_so(&mut daemon, |daemon| is_due() || has_compared(daemon)).await;
    lab.pass(6);
    lab.look_until_so(&mut daemon, has_compared).await;
    let tried = format!("tried {first}");
    lab.look_until_so(&mut daemon, |daemon| daemon.status().troubles.len() == 1).await;
    assert_eq!(*Fake::lock(&lab.fake.compared), [tried.clone(), tried, second], "the first is tried beside it");
    // The baseline is set.
    *Fake::lock(&lab.fake.uncomparable) = None;
    lab.pass(40);
    lab.look_until_compared(&mut daemon).await;
    lab.look_until_so(&mut daemon, |daemon| daemon.status().troubles.is_empty()).await;
}
