use jiff::Timestamp;

use super::value::{Row, named_params};
use super::{Database, Outcome, SqlStore, from_json, nanoseconds, timestamp, to_json};
use crate::domain::{DeviceFacts, Failure, Sighting};
use crate::store::{SightingStore, StoreError};

const SEEN: &str = "
    INSERT INTO sightings (device, asked_at_ns, seen_at_ns, facts, free_bytes)
    VALUES (:device, :now_ns, :now_ns, :facts, :free_bytes)
    ON CONFLICT (device) DO UPDATE SET
        asked_at_ns = :now_ns, seen_at_ns = :now_ns, facts = :facts, free_bytes = :free_bytes,
        silent_since_ns = NULL, failure = NULL";

const MISSED: &str = "
    INSERT INTO sightings (device, asked_at_ns, silent_since_ns, failure) VALUES (:device, :now_ns, :now_ns, :failure)
    ON CONFLICT (device) DO UPDATE SET
        asked_at_ns = :now_ns, silent_since_ns = coalesce(sightings.silent_since_ns, :now_ns), failure = :failure";

const ALL: &str = "
    SELECT device, asked_at_ns, seen_at_ns, facts, free_bytes, silent_since_ns, failure FROM sightings
    WHERE CAST(?1 AS TEXT) IS NULL OR device = ?1 ORDER BY device";

impl<D: Database> SightingStore for SqlStore<D> {
    fn device_seen(
        &self,
        device: &str,
        facts: &DeviceFacts,
        free_bytes: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let parameters = named_params! {
            ":device": device, ":now_ns": nanoseconds(now), ":facts": to_json(facts)?,
            ":free_bytes": i64::try_from(free_bytes).unwrap_or(i64::MAX),
        };
        self.execute("note that a device answered", SEEN, parameters).map(drop)
    }

    fn device_missed(&self, device: &str, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let parameters = named_params! {":device": device, ":now_ns": nanoseconds(now), ":failure": to_json(failure)?};
        self.execute("note that a device did not answer", MISSED, parameters).map(drop)
    }

    fn sighting(&self, device: &str) -> Result<Option<Sighting>, StoreError> {
        Ok(self.sightings_of(Some(device))?.into_iter().next())
    }

    fn sightings(&self) -> Result<Vec<Sighting>, StoreError> {
        self.sightings_of(None)
    }
}

impl<D: Database> SqlStore<D> {
    fn sightings_of(&self, device: Option<&str>) -> Result<Vec<Sighting>, StoreError> {
        let rows = self.query("list what was heard of devices", ALL, [device], SightingRow::read)?;
        rows.into_iter().map(SightingRow::sighting).collect()
    }
}

/// A sighting as the database has it.
struct SightingRow {
    device: String,
    asked_at_ns: i64,
    seen_at_ns: Option<i64>,
    facts: Option<String>,
    free_bytes: Option<i64>,
    silent_since_ns: Option<i64>,
    failure: Option<String>,
}

impl SightingRow {
    fn read(row: &Row<'_>) -> Outcome<SightingRow> {
        Ok(SightingRow {
            device: row.get(0)?,
            asked_at_ns: row.get(1)?,
            seen_at_ns: row.get(2)?,
            facts: row.get(3)?,
            free_bytes: row.get(4)?,
            silent_since_ns: row.get(5)?,
            failure: row.get(6)?,
        })
    }

    fn sighting(self) -> Result<Sighting, StoreError> {
        Ok(Sighting {
            device: self.device,
            asked_at: timestamp(self.asked_at_ns)?,
            seen_at: self.seen_at_ns.map(timestamp).transpose()?,
            facts: self.facts.map(|json| from_json("what a device is", &json)).transpose()?,
            free_bytes: self.free_bytes.map(i64::unsigned_abs),
            silent_since: self.silent_since_ns.map(timestamp).transpose()?,
            failure: self.failure.map(|json| from_json("a failure", &json)).transpose()?,
        })
    }
}
