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

    /// Looks until no sweep is to be compared.
    async fn look_until_compared(&self, daemon: &mut Daemon) {
        let looking = async {
            while !self.store.due_comparisons().unwrap().is_empty() {
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
