use rusqlite::{Transaction, named_params};

use super::{SqliteStore, corrupt, nanoseconds, sweeps, timestamp};
use crate::domain::{HandOver, SweepId};
use crate::store::{HandOverStore, HandedOver, StoreError, SweepStore as _};

const GIVE: &str = "
    INSERT INTO handed_over (sweep_id, handed_by, at_ns, max_devices) VALUES (:sweep, :by, :at_ns, :max_devices)
    ON CONFLICT (sweep_id) DO UPDATE SET handed_by = :by, at_ns = :at_ns, max_devices = :max_devices";

const GIVEN: &str = "
    SELECT h.sweep_id, s.state, h.handed_by, h.at_ns, h.max_devices FROM handed_over h JOIN sweeps s ON s.id = h.sweep_id
    WHERE s.state IN ('open', 'cancelling') ORDER BY h.at_ns, h.sweep_id";

impl HandOverStore for SqliteStore {
    fn hand_over(&self, sweep: &SweepId, hand_over: &HandOver) -> Result<(), StoreError> {
        self.sweep_state(sweep)?;
        self.transaction("hand a sweep over", |transaction| give(transaction, sweep, hand_over))
    }

    fn take_back(&self, sweep: &SweepId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM handed_over WHERE sweep_id = ?1";
        Ok(self.execute("take a sweep back", sql, [&sweep.0])? == 1)
    }

    fn handed_over(&self) -> Result<Vec<HandedOver>, StoreError> {
        let rows = self.query("list sweeps that were handed over", GIVEN, [], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get::<_, i64>(4)?))
        })?;
        let given = rows.into_iter().map(|(id, state, by, at_ns, max_devices)| {
            let max_devices =
                usize::try_from(max_devices).map_err(|error| corrupt("a sweep that was handed over", &error))?;
            let hand_over = HandOver { by, at: timestamp(at_ns)?, max_devices };
            Ok(HandedOver { sweep_id: SweepId(id), state: sweeps::state(&state)?, hand_over })
        });
        given.collect()
    }
}

/// Gives a sweep to the daemon.
pub(super) fn give(transaction: &Transaction<'_>, sweep: &SweepId, hand_over: &HandOver) -> rusqlite::Result<()> {
    let parameters = named_params! {
        ":sweep": sweep.0, ":by": hand_over.by, ":at_ns": nanoseconds(hand_over.at),
        ":max_devices": i64::try_from(hand_over.max_devices).unwrap_or(i64::MAX),
    };
    transaction.prepare_cached(GIVE)?.execute(parameters).map(drop)
}
