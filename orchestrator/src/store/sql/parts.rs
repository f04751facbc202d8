use std::time::Duration;

use jiff::Timestamp;

use super::lease_time::ClockLead;
use super::value::{Row, named_params};
use super::{Database, Outcome, SqlStore, Transaction, lease_nanoseconds, leases, nanoseconds};
use crate::domain::SweepId;
use crate::store::{Joined, PartStore, StoreError, SweepPart, SweepStore as _};

const JOIN: &str = "
    INSERT INTO sweep_parts (sweep_id, holder, devices, until_ns)
    VALUES (:sweep, :holder, :devices, :lease_now + :lease_ns)
    ON CONFLICT (sweep_id, holder) DO UPDATE SET devices = excluded.devices, until_ns = excluded.until_ns";

/// One that was given back has its time at 0; its row stays, since it tells that the sweep was begun.
const LEAVE: &str = "UPDATE sweep_parts SET until_ns = 0 WHERE sweep_id = ?1 AND holder = ?2";

const PARTS: &str = "
    SELECT holder, devices, until_ns, :lease_now FROM sweep_parts WHERE sweep_id = :sweep AND until_ns > 0
    ORDER BY holder";

/// Whoever has all of a sweep has it alone.
const PROLONG: &str = "
    UPDATE sweep_parts SET until_ns = :lease_now + :lease_ns WHERE holder = :holder AND until_ns > 0
      AND NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = sweep_parts.sweep_id AND s.lease_until_ns > :lease_now)
    RETURNING sweep_id";

const OPEN_DEVICES: &str = "
    SELECT DISTINCT device FROM jobs WHERE sweep_id = ?1 AND state <> 'recorded' ORDER BY device";

const HAS_OPEN: &str = "SELECT 1 FROM jobs WHERE sweep_id = ?1 AND device = ?2 AND state <> 'recorded' LIMIT 1";

impl<D: Database> PartStore for SqlStore<D> {
    fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    fn join_sweep(
        &self,
        sweep: &SweepId,
        devices: &[String],
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Joined, StoreError> {
        // A sweep that is not known is an error of its own.
        self.sweep_state(sweep)?;
        let devices = devices.join("\n");
        self.transaction("take part in a sweep", |transaction| {
            if let Some(held) = leases::sweep_holder(transaction, sweep, now)? {
                return Ok(Joined::Held(held));
            }
            let sql = "SELECT count(*) FROM sweep_parts WHERE sweep_id = ?1";
            let before: i64 = transaction.one(sql, [&sweep.0], |row| row.get(0))?;
            transaction.execute(
                JOIN,
                named_params! {
                    ":sweep": sweep.0, ":holder": holder, ":devices": devices,
                    ":lease_ns": lease_nanoseconds(lease), ":lease_now": nanoseconds(now),
                },
            )?;
            Ok(Joined::Taken { is_first: before == 0 })
        })
    }

    fn leave_sweep(&self, sweep: &SweepId, holder: &str) -> Result<(), StoreError> {
        self.execute("give a part of a sweep back", LEAVE, [sweep.as_str(), holder]).map(drop)
    }

    fn sweep_parts(&self, sweep: &SweepId, now: Timestamp) -> Result<Vec<SweepPart>, StoreError> {
        let parameters = named_params! {":sweep": sweep.0, ":lease_now": nanoseconds(now)};
        let read = |row: &Row<'_>| {
            let (holder, devices) = (row.get(0)?, row.get::<String>(1)?);
            let (until_ns, decides_ns) = (row.get::<i64>(2)?, row.get::<i64>(3)?);
            let devices = devices.lines().map(str::to_owned).collect();
            let until = ClockLead::between(decides_ns, now).told(until_ns);
            Ok(until.map(|until| SweepPart { holder, devices, until, is_live: until_ns > decides_ns }))
        };
        self.query("list the parts of a sweep", PARTS, parameters, read)?.into_iter().collect()
    }

    fn halt_sweep(&self, sweep: &SweepId, why: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO sweep_halts (sweep_id, why) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.execute("halt a sweep", sql, [sweep.as_str(), why]).map(drop)
    }

    fn halted(&self, sweep: &SweepId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT why FROM sweep_halts WHERE sweep_id = ?1";
        Ok(self.query("look whether a sweep is halted", sql, [&sweep.0], |row| row.get(0))?.into_iter().next())
    }

    fn devices_with_open_jobs(&self, sweep: &SweepId) -> Result<Vec<String>, StoreError> {
        self.query("list devices with open jobs", OPEN_DEVICES, [&sweep.0], |row| row.get(0))
    }

    fn has_open_jobs(&self, sweep: &SweepId, device: &str) -> Result<bool, StoreError> {
        let found = self.query("look for open jobs", HAS_OPEN, [sweep.as_str(), device], |row| row.get::<i64>(0))?;
        Ok(!found.is_empty())
    }
}

/// Prolongs the parts of a holder; returns the sweeps that it has a part in.
pub(super) fn prolong(
    transaction: &Transaction<'_>,
    holder: &str,
    lease: Duration,
    now: Timestamp,
) -> Outcome<Vec<SweepId>> {
    let parameters = named_params! {
        ":holder": holder, ":lease_ns": lease_nanoseconds(lease), ":lease_now": nanoseconds(now),
    };
    transaction.query(PROLONG, parameters, |row| Ok(SweepId(row.get(0)?)))
}
