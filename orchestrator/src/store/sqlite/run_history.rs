//! Runs of the past, by the table that 019_run_history.sql and 020_judged_runs.sql keep of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Row, named_params};
use serde_json::Value;

use super::{SqliteStore, corrupt, from_json, nanoseconds, timestamp};
use crate::domain::{Facts, HistoryCell, PastRun, SweepId};
use crate::store::{PastRuns, StoreError};

/// The rows stand in the order of the table's key: those of a network side by side, by time.
pub(super) const PAST_RUNS: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, e.environment, h.circumstances, h.judged
    FROM run_history h JOIN environments e ON e.id = h.environment
    WHERE h.model = :model AND h.at_ns >= :since_ns AND h.median_ns > 0
    ORDER BY h.at_ns DESC, h.sequence DESC LIMIT :limit";

/// The same on one device, by an index of its own.
pub(super) const PAST_RUNS_ON_DEVICE: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, e.environment, h.circumstances, h.judged
    FROM run_history h INDEXED BY run_history_by_model_and_device JOIN environments e ON e.id = h.environment
    WHERE h.model = :model AND h.device = :device AND h.at_ns >= :since_ns AND h.median_ns > 0
    ORDER BY h.at_ns DESC, h.sequence DESC LIMIT :limit";

/// All of one device. The index `run_history_by_device` has their order.
pub(super) const PAST_RUNS_OF_DEVICE: &str = "
    SELECT h.sweep_id, h.at_ns, h.model, h.median_ns, h.cell, e.environment, h.circumstances, h.judged
    FROM run_history h JOIN environments e ON e.id = h.environment
    WHERE h.device = :device AND h.median_ns > 0
    ORDER BY h.at_ns DESC, h.sequence DESC LIMIT :limit";

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
    environment: String,
    circumstances: String,
    judged: Option<String>,
}

impl RunColumns {
    fn read(row: &Row<'_>) -> rusqlite::Result<RunColumns> {
        Ok(RunColumns {
            sweep_id: row.get(0)?,
            at_ns: row.get(1)?,
            model: row.get(2)?,
            median_ns: row.get(3)?,
            cell: row.get(4)?,
            environment: row.get(5)?,
            circumstances: row.get(6)?,
            judged: row.get(7)?,
        })
    }
}

pub(super) fn past_runs(store: &SqliteStore, wanted: PastRuns<'_>) -> Result<Vec<PastRun>, StoreError> {
    let PastRuns { model, device, since, limit } = wanted;
    let since_ns = since.map_or(i64::MIN, nanoseconds);
    let what = "list past runs";
    runs(match device {
        None => {
            let parameters = named_params! { ":model": model, ":since_ns": since_ns, ":limit": limit };
            store.query(what, PAST_RUNS, parameters, RunColumns::read)?
        }
        Some(device) => {
            let parameters =
                named_params! { ":model": model, ":device": device, ":since_ns": since_ns, ":limit": limit };
            store.query(what, PAST_RUNS_ON_DEVICE, parameters, RunColumns::read)?
        }
    })
}

pub(super) fn past_runs_of_device(store: &SqliteStore, device: &str, limit: u32) -> Result<Vec<PastRun>, StoreError> {
    let parameters = named_params! { ":device": device, ":limit": limit };
    runs(store.query("list past runs of a device", PAST_RUNS_OF_DEVICE, parameters, RunColumns::read)?)
}

fn runs(rows: Vec<RunColumns>) -> Result<Vec<PastRun>, StoreError> {
    let (mut cells, mut environments) = (Read::<HistoryCell>::new(), Read::<Facts>::new());
    let read = |row: RunColumns| {
        Ok(PastRun {
            sweep_id: SweepId(row.sweep_id),
            at: timestamp(row.at_ns)?,
            model: row.model,
            median_ns: u64::try_from(row.median_ns).map_err(|error| corrupt("a median", &error))?,
            cell: cells.get(row.cell, |json| from_json("a cell", json))?,
            environment: environments.get(row.environment, facts)?,
            circumstances: facts(&row.circumstances)?,
            judged: row.judged.as_deref().map(|json| from_json("what was found of a run", json)).transpose()?,
        })
    };
    rows.into_iter().map(read).collect()
}

pub(super) fn models_run(store: &SqliteStore) -> Result<Vec<String>, StoreError> {
    store.query("list networks that were run", MODELS, [], |row| row.get(0))
}

/// What was read of texts that many rows share.
struct Read<T>(HashMap<String, Arc<T>>);

impl<T> Read<T> {
    fn new() -> Read<T> {
        Read(HashMap::new())
    }

    fn get(&mut self, json: String, read: impl Fn(&str) -> Result<T, StoreError>) -> Result<Arc<T>, StoreError> {
        if let Some(known) = self.0.get(&json) {
            return Ok(Arc::clone(known));
        }
        let value = Arc::new(read(&json)?);
        self.0.insert(json, Arc::clone(&value));
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
