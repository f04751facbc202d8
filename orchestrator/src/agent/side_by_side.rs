//! Of a sweep that measures two sides in pairs: what is settled is not measured any more.
//!
//! What is settled follows from the records alone, so that it is the same for whoever goes on with the sweep.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::compare::side_by_side::{LookRule, settled_cells};
use crate::domain::{EventKind, Job, PairSide, SideBySide};

use super::events::Subject;
use super::jobs::Work;
use super::{AgentError, AgentMode, endings};

impl Work<'_, '_> {
    /// Leaves out jobs that are not needed: of cells that are settled, of those whose other side has ended without a
    /// pair, and all of them once the time is over. To be called between two jobs.
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
            let why = format!("the {minutes} minutes of this comparison are over");
            let of_all = |_: &Job| Some(why.clone());
            return Ok(endings::skip_unneeded(agent, device, &open, of_all).map(drop)?);
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
        self.leave_out_after(before, repeats, &open, sides).await
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

/// The cells of which one side has several runs to come, and the other has none. A run that waits to be tried again is
/// to come.
fn cells_of_one_side(open: &[Job], sides: &SideBySide) -> Vec<String> {
    let mut left: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    for job in open {
        left.entry(sides.cell(job)).or_default()[usize::from(job.side == Some(PairSide::B))] += 1;
    }
    left.into_iter().filter(|(_, [a, b])| a.min(b) == &0 && a + b > 1).map(|(cell, _)| cell).collect()
}
