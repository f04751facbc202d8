//! Loops that go on until what they measure is good enough, under the real runner: those in Rust and those in C.
#![allow(clippy::unwrap_used, missing_docs)]

mod lab;

use farmctl_protocol::{EndedBy, Limits, Message, Scenario, Steady};
use lab::echo::{request, samples};
use lab::{Lab, QUICK};

/// Wide limits: how noisy the machine is must not matter.
const WIDE: Limits = Limits {
    warmup_max_seconds: 60.0,
    max_runs: 2_000,
    steady_percent: Some(1e6),
    interval_percent: Some(60.0),
    ..QUICK
};

fn warmed_up(messages: &[Message]) -> (u32, Option<Steady>) {
    let told = messages.iter().find_map(|message| match message {
        Message::WarmedUp { runs, steady, .. } => Some((*runs, *steady)),
        _ => None,
    });
    told.unwrap_or_else(|| panic!("{messages:?}"))
}

fn ended_by(messages: &[Message]) -> Option<EndedBy> {
    messages.iter().find_map(|message| match message {
        Message::Measured { ended_by, .. } => *ended_by,
        _ => None,
    })
}

/// A machine that becomes busy, or idle, within a run has no one median: then it is asked for once more.
const TRIES: usize = 10;

#[test]
fn both_loops_go_on_until_they_are_told_that_it_is_enough() {
    let lab = Lab::new();
    for scenario in Scenario::ALL.iter().copied() {
        for (place, mut request) in
            [("inside", lab.request("run", WIDE)), ("outside", request(&lab, WIDE, &[("sleep_ns", "200000")]))]
        {
            request.job.scenario = scenario;
            let ended = (0..TRIES).find_map(|attempt| {
                request.run_id = format!("{place}-{scenario}-{attempt}");
                let (messages, code, stderr) = lab.start(&request).finish();
                assert_eq!(code, 0, "{messages:?} {stderr}");
                let (runs, steady) = warmed_up(&messages);
                assert!(steady == Some(Steady::Yes) && runs >= 20, "{runs} {steady:?}");
                assert!(!messages.iter().any(|message| matches!(message, Message::Look { .. })));
                (ended_by(&messages) == Some(EndedBy::Interval)).then(|| samples(&messages).len())
            });
            // Fewer than two hundred can't say how far what disturbs them reaches.
            let ended = ended.unwrap_or_else(|| panic!("{place}, {scenario}: none of {TRIES} ended by its interval"));
            assert!((200..2_000).contains(&ended), "{place}, {scenario}: {ended}");
        }
    }
}

#[test]
fn what_is_never_good_enough_ends_at_its_limit() {
    let lab = Lab::new();
    let limits = Limits {
        warmup_max_seconds: 0.3,
        steady_percent: Some(1.0),
        interval_percent: Some(1e-9),
        max_runs: 40,
        ..QUICK
    };
    // Each inference takes longer than the one before.
    let (messages, ..) = lab.start(&request(&lab, limits, &[("slower_ns", "200000")])).finish();
    let (runs, steady) = warmed_up(&messages);
    assert!(steady == Some(Steady::No) && runs >= 20, "{runs} {steady:?}");
    assert_eq!((ended_by(&messages), samples(&messages).len()), (Some(EndedBy::MaxRuns), 40));

    let mut short =
        request(&lab, Limits { warmup_max_seconds: 0.0, max_seconds: 0.05, ..limits }, &[("sleep_ns", "9000000")]);
    short.run_id = "short".to_owned();
    let (messages, ..) = lab.start(&short).finish();
    assert_eq!(warmed_up(&messages), (2, Some(Steady::Unknown)));
    assert_eq!(ended_by(&messages), Some(EndedBy::MaxSeconds));
}

#[test]
fn loops_without_such_limits_say_what_ended_them() {
    let lab = Lab::new();
    let (messages, ..) = lab.start(&lab.request("plain", QUICK)).finish();
    assert_eq!((warmed_up(&messages), ended_by(&messages)), ((2, None), Some(EndedBy::Minima)));
    let mut outside = request(&lab, Limits { min_seconds: 60.0, ..QUICK }, &[]);
    outside.run_id = "outside".to_owned();
    let (messages, ..) = lab.start(&outside).finish();
    assert_eq!((warmed_up(&messages), ended_by(&messages)), ((2, None), Some(EndedBy::MaxRuns)));
}
