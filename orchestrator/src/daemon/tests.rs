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

/// Sweeps of one job, which end when the test says so, or when they are to stop.
struct Fake {
    store: Arc<dyn Store>,
    begun: Mutex<Vec<String>>,
    compared: Mutex<Vec<String>>,
    ends: Stop,
    refuses: Mutex<Option<TaskError>>,
    obstacle: Mutex<Option<String>>,
}

impl Fake {
    fn of(store: Arc<dyn Store>) -> Fake {
        Fake {
            store,
            begun: Mutex::default(),
            compared: Mutex::default(),
            ends: Stop::default(),
            refuses: Mutex::default(),
            obstacle: Mutex::default(),
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    async fn carry_out(&self, sweep: &SweepId, stop: &Stop) -> Result<(), TaskError> {
        tokio::select! {
            () = self.ends.reached(1) => {}
            () = stop.reached(1) => return Ok(()),
        }
        for job in self.store.open_jobs(sweep, None).unwrap() {
            let failure = Failure::new(FailureKind::Cancelled, "it is a test");
            let row = SweepRow { id: sweep.clone(), ..sample::sweep() };
            let record =
                crate::agent::cell_record(&row, None, &job, RunStatus::Cancelled, Some(failure), conformance::at(0));
            match self.store.add_record(&record) {
                // A process that is gone has its task here still.
                Err(StoreError::StaleEpoch { .. }) => {}
                added => added.unwrap(),
            }
        }
        self.store.finish_sweep(sweep, conformance::at(0)).unwrap();
        Ok(())
    }
}

#[async_trait(?Send)]
impl Sweeps for Fake {
    async fn begin(&self, _: &Schedule, due: DueTime, stop: Arc<Stop>) -> Result<(), TaskError> {
        if let Some(trouble) = Fake::lock(&self.refuses).clone() {
            return Err(trouble);
        }
        let id = SweepId(format!("of {}", due.due_at));
        let row = SweepRow { id: id.clone(), finished_at: None, state: SweepState::Open, ..sample::sweep() };
        let definition = SweepDefinition { due: Some(due), ..conformance::definition() };
        let plan =
            crate::domain::Plan { sweep: "s".into(), jobs: vec![sample::job("a", "mobilenet_v2")], skipped: vec![] };
        self.store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
        Fake::lock(&self.begun).push(format!("begun {id}"));
        self.carry_out(&id, &stop).await
    }

    async fn go_on(&self, sweep: &SweepId, stop: Arc<Stop>) -> Result<(), TaskError> {
        Fake::lock(&self.begun).push(format!("gone on with {sweep}"));
        if let Some(trouble) = Fake::lock(&self.refuses).clone() {
            return Err(trouble);
        }
        self.carry_out(sweep, &stop).await
    }

    async fn cancel(&self, sweep: &SweepId) -> Result<(), TaskError> {
        Fake::lock(&self.begun).push(format!("ended {sweep}"));
        self.ends.raise(1);
        self.carry_out(sweep, &Stop::default()).await
    }

    async fn probe(&self) -> Result<(), TaskError> {
        Fake::lock(&self.begun).push("asked".to_owned());
        Ok(())
    }

    async fn look_at_files(&self, _: &[Schedule]) -> Result<(), TaskError> {
        Ok(())
    }

    async fn tidy(&self, _: &Retention) -> Result<(), TaskError> {
        Fake::lock(&self.begun).push("tidied".to_owned());
        Ok(())
    }

    async fn compare(&self, schedules: &[Schedule]) -> Result<(), TaskError> {
        for due in self.store.due_comparisons().unwrap() {
            let known = schedules.iter().any(|schedule| schedule.name == due.schedule);
            Fake::lock(&self.compared).push(format!("{} of {}, {known}", due.sweep, due.schedule));
            self.store.leave_comparison(&due.sweep).unwrap();
        }
        Ok(())
    }

    async fn notify(&self, channels: &[Channel]) -> Result<(), TaskError> {
        for sweep in self.store.pending_sweeps().unwrap() {
            let by = channels.len();
            Fake::lock(&self.begun).push(format!("told of {} by {by}", sweep.id));
            self.store.mark_sweep_notified(&sweep.id).unwrap();
        }
        Ok(())
    }

    fn obstacle(&self) -> Option<String> {
        Fake::lock(&self.obstacle).clone()
    }
}

/// A lab whose clocks the test sets.
struct Lab {
    store: Arc<dyn Store>,
    now: Arc<Mutex<Timestamp>>,
    /// By how much the clock that people set is off.
    off: Arc<Mutex<SignedDuration>>,
    fake: Arc<Fake>,
    schedule: Schedule,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Sweeps of processes that are gone end with the test.
        self.fake.ends.raise(1);
    }
}

impl Lab {
    fn new(cron: &str, change: impl FnOnce(&mut Schedule)) -> Lab {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let mut schedule = crate::schedule::tests::schedule(cron, "UTC");
        change(&mut schedule);
        let fake = Arc::new(Fake::of(Arc::clone(&store)));
        let now = Arc::new(Mutex::new("2026-05-01T00:00:00Z".parse().unwrap()));
        Lab { store, now, off: Arc::default(), fake, schedule }
    }

    /// A process; one that is dropped is gone.
    fn daemon(&self) -> Daemon {
        let sweeps: Arc<dyn Sweeps> = Arc::<Fake>::clone(&self.fake);
        let mut daemon = Daemon::new(Arc::clone(&self.store), sweeps, self.clock(), |_| true);
        daemon.set_schedules(vec![self.schedule.clone()]);
        daemon
    }

    /// The clock of a process that begins now.
    fn clock(&self) -> LabClock {
        let (now, off) = (Arc::clone(&self.now), Arc::clone(&self.off));
        let booted_at: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        let clock = LabClock::of(Arc::new(move || {
            let (now, off) = (*now.lock().unwrap(), *off.lock().unwrap());
            Moment { wall: now + off, since_boot: now.duration_since(booted_at).try_into().unwrap() }
        }));
        let believed = self.store.believed_clock().unwrap();
        let after = believed.as_ref().map_or(0, |believed| believed.last_event);
        clock.hold_against(believed.as_ref(), &self.store.event_times(after).unwrap());
        clock
    }

    /// Sets the clock that people set so far off.
    fn jump(&self, hours: i64) {
        *Fake::lock(&self.off) = SignedDuration::from_hours(hours);
    }

    fn pass(&self, seconds: i64) {
        *Fake::lock(&self.now) += SignedDuration::from_secs(seconds);
    }

    fn set(&self, time: &str) {
        *Fake::lock(&self.now) = format!("2026-05-{time}:00Z").parse().unwrap();
    }

    fn told(&self) -> Vec<String> {
        Fake::lock(&self.fake.begun).iter().map(|line| line.replace("2026-05-", "")).collect()
    }

    /// Looks until the sweeps have told so much.
    async fn look_until(&self, daemon: &mut Daemon, told: usize) {
        let looking = async {
            while self.told().len() < told {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), looking).await;
        ended.unwrap_or_else(|_| panic!("it told only {:?}; {:?}", self.told(), daemon.status()));
    }

    /// Sweeps that were begun.
    fn begun(&self) -> Vec<String> {
        self.told().into_iter().filter(|line| line.starts_with("begun")).collect()
    }

    /// Looks until so many sweeps were begun.
    async fn look_until_begun(&self, daemon: &mut Daemon, begun: usize) {
        let looking = async {
            while self.begun().len() < begun {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), looking).await;
        ended.unwrap_or_else(|_| panic!("it told only {:?}; {:?}", self.told(), daemon.status()));
    }

    /// How often what is not kept was taken out.
    fn tidied(&self) -> usize {
        self.told().iter().filter(|line| *line == "tidied").count()
    }

    /// Looks until that was done so often.
    async fn look_until_tidied(&self, daemon: &mut Daemon, times: usize) {
        let looking = async {
            while self.tidied() < times {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    /// Looks until nothing is at work.
    async fn look_until_idle(&self, daemon: &mut Daemon) {
        let looking = async {
            while !daemon.status().running.is_empty() {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    fn states(&self) -> Vec<(StartState, Option<String>)> {
        let starts = self.store.scheduled_starts(None, 99).unwrap();
        starts.into_iter().rev().map(|start| (start.state, start.why)).collect()
    }
}

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

impl Lab {
    /// A sweep that was submitted.
    fn hand_over(&self, name: &str) -> SweepId {
        let id = SweepId(name.to_owned());
        let row = SweepRow { id: id.clone(), finished_at: None, state: SweepState::Open, ..sample::sweep() };
        let jobs = [sample::job("a", "mobilenet_v2")];
        let submission = Submission { by: "ann".to_owned(), at: *Fake::lock(&self.now), max_devices: 1 };
        let definition = conformance::definition();
        let new = NewSweep {
            row: &row,
            definition: &definition,
            jobs: &jobs,
            skipped: &[],
            submission: Some(&submission),
            order: None,
        };
        self.store.create_sweep(&new).unwrap();
        id
    }
}

#[tokio::test]
async fn what_is_handed_over_is_carried_out_once_whoever_is_killed() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    let id = lab.hand_over("given");
    lab.look_until(&mut daemon, 1).await;
    daemon.tick().await;
    assert_eq!(daemon.status().running, ["sweep given"]);
    drop(daemon);
    let mut second = lab.daemon();
    lab.look_until(&mut second, 2).await;
    lab.fake.ends.raise(1);
    lab.look_until_idle(&mut second).await;
    second.tick().await;
    assert_eq!(lab.told(), ["gone on with given", "gone on with given"]);
    assert_eq!(lab.store.sweep_state(&id).unwrap(), SweepState::Finished);
}

#[tokio::test]
async fn what_somebody_else_carries_out_or_took_back_is_left_alone() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let sweeps: Arc<dyn Sweeps> = Arc::<Fake>::clone(&lab.fake);
    let mut daemon = Daemon::new(Arc::clone(&lab.store), sweeps, lab.clock(), |_| false);
    let (held, taken) = (lab.hand_over("held"), lab.hand_over("taken"));
    let at = *Fake::lock(&lab.now);
    lab.store.lease_sweep(&held, "another", Duration::from_secs(60), at).unwrap();
    lab.store.withdraw(&taken).unwrap();
    daemon.tick().await;
    assert_eq!((daemon.status().running.len(), lab.told().len()), (0, 0));
    // It ended without a word.
    lab.set("01T00:02");
    lab.look_until(&mut daemon, 1).await;
    assert_eq!(lab.told(), ["gone on with held"]);
}

#[tokio::test]
async fn who_asks_again_does_not_wait_for_the_pause_after_a_failure() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("the runner is another now".to_owned()));
    let id = lab.hand_over("given");
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    assert_eq!(daemon.status().troubles, ["sweep given: the runner is another now"]);
    *Fake::lock(&lab.fake.refuses) = None;
    lab.set("01T00:00");
    daemon.tick().await;
    assert_eq!(lab.told().len(), 1, "not before a while");
    let at = *Fake::lock(&lab.now) + SignedDuration::from_secs(1);
    lab.store.submit_to_daemon(&id, &Submission { by: "ann".to_owned(), at, max_devices: 1 }).unwrap();
    lab.look_until(&mut daemon, 2).await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
}

#[tokio::test]
async fn a_cancelled_one_that_nobody_has_is_ended_at_once_whatever_it_was_put_off_for() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("the runner is another now".to_owned()));
    let put_off = lab.hand_over("put off");
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    assert_eq!((lab.told().len(), daemon.status().troubles.len()), (1, 1), "it does not go on before a while");
    let fresh = lab.hand_over("fresh");
    for id in [&put_off, &fresh] {
        lab.store.cancel_sweep(id, None).unwrap();
    }
    lab.look_until(&mut daemon, 3).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    let ended: BTreeSet<String> = lab.told().into_iter().skip(1).collect();
    assert_eq!(ended, ["ended fresh", "ended put off"].map(str::to_owned).into());
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
    for id in [&put_off, &fresh] {
        assert_eq!(lab.store.sweep_state(id).unwrap(), SweepState::Cancelled);
    }
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
async fn what_is_old_is_taken_out_once_a_day() {
    let lab = Lab::new("0 2 * * *", |schedule| schedule.is_enabled = false);
    let (mut daemon, rules) = (lab.daemon(), rules());
    daemon.set_retention(Some(rules.clone()));
    lab.set("01T04:29");
    daemon.tick().await;
    assert_eq!(lab.told(), Vec::<String>::new());
    lab.set("01T04:30");
    lab.look_until(&mut daemon, 1).await;
    // The same rules, read again, are no other rules.
    daemon.set_retention(Some(rules));
    lab.set("02T04:29");
    daemon.tick().await;
    lab.set("02T04:31");
    lab.look_until(&mut daemon, 2).await;
    daemon.set_retention(None);
    lab.set("03T04:31");
    daemon.tick().await;
    assert_eq!(lab.told(), ["tidied", "tidied"]);
}

#[tokio::test]
async fn the_end_of_a_sweep_is_told_once_whoever_carried_it_out() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.set_channels(vec![Channel::Command(vec!["x".to_owned()])]);
    daemon.tick().await;
    lab.hand_over("given");
    lab.fake.ends.raise(1);
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("01T00:01");
    lab.look_until(&mut daemon, 2).await;
    lab.set("01T00:02");
    daemon.tick().await;
    assert_eq!(lab.told(), ["gone on with given", "told of given by 1"]);
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
        lab.look_until_idle(&mut daemon).await;
    }
    let name = &lab.schedule.name;
    let expected = format!("of 2026-05-01T02:00:00Z of {name}, true");
    assert_eq!(*Fake::lock(&lab.fake.compared), [expected], "what a person hands over is no schedule's");
}

#[tokio::test]
async fn devices_are_asked_again_and_again() {
    let lab = Lab::new("0 2 * * *", |schedule| schedule.is_enabled = false);
    let mut daemon = lab.daemon();
    daemon.probe_every(Some(Duration::from_secs(900)));
    lab.look_until(&mut daemon, 1).await;
    lab.set("01T00:14");
    daemon.tick().await;
    assert_eq!(lab.told(), ["asked"]);
    lab.set("01T00:15");
    lab.look_until(&mut daemon, 2).await;
    daemon.probe_every(None);
    lab.set("01T09:00");
    daemon.tick().await;
    assert_eq!(lab.told(), ["asked", "asked"]);
}

/// Hours of ten years.
const TEN_YEARS: i64 = 87_660;

#[tokio::test]
async fn nights_of_a_clock_that_jumps_begin_each_due_sweep_once_and_take_nothing_out() {
    for hours in [TEN_YEARS, -TEN_YEARS, 3, -3] {
        let lab = Lab::new("0 2 * * *", |_| {});
        let mut daemon = lab.daemon();
        daemon.set_retention(Some(rules()));
        daemon.tick().await;
        let mut nights = Vec::new();
        for day in 1..=3 {
            for minute in ["01:58", "02:00", "02:03"] {
                lab.set(&format!("0{day}T{minute}"));
                // For four seconds, now and then.
                let tidied = lab.tidied();
                lab.jump(hours);
                daemon.tick().await;
                let troubles = daemon.status().troubles;
                assert!(troubles.iter().any(|it| it.starts_with("clock: it jumped")), "{hours} h: {troubles:?}");
                lab.pass(4);
                daemon.tick().await;
                assert_eq!(lab.tidied(), tidied, "nothing leaves meanwhile");
                lab.jump(0);
                daemon.tick().await;
                assert_eq!(daemon.status().troubles, Vec::<String>::new());
                // What was due since yesterday is done now.
                lab.look_until_tidied(&mut daemon, day - 1).await;
                if minute == "02:00" {
                    lab.look_until_begun(&mut daemon, day).await;
                    lab.fake.ends.raise(1);
                    lab.look_until_idle(&mut daemon).await;
                }
                // A process that is started anew finds the same.
                daemon = lab.daemon();
                daemon.set_retention(Some(rules()));
            }
            nights.push(format!("begun of 0{day}T02:00:00Z"));
        }
        assert_eq!(lab.begun(), nights, "{hours} h off");
        let jumps = lab.store.new_events(0, 999).unwrap();
        let jumps = jumps.iter().filter(|(_, event)| matches!(event.kind, EventKind::ClockJumped { .. })).count();
        assert_eq!(jumps, 9, "each is an event");
    }
}

/// After a boot nobody can tell a clock that is ahead from a long pause: a process that begins under it goes by it.
#[tokio::test]
async fn what_was_put_off_under_a_clock_that_was_ahead_does_not_wait_for_that_time() {
    let lab = Lab::new("0 2 * * *", |_| {});
    lab.daemon().tick().await;
    let believed = lab.store.believed_clock().unwrap().unwrap();
    let of_another_boot = BelievedClock { boot: "another".to_owned(), ..believed };
    lab.store.believe_clock(&of_another_boot, None).unwrap();
    lab.jump(TEN_YEARS);
    let mut daemon = lab.daemon();
    daemon.set_retention(Some(rules()));
    daemon.tick().await;
    lab.jump(0);
    daemon.tick().await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
    let next_at = daemon.files_at.unwrap();
    assert!(next_at <= daemon.clock.now() + LOOK_AT_FILES_EVERY, "{next_at}");
    lab.set("02T00:00");
    lab.look_until_tidied(&mut daemon, 1).await;
}

#[tokio::test]
async fn what_a_jump_holds_back_goes_on_when_a_person_says_so_or_after_an_hour() {
    for (hours, is_person) in [(3, true), (3, false), (-3, true)] {
        let lab = Lab::new("0 2 * * *", |_| {});
        let mut daemon = lab.daemon();
        lab.set("01T01:00");
        daemon.tick().await;
        // Over a restart too.
        drop(daemon);
        lab.jump(hours);
        let mut daemon = lab.daemon();
        for _ in 0..59 {
            lab.pass(60);
            daemon.tick().await;
        }
        assert_eq!((lab.begun().len(), daemon.status().troubles.len()), (0, 1), "{hours}");
        if is_person {
            let here = lab.clock();
            here.believe();
            lab.store.believe_clock(&here.believed(lab.store.last_event().unwrap()).unwrap(), None).unwrap();
        } else {
            lab.pass(120);
        }
        daemon.tick().await;
        assert_eq!(daemon.status().troubles, Vec::<String>::new(), "{hours}");
        // It is five o'clock, or eleven in the evening of the day before.
        if hours > 0 {
            lab.look_until_begun(&mut daemon, 1).await;
        }
        assert_eq!(lab.begun().len(), usize::from(hours > 0), "{hours}");
        lab.fake.ends.raise(1);
    }
}

#[tokio::test]
async fn due_times_that_a_wrong_clock_settled_are_begun_by_the_right_one_and_none_twice() {
    let lab = Lab::new("0 2 * * *", |_| {});
    lab.daemon().tick().await;
    let far: Timestamp = "2036-05-01T02:00:00Z".parse().unwrap();
    let why = || Some("as an older version had it".to_owned());
    lab.store.settle_due("nightly", &[(far, why())], far).unwrap();
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.fake.ends.raise(1);
    lab.set("01T02:00");
    lab.look_until_begun(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    // Set back by a person, past the due time: it comes again, and was begun.
    lab.set("01T01:59");
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.set("01T02:01");
    daemon.tick().await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("02T02:00");
    lab.look_until_begun(&mut daemon, 2).await;
    assert_eq!(lab.begun(), ["begun of 01T02:00:00Z", "begun of 02T02:00:00Z"]);
}
