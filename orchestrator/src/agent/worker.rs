use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::Phase;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::device::{BringUp, Canceller, Collected, RunFailure, RunObserver, Session};
use crate::domain::{Device, EventKind, Failure, FailureKind, Job, Measurement, OnFailure, Record, RunStatus};
use crate::score::Statistics;
use crate::store::{ClaimedRun, StoreError};

use super::events::{Events, Subject};
use super::prepare::{SetUp, prepare, restore};
use super::spares::Phones;
use super::{Agent, AgentError, StopSignal, records, with_store};

/// How long a run belongs to this process without a heartbeat.
const LEASE: Duration = Duration::from_secs(60);
/// How long the store may refuse a record before the sweep is given up.
const STORE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a run may take to end after it was asked to.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// Why no more jobs start anywhere, once `on_failure: stop_sweep` fired.
type Halt = watch::Sender<Option<String>>;

/// Carries out the open jobs of one device.
#[tracing::instrument(name = "device", skip_all, fields(device = %device.name))]
pub(super) async fn work(agent: &Agent, device: &Device, phones: &Phones, halt: &Arc<Halt>) -> Result<(), AgentError> {
    if let Some(used) = phones.used_instead_of(device) {
        return skip_spare(agent, device, used).await;
    }
    let mut stop = agent.stop.clone();
    if *stop.borrow_and_update() > 0 {
        return Ok(());
    }
    let started = Instant::now();
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceConnecting).await;
    let mut pushing = |sent_bytes, size_bytes| {
        let kind = EventKind::PushProgress { name: "runner".to_owned(), sent_bytes, size_bytes };
        agent.events.show(Subject::device(&device.name), kind);
    };
    let with = BringUp {
        options: &agent.connect_options,
        timeouts: &agent.timeouts,
        runners: agent.runners.as_ref(),
        pushing: &mut pushing,
    };
    let session = tokio::select! {
        session = Session::bring_up(device, with) => session,
        _ = stop.changed() => return Ok(()),
    };
    let mut session = match session {
        Ok(session) => session,
        Err(failure) => return give_up(agent, device, failure).await,
    };
    let identity = session.android.as_ref().and_then(|android| android.identity());
    if let Some(Err(used)) = identity.map(|identity| phones.take(device, &identity)) {
        session.close().await;
        return skip_spare(agent, device, &used).await;
    }
    let mut set_up = prepare(agent, device, &mut session).await?;
    agent
        .events
        .emit(
            Subject::device(&device.name),
            EventKind::DeviceReady { description: describe(&session), duration_ns: as_ns(started.elapsed()) },
        )
        .await;
    let worked = work_through(agent, device, &mut session, &mut set_up, halt).await;
    let restored = restore(agent, device, &mut session, set_up).await;
    session.close().await;
    worked.and(restored)
}

/// Claims and runs jobs until there are none, a person stops, or the device is lost.
async fn work_through(
    agent: &Agent,
    device: &Device,
    session: &mut Session,
    set_up: &mut SetUp,
    halt: &Arc<Halt>,
) -> Result<(), AgentError> {
    loop {
        if *agent.stop.borrow() > 0 {
            return Ok(());
        }
        let halted = halt.borrow().clone();
        if let Some(why) = halted {
            return skip_rest(agent, device, &why).await;
        }
        if set_up.is_outdated(session) {
            *set_up = prepare(agent, device, session).await?;
        }
        let Some(run) = claim(agent, device).await? else { return Ok(()) };
        let record = carry_out(agent, device, session, &run).await;
        let failure = record.failure.clone();
        keep(agent, &run, record).await?;
        let Some(failure) = failure else { continue };
        if failure.kind == FailureKind::Cancelled {
            continue;
        }
        match agent.on_failure {
            OnFailure::Continue => {}
            OnFailure::StopDevice => {
                return skip_rest(agent, device, &format!("on_failure: stop_device, after {failure}")).await;
            }
            OnFailure::StopSweep => {
                halt.send_replace(Some(format!("on_failure: stop_sweep, after {failure} on {}", device.name)));
                continue;
            }
        }
        if session.is_gone() {
            return give_up(agent, device, failure).await;
        }
    }
}

async fn claim(agent: &Agent, device: &Device) -> Result<Option<ClaimedRun>, AgentError> {
    let (sweep, name, holder) = (agent.sweep.id.clone(), device.name.clone(), agent.holder.clone());
    with_store(&agent.store, move |store| store.claim(&sweep, &name, &holder, LEASE, Timestamp::now())).await
}

/// Pushes the model and runs the job; always ends in a record.
#[tracing::instrument(name = "run", skip_all, fields(job = %run.job.id, run = %run.run_id, model = %run.job.model.name))]
async fn carry_out(agent: &Agent, device: &Device, session: &mut Session, run: &ClaimedRun) -> Record {
    let subject = subject(run);
    let started_at = Timestamp::now();
    agent
        .events
        .emit(subject.clone(), EventKind::RunStarted { name: run.job.model.name.clone(), attempt: run.attempt })
        .await;
    let heartbeat = Heartbeat::start(agent, run);
    let outcome = push_and_run(agent, session, run, &subject).await;
    drop(heartbeat);
    records::of_run(&agent.sweep, device, session, run, started_at, outcome)
}

async fn push_and_run(
    agent: &Agent,
    session: &mut Session,
    run: &ClaimedRun,
    subject: &Subject,
) -> Result<Measurement, (Failure, Measurement)> {
    let nothing = |failure| (failure, Measurement::default());
    let ready = async {
        session.reconnect_if_lost().await?;
        push_model(agent, session, &run.job, subject).await
    };
    let mut stop = agent.stop.clone();
    tokio::select! {
        ready = ready => ready.map_err(nothing)?,
        () = asked_to_end(&mut stop) => {
            return Err(nothing(Failure::new(FailureKind::Cancelled, "it was asked to end before it had started")));
        }
    }
    let mut observer = Observer { events: agent.events.clone(), subject: subject.clone() };
    let collected = run_until_stopped(agent, session, run, &mut observer)
        .await
        .map_err(|failed| (failed.failure, failed.measurement))?;
    for (sha256, bytes) in &collected.output_files {
        if let Err(error) = agent.outputs.keep(sha256, bytes) {
            let failure =
                Failure::new(FailureKind::Internal, format!("failed to keep an output on this host: {error}"));
            return Err((failure, collected.measurement));
        }
    }
    Ok(collected.measurement)
}

/// Runs a job to its end, or to the end that a person asked for.
async fn run_until_stopped(
    agent: &Agent,
    session: &mut Session,
    run: &ClaimedRun,
    observer: &mut Observer,
) -> Result<Collected, Box<RunFailure>> {
    let canceller = session.canceller(&run.run_id);
    {
        let running = session.run(&run.job, &run.run_id, observer);
        tokio::pin!(running);
        let mut stop = agent.stop.clone();
        tokio::select! {
            ended = &mut running => return ended,
            () = asked_to_end(&mut stop) => {
                let both = async { tokio::join!(cancel(&canceller), running.as_mut()).1 };
                if let Ok(ended) = tokio::time::timeout(CANCEL_PATIENCE, both).await {
                    return ended;
                }
            }
        }
    }
    // Where a connection takes one command at a time, the order gets through once the run is no longer followed.
    let _ = tokio::time::timeout(CANCEL_PATIENCE, cancel(&canceller)).await;
    Err(Box::new(RunFailure {
        failure: Failure::new(FailureKind::Cancelled, "it was asked to end, and its last message did not come"),
        measurement: Measurement::default(),
    }))
}

/// Waits until a person asks to end the runs under way.
async fn asked_to_end(stop: &mut StopSignal) {
    if stop.wait_for(|times| *times >= 2).await.is_err() {
        // Nobody is there to ask any more.
        std::future::pending::<()>().await;
    }
}

async fn cancel(canceller: &Canceller) {
    if let Err(failure) = canceller.cancel().await {
        tracing::warn!(%failure, "a run could not be ended");
    }
}

async fn push_model(agent: &Agent, session: &mut Session, job: &Job, subject: &Subject) -> Result<(), Failure> {
    let unavailable = |what: String| Failure::new(FailureKind::ArtifactUnavailable, what);
    let name = job.model.name.clone();
    let artifact = job.model.artifact.clone().ok_or_else(|| unavailable(format!("model {name} has no file")))?;
    if session.has(&artifact) {
        return Ok(());
    }
    let source = agent
        .model_files
        .get(&artifact.sha256)
        .ok_or_else(|| unavailable(format!("the file of model {name} is not on this host")))?;
    let size_bytes = artifact.size_bytes;
    let mut progress = |sent_bytes| {
        agent.events.show(subject.clone(), EventKind::PushProgress { name: name.clone(), sent_bytes, size_bytes });
    };
    let mut had_bytes = None;
    let started = Instant::now();
    let (sent_bytes, duration) = loop {
        let resumed_bytes = session.partial_bytes(&artifact);
        let sha256 = artifact.sha256.clone();
        agent
            .events
            .emit(subject.clone(), EventKind::PushStarted { name: name.clone(), sha256, size_bytes, resumed_bytes })
            .await;
        match session.push(source, &artifact, &mut progress).await {
            Ok(pushed) => break (pushed.sent_bytes, pushed.duration),
            // As long as each try brings bytes over, a way that breaks or stands still is no reason to give up.
            Err(failure)
                if matches!(failure.kind, FailureKind::ConnectionLost | FailureKind::Timeout)
                    && had_bytes < Some(resumed_bytes) =>
            {
                had_bytes = Some(resumed_bytes);
                let cause = failure.message;
                agent.events.emit(subject.clone(), EventKind::DeviceReconnecting { cause }).await;
                session.reconnect().await?;
                // It may have arrived whole, and only the answer was lost.
                if session.has(&artifact) {
                    break (size_bytes - resumed_bytes, started.elapsed());
                }
            }
            Err(failure) => return Err(failure),
        }
    };
    let duration_ns = as_ns(duration);
    agent.events.emit(subject.clone(), EventKind::PushFinished { name, sent_bytes, duration_ns }).await;
    Ok(())
}

/// Keeps a record, however long the store takes to be writable again.
async fn keep(agent: &Agent, run: &ClaimedRun, record: Record) -> Result<(), AgentError> {
    let give_up_at = Instant::now() + STORE_PATIENCE;
    loop {
        let (epoch, kept) = (run.epoch, record.clone());
        match with_store(&agent.store, move |store| store.finish(epoch, &kept)).await {
            Ok(()) => break,
            Err(AgentError::Store(error @ StoreError::StaleEpoch { .. })) => {
                tracing::warn!(%error, "the lease of this run was lost, its result is not kept twice");
                return Ok(());
            }
            Err(error) if Instant::now() >= give_up_at => return Err(error),
            Err(error) => {
                tracing::error!(%error, "a record was not kept yet, trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    show_finished(&agent.events, run, &record).await;
    Ok(())
}

async fn show_finished(events: &Events, run: &ClaimedRun, record: &Record) {
    let kind = EventKind::RunFinished {
        name: record.job.model.name.clone(),
        status: record.status,
        p50_ns: Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.p50_ns),
        failure: record.failure.clone(),
    };
    events.emit(subject(run), kind).await;
}

/// The device can't be used: each of its open jobs gets a failed record.
async fn give_up(agent: &Agent, device: &Device, failure: Failure) -> Result<(), AgentError> {
    tracing::warn!(%failure, "the device can't be used");
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceFailed { failure: failure.clone() }).await;
    end_open_jobs(agent, device, RunStatus::Failed, failure).await
}

async fn skip_rest(agent: &Agent, device: &Device, why: &str) -> Result<(), AgentError> {
    end_open_jobs(agent, device, RunStatus::Skipped, Failure::new(FailureKind::Cancelled, why)).await
}

/// The device is another one, reached another way: none of its jobs is tried.
async fn skip_spare(agent: &Agent, device: &Device, used: &str) -> Result<(), AgentError> {
    let kind = EventKind::DeviceSpare { same_as: used.to_owned() };
    agent.events.emit(Subject::device(&device.name), kind).await;
    let why = format!("{} is the same phone as {used}, which is used", device.name);
    end_open_jobs(agent, device, RunStatus::Skipped, Failure::new(FailureKind::SpareDevice, why)).await
}

async fn end_open_jobs(agent: &Agent, device: &Device, status: RunStatus, failure: Failure) -> Result<(), AgentError> {
    let (sweep, device) = (agent.sweep.clone(), device.clone());
    with_store(&agent.store, move |store| {
        for job in store.open_jobs(&sweep.id, Some(&device.name))? {
            let record = records::of_cell(&sweep, Some(&device), &job, status, Some(failure.clone()));
            match store.add_record(&record, Timestamp::now()) {
                // Somebody else works on it.
                Ok(()) | Err(StoreError::StaleEpoch { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
    .await
}

/// Prolongs a run's lease until it is dropped.
struct Heartbeat(tokio::task::JoinHandle<()>);

impl Heartbeat {
    fn start(agent: &Agent, run: &ClaimedRun) -> Heartbeat {
        let (store, run_id, epoch) = (Arc::clone(&agent.store), run.run_id.clone(), run.epoch);
        Heartbeat(tokio::spawn(async move {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                let run_id = run_id.clone();
                let beat =
                    with_store(&store, move |store| store.heartbeat(&run_id, epoch, LEASE, Timestamp::now())).await;
                if let Err(error) = beat {
                    tracing::warn!(%error, "a lease was not prolonged");
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Turns what a run tells into events.
struct Observer {
    events: Events,
    subject: Subject,
}

#[async_trait]
impl RunObserver for Observer {
    async fn phase(&mut self, phase: Phase) {
        self.events.emit(self.subject.clone(), EventKind::RunPhase { phase }).await;
    }

    async fn reconnecting(&mut self, cause: &str) {
        self.events.emit(self.subject.clone(), EventKind::DeviceReconnecting { cause: cause.to_owned() }).await;
    }
}

fn subject(run: &ClaimedRun) -> Subject {
    Subject { device: Some(run.job.device.clone()), job_id: Some(run.job.id.clone()), run_id: Some(run.run_id.clone()) }
}

fn describe(session: &Session) -> String {
    let facts = session.facts();
    let chip = facts.soc.as_deref().unwrap_or(&session.hello.machine);
    let model = session.android.as_ref().and_then(|android| android.model.as_deref());
    let model = model.map_or_else(String::new, |model| format!("{model}, "));
    format!("{model}{chip}, {} cores, {}", facts.cpus, facts.os)
}

fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
