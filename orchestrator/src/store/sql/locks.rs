use jiff::Timestamp;

use super::events::EventRow;
use super::value::{Row, named_params, params};
use super::{Database, Outcome, SqlStore, Transaction, events, nanoseconds, timestamp};
use crate::domain::{DeviceLock, Event};
use crate::store::{LockStore, StoreError};

const LOCK: &str = "
    INSERT INTO device_locks (device, locked_by, why, since_ns, until_ns)
    VALUES (:device, :by, :why, :since_ns, :until_ns)
    ON CONFLICT (device) DO UPDATE SET
        since_ns = CASE WHEN device_locks.until_ns <= :now_ns THEN :since_ns ELSE device_locks.since_ns END,
        locked_by = :by, why = :why, until_ns = :until_ns
        WHERE device_locks.until_ns <= :now_ns OR device_locks.locked_by = :by";

const IN_FORCE: &str = "
    SELECT device, locked_by, why, since_ns, until_ns FROM device_locks
    WHERE (CAST(?1 AS TEXT) IS NULL OR device = ?1) AND until_ns > ?2 ORDER BY device";

const OF_DEVICE: &str = "
    SELECT device, locked_by, why, since_ns, until_ns FROM device_locks WHERE device = ?1 AND until_ns > ?2";

impl<D: Database> LockStore for SqlStore<D> {
    fn lock_device(&self, lock: &DeviceLock, event: &Event) -> Result<Option<DeviceLock>, StoreError> {
        let (now, row) = (event.at, EventRow::of(event)?);
        let held = self.transaction("lock a device", |transaction| {
            let changed = transaction.execute(
                LOCK,
                named_params! {
                    ":device": lock.device, ":by": lock.by, ":why": lock.why, ":since_ns": nanoseconds(lock.since),
                    ":until_ns": nanoseconds(lock.until), ":now_ns": nanoseconds(now),
                },
            )?;
            if changed == 1 {
                events::insert(transaction, &row)?;
                return Ok(None);
            }
            in_force(transaction, &lock.device, now)
        })?;
        held.map(LockRow::lock).transpose()
    }

    fn unlock_device(
        &self,
        device: &str,
        now: Timestamp,
        event: &dyn Fn(&DeviceLock) -> Event,
    ) -> Result<Option<DeviceLock>, StoreError> {
        self.transaction("unlock a device", |transaction| {
            let found = in_force(transaction, device, now)?.map(LockRow::lock).transpose()?;
            if let Some(lock) = &found {
                events::insert(transaction, &EventRow::of(&event(lock))?)?;
            }
            transaction.execute("DELETE FROM device_locks WHERE device = ?1", [device])?;
            Ok(found)
        })
    }

    fn device_locks(&self, device: Option<&str>, now: Timestamp) -> Result<Vec<DeviceLock>, StoreError> {
        let rows = self.query("list locks of devices", IN_FORCE, params![device, nanoseconds(now)], LockRow::read)?;
        rows.into_iter().map(LockRow::lock).collect()
    }
}

/// The lock of a device that is in force.
pub(super) fn in_force(transaction: &Transaction<'_>, device: &str, now: Timestamp) -> Outcome<Option<LockRow>> {
    transaction.first(OF_DEVICE, params![device, nanoseconds(now)], LockRow::read)
}

/// A lock as the database has it.
pub(super) struct LockRow {
    texts: [String; 3],
    since_ns: i64,
    until_ns: i64,
}

impl LockRow {
    fn read(row: &Row<'_>) -> Outcome<LockRow> {
        let texts = [row.get(0)?, row.get(1)?, row.get(2)?];
        Ok(LockRow { texts, since_ns: row.get(3)?, until_ns: row.get(4)? })
    }

    pub(super) fn lock(self) -> Result<DeviceLock, StoreError> {
        let [device, by, why] = self.texts;
        Ok(DeviceLock { device, by, why, since: timestamp(self.since_ns)?, until: timestamp(self.until_ns)? })
    }
}
