//! How fast cells were over sweeps.

use jiff::{SignedDuration, Timestamp};

use crate::compare::change_points::ChangeRules;
use crate::compare::history::{CellHistory, cell_histories};
use crate::compare::regressions::with_alarms;
use crate::domain::{HistoryCell, PastRun, SweepId};
use crate::lab::{ErrorKind, Lab, LabError};
use crate::store::{PastRuns, Store};
use crate::wording::did_you_mean;

/// Dated so much later than now is what a clock that was ahead has dated: clocks of hosts differ by seconds.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// Most runs that a history is made of: the newest.
pub const MOST_RUNS: u32 = 10_000;

/// Which histories are asked for. Without a word of a kind, all.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// The network's name.
    pub model: String,
    /// A device's name.
    pub device: Option<String>,
    /// An engine.
    pub backend: Option<String>,
    /// An arithmetic.
    pub precision: Option<String>,
    /// Threads that were asked for.
    pub threads: Option<String>,
    /// A size of batch.
    pub batch: Option<String>,
    /// A load pattern.
    pub scenario: Option<String>,
    /// Weights.
    pub weights: Option<String>,
    /// No runs longer ago than this.
    pub since: Option<SignedDuration>,
}

/// The histories of a network.
#[derive(Debug, Clone)]
pub struct ModelHistory {
    /// A history for each cell, in the order of the cells.
    pub cells: Vec<CellHistory>,
    /// When the oldest run was that is in it, where there were more than [`MOST_RUNS`].
    pub cut_at: Option<Timestamp>,
    /// Sweeps that are dated later than now, by a clock that was ahead: they stand last, whenever they were. None is
    /// told while the clock of this host is in doubt.
    pub dated_ahead: Vec<SweepId>,
}

/// A word that a cell has to have, how it is called, and where it is.
struct Filter<'a> {
    what: &'static str,
    wanted: &'a str,
    word: fn(&HistoryCell) -> String,
}

impl<'a> Filter<'a> {
    fn of(what: &'static str, wanted: &'a Option<String>, word: fn(&HistoryCell) -> String) -> Option<Filter<'a>> {
        Some(Filter { what, wanted: wanted.as_deref()?, word })
    }
}

impl HistoryQuery {
    fn filters(&self) -> Vec<Filter<'_>> {
        let all = [
            Filter::of("device", &self.device, |cell| cell.device.clone()),
            Filter::of("engine", &self.backend, |cell| cell.backend.clone()),
            Filter::of("precision", &self.precision, |cell| cell.precision.to_string()),
            Filter::of("number of threads", &self.threads, |cell| cell.threads.to_string()),
            Filter::of("batch", &self.batch, |cell| cell.batch.to_string()),
            Filter::of("scenario", &self.scenario, |cell| cell.scenario.to_string()),
            Filter::of("kind of weights", &self.weights, |cell| cell.weights.to_string()),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Lab {
    /// How fast a network was over sweeps, cell by cell, with the changes in it and the alarms that they raised. It
    /// reads no sample, and at most [`MOST_RUNS`] runs.
    ///
    /// # Errors
    /// When there is no such network, or nothing of what was asked was measured.
    pub fn history(&self, query: &HistoryQuery) -> Result<ModelHistory, LabError> {
        let store = self.store()?;
        let since = query.since.map(|since| self.now() - since);
        let wanted = PastRuns { model: &query.model, device: query.device.as_deref(), since, limit: MOST_RUNS };
        let mut runs = store.past_runs(wanted)?;
        let is_cut = runs.len() >= MOST_RUNS as usize;
        let cut_at = runs.last().filter(|_| is_cut).map(|run| run.at);
        if runs.is_empty() && query.device.is_some() {
            // So that the devices that there are can be told.
            runs = store.past_runs(PastRuns { device: None, ..wanted })?;
        }
        if runs.is_empty() {
            return Err(self.no_history(store.as_ref(), query, since)?);
        }
        for filter in query.filters() {
            runs = kept(runs, &filter, &query.model)?;
        }
        let mut cells = cell_histories(&runs, &ChangeRules::default());
        let known = store.regressions(false)?;
        cells.iter_mut().for_each(|cell| with_alarms(&query.model, cell, &known));
        let dated_ahead = self.dated_now().map(|now| dated_ahead(&cells, now)).unwrap_or_default();
        Ok(ModelHistory { cells, cut_at, dated_ahead })
    }

    /// Why there is nothing: nobody knows the network, or it was not measured.
    fn no_history(
        &self,
        store: &dyn Store,
        query: &HistoryQuery,
        since: Option<Timestamp>,
    ) -> Result<LabError, LabError> {
        let model = &query.model;
        let measured = store.models_run()?;
        if let Some(since) = since.filter(|_| measured.contains(model)) {
            let error = LabError::nothing(format!("no run of {model} has ended well since {since:.0}"));
            return Ok(error.with_hint("a longer `--since` looks further back"));
        }
        if measured.contains(model) {
            let error = LabError::nothing(format!("{model} was measured side by side alone"));
            return Ok(error.with_hint("runs of `farmctl ab` are in no history; a sweep that has it begins one"));
        }
        let declared: Vec<String> = self.catalog()?.models.into_iter().map(|model| model.name).collect();
        if declared.contains(model) {
            let error = LabError::nothing(format!("no sweep of this lab has a result of {model} yet"));
            return Ok(match measured.as_slice() {
                [] => error,
                _ => error.with_hint(format!("there are results of: {}", measured.join(", "))),
            });
        }
        let known = declared.iter().chain(&measured).map(String::as_str);
        let error = LabError::usage(format!("there is no network {model:?}"));
        Ok(did_you_mean(model, known).into_iter().fold(error, LabError::with_hint))
    }
}

/// The sweeps of these histories that are dated later than now, each once, in their order.
fn dated_ahead(cells: &[CellHistory], now: Timestamp) -> Vec<SweepId> {
    let mut sweeps: Vec<SweepId> = Vec::new();
    for point in cells.iter().flat_map(|cell| &cell.points).filter(|point| point.at.duration_since(now) > AHEAD) {
        if !sweeps.contains(&point.sweep_id) {
            sweeps.push(point.sweep_id.clone());
        }
    }
    sweeps
}

/// The runs whose cell has the word.
fn kept(runs: Vec<PastRun>, filter: &Filter<'_>, model: &str) -> Result<Vec<PastRun>, LabError> {
    let mut known: Vec<String> = runs.iter().map(|run| (filter.word)(&run.cell)).collect();
    known.sort();
    known.dedup();
    if !known.iter().any(|word| word == filter.wanted) {
        let Filter { what, wanted, .. } = filter;
        let message = format!("no run of {model} is of the {what} {wanted:?}");
        let error = LabError::new(ErrorKind::Nothing, message);
        return Err(error.with_hint(format!("there are: {}", known.join(", "))));
    }
    Ok(runs.into_iter().filter(|run| (filter.word)(&run.cell) == filter.wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::history::HistoryPoint;
    use crate::domain::sample;

    #[test]
    fn what_a_clock_that_was_ahead_has_dated_is_told_once() {
        let point = |sweep: &str, seconds: i64| HistoryPoint {
            sweep_id: SweepId(sweep.to_owned()),
            at: sample::at(seconds),
            p50_ns: 1e6,
            runs: 1,
            series: 1,
        };
        let cell = |points: Vec<HistoryPoint>| CellHistory {
            cell: sample::history_cell("a", "m"),
            points,
            changes: Vec::new(),
        };
        let year = 365 * 86_400;
        let cells = [cell(vec![point("then", 0), point("ahead", year)]), cell(vec![point("ahead", year + 9)])];
        assert_eq!(dated_ahead(&cells, sample::at(60)), [SweepId("ahead".to_owned())]);
        assert_eq!(dated_ahead(&cells, sample::at(year - 300)), [], "clocks of hosts differ by minutes at most");
    }
}
