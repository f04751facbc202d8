#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::SweepId;

pub(crate) fn schedule(cron: &str, zone: &str) -> Schedule {
    Schedule {
        name: "nightly".to_owned(),
        cron: cron.parse().unwrap(),
        time_zone: TimeZone::get(zone).unwrap(),
        sweep: "all.yaml".into(),
        devices: Vec::new(),
        max_parallel: None,
        window: None,
        overlap: Overlap::Skip,
        missed: Missed::Once,
        jitter: Duration::ZERO,
        checks_first: false,
        on_regression: crate::domain::RegressionRule::default(),
        is_enabled: true,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A moment as clocks of the schedule's zone show it, with the offset where that tells two apart.
fn shown(schedule: &Schedule, moment: Timestamp) -> String {
    moment.to_zoned_datetime(schedule.time_zone.clone()).strftime("%m-%d %H:%M%:z").to_string()
}

/// A host that runs (or is down), and sweeps that take their time. Nothing is kept but what a store keeps.
struct Host {
    schedule: Schedule,
    /// How much work a sweep is.
    work: SignedDuration,
    /// From when until when the host is down.
    down: Vec<(Timestamp, Timestamp)>,
    /// How often it looks.
    tick: SignedDuration,
    state: ScheduleState,
    left: SignedDuration,
    told: Vec<String>,
}

impl Host {
    fn new(schedule: Schedule, work_minutes: i64, from: &str) -> Host {
        let state = ScheduleState { settled_until: at(from), waiting: Vec::new(), current: None };
        let work = SignedDuration::from_mins(work_minutes);
        let tick = SignedDuration::from_mins(1);
        Host { schedule, work, down: Vec::new(), tick, state, left: SignedDuration::ZERO, told: Vec::new() }
    }

    fn tell(&mut self, now: Timestamp, what: &str) {
        self.told.push(format!("{} {what}", shown(&self.schedule, now)));
    }

    /// Runs step by step, as the daemon does; returns what happened.
    fn run(mut self, until: &str) -> Vec<String> {
        let mut now = self.state.settled_until;
        while now < at(until) {
            now = now.checked_add(self.tick).unwrap();
            if self.down.iter().any(|(from, to)| (*from..*to).contains(&now)) {
                // A host that went down left the sweep as it was.
                self.state.current.iter_mut().for_each(|current| current.is_running = false);
                continue;
            }
            if self.state.current.as_ref().is_some_and(|current| current.is_running) {
                self.left = self.left.checked_sub(self.tick).unwrap();
                if self.left <= SignedDuration::ZERO {
                    self.state.current = None;
                    self.tell(now, "ended");
                }
            }
            self.settle(now);
            self.act(now);
        }
        self.told
    }

    fn settle(&mut self, now: Timestamp) {
        for Settled { due_at, skipped } in newly_due(&self.schedule, &self.state, now) {
            self.state.settled_until = self.state.settled_until.max(due_at);
            match skipped {
                Some(why) => {
                    self.state.waiting.retain(|waiting| *waiting != due_at);
                    let due = shown(&self.schedule, due_at);
                    self.tell(now, &format!("{due} left out: {}", why.split(':').next().unwrap()));
                }
                None => self.state.waiting.push(due_at),
            }
        }
    }

    fn act(&mut self, now: Timestamp) {
        loop {
            let step = next_step(&self.schedule, &self.state, now);
            let current = self.state.current.as_mut();
            match step {
                Step::Begin(due_at) => {
                    self.state.waiting.retain(|waiting| *waiting != due_at);
                    let sweep_id = SweepId(due_at.to_string());
                    self.state.current = Some(Current { sweep_id, due_at, is_running: true, is_cancelled: false });
                    self.left = self.work;
                    let due = shown(&self.schedule, due_at);
                    self.tell(now, &format!("begun {due}"));
                }
                Step::GoOn(_) => {
                    current.unwrap().is_running = true;
                    self.tell(now, "goes on");
                }
                Step::Stop(_) => {
                    current.unwrap().is_running = false;
                    self.tell(now, "stopped");
                }
                Step::Cancel(_) => {
                    self.state.current = None;
                    self.tell(now, "cancelled");
                }
                Step::Wait(_) => return,
            }
        }
    }
}

/// The due times of a schedule in a while.
fn dues(schedule: &Schedule, from: &str, until: &str) -> Vec<Timestamp> {
    let next = |due: &Timestamp| schedule.next_due(*due);
    std::iter::successors(schedule.next_due(at(from)), next).take_while(|due| *due < at(until)).collect()
}

#[test]
fn half_past_two_comes_once_on_both_nights_north_and_south() {
    // Zone, the night clocks are put forward, the one they are put back.
    for (zone, forward, back) in [
        (
            "Europe/Berlin",
            ["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"],
            ["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"],
        ),
        (
            "America/New_York",
            ["03-07 02:30-05:00", "03-08 03:00-04:00", "03-09 02:30-04:00"],
            ["10-31 02:30-04:00", "11-01 02:30-05:00", "11-02 02:30-05:00"],
        ),
        (
            "Australia/Sydney",
            ["10-03 02:30+10:00", "10-04 03:00+11:00", "10-05 02:30+11:00"],
            ["04-04 02:30+11:00", "04-05 02:30+11:00", "04-06 02:30+10:00"],
        ),
        // Half an hour only: 02:00 becomes 02:30.
        (
            "Australia/Lord_Howe",
            ["10-03 02:30+10:30", "10-04 02:30+11:00", "10-05 02:30+11:00"],
            ["04-04 02:30+11:00", "04-05 02:30+10:30", "04-06 02:30+10:30"],
        ),
    ] {
        let schedule = schedule("30 2 * * *", zone);
        let year = dues(&schedule, "2025-12-31T12:00:00Z", "2026-12-31T12:00:00Z");
        let days: std::collections::BTreeSet<String> =
            year.iter().map(|due| shown(&schedule, *due)[..5].to_owned()).collect();
        assert_eq!((year.len(), days.len()), (365, 365), "{zone}: each day has one");
        let back_to_front: Vec<Timestamp> =
            year.iter().skip(1).map(|due| schedule.cron.previous(*due, &schedule.time_zone).unwrap()).collect();
        assert_eq!(back_to_front, year[..year.len() - 1], "{zone}: looked for backwards, they are the same");
        let table: Vec<String> = year.iter().map(|due| shown(&schedule, *due)).collect();
        for night in forward.iter().chain(&back) {
            assert!(table.iter().any(|due| due == night), "{zone}: {night} is not in {:?}", near(&table, night));
        }
    }
}

fn near<'a>(table: &'a [String], night: &str) -> Vec<&'a String> {
    table.iter().filter(|due| due[..2] == night[..2]).collect()
}

#[test]
fn steps_of_an_hour_go_by_the_time_that_passes() {
    let schedule = schedule("0 * * * *", "Europe/Berlin");
    // 23 hours, 25 hours.
    assert_eq!(dues(&schedule, "2026-03-28T22:59:00Z", "2026-03-29T21:59:00Z").len(), 23);
    assert_eq!(dues(&schedule, "2026-10-24T21:59:00Z", "2026-10-25T22:59:00Z").len(), 25);
}

#[test]
fn a_year_of_nights() {
    let nightly = Schedule { window: Some("22:00-06:00".parse().unwrap()), ..schedule("0 22 * * *", "Europe/Berlin") };
    let mut host = Host::new(nightly, 5 * 60, "2026-01-01T00:00:00Z");
    host.tick = SignedDuration::from_mins(15);
    let told = host.run("2027-01-01T00:00:00Z");
    let of = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("begun"), of("ended"), of("left out"), of("stopped")), (365, 364, 0, 0));
    let around = |night: &str| -> Vec<&str> {
        let from = told.iter().position(|line| line.starts_with(night)).unwrap();
        told[from..from + 2].iter().map(String::as_str).collect()
    };
    // Five hours of work on each night, whatever clocks say of them.
    assert_eq!(around("01-01 22:00"), ["01-01 22:00+01:00 begun 01-01 22:00+01:00", "01-02 03:00+01:00 ended"]);
    assert_eq!(around("03-28 22:00"), ["03-28 22:00+01:00 begun 03-28 22:00+01:00", "03-29 04:00+02:00 ended"]);
    assert_eq!(around("07-01 22:00"), ["07-01 22:00+02:00 begun 07-01 22:00+02:00", "07-02 03:00+02:00 ended"]);
    assert_eq!(around("10-24 22:00"), ["10-24 22:00+02:00 begun 10-24 22:00+02:00", "10-25 02:00+01:00 ended"]);
}

#[test]
fn a_window_over_the_nights_on_which_clocks_change() {
    // The night of spring has seven hours, the one of autumn nine.
    let night = |work: i64, from: &str, until: &str| {
        let window = Some("22:00–06:00".parse().unwrap());
        let nightly = Schedule { window, ..schedule("0 22 * * *", "Europe/Berlin") };
        Host::new(nightly, work, from).run(until)
    };
    assert_eq!(
        night(10 * 60, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
        [
            "03-28 22:00+01:00 begun 03-28 22:00+01:00",
            "03-29 06:00+02:00 stopped",
            "03-29 22:00+02:00 03-29 22:00+02:00 left out: overlap",
            "03-29 22:00+02:00 goes on",
            "03-30 01:00+02:00 ended"
        ]
    );
    assert_eq!(
        night(10 * 60, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z")[1..4],
        [
            "10-25 06:00+01:00 stopped",
            "10-25 22:00+01:00 10-25 22:00+01:00 left out: overlap",
            "10-25 22:00+01:00 goes on"
        ]
    );
}

#[test]
fn overlapping_sweeps_by_each_rule() {
    let hourly = |overlap| {
        let hourly = Schedule { overlap, ..schedule("0 * * * *", "Etc/UTC") };
        Host::new(hourly, 90, "2026-05-01T00:30:00Z").run("2026-05-01T04:45:00Z")
    };
    let z = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| line.replace('Z', "+00:00")).collect() };
    assert_eq!(
        hourly(Overlap::Skip),
        z(&[
            "05-01 01:00Z begun 05-01 01:00Z",
            "05-01 02:00Z 05-01 02:00Z left out: overlap",
            "05-01 02:30Z ended",
            "05-01 03:00Z begun 05-01 03:00Z",
            "05-01 04:00Z 05-01 04:00Z left out: overlap",
            "05-01 04:30Z ended",
        ])
    );
    assert_eq!(
        hourly(Overlap::Queue),
        z(&[
            "05-01 01:00Z begun 05-01 01:00Z",
            "05-01 02:30Z ended",
            "05-01 02:30Z begun 05-01 02:00Z",
            "05-01 04:00Z ended",
            "05-01 04:00Z begun 05-01 03:00Z",
        ])
    );
    assert_eq!(
        hourly(Overlap::Replace),
        z(&[
            "05-01 01:00Z begun 05-01 01:00Z",
            "05-01 02:00Z cancelled",
            "05-01 02:00Z begun 05-01 02:00Z",
            "05-01 03:00Z cancelled",
            "05-01 03:00Z begun 05-01 03:00Z",
            "05-01 04:00Z cancelled",
            "05-01 04:00Z begun 05-01 04:00Z",
        ])
    );
}

#[test]
fn a_queue_is_bounded() {
    let minutely = Schedule { overlap: Overlap::Queue, ..schedule("* * * * *", "Etc/UTC") };
    let told = Host::new(minutely, 60, "2026-05-01T00:00:00Z").run("2026-05-01T00:20:00Z");
    assert_eq!(told.iter().filter(|line| line.contains("left out")).count(), 20 - 1 - MAX_QUEUED, "{told:#?}");
}

#[test]
fn down_over_three_due_times_by_each_rule() {
    let down = |missed, overlap| {
        let daily = Schedule { missed, overlap, ..schedule("0 3 * * *", "America/Sao_Paulo") };
        let mut host = Host::new(daily, 30, "2026-05-01T00:00:00Z");
        host.down = vec![(at("2026-05-01T18:00:00Z"), at("2026-05-04T18:00:00Z"))];
        let told = host.run("2026-05-05T09:00:00Z");
        told.into_iter().map(|line| line.replace("-03:00", "")).collect::<Vec<_>>()
    };
    let first = ["05-01 03:00 begun 05-01 03:00", "05-01 03:30 ended"];
    let last = ["05-05 03:00 begun 05-05 03:00", "05-05 03:30 ended"];
    let between = |lines: &[&str]| -> Vec<String> {
        [&first[..], lines, &last[..]].concat().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(
        down(Missed::None, Overlap::Skip),
        between(&[
            "05-04 15:00 05-02 03:00 left out: missed",
            "05-04 15:00 05-03 03:00 left out: missed",
            "05-04 15:00 05-04 03:00 left out: missed",
        ])
    );
    assert_eq!(
        down(Missed::Once, Overlap::Skip),
        between(&[
            "05-04 15:00 05-02 03:00 left out: missed",
            "05-04 15:00 05-03 03:00 left out: missed",
            "05-04 15:00 begun 05-04 03:00",
            "05-04 15:30 ended",
        ])
    );
    assert_eq!(
        down(Missed::All, Overlap::Queue),
        between(&[
            "05-04 15:00 begun 05-02 03:00",
            "05-04 15:30 ended",
            "05-04 15:30 begun 05-03 03:00",
            "05-04 16:00 ended",
            "05-04 16:00 begun 05-04 03:00",
            "05-04 16:30 ended",
        ])
    );
}

#[test]
fn a_host_that_goes_down_in_the_night_goes_on_and_begins_nothing_twice() {
    let window = Some("22:00-06:00".parse().unwrap());
    let nightly = Schedule { window, ..schedule("0 22 * * *", "Europe/Berlin") };
    let mut host = Host::new(nightly.clone(), 120, "2026-01-10T12:00:00Z");
    host.down = vec![(at("2026-01-10T21:30:00Z"), at("2026-01-10T22:10:00Z"))];
    let expected =
        ["01-10 22:00+01:00 begun 01-10 22:00+01:00", "01-10 23:10+01:00 goes on", "01-11 00:41+01:00 ended"];
    assert_eq!(host.run("2026-01-11T12:00:00Z"), expected);
    // Back when the window is closed already: made up for in the next night, whose own sweep is then the one too many.
    let mut host = Host::new(nightly, 120, "2026-01-10T12:00:00Z");
    host.down = vec![(at("2026-01-10T20:30:00Z"), at("2026-01-11T08:00:00Z"))];
    let expected = [
        "01-11 22:00+01:00 01-11 22:00+01:00 left out: overlap",
        "01-11 22:00+01:00 begun 01-10 22:00+01:00",
        "01-12 00:00+01:00 ended",
    ];
    assert_eq!(host.run("2026-01-12T12:00:00Z"), expected);
}

#[test]
fn a_long_time_down_is_looked_through_within_bounds() {
    let each_second = Schedule { missed: Missed::Once, ..schedule("* * * * * *", "Etc/UTC") };
    let state = ScheduleState { settled_until: at("2016-01-01T00:00:00Z"), waiting: Vec::new(), current: None };
    let settled = newly_due(&each_second, &state, at("2026-01-01T00:00:00Z"));
    assert!(settled.len() <= MAX_SKIPPED && settled.last().unwrap().due_at == at("2026-01-01T00:00:00Z"));
    let old = Schedule { missed: Missed::None, ..schedule("*/5 * * * *", "Etc/UTC") };
    let settled = newly_due(&old, &state, at("2026-01-01T00:04:00Z"));
    assert_eq!(settled.len(), MAX_SKIPPED);
    assert!(settled[0].skipped.as_ref().unwrap().contains("all before it"), "{:?}", settled[0]);
}

#[test]
fn what_is_disabled_begins_nothing_and_lets_runs_end() {
    let disabled = Schedule { is_enabled: false, ..schedule("* * * * *", "Etc/UTC") };
    let now = at("2026-01-01T00:10:00Z");
    let current = Current { sweep_id: SweepId("s".into()), due_at: now, is_running: true, is_cancelled: false };
    let state = ScheduleState { settled_until: at("2026-01-01T00:00:00Z"), waiting: vec![now], current: Some(current) };
    assert_eq!(newly_due(&disabled, &state, now), []);
    assert_eq!(next_step(&disabled, &state, now), Step::Stop(SweepId("s".into())));
    let idle = ScheduleState { current: None, ..state };
    assert_eq!(next_step(&disabled, &idle, now), Step::Wait(None));
}

#[test]
fn jitter_is_the_same_for_one_due_time_and_differs_between_them() {
    let late = Schedule { jitter: Duration::from_secs(600), ..schedule("0 3 * * *", "Etc/UTC") };
    let starts: Vec<i64> = dues(&late, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
        .iter()
        .map(|due| late.starts_at(*due).duration_since(*due).as_secs())
        .collect();
    assert!(starts.iter().all(|seconds| (0..=600).contains(seconds)), "{starts:?}");
    let different: std::collections::BTreeSet<&i64> = starts.iter().collect();
    assert!(different.len() > 25, "{starts:?}");
    assert_eq!(Host::new(late.clone(), 5, "2026-01-01T00:00:00Z").run("2026-01-03T00:00:00Z").len(), 4);
    assert_eq!(late.starts_at(at("2026-01-01T03:00:00Z")), late.clone().starts_at(at("2026-01-01T03:00:00Z")));
}
