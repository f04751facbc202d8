//! What a run has measured whose sweep ended while its device was away.

use async_trait::async_trait;
use farmctl_protocol::{Fence, Phase};

use crate::device::{Order, RunObserver, Session};
use crate::domain::{Device, EventKind, Record, RunId, RunStatus};
use crate::score::trust::Certainty;

use super::Agent;
use super::events::Subject;
use super::orphans::NotCleared;

/// Collects the run of this record of a skipped job, and gives it its place there. What has failed on the device stays
/// as it is recorded.
///
/// # Errors
/// When the device goes away again: then the run stays on it.
pub(super) async fn collect(
    agent: &Agent,
    device: &Device,
    session: &mut Session,
    record: Record,
) -> Result<(), NotCleared> {
    let Some(run_id) = record.run_id.clone() else { return Ok(()) };
    let fence = Fence { lab: agent.lab.0.clone(), epoch: 0 };
    let order = Order { job: &record.job, run_id: &run_id, fence: &fence, engine: None };
    let collected = match session.run(order, &mut Unwatched).await {
        Ok(collected) => collected,
        Err(failed) if session.is_lost() => return Err(failed.failure.into()),
        Err(failed) => {
            tracing::info!(%run_id, failure = %failed.failure, "a run that was left has no result");
            return Ok(());
        }
    };
    for (sha256, bytes) in &collected.output_files {
        if let Err(error) = agent.files.outputs.keep(sha256, bytes) {
            tracing::error!(%run_id, %error, "an output of a late run was not kept");
        }
    }
    let kept = collected.output_files.iter().map(|(sha256, _)| sha256.clone()).collect();
    agent.files.outputs.share(kept).await;
    let mut measurement = collected.measurement;
    match agent.accuracy(&record.job, &collected.best_classes) {
        Ok(accuracy) => measurement.accuracy = accuracy,
        // Nobody goes on with this sweep: the time counts for more than what the images show.
        Err(error) => measurement.remarks.push(format!("no accuracy: failed to {error}")),
    }
    measurement.remarks.push("collected after its sweep had ended: the device was away".to_owned());
    let mut amended = Record {
        status: RunStatus::Ok,
        failure: None,
        measurement,
        device: Some(session.facts()),
        runner_sha256: Some(session.runner_sha256().to_owned()),
        finished_at: agent.now(),
        ..record
    };
    let rules = agent.store.definition(&amended.sweep_id)?.map(|it| it.sweep.trust.rules).unwrap_or_default();
    let certainty = Certainty::of_record(&amended, &rules);
    amended.judged = certainty.map(|certainty| certainty.judgement(&amended));
    agent.store.amend_record(&amended)?;
    tell(agent, device, &amended, run_id).await;
    Ok(())
}

async fn tell(agent: &Agent, device: &Device, record: &Record, run_id: RunId) {
    agent.note_amended(&record.sweep_id);
    let kind = EventKind::RunCollected { name: record.job.model.name.clone(), of_sweep: record.sweep_id.clone() };
    tracing::info!(%run_id, sweep = %record.sweep_id, "a late result was collected");
    agent.events.emit(Subject::device(&device.name), kind).await;
}

/// Nobody waits for it any more.
struct Unwatched;

#[async_trait]
impl RunObserver for Unwatched {
    async fn phase(&mut self, _: Phase) {}

    async fn reconnecting(&mut self, _: &str) {}
}
