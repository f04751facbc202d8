//! A lab whose clocks and sweeps the test settles.

use super::*;

/// Sweeps of one job, which end when the test says so, or when they are to stop.
pub(super) struct Fake {
    pub(super) store: Arc<dyn Store>,
    pub(super) begun: Mutex<Vec<String>>,
    pub(super) compared: Mutex<Vec<String>>,
    /// What keeps the sweep of that name from being compared.
    pub(super) uncomparable: Mutex<Option<SweepId>>,
    pub(super) ends: Stop,
    pub(super) refuses: Mutex<Option<TaskError>>,
    pub(super) obstacle: Mutex<Option<String>>,
}

impl Fake {
    pub(super) fn of(store: Arc<dyn Store>) -> Fake {
        Fake {
            store,
            begun: Mutex::default(),
            compared: Mutex::default(),
            uncomparable: Mutex::default(),
            ends: Stop::default(),
            refuses: Mutex::default(),
            obstacle: Mutex::default(),
        }
    }

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    pub(super) async fn carry_out(&self, sweep: &SweepId, stop: &Stop) -> Result<(), TaskError> {
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

    fn reaches_any(&self, _: &[String]) -> Result<bool, TaskError> {
        Ok(true)
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
        let uncomparable = Fake::lock(&self.uncomparable).clone();
        for due in self.store.due_comparisons().unwrap() {
            if uncomparable.as_ref() == Some(&due.sweep) {
                Fake::lock(&self.compared).push(format!("tried {}", due.sweep));
                continue;
            }
            let known = schedules.iter().any(|schedule| schedule.name == due.schedule);
            Fake::lock(&self.compared).push(format!("{} of {}, {known}", due.sweep, due.schedule));
            self.store.leave_comparison(&due.sweep).unwrap();
        }
        match uncomparable {
            Some(sweep) => Err(TaskError::Passing(format!("{sweep}: there is no baseline"))),
            None => Ok(()),
        }
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
pub(super) struct Lab {
    pub(super) store: Arc<dyn Store>,
    pub(super) now: Arc<Mutex<Timestamp>>,
    /// By how much the clock that people set is off.
    pub(super) off: Arc<Mutex<SignedDuration>>,
    pub(super) fake: Arc<Fake>,
    pub(super) schedule: Schedule,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Sweeps of processes that are gone end with the test.
        self.fake.ends.raise(1);
    }
}

impl Lab {
    pub(super) fn new(cron: &str, change: impl FnOnce(&mut Schedule)) -> Lab {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let mut schedule = crate::schedule::tests::schedule(cron, "UTC");
        change(&mut schedule);
        let fake = Arc::new(Fake::of(Arc::clone(&store)));
        let now = Arc::new(Mutex::new("2026-05-01T00:00:00Z".parse().unwrap()));
        Lab { store, now, off: Arc::default(), fake, schedule }
    }

    /// A process; one that is dropped is gone.
    pub(super) fn daemon(&self) -> Daemon {
        let sweeps: Arc<dyn Sweeps> = Arc::<Fake>::clone(&self.fake);
        let mut daemon = Daemon::new(Arc::clone(&self.store), sweeps, self.clock(), |_| true);
        daemon.set_schedules(vec![self.schedule.clone()]);
        daemon
    }

    /// The clock of a process that begins now.
    pub(super) fn clock(&self) -> LabClock {
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
    pub(super) fn jump(&self, hours: i64) {
        *Fake::lock(&self.off) = SignedDuration::from_hours(hours);
    }

    pub(super) fn pass(&self, seconds: i64) {
        *Fake::lock(&self.now) += SignedDuration::from_secs(seconds);
    }

    pub(super) fn set(&self, time: &str) {
        *Fake::lock(&self.now) = format!("2026-05-{time}:00Z").parse().unwrap();
    }

    pub(super) fn told(&self) -> Vec<String> {
        Fake::lock(&self.fake.begun).iter().map(|line| line.replace("2026-05-", "")).collect()
    }

    /// Looks until the sweeps have told so much.
    pub(super) async fn look_until(&self, daemon: &mut Daemon, told: usize) {
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
    pub(super) fn begun(&self) -> Vec<String> {
        self.told().into_iter().filter(|line| line.starts_with("begun")).collect()
    }

    /// Looks until so many sweeps were begun.
    pub(super) async fn look_until_begun(&self, daemon: &mut Daemon, begun: usize) {
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
    pub(super) fn tidied(&self) -> usize {
        self.told().iter().filter(|line| *line == "tidied").count()
    }

    /// Looks until that was done so often.
    pub(super) async fn look_until_tidied(&self, daemon: &mut Daemon, times: usize) {
        let looking = async {
            while self.tidied() < times {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    /// Looks until nothing is at work.
    pub(super) async fn look_until_idle(&self, daemon: &mut Daemon) {
        let looking = async {
            while !daemon.status().running.is_empty() {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    /// Looks until that is so.
    pub(super) async fn look_until_so(&self, daemon: &mut Daemon, is_so: impl Fn(&Daemon) -> bool) {
        let looking = async {
            while !is_so(daemon) {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), looking).await;
        ended.unwrap_or_else(|_| panic!("{:?}; {:?}", Fake::lock(&self.fake.compared), daemon.status()));
    }

    /// Looks until no sweep is to be compared.
    pub(super) async fn look_until_compared(&self, daemon: &mut Daemon) {
        let looking = async {
            while !self.store.due_comparisons().unwrap().is_empty() {
                daemon.tick().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    pub(super) fn states(&self) -> Vec<(StartState, Option<String>)> {
        let starts = self.store.scheduled_starts(None, 99).unwrap();
        starts.into_iter().rev().map(|start| (start.state, start.why)).collect()
    }

    /// A sweep that was submitted.
    pub(super) fn hand_over(&self, name: &str) -> SweepId {
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
