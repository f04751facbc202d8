use std::collections::BTreeSet;

use jiff::Timestamp;

use super::events::EventRow;
use super::value::params;
use super::{Database, SqlStore, events, nanoseconds};
use crate::domain::{Event, SweepId};
use crate::store::{RetentionStore, StoreError, SweepStore as _};

const MAY_LEAVE: &str = "
    SELECT count(*) FROM sweeps WHERE id = ?1 AND state IN ('finished', 'cancelled')
      AND id NOT IN (SELECT sweep_id FROM pinned_sweeps UNION ALL SELECT sweep_id FROM baselines
                     UNION ALL SELECT sweep_id FROM levels_beside_baselines)";

/// Rows that refer to others go first. What became of a due time stays, without its sweep, and so do acts of people.
const REMOVE: &[&str] = &[
    "UPDATE schedule_starts SET sweep_id = NULL WHERE sweep_id = ?1",
    "DELETE FROM handed_over WHERE sweep_id = ?1",
    "DELETE FROM sweep_parts WHERE sweep_id = ?1",
    "DELETE FROM sweep_halts WHERE sweep_id = ?1",
    "DELETE FROM due_comparisons WHERE sweep_id = ?1",
    "DELETE FROM report_files WHERE sweep_id = ?1",
    "DELETE FROM device_wants WHERE sweep_id = ?1",
    "UPDATE events SET sweep_id = NULL
     WHERE sweep_id = ?1 AND kind IN ('sweep_ordered', 'cancel_requested')",
    "DELETE FROM events WHERE sweep_id = ?1",
    "DELETE FROM record_outputs WHERE record IN (SELECT sequence FROM records WHERE sweep_id = ?1)",
    "DELETE FROM run_history WHERE sweep_id = ?1",
    "DELETE FROM records WHERE sweep_id = ?1",
    "DELETE FROM runs WHERE sweep_id = ?1",
    "DELETE FROM jobs WHERE sweep_id = ?1",
    "DELETE FROM sweep_runners WHERE sweep_id = ?1",
    "DELETE FROM sweeps WHERE id = ?1",
];

/// Whether an event may leave; its time is looked at beside.
const OLD: &str = "
    at_ns < ?1 AND (sweep_id IS NULL OR sweep_id IN (
        SELECT id FROM sweeps
        WHERE state IN ('finished', 'cancelled')
          AND id NOT IN (SELECT sweep_id FROM pinned_sweeps UNION ALL SELECT sweep_id FROM baselines
                         UNION ALL SELECT sweep_id FROM levels_beside_baselines)))";

/// A baseline keeps its sweep as a pin does, and so does what was acknowledged of one; the word of the pin goes before.
const PINNED: &str = "
    WITH kept (sweep_id, word) AS (
        SELECT sweep_id, min(set_by || ' as the baseline ' || name) FROM baselines GROUP BY sweep_id
        UNION ALL
        SELECT sweep_id, min(kept_by || ' as a new level beside the baseline ' || baseline)
        FROM levels_beside_baselines WHERE sweep_id NOT IN (SELECT sweep_id FROM baselines) GROUP BY sweep_id)
    SELECT sweep_id, pinned_by FROM pinned_sweeps
    UNION ALL
    SELECT sweep_id, word FROM kept WHERE sweep_id NOT IN (SELECT sweep_id FROM pinned_sweeps)
    ORDER BY sweep_id";

impl<D: Database> RetentionStore for SqlStore<D> {
    fn pin_sweep(&self, sweep: &SweepId, by: &str, event: &Event) -> Result<bool, StoreError> {
        self.sweep_state(sweep)?;
        let sql = "INSERT INTO pinned_sweeps (sweep_id, pinned_by, at_ns) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let row = EventRow::of(event)?;
        self.transaction("pin a sweep", |transaction| {
            let is_new = transaction.execute(sql, params![sweep.0, by, nanoseconds(event.at)])? == 1;
            if is_new {
                events::insert(transaction, &row)?;
            }
            Ok(is_new)
        })
    }

    fn unpin_sweep(&self, sweep: &SweepId, event: &Event) -> Result<bool, StoreError> {
        let row = EventRow::of(event)?;
        self.transaction("unpin a sweep", |transaction| {
            let was_pinned = transaction.execute("DELETE FROM pinned_sweeps WHERE sweep_id = ?1", [&sweep.0])? == 1;
            if was_pinned {
                events::insert(transaction, &row)?;
            }
            Ok(was_pinned)
        })
    }

    fn pinned_sweeps(&self) -> Result<Vec<(SweepId, String)>, StoreError> {
        self.query("list pinned sweeps", PINNED, [], |row| Ok((SweepId(row.get(0)?), row.get(1)?)))
    }

    fn sweep_bytes(&self) -> Result<Vec<(SweepId, u64)>, StoreError> {
        let sql = "SELECT sweep_id, CAST(sum(octet_length(record)) AS BIGINT) FROM records
                   GROUP BY sweep_id ORDER BY sweep_id";
        let rows = self.query("measure sweeps", sql, [], |row| Ok((SweepId(row.get(0)?), row.get::<i64>(1)?)))?;
        Ok(rows.into_iter().map(|(sweep, bytes)| (sweep, bytes.unsigned_abs())).collect())
    }

    fn remove_sweep(&self, sweep: &SweepId) -> Result<bool, StoreError> {
        self.transaction("take a sweep out", |transaction| {
            if transaction.one(MAY_LEAVE, [&sweep.0], |row| row.get::<i64>(0))? == 0 {
                return Ok(false);
            }
            for sql in REMOVE {
                transaction.execute(sql, [&sweep.0])?;
            }
            Ok(true)
        })
    }

    fn old_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM events WHERE {OLD}");
        let count = self.query("count old events", &sql, [nanoseconds(before)], |row| row.get::<i64>(0))?;
        Ok(count.first().copied().unwrap_or_default().unsigned_abs())
    }

    fn remove_old_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = format!("DELETE FROM events WHERE {OLD}");
        self.execute("take old events out", &sql, [nanoseconds(before)])
    }

    fn outputs_named(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self
            .query("list outputs", "SELECT DISTINCT sha256 FROM record_outputs", [], |row| row.get(0))?
            .into_iter()
            .collect())
    }
}
