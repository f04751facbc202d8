//! Runs of the past, by the table that is kept of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use serde_json::Value;

use super::value::{Row, named_params};
use super::{Database, Outcome, SqlStore, corrupt, from_json, nanoseconds, timestamp};
use crate::domain::{Facts, HistoryCell, JobId, Judgement, MeasuredJob, PastRun, SweepId};
use crate::store::{PastRuns, StoreError};

/// The rows stand in the order of the table's key: those of a network side by side, by time. What was measured in pairs
/// with something else is in no history.
pub(in crate::store) const PAST_RUNS: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, h.environment, h.circumstances, h.judged,
           h.first_job, h.rerun
    FROM run_history h
    WHERE h.model = :model AND h.at_ns >= :since_ns AND h.median_ns > 0 AND h.is_paired = 0
    ORDER BY h.at_ns DESC, h.sequence DESC LIMIT :limit";

/// The same on one device: where they stand is in an index of its own.
pub(in crate::store) const PAST_RUNS_ON_DEVICE: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, h.environment, h.circumstances, h.judged,
           h.first_job, h.rerun
    FROM run_history k
    JOIN run_history h ON h.model = k.model AND h.at_ns = k.at_ns AND h.sequence = k.sequence
    WHERE k.model = :model AND k.device = :device AND k.at_ns >= :since_ns AND h.median_ns > 0 AND h.is_paired = 0
    ORDER BY k.at_ns DESC, k.sequence DESC LIMIT :limit";

/// All of one device, whatever counts of them. The index `run_history_by_device` has their order.
pub(in crate::store) const PAST_RUNS_OF_DEVICE: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, h.environment, h.circumstances, h.judged,
           h.first_job, h.rerun
    FROM run_history h
    WHERE h.device = :device AND h.median_ns > 0
    ORDER BY h.at_ns DESC, h.sequence DESC LIMIT :limit";

/// Thousands of runs are of a few environments: each is read once, and not with each run.
const ENVIRONMENT: &str = "SELECT environment FROM environments WHERE id = ?1";

/// Each network by one search: those of a hundred thousand rows are few.
const MODELS: &str = "
    WITH RECURSIVE known (model) AS (
        SELECT min(model) FROM run_history
        UNION ALL SELECT (SELECT min(model) FROM run_history h WHERE h.model > known.model)
                  FROM known WHERE known.model IS NOT NULL)
    SELECT model FROM known WHERE model IS NOT NULL";

/// A run as the database has it.
struct RunColumns {
    sweep_id: String,
    at_ns: i64,
    model: String,
    median_ns: i64,
    cell: String,
    /// Its number.
    environment: i64,
    circumstances: String,
    judged: Option<String>,
    first_job: Option<String>,
    rerun: u32,
}

impl RunColumns {
    fn read(row: &Row<'_>) -> Outcome<RunColumns> {
        Ok(RunColumns {
            sweep_id: row.get(0)?,
            at_ns: row.get(1)?,
            model: row.get(2)?,
            median_ns: row.get(3)?,
            cell: row.get(4)?,
            environment: row.get(5)?,
            circumstances: row.get(6)?,
            judged: row.get(7)?,
            first_job: row.get(8)?,
            rerun: row.get(9)?,
        })
    }

    /// The cell of its sweep that it measured.
    fn measured(&self) -> Option<MeasuredJob> {
        Some(MeasuredJob { first: JobId(self.first_job.clone()?), rerun: self.rerun })
    }
}

pub(super) fn past_runs(store: &SqlStore<impl Database>, wanted: PastRuns<'_>) -> Result<Vec<PastRun>, StoreError> {
    let PastRuns { model, device, since, limit } = wanted;
    let since_ns = since.map_or(i64::MIN, nanoseconds);
    let what = "list past runs";
    let rows = match device {
        None => {
            let parameters = named_params! { ":model": model, ":since_ns": since_ns, ":limit": limit };
            store.query(what, PAST_RUNS, parameters, RunColumns::read)?
        }
        Some(device) => {
            let parameters =
                named_params! { ":model": model, ":device": device, ":since_ns": since_ns, ":limit": limit };
            store.query(what, PAST_RUNS_ON_DEVICE, parameters, RunColumns::read)?
        }
    };
    runs(store, rows)
}

pub(super) fn past_runs_of_device(
    store: &SqlStore<impl Database>,
    device: &str,
    limit: u32,
) -> Result<Vec<PastRun>, StoreError> {
    let parameters = named_params! { ":device": device, ":limit": limit };
    runs(store, store.query("list past runs of a device", PAST_RUNS_OF_DEVICE, parameters, RunColumns::read)?)
}

fn runs(store: &SqlStore<impl Database>, rows: Vec<RunColumns>) -> Result<Vec<PastRun>, StoreError> {
    let mut cells = Read::<String, HistoryCell>::new();
    let mut environments = Read::<i64, Facts>::new();
    let mut circumstances = Read::<String, Facts>::new();
    let mut judgements = Read::<String, Judgement>::new();
    let read = |row: RunColumns| {
        let measured = row.measured();
        let judged = row.judged.map(|json| judgements.get(json, |json| from_json("what was found of a run", json)));
        Ok(PastRun {
            measured,
            sweep_id: SweepId(row.sweep_id),
            at: timestamp(row.at_ns)?,
            model: row.model,
            median_ns: u64::try_from(row.median_ns).map_err(|error| corrupt("a median", &error))?,
            cell: cells.get(row.cell, |json| from_json("a cell", json))?,
            environment: environments.get(row.environment, |number| environment(store, *number))?,
            circumstances: circumstances.get(row.circumstances, |json| facts(json))?,
            judged: judged.transpose()?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// The environment of this number.
fn environment(store: &SqlStore<impl Database>, number: i64) -> Result<Facts, StoreError> {
    let found = store.query("look up an environment", ENVIRONMENT, [number], |row| row.get::<String>(0))?;
    found.first().map_or_else(|| Err(corrupt("a run", &"its environment is gone")), |json| facts(json))
}

pub(super) fn models_run(store: &SqlStore<impl Database>) -> Result<Vec<String>, StoreError> {
    store.query("list networks that were run", MODELS, [], |row| row.get(0))
}

/// What was read of what many rows share.
struct Read<K, T>(HashMap<K, Arc<T>>);

impl<K: Eq + Hash, T> Read<K, T> {
    fn new() -> Read<K, T> {
        Read(HashMap::new())
    }

    fn get(&mut self, key: K, read: impl Fn(&K) -> Result<T, StoreError>) -> Result<Arc<T>, StoreError> {
        if let Some(known) = self.0.get(&key) {
            return Ok(Arc::clone(known));
        }
        let value = Arc::new(read(&key)?);
        self.0.insert(key, Arc::clone(&value));
        Ok(value)
    }
}

/// Texts by name, without those that are not known.
fn facts(json: &str) -> Result<Facts, StoreError> {
    let all: BTreeMap<String, Value> = from_json("what a run was like", json)?;
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(in_one_order(text)),
        other => Some(other.to_string()),
    };
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

/// A text that is JSON itself, with its fields in the order of their names: an import may have changed that.
fn in_one_order(text: String) -> String {
    let json = text.starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(&text).ok()).flatten();
    json.map_or(text, |json| json.to_string())
}
