use jiff::Timestamp;

use super::events::EventRow;
use super::value::{Row, named_params};
use super::{Database, Outcome, SqlStore, corrupt, events, from_json, nanoseconds, timestamp, to_json};
use crate::domain::{DeviceChange, DeviceIdentity, DeviceState, DeviceStatus, DeviceStep, Event, Failure, OpenChange};
use crate::store::{DeviceStore, StoreError};

const STATUS: &str = "
    SELECT name, state, since_ns, failures_in_row, quarantines_in_row, failure, probe_at_ns FROM devices
    WHERE CAST(?1 AS TEXT) IS NULL OR name = ?1 ORDER BY name";

const FAILED: &str = "
    INSERT INTO devices (name, state, since_ns, failures_in_row, failure)
    VALUES (:name, :in_service, :now_ns, 1, :failure)
    ON CONFLICT (name) DO UPDATE SET failures_in_row = devices.failures_in_row + 1, failure = excluded.failure";

const WORKED: &str = "
    UPDATE devices SET failures_in_row = 0, quarantines_in_row = 0
    WHERE name = :name AND (failures_in_row > 0 OR quarantines_in_row > 0)";

const QUARANTINE: &str = "
    INSERT INTO devices (name, state, since_ns, failures_in_row, quarantines_in_row, failure, probe_at_ns)
    VALUES (:name, :to, :now_ns, 1, 1, :failure, :probe_at_ns)
    ON CONFLICT (name) DO UPDATE SET
        since_ns = CASE WHEN devices.state = :to THEN devices.since_ns ELSE :now_ns END, state = :to,
        quarantines_in_row = devices.quarantines_in_row + 1, failure = :failure, probe_at_ns = :probe_at_ns";

const END_QUARANTINE: &str = "
    UPDATE devices SET state = :to, since_ns = :now_ns, failures_in_row = 0, probe_at_ns = NULL
    WHERE name = :name AND state = :from";

impl<D: Database> DeviceStore for SqlStore<D> {
    fn device_status(&self, device: &str) -> Result<DeviceStatus, StoreError> {
        let found = self.statuses(Some(device))?.into_iter().next();
        Ok(found.unwrap_or_else(|| DeviceStatus {
            name: device.to_owned(),
            state: DeviceState::InService,
            since: None,
            failures_in_row: 0,
            quarantines_in_row: 0,
            failure: None,
            probe_at: None,
        }))
    }

    fn device_statuses(&self) -> Result<Vec<DeviceStatus>, StoreError> {
        self.statuses(None)
    }

    fn device_failed(&self, device: &str, failure: &Failure, now: Timestamp) -> Result<DeviceStatus, StoreError> {
        let parameters = named_params! {
            ":name": device, ":in_service": DeviceState::InService.as_str(), ":now_ns": nanoseconds(now),
            ":failure": to_json(failure)?,
        };
        self.execute("count a failure of a device", FAILED, parameters)?;
        self.device_status(device)
    }

    fn device_worked(&self, device: &str) -> Result<(), StoreError> {
        self.execute("note that a device works", WORKED, named_params! {":name": device}).map(drop)
    }

    fn quarantine_device(
        &self,
        device: &str,
        failure: &Failure,
        probe_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeviceStatus, StoreError> {
        let parameters = named_params! {
            ":name": device, ":to": DeviceStep::Quarantine.to().as_str(), ":now_ns": nanoseconds(now),
            ":failure": to_json(failure)?, ":probe_at_ns": nanoseconds(probe_at),
        };
        self.execute("put a device into quarantine", QUARANTINE, parameters)?;
        self.device_status(device)
    }

    fn end_quarantine(&self, device: &str, event: &Event) -> Result<bool, StoreError> {
        let (step, row) = (DeviceStep::Release, EventRow::of(event)?);
        self.transaction("end the quarantine of a device", |transaction| {
            let mut ended = 0;
            for from in step.from() {
                ended += transaction.execute(
                    END_QUARANTINE,
                    named_params! {
                        ":name": device, ":from": from.as_str(), ":to": step.to().as_str(),
                        ":now_ns": nanoseconds(event.at),
                    },
                )?;
            }
            if ended > 0 {
                events::insert(transaction, &row)?;
            }
            Ok(ended > 0)
        })
    }

    fn add_device_changes(&self, changes: &[DeviceChange]) -> Result<Vec<OpenChange>, StoreError> {
        self.add_changes(changes)
    }

    fn open_device_changes(&self, identity: Option<&DeviceIdentity>) -> Result<Vec<OpenChange>, StoreError> {
        self.open_changes(identity)
    }

    fn close_device_changes(&self, numbers: &[u64], now: Timestamp) -> Result<(), StoreError> {
        self.close_changes(numbers, now)
    }
}

impl<D: Database> SqlStore<D> {
    fn statuses(&self, device: Option<&str>) -> Result<Vec<DeviceStatus>, StoreError> {
        let rows = self.query("look up devices", STATUS, [device], StatusRow::read)?;
        rows.into_iter().map(StatusRow::status).collect()
    }
}

/// How a device fares, as the database has it.
struct StatusRow {
    name: String,
    state: String,
    since_ns: i64,
    failures_in_row: u32,
    quarantines_in_row: u32,
    failure: Option<String>,
    probe_at_ns: Option<i64>,
}

impl StatusRow {
    fn read(row: &Row<'_>) -> Outcome<StatusRow> {
        Ok(StatusRow {
            name: row.get(0)?,
            state: row.get(1)?,
            since_ns: row.get(2)?,
            failures_in_row: row.get(3)?,
            quarantines_in_row: row.get(4)?,
            failure: row.get(5)?,
            probe_at_ns: row.get(6)?,
        })
    }

    fn status(self) -> Result<DeviceStatus, StoreError> {
        Ok(DeviceStatus {
            name: self.name,
            state: self.state.parse().map_err(|error: String| corrupt("the state of a device", &error))?,
            since: Some(timestamp(self.since_ns)?),
            failures_in_row: self.failures_in_row,
            quarantines_in_row: self.quarantines_in_row,
            failure: self.failure.map(|json| from_json("a failure", &json)).transpose()?,
            probe_at: self.probe_at_ns.map(timestamp).transpose()?,
        })
    }
}
