//! What got slower: each finished sweep of a schedule is compared with its history or its baseline, once.

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::change_points::ChangeRules;
use crate::compare::history::cell_histories;
use crate::compare::regressions::{Watch, Watched, in_comparison, in_history, until_sweep};
use crate::compare::{CompareError, DeviceName, Options, Runs, compare};
use crate::domain::{Against, Event, EventKind, Regression, RegressionRule, RegressionState, SweepCompared, SweepId};
use crate::schedule::Schedule;
use crate::store::{DueComparison, PastRuns, Store, people};

use super::{BASELINE, Lab, LabError, MOST_RUNS};

/// Most changes that an event has one by one.
const TOLD: usize = 20;
/// Levels that differ by less are the same, whatever a schedule says, in per cent: what a history has as a change.
const SMALLEST_PERCENT: f64 = 2.0;

impl Lab {
    /// Compares each finished sweep of these schedules that was not compared yet. What is found is kept, and told by
    /// [`Lab::notify`].
    ///
    /// # Errors
    /// When a sweep could not be compared, after the others were: it is tried again then.
    pub fn compare_finished(&self, schedules: &[Schedule]) -> Result<(), LabError> {
        let store = self.store()?;
        let mut failures = Vec::new();
        for due in store.due_comparisons()? {
            let schedule = schedules.iter().find(|schedule| schedule.name == due.schedule);
            let rule = schedule.map(|schedule| &schedule.on_regression);
            let Some((rule, against)) = rule.and_then(|rule| Some((rule, rule.against.as_ref()?))) else {
                store.leave_comparison(&due.sweep)?;
                continue;
            };
            if let Err(error) = self.compare_due(store.as_ref(), &due, rule, against) {
                failures.push(format!("schedule {}, sweep {}: {}", due.schedule, due.sweep, error.text()));
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(LabError::internal(failures.join("; "))),
        }
    }

    fn compare_due(
        &self,
        store: &dyn Store,
        due: &DueComparison,
        rule: &RegressionRule,
        against: &Against,
    ) -> Result<(), LabError> {
        let known = store.regressions(false)?;
        let watch = Watch {
            sweep: &due.sweep,
            at: self.now(),
            schedule: &due.schedule,
            against,
            threshold_percent: rule.threshold_percent,
            known: &known,
        };
        let watched = match against {
            Against::History => self.watch_history(store, &watch)?,
            Against::Baseline(name) => self.watch_baseline(name, &watch)?,
        };
        let first = |list: &[Regression]| list.iter().take(TOLD).cloned().collect();
        let compared = SweepCompared {
            schedule: due.schedule.clone(),
            against: against.to_string(),
            cells: watched.cells as u64,
            is_told: rule.is_told,
            found: watched.found.len() as u64,
            gone: watched.gone.len() as u64,
            slower: first(&watched.found),
            ended: first(&watched.gone),
        };
        tracing::info!(sweep = %due.sweep, %against, cells = watched.cells, slower = watched.found.len(), "compared");
        let event = Event {
            at: watch.at,
            sweep_id: Some(due.sweep.clone()),
            device: None,
            job_id: None,
            run_id: None,
            kind: EventKind::SweepCompared(Box::new(compared)),
        };
        let all = [watched.found, watched.still, watched.gone].concat();
        store.keep_comparison(&due.sweep, &all, &event)?;
        Ok(())
    }

    /// What a sweep says by the histories of its cells.
    fn watch_history(&self, store: &dyn Store, watch: &Watch<'_>) -> Result<Watched, LabError> {
        let jobs = store.jobs(watch.sweep)?;
        let measured: BTreeSet<(&str, &str)> =
            jobs.iter().map(|job| (job.model.name.as_str(), job.device.as_str())).collect();
        let rules =
            ChangeRules { min_percent: watch.threshold_percent.min(SMALLEST_PERCENT), ..ChangeRules::default() };
        let mut watched = Watched::default();
        for (model, device) in measured {
            let runs = store.past_runs(PastRuns { model, device: Some(device), since: None, limit: MOST_RUNS })?;
            for history in cell_histories(&until_sweep(runs, watch.sweep), &rules) {
                watched.extend(in_history(model, &history, watch));
            }
        }
        Ok(watched)
    }

    /// What a sweep says in comparison with the baseline of this name; a cell of which a person acknowledged what it
    /// takes is compared with the sweep that took that.
    fn watch_baseline(&self, name: &str, watch: &Watch<'_>) -> Result<Watched, LabError> {
        let baseline = self.baseline(name)?;
        let mut watched = Watched::default();
        if baseline.sweep == *watch.sweep {
            return Ok(watched);
        }
        let mut levels = acknowledged_levels(watch, &baseline.sweep);
        // The sweep of a level may have left before a person acknowledged it.
        let store = self.store()?;
        let mut there = BTreeSet::new();
        for sweep in levels.values() {
            if store.sweep(sweep)?.is_some() {
                there.insert((*sweep).clone());
            }
        }
        levels.retain(|_, sweep| there.contains(*sweep));
        let new = self.compared_runs(watch.sweep.as_str(), DeviceName::Name)?;
        let options = Options { threshold_percent: watch.threshold_percent, ..Options::default() };
        let mut by_sweep: BTreeMap<&SweepId, BTreeSet<&str>> = BTreeMap::new();
        for (cell, sweep) in &levels {
            by_sweep.entry(*sweep).or_default().insert(cell);
        }
        let mut look = |mut of_base: Runs, is_meant: &dyn Fn(&str) -> bool| {
            let mut of_sweep = new.clone();
            of_base.retain(|cell| is_meant(&cell.to_string()));
            of_sweep.retain(|cell| is_meant(&cell.to_string()));
            match compare(&of_base, &of_sweep, &options) {
                Ok(comparison) => watched.extend(in_comparison(&comparison, &baseline.sweep, watch)),
                // There is nothing to compare then, and so nothing to tell.
                Err(
                    CompareError::NoRuns { .. }
                    | CompareError::NothingInCommon { .. }
                    | CompareError::SameRuns { .. }
                    | CompareError::OneValue { .. }
                    | CompareError::UnknownBase { .. },
                ) => {}
            }
        };
        let of_baseline = self.compared_runs(&format!("{BASELINE}{name}"), DeviceName::Name)?;
        look(of_baseline, &|cell| !levels.contains_key(cell));
        for (sweep, cells) in by_sweep {
            look(self.compared_runs(sweep.as_str(), DeviceName::Name)?, &|cell| cells.contains(cell));
        }
        Ok(watched)
    }

    /// What got slower, the newest first; with what is over, where `all` is asked for.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn regressions(&self, all: bool) -> Result<Vec<Regression>, LabError> {
        Ok(self.store()?.regressions(!all)?)
    }

    /// Says that something that got slower is as it should be: it is the new level, and nobody is told of it again.
    /// `wanted` is the beginning of its name.
    ///
    /// # Errors
    /// When there is no such one, or it is over.
    pub fn acknowledge_regression(&self, wanted: &str) -> Result<Regression, LabError> {
        self.acknowledge_regression_as(wanted, &self.person())
    }

    /// The same for this person.
    ///
    /// # Errors
    /// When there is no such one, or it is over.
    pub fn acknowledge_regression_as(&self, wanted: &str, by: &str) -> Result<Regression, LabError> {
        let store = self.store()?;
        let all = store.regressions(false)?;
        let mut named = all.iter().filter(|regression| regression.id.as_str().starts_with(wanted));
        let found = match (named.next(), named.next()) {
            (Some(found), None) if !wanted.is_empty() => found,
            (Some(_), Some(_)) if !wanted.is_empty() => {
                return Err(LabError::usage(format!("several changes begin with {wanted:?}"))
                    .with_hint("write more of its name; `farmctl history alarms` lists them"));
            }
            _ => {
                return Err(LabError::usage(format!("there is no change {wanted:?}"))
                    .with_hint("`farmctl history alarms` lists what got slower"));
            }
        };
        let over = |state: RegressionState| {
            LabError::usage(format!("{} is {state} already", found.id))
                .with_hint("only what is open can be acknowledged: `farmctl history alarms` lists that")
        };
        if found.state != RegressionState::Open {
            return Err(over(found.state));
        }
        let acknowledged = people::acknowledge_regression(store.as_ref(), found, by, self.now())?;
        acknowledged.ok_or_else(|| over(RegressionState::Gone))
    }
}

/// By cell, the sweep that it is compared with in place of the baseline's: the one that had what was acknowledged last.
fn acknowledged_levels<'a>(watch: &Watch<'a>, baseline: &SweepId) -> BTreeMap<&'a str, &'a SweepId> {
    let mut levels = BTreeMap::new();
    let is_level = |known: &&Regression| {
        known.against == *watch.against && known.reference == *baseline && known.state == RegressionState::Acknowledged
    };
    // The newest come first.
    for known in watch.known.iter().filter(is_level) {
        levels.entry(known.cell.as_str()).or_insert(&known.seen_in);
    }
    levels
}
