//! Of a sweep that measures two sides in pairs: what is settled is not measured any more.
//!
//! What is settled follows from the records alone, so that it is the same for whoever goes on with the sweep.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::compare::side_by_side::{LookRule, TRIED, cells_that_fail, settled_cells};
use crate::domain::{EventKind, Failure, FailureKind, Job, JobId, PairSide, Refusal, SideBySide};

use super::events::Subject;
use super::jobs::{DeviceOutcome, RunOutcome, Work};
use super::{AgentError, AgentMode, endings};

impl Work<'_, '_> {
    /// Has the runs of a side carried out by its runner, where the sides have runners of their own.
    pub(super) async fn use_runner_of(&mut self, side: Option<PairSide>) -> Result<(), Failure> {
        let files = &self.agent.files;
        let (Some(side), Some(of_b)) = (side, &files.b_runners) else { return Ok(()) };
        let runners = match side {
            PairSide::A => &files.runners,
            PairSide::B => of_b,
        };
        let runner = runners.runner(&self.session.hello.target).await?;
        self.session.use_runner(&runner).await
    }

    /// Where a device takes the runner of one side only, nothing is measured: its jobs are skipped.
    pub(super) async fn skip_without_runners(&mut self) -> Result<RunOutcome, AgentError> {
        let (agent, lease) = (self.agent, self.lease);
        if agent.files.b_runners.is_none() || agent.is_stopping() || agent.assignment.mode == AgentMode::EndRuns {
            return Ok(RunOutcome::GoOn);
        }
        let open = agent.store.open_jobs(&agent.assignment.sweep.id, Some(&self.device.name))?;
        // A is last: a run of it needs nothing more then.
        for side in [PairSide::B, PairSide::A].into_iter().filter(|_| !open.is_empty()) {
            let used = tokio::select! {
                used = self.use_runner_of(Some(side)) => used,
                () = agent.stopped() => return Ok(RunOutcome::GoOn),
                () = lease.lost() => return Ok(RunOutcome::End(DeviceOutcome::LeaseLost)),
            };
            let Err(failure) = used else { continue };
            if failure.kind.refusal() != Refusal::None || failure.kind == FailureKind::ConnectionLost {
                // That is the way to the device, and not the runner: the next run says so.
                return Ok(RunOutcome::GoOn);
            }
            let name = side.as_str().to_uppercase();
            let message = format!("{} does not take the runner of {name}: {}", self.device.name, failure.message);
            endings::give_up(agent, self.device, Failure::new(FailureKind::RunnerMissing, message)).await?;
            return Ok(RunOutcome::End(DeviceOutcome::Over));
        }
        Ok(RunOutcome::GoOn)
    }

    /// Leaves out jobs that are not needed: of cells that are settled, of those of which a side can't run, of pairs
    /// that were broken up, and all of them once the time is over. To be called between two jobs.
    pub(super) async fn leave_settled_out(&mut self) -> Result<(), AgentError> {
        let (agent, device) = (self.agent, self.device);
        let assignment = &agent.assignment;
        let Some(sides) = assignment.rules.side_by_side.as_ref().filter(|_| assignment.mode == AgentMode::Jobs) else {
            return Ok(());
        };
        let open = agent.store.open_jobs(&assignment.sweep.id, Some(&device.name))?;
        let Some(repeats) = open.iter().map(|job| job.repeat).min().map(|repeat| repeat.saturating_sub(1)) else {
            return Ok(());
        };
        if let Some(minutes) = sides.minutes.filter(|minutes| self.is_over_time(*minutes)) {
            return Ok(endings::skip_over_time(agent, device, &open, minutes)?);
        }
        let broken_up = broken_up(&open, sides);
        if !broken_up.is_empty() {
            let why = |job: &Job| {
                let is_it = broken_up.contains(&job.id);
                is_it.then(|| "it could not be measured right after the other of its pair".to_owned())
            };
            endings::skip_unneeded(agent, device, &open, why)?;
            // What is left is looked at before the next job.
            return Ok(());
        }
        // What is looked at are whole repeats, each once.
        if self.looked_at == Some(repeats) {
            return Ok(());
        }
        let before = self.looked_at.replace(repeats).unwrap_or(0);
        let alone = cells_of_one_side(&open, sides);
        let of_alone = |job: &Job| {
            let is_alone = alone.contains(&sides.cell(job));
            is_alone.then(|| "the other side of this cell has no more runs".to_owned())
        };
        endings::skip_unneeded(agent, device, &open, of_alone)?;
        if before < TRIED {
            self.leave_out_that_fail(&open, sides)?;
        }
        self.leave_out_after(before, repeats, &open, sides).await
    }

    /// Leaves out cells of which a side can't run: what the other takes says nothing then.
    fn leave_out_that_fail(&self, open: &[Job], sides: &SideBySide) -> Result<(), AgentError> {
        let records = self.agent.store.records(&self.agent.assignment.sweep.id)?;
        let of_device = records.iter().filter(|record| record.job.device == self.device.name);
        let fails = cells_that_fail(of_device, sides);
        let why = |job: &Job| fails.get(&(job.device.clone(), sides.cell(job))).cloned();
        Ok(endings::skip_unneeded(self.agent, self.device, open, why).map(drop)?)
    }

    /// Leaves out what so many repeats have settled, where a look is due since there were so many `before`.
    async fn leave_out_after(
        &self,
        before: u32,
        repeats: u32,
        open: &[Job],
        sides: &SideBySide,
    ) -> Result<(), AgentError> {
        let (store, sweep) = (&self.agent.store, &self.agent.assignment.sweep.id);
        let jobs = store.jobs(sweep)?;
        if !LookRule::of(&jobs, sides).looks().any(|look| before < look && look <= repeats) {
            return Ok(());
        }
        let (_, settled) = settled_cells(&jobs, &store.open_jobs(sweep, None)?, &store.records(sweep)?, sides);
        for ((_, cell), settled) in settled.into_iter().filter(|((device, _), _)| *device == self.device.name) {
            let (verdict, pairs) = (settled.verdict.as_str(), settled.repeats);
            let of_cell =
                |job: &Job| (sides.cell(job) == cell).then(|| format!("{pairs} pairs settle it: B is {verdict}"));
            let left_out = endings::skip_unneeded(self.agent, self.device, open, of_cell)? as u64;
            if left_out > 0 {
                let kind = EventKind::CellSettled { cell, verdict: verdict.to_owned(), pairs, left_out };
                self.agent.events.emit(Subject::device(&self.device.name), kind).await;
            }
        }
        Ok(())
    }

    fn is_over_time(&self, minutes: f64) -> bool {
        let since = self.agent.now().duration_since(self.agent.began_at);
        SignedDuration::try_from_secs_f64(minutes * 60.0).is_ok_and(|most| since >= most)
    }
}

/// Open jobs whose pair is none any more: the other of it has ended, and a whole repeat was begun and ended since. Such
/// a run was given back, since the device was taken or away.
fn broken_up(open: &[Job], sides: &SideBySide) -> BTreeSet<JobId> {
    let mut pairs: BTreeMap<(String, u32), Vec<&Job>> = BTreeMap::new();
    for job in open {
        pairs.entry((sides.cell(job), job.repeat)).or_default().push(job);
    }
    let (alone, whole): (Vec<Vec<&Job>>, _) = pairs.into_values().partition(|pair| pair.len() == 1);
    let Some(reached) = whole.iter().flatten().map(|job| job.repeat).min() else { return BTreeSet::new() };
    alone.into_iter().flatten().filter(|job| job.repeat + 1 < reached).map(|job| job.id.clone()).collect()
}

/// The cells of which one side has several runs to come, and the other has none. A run that waits to be tried again is
/// to come.
fn cells_of_one_side(open: &[Job], sides: &SideBySide) -> Vec<String> {
    let mut left: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    for job in open {
        left.entry(sides.cell(job)).or_default()[usize::from(job.side == Some(PairSide::B))] += 1;
    }
    left.into_iter().filter(|(_, [a, b])| a.min(b) == &0 && a + b > 1).map(|(cell, _)| cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    #[test]
    fn a_run_whose_pair_is_long_over_is_left_out_and_one_whose_turn_is_next_is_not() {
        let sides = SideBySide::sample();
        let job = |side: PairSide, repeat: u32| {
            let job = sample::job("pi", "net");
            Job { id: JobId(format!("j{repeat}{}", side.as_str())), side: Some(side), repeat, ..job }
        };
        let (a, b) = (PairSide::A, PairSide::B);
        let found = |open: &[Job]| broken_up(open, &sides).into_iter().map(|id| id.0).collect::<Vec<_>>();
        let none: [&str; 0] = [];
        assert_eq!(found(&[job(b, 1), job(a, 2), job(b, 2)]), none, "it is next");
        assert_eq!(found(&[job(b, 1), job(a, 3), job(b, 3)]), ["j1b"], "the second repeat was measured since");
        assert_eq!(found(&[job(a, 1), job(b, 1), job(a, 3), job(b, 3)]), none, "both wait");
        assert_eq!(found(&[job(b, 6)]), none, "the last");
    }
}
