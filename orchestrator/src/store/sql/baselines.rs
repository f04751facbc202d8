use super::events::EventRow;
use super::value::params;
use super::{Database, SqlStore, events, nanoseconds, timestamp};
use crate::domain::{Baseline, Event, SweepId};
use crate::store::{BaselineStore, StoreError, SweepStore as _};

const SET: &str = "
    INSERT INTO baselines (name, sweep_id, set_by, at_ns) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE SET sweep_id = ?2, set_by = ?3, at_ns = ?4";

impl<D: Database> BaselineStore for SqlStore<D> {
    fn set_baseline(&self, baseline: &Baseline, event: &Event) -> Result<Option<SweepId>, StoreError> {
        self.sweep_state(&baseline.sweep)?;
        let row = EventRow::of(event)?;
        self.transaction("set a baseline", |transaction| {
            let before = "SELECT sweep_id FROM baselines WHERE name = ?1";
            let before = transaction.first(before, [&baseline.name], |row| row.get(0).map(SweepId))?;
            if before.as_ref() != Some(&baseline.sweep) {
                let Baseline { name, sweep, by, at } = baseline;
                transaction.execute(SET, params![name, sweep.0, by, nanoseconds(*at)])?;
                events::insert(transaction, &row)?;
            }
            Ok(before)
        })
    }

    fn unset_baseline(&self, name: &str, event: &Event) -> Result<bool, StoreError> {
        self.changed_with_event("unset a baseline", "DELETE FROM baselines WHERE name = ?1", [name], event)
    }

    fn baselines(&self) -> Result<Vec<Baseline>, StoreError> {
        let sql = "SELECT name, sweep_id, set_by, at_ns FROM baselines ORDER BY name";
        let rows = self.query("list baselines", sql, [], |row| {
            let at_ns: i64 = row.get(3)?;
            Ok((at_ns, [row.get(0)?, row.get(1)?, row.get(2)?]))
        })?;
        let read = |(at_ns, [name, sweep, by]): (i64, [String; 3])| {
            Ok(Baseline { name, sweep: SweepId(sweep), by, at: timestamp(at_ns)? })
        };
        rows.into_iter().map(read).collect()
    }
}
