use jiff::Timestamp;

use super::events::EventRow;
use super::lease_time::ClockLead;
use super::value::{Row, named_params};
use super::{Database, Outcome, SqlStore, Transaction, events, nanoseconds, timestamp};
use crate::domain::{DeviceLock, Event};
use crate::store::{LockStore, StoreError};

const LOCK: &str = "
    INSERT INTO device_locks (device, locked_by, why, since_ns, until_ns)
    VALUES (:device, :by, :why, :since_ns, :until_ns)
    ON CONFLICT (device) DO UPDATE SET
        since_ns = CASE WHEN device_locks.until_ns <= :lease_now THEN :since_ns ELSE device_locks.since_ns END,
        locked_by = :by, why = :why, until_ns = :until_ns
        WHERE device_locks.until_ns <= :lease_now OR device_locks.locked_by = :by";

const IN_FORCE: &str = "
    SELECT device, locked_by, why, since_ns, until_ns, :lease_now FROM device_locks
    WHERE until_ns > :lease_now ORDER BY device";

const OF_DEVICE: &str = "
    SELECT device, locked_by, why, since_ns, until_ns, :lease_now FROM device_locks
    WHERE device = :device AND until_ns > :lease_now";

impl<D: Database> LockStore for SqlStore<D> {
    fn lock_device(&self, lock: &DeviceLock, event: &Event) -> Result<Option<DeviceLock>, StoreError> {
        let (now, row) = (event.at, EventRow::of(event)?);
        let held = self.transaction("lock a device", |transaction| {
            let lead = ClockLead::look_up(transaction, now)?;
            let changed = transaction.execute(
                LOCK,
                named_params! {
                    ":device": lock.device, ":by": lock.by, ":why": lock.why, ":since_ns": nanoseconds(lock.since),
                    ":until_ns": lead.kept(lock.until), ":lease_now": nanoseconds(now),
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
        let action = "list locks of devices";
        let rows = match device {
            Some(device) => self.connected(action, |it| in_force(&Transaction(it), device, now))?.into_iter().collect(),
            None => {
                let parameters = named_params! {":lease_now": nanoseconds(now)};
                self.query(action, IN_FORCE, parameters, |row| LockRow::read(row, now))?
            }
        };
        rows.into_iter().map(LockRow::lock).collect()
    }
}

/// The lock of a device that is in force.
pub(super) fn in_force(transaction: &Transaction<'_>, device: &str, now: Timestamp) -> Outcome<Option<LockRow>> {
    let parameters = named_params! {":device": device, ":lease_now": nanoseconds(now)};
    transaction.first(OF_DEVICE, parameters, |row| LockRow::read(row, now))
}

/// A lock as the database has it.
pub(super) struct LockRow {
    texts: [String; 3],
    since_ns: i64,
    until_ns: i64,
    /// How far the clock that its end goes by is ahead of that of whoever asks.
    lead: ClockLead,
}

impl LockRow {
    fn read(row: &Row<'_>, now: Timestamp) -> Outcome<LockRow> {
        let texts = [row.get(0)?, row.get(1)?, row.get(2)?];
        let lead = ClockLead::between(row.get(5)?, now);
        Ok(LockRow { texts, since_ns: row.get(3)?, until_ns: row.get(4)?, lead })
    }

    pub(super) fn lock(self) -> Result<DeviceLock, StoreError> {
        let [device, by, why] = self.texts;
        Ok(DeviceLock { device, by, why, since: timestamp(self.since_ns)?, until: self.lead.told(self.until_ns)? })
    }
}
