use std::time::Duration;

use jiff::Timestamp;

use super::lease_time::ClockLead;
use super::sweeps::unknown;
use super::value::{Row, ToValue, named_params, params};
use super::{
    Connection, Database, Outcome, SqlStore, Transaction, epoch_column, lease_nanoseconds, nanoseconds, parts,
};
use crate::domain::{RunId, SweepId};
use crate::store::{HeldLeases, LeaseHolder, LeaseOutcome, LeaseStore, PartStore as _, StoreError, SweepPart};

// A lease that was given back has its time at 0, one that ran out the time when it did; its row and its epoch stay.

const LEASE_SWEEP: &str = "
    UPDATE sweeps SET lease_holder = :holder, lease_epoch = lease_epoch + 1, lease_until_ns = :lease_now + :lease_ns
    WHERE id = :sweep AND lease_until_ns <= :lease_now
      AND NOT EXISTS (SELECT 1 FROM sweep_parts p WHERE p.sweep_id = :sweep AND p.until_ns > :lease_now)
    RETURNING lease_epoch";

const SWEEP_HOLDER: &str = "SELECT lease_holder, lease_until_ns, :lease_now FROM sweeps WHERE id = :sweep";

const RELEASE_SWEEP: &str = "UPDATE sweeps SET lease_until_ns = 0 WHERE id = :sweep AND lease_epoch = :epoch";

const LEASE_DEVICE: &str = "
    INSERT INTO device_leases (device, epoch, holder, sweep_id, until_ns)
    VALUES (:device, 1, :holder, :sweep, :lease_now + :lease_ns)
    ON CONFLICT (device) DO UPDATE
        SET epoch = device_leases.epoch + 1, holder = excluded.holder, sweep_id = excluded.sweep_id,
            until_ns = excluded.until_ns
        WHERE device_leases.until_ns <= :lease_now
    RETURNING device_leases.epoch";

const RELEASE_DEVICE: &str = "UPDATE device_leases SET until_ns = 0 WHERE device = :device AND epoch = :epoch";

/// Also one whose time is over, as long as nobody else took it.
const KEEP_DEVICE: &str = "
    UPDATE device_leases SET until_ns = :lease_now + :lease_ns
    WHERE device = :device AND holder = :holder AND sweep_id = :sweep AND until_ns > 0
    RETURNING epoch";

const WANT: &str = "
    INSERT INTO device_wants (device, sweep_id, until_ns) VALUES (:device, :sweep, :lease_now + :lease_ns)
    ON CONFLICT (device, sweep_id) DO UPDATE SET until_ns = excluded.until_ns";

const OVERTAKEN: &str = "
    SELECT w.sweep_id FROM device_wants w JOIN sweeps s ON s.id = w.sweep_id
    WHERE w.device = :device AND w.sweep_id <> :sweep AND w.until_ns > :lease_now AND s.state = 'open'
      AND s.priority > (SELECT priority FROM sweeps WHERE id = :sweep)
    ORDER BY s.priority DESC, s.started_at_ns LIMIT 1";

const DEVICE_LEASES: &str = "
    SELECT device, holder, sweep_id, until_ns, :lease_now FROM device_leases WHERE until_ns > :lease_now
    ORDER BY device";

const DEVICE_LEASE: &str = "
    SELECT device, holder, sweep_id, until_ns, :lease_now FROM device_leases
    WHERE device = :device AND until_ns > :lease_now";

const PROLONG_SWEEPS: &str = "
    UPDATE sweeps SET lease_until_ns = :lease_now + :lease_ns WHERE lease_holder = :holder AND lease_until_ns > 0
    RETURNING id, lease_epoch";

const PROLONG_DEVICES: &str = "
    UPDATE device_leases SET until_ns = :lease_now + :lease_ns WHERE holder = :holder AND until_ns > 0
    RETURNING device, epoch";

const PROLONG_RUNS: &str = "
    UPDATE runs SET lease_until_ns = :lease_now + :lease_ns
    WHERE lease_holder = :holder AND state = 'live' AND lease_until_ns > 0
    RETURNING id, lease_epoch";

const HOLDERS: &str = "
    SELECT holder FROM device_leases WHERE until_ns > :lease_now
    UNION SELECT lease_holder FROM sweeps WHERE lease_until_ns > :lease_now
    UNION SELECT lease_holder FROM runs WHERE state = 'live' AND lease_until_ns > :lease_now
    UNION SELECT holder FROM sweep_parts WHERE until_ns > :lease_now
    ORDER BY 1";

const EXPIRE: &[&str] = &[
    "UPDATE device_leases SET until_ns = :lease_now WHERE holder = :holder AND until_ns > :lease_now",
    "UPDATE sweeps SET lease_until_ns = :lease_now WHERE lease_holder = :holder AND lease_until_ns > :lease_now",
    "UPDATE runs SET lease_until_ns = :lease_now WHERE lease_holder = :holder AND lease_until_ns > :lease_now",
    "UPDATE sweep_parts SET until_ns = :lease_now WHERE holder = :holder AND until_ns > :lease_now",
];

impl<D: Database> LeaseStore for SqlStore<D> {
    fn lease_sweep(
        &self,
        sweep: &SweepId,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LeaseOutcome, StoreError> {
        let parameters = named_params! {
            ":sweep": sweep.0, ":holder": holder, ":lease_ns": lease_nanoseconds(lease),
            ":lease_now": nanoseconds(now),
        };
        // As if nobody else was at it: somebody may be about to take part in the sweep.
        let taken = self.transaction("take the lease of a sweep", |transaction| {
            transaction.first(LEASE_SWEEP, parameters, |row| row.get::<i64>(0))
        })?;
        if let Some(epoch) = taken {
            return Ok(LeaseOutcome::Taken { epoch: epoch.unsigned_abs() });
        }
        let part = self.sweep_parts(sweep, now)?.into_iter().find(|part| part.is_live);
        let part = part.map(|SweepPart { holder, until, .. }| {
            let sweep_id = Some(sweep.clone());
            LeaseHolder { holder, sweep_id, until }
        });
        match self.sweep_holder(sweep, now)?.or(part) {
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
        self.connected("look up the lease of a sweep", |connection| sweep_holder(&Transaction(connection), sweep, now))
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
            ":lease_ns": lease_nanoseconds(lease), ":lease_now": nanoseconds(now),
        };
        let taken = self.query("take the lease of a device", LEASE_DEVICE, parameters, |row| row.get::<i64>(0))?;
        if let Some(epoch) = taken.first() {
            return Ok(LeaseOutcome::Taken { epoch: epoch.unsigned_abs() });
        }
        let parameters = named_params! {":device": device, ":lease_now": nanoseconds(now)};
        let held = self.query("look up the lease of a device", DEVICE_LEASE, parameters, device_lease(now))?;
        match held.into_iter().next().transpose()? {
            Some((_, holder)) => Ok(LeaseOutcome::Held(holder)),
            // It ended between the two looks.
            None => self.lease_device(device, sweep, holder, lease, now),
        }
    }

    fn release_device(&self, device: &str, epoch: u64) -> Result<(), StoreError> {
        let parameters = named_params! {":device": device, ":epoch": epoch_column(epoch)};
        self.execute("end the lease of a device", RELEASE_DEVICE, parameters).map(drop)
    }

    fn add_device_waiter(
        &self,
        device: &str,
        sweep: &SweepId,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let parameters = named_params! {
            ":device": device, ":sweep": sweep.0, ":lease_ns": lease_nanoseconds(wait),
            ":lease_now": nanoseconds(now),
        };
        self.execute("note who waits for a device", WANT, parameters).map(drop)
    }

    fn remove_device_waiter(&self, device: &str, sweep: &SweepId) -> Result<(), StoreError> {
        let sql = "DELETE FROM device_wants WHERE device = ?1 AND sweep_id = ?2";
        self.execute("note who waits for a device", sql, params![device, sweep.0]).map(drop)
    }

    fn preempted_by(&self, device: &str, sweep: &SweepId, now: Timestamp) -> Result<Option<SweepId>, StoreError> {
        let look = |connection: &dyn Connection| preempted_by(&Transaction(connection), device, sweep, now);
        self.connected("look up who waits for a device", look)
    }

    fn device_leases(&self, now: Timestamp) -> Result<Vec<(String, LeaseHolder)>, StoreError> {
        let parameters = named_params! {":lease_now": nanoseconds(now)};
        let rows = self.query("list the leases of devices", DEVICE_LEASES, parameters, device_lease(now))?;
        rows.into_iter().collect()
    }

    fn devices_left(&self, sweep: &SweepId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT device FROM device_leases WHERE sweep_id = ?1 AND until_ns > 0 ORDER BY device";
        self.query("list the devices that were not given back", sql, [&sweep.0], |row| row.get(0))
    }

    fn prolong_leases(&self, holder: &str, lease: Duration, now: Timestamp) -> Result<HeldLeases, StoreError> {
        let parameters = named_params! {
            ":holder": holder, ":lease_ns": lease_nanoseconds(lease), ":lease_now": nanoseconds(now),
        };
        self.transaction("prolong leases", |transaction| {
            Ok(HeldLeases {
                sweeps: prolong(transaction, PROLONG_SWEEPS, parameters, SweepId)?,
                devices: prolong(transaction, PROLONG_DEVICES, parameters, |device| device)?,
                runs: prolong(transaction, PROLONG_RUNS, parameters, RunId)?,
                parts: parts::prolong(transaction, holder, lease, now)?,
            })
        })
    }

    fn lease_holders(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let parameters = named_params! {":lease_now": nanoseconds(now)};
        self.query("list the holders of leases", HOLDERS, parameters, |row| row.get(0))
    }

    fn expire_leases(&self, holder: &str, now: Timestamp) -> Result<(), StoreError> {
        self.transaction("end the leases of a process", |transaction| {
            for sql in EXPIRE {
                transaction.execute(sql, named_params! {":holder": holder, ":lease_now": nanoseconds(now)})?;
            }
            Ok(())
        })
    }
}

/// A device, and who has it.
type HeldDevice = Result<(String, LeaseHolder), StoreError>;

/// Reads rows of leases of devices.
fn device_lease(now: Timestamp) -> impl FnMut(&Row<'_>) -> Outcome<HeldDevice> {
    move |row| {
        let (device, holder) = (row.get(0)?, row.get(1)?);
        let sweep_id = row.get::<Option<String>>(2)?.map(SweepId);
        let until = ClockLead::between(row.get(4)?, now).told(row.get(3)?);
        Ok(until.map(|until| (device, LeaseHolder { holder, sweep_id, until })))
    }
}

/// Prolongs the lease of a device for a sweep; whether its holder has it still.
pub(super) fn keep_device(
    transaction: &Transaction<'_>,
    device: &str,
    sweep: &SweepId,
    holder: &str,
    lease: Duration,
    now: Timestamp,
) -> Outcome<bool> {
    let parameters = named_params! {
        ":device": device, ":holder": holder, ":sweep": sweep.0, ":lease_ns": lease_nanoseconds(lease),
        ":lease_now": nanoseconds(now),
    };
    Ok(transaction.first(KEEP_DEVICE, parameters, |row| row.get::<i64>(0))?.is_some())
}

/// Who has all of a sweep.
pub(super) fn sweep_holder(
    transaction: &Transaction<'_>,
    sweep: &SweepId,
    now: Timestamp,
) -> Outcome<Option<LeaseHolder>> {
    let parameters = named_params! {":sweep": sweep.0, ":lease_now": nanoseconds(now)};
    let found = transaction.first(SWEEP_HOLDER, parameters, |row| {
        let (until_ns, decides_ns) = (row.get::<i64>(1)?, row.get::<i64>(2)?);
        let holder = row.get::<Option<String>>(0)?.filter(|_| until_ns > decides_ns);
        Ok((holder, ClockLead::between(decides_ns, now).told(until_ns)))
    })?;
    let (holder, until) = found.ok_or_else(|| unknown(sweep))?;
    let Some(holder) = holder else { return Ok(None) };
    Ok(Some(LeaseHolder { holder, sweep_id: Some(sweep.clone()), until: until? }))
}

/// The sweep that waits for a device and goes before this one.
pub(super) fn preempted_by(
    transaction: &Transaction<'_>,
    device: &str,
    sweep: &SweepId,
    now: Timestamp,
) -> Outcome<Option<SweepId>> {
    let parameters = named_params! {":device": device, ":sweep": sweep.0, ":lease_now": nanoseconds(now)};
    transaction.first(OVERTAKEN, parameters, |row| Ok(SweepId(row.get(0)?)))
}

/// Runs a statement that prolongs leases and returns them.
fn prolong<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[(&str, &dyn ToValue)],
    name: impl Fn(String) -> T,
) -> Outcome<Vec<(T, u64)>> {
    let read = |row: &Row<'_>| Ok((name(row.get(0)?), row.get::<i64>(1)?.unsigned_abs()));
    transaction.query(sql, parameters, read)
}
