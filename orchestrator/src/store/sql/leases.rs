use std::time::Duration;

use jiff::Timestamp;

use super::sweeps::unknown;
use super::value::{Row, named_params, params};
use super::{Database, Outcome, SqlStore, Transaction, deadline, epoch_column, nanoseconds, timestamp};
use crate::domain::{RunId, SweepId};
use crate::store::{HeldLeases, LeaseHolder, LeaseOutcome, LeaseStore, StoreError};

// A lease that was given back has its time at 0, one that ran out the time when it did; its row and its epoch stay.

const LEASE_SWEEP: &str = "
    UPDATE sweeps SET lease_holder = :holder, lease_epoch = lease_epoch + 1, lease_until_ns = :until_ns
    WHERE id = :sweep AND lease_until_ns <= :now_ns
    RETURNING lease_epoch";

const RELEASE_SWEEP: &str = "UPDATE sweeps SET lease_until_ns = 0 WHERE id = :sweep AND lease_epoch = :epoch";

const LEASE_DEVICE: &str = "
    INSERT INTO device_leases (device, epoch, holder, sweep_id, until_ns)
    VALUES (:device, 1, :holder, :sweep, :until_ns)
    ON CONFLICT (device) DO UPDATE
        SET epoch = device_leases.epoch + 1, holder = excluded.holder, sweep_id = excluded.sweep_id,
            until_ns = excluded.until_ns
        WHERE device_leases.until_ns <= :now_ns
    RETURNING device_leases.epoch";

const RELEASE_DEVICE: &str = "UPDATE device_leases SET until_ns = 0 WHERE device = :device AND epoch = :epoch";

const WANT: &str = "
    INSERT INTO device_wants (device, sweep_id, until_ns) VALUES (?1, ?2, ?3)
    ON CONFLICT (device, sweep_id) DO UPDATE SET until_ns = excluded.until_ns";

const OVERTAKEN: &str = "
    SELECT w.sweep_id FROM device_wants w JOIN sweeps s ON s.id = w.sweep_id
    WHERE w.device = ?1 AND w.sweep_id <> ?2 AND w.until_ns > ?3 AND s.state = 'open'
      AND s.priority > (SELECT priority FROM sweeps WHERE id = ?2)
    ORDER BY s.priority DESC, s.started_at_ns LIMIT 1";

const DEVICE_LEASES: &str = "
    SELECT device, holder, sweep_id, until_ns FROM device_leases WHERE until_ns > ?1 ORDER BY device";

const PROLONG_SWEEPS: &str = "
    UPDATE sweeps SET lease_until_ns = :until_ns WHERE lease_holder = :holder AND lease_until_ns > 0
    RETURNING id, lease_epoch";

const PROLONG_DEVICES: &str = "
    UPDATE device_leases SET until_ns = :until_ns WHERE holder = :holder AND until_ns > 0
    RETURNING device, epoch";

const PROLONG_RUNS: &str = "
    UPDATE runs SET lease_until_ns = :until_ns WHERE lease_holder = :holder AND state = 'live'
    RETURNING id, lease_epoch";

const HOLDERS: &str = "
    SELECT holder FROM device_leases WHERE until_ns > :now_ns
    UNION SELECT lease_holder FROM sweeps WHERE lease_until_ns > :now_ns
    UNION SELECT lease_holder FROM runs WHERE state = 'live' AND lease_until_ns > :now_ns";

impl<D: Database> LeaseStore for SqlStore<D> {
    fn lease_sweep(
        &self,
        sweep: &SweepId,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LeaseOutcome, StoreError> {
        let parameters = named_params! {
            ":sweep": sweep.0, ":holder": holder, ":until_ns": deadline(now, lease), ":now_ns": nanoseconds(now),
        };
        let taken = self.query("take the lease of a sweep", LEASE_SWEEP, parameters, |row| row.get::<i64>(0))?;
        if let Some(epoch) = taken.first() {
            return Ok(LeaseOutcome::Taken { epoch: epoch.unsigned_abs() });
        }
        match self.sweep_holder(sweep, now)? {
            Some(holder) => Ok(LeaseOutcome::Held(holder)),
            // It ended between the two looks.
            None => self.lease_sweep(sweep, holder, lease, now),
        }
    }

    fn release_sweep(&self, sweep: &SweepId, epoch: u64) -> Result<(), StoreError> {
        let parameters = named_params! {":sweep": sweep.0, ":epoch": epoch_column(epoch)};
        self.execute("end the lease of a sweep", RELEASE_SWEEP, parameters).map(drop)
    }

    fn sweep_holder(&self, sweep: &SweepId, now: Timestamp) -> Result<Option<LeaseHolder>, StoreError> {
        let sql = "SELECT lease_holder, lease_until_ns FROM sweeps WHERE id = ?1";
        let found = self.query("look up the lease of a sweep", sql, [&sweep.0], |row| {
            Ok((row.get::<Option<String>>(0)?, row.get::<i64>(1)?))
        })?;
        let (holder, until_ns) = found.into_iter().next().ok_or_else(|| unknown(sweep))?;
        let Some(holder) = holder.filter(|_| until_ns > nanoseconds(now)) else { return Ok(None) };
        Ok(Some(LeaseHolder { holder, sweep_id: Some(sweep.clone()), until: timestamp(until_ns)? }))
    }

    fn lease_device(
        &self,
        device: &str,
        sweep: Option<&SweepId>,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LeaseOutcome, StoreError> {
        let parameters = named_params! {
            ":device": device, ":holder": holder, ":sweep": sweep.map(SweepId::as_str),
            ":until_ns": deadline(now, lease), ":now_ns": nanoseconds(now),
        };
        let taken = self.query("take the lease of a device", LEASE_DEVICE, parameters, |row| row.get::<i64>(0))?;
        if let Some(epoch) = taken.first() {
            return Ok(LeaseOutcome::Taken { epoch: epoch.unsigned_abs() });
        }
        let held = self.device_leases(now)?.into_iter().find(|(held, _)| held == device);
        match held {
            Some((_, holder)) => Ok(LeaseOutcome::Held(holder)),
            // It ended between the two looks.
            None => self.lease_device(device, sweep, holder, lease, now),
        }
    }

    fn release_device(&self, device: &str, epoch: u64) -> Result<(), StoreError> {
        let parameters = named_params! {":device": device, ":epoch": epoch_column(epoch)};
        self.execute("end the lease of a device", RELEASE_DEVICE, parameters).map(drop)
    }

    fn add_device_waiter(&self, device: &str, sweep: &SweepId, until: Timestamp) -> Result<(), StoreError> {
        self.execute("note who waits for a device", WANT, params![device, sweep.0, nanoseconds(until)]).map(drop)
    }

    fn remove_device_waiter(&self, device: &str, sweep: &SweepId) -> Result<(), StoreError> {
        let sql = "DELETE FROM device_wants WHERE device = ?1 AND sweep_id = ?2";
        self.execute("note who waits for a device", sql, params![device, sweep.0]).map(drop)
    }

    fn preempted_by(&self, device: &str, sweep: &SweepId, now: Timestamp) -> Result<Option<SweepId>, StoreError> {
        self.transaction("look up who waits for a device", |transaction| preempted_by(transaction, device, sweep, now))
    }

    fn device_leases(&self, now: Timestamp) -> Result<Vec<(String, LeaseHolder)>, StoreError> {
        let rows = self.query("list the leases of devices", DEVICE_LEASES, [nanoseconds(now)], |row| {
            let (device, holder) = (row.get(0)?, row.get(1)?);
            let sweep_id = row.get::<Option<String>>(2)?.map(SweepId);
            Ok(timestamp(row.get(3)?).map(|until| (device, LeaseHolder { holder, sweep_id, until })))
        })?;
        rows.into_iter().collect()
    }

    fn devices_left(&self, sweep: &SweepId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT device FROM device_leases WHERE sweep_id = ?1 AND until_ns > 0 ORDER BY device";
        self.query("list the devices that were not given back", sql, [&sweep.0], |row| row.get(0))
    }

    fn prolong_leases(&self, holder: &str, lease: Duration, now: Timestamp) -> Result<HeldLeases, StoreError> {
        let until_ns = deadline(now, lease);
        self.transaction("prolong leases", |transaction| {
            Ok(HeldLeases {
                sweeps: prolong(transaction, PROLONG_SWEEPS, holder, until_ns, SweepId)?,
                devices: prolong(transaction, PROLONG_DEVICES, holder, until_ns, |device| device)?,
                runs: prolong(transaction, PROLONG_RUNS, holder, until_ns, RunId)?,
            })
        })
    }

    fn lease_holders(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.query("list the holders of leases", HOLDERS, named_params! {":now_ns": nanoseconds(now)}, |row| row.get(0))
    }

    fn expire_leases(&self, holder: &str, now: Timestamp) -> Result<(), StoreError> {
        self.transaction("end the leases of a process", |transaction| {
            let now_ns = nanoseconds(now);
            for sql in [
                "UPDATE device_leases SET until_ns = ?2 WHERE holder = ?1 AND until_ns > ?2",
                "UPDATE sweeps SET lease_until_ns = ?2 WHERE lease_holder = ?1 AND lease_until_ns > ?2",
                "UPDATE runs SET lease_until_ns = ?2 WHERE lease_holder = ?1 AND lease_until_ns > ?2",
            ] {
                transaction.execute(sql, params![holder, now_ns])?;
            }
            Ok(())
        })
    }
}

/// The sweep that waits for a device and goes before this one.
pub(super) fn preempted_by(
    transaction: &Transaction<'_>,
    device: &str,
    sweep: &SweepId,
    now: Timestamp,
) -> Outcome<Option<SweepId>> {
    transaction.first(OVERTAKEN, params![device, sweep.0, nanoseconds(now)], |row| Ok(SweepId(row.get(0)?)))
}

/// Runs a statement that prolongs leases and returns them.
fn prolong<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    holder: &str,
    until_ns: i64,
    name: impl Fn(String) -> T,
) -> Outcome<Vec<(T, u64)>> {
    let read = |row: &Row<'_>| Ok((name(row.get(0)?), row.get::<i64>(1)?.unsigned_abs()));
    transaction.query(sql, named_params! {":holder": holder, ":until_ns": until_ns}, read)
}
