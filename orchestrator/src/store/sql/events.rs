use jiff::Timestamp;

use super::event_columns::EventColumns;
use super::value::{Params, named_params, params};
use super::{Database, Outcome, SqlStore, Transaction, corrupt, from_json, nanoseconds, timestamp, to_json};
use crate::domain::{Event, SweepId};
use crate::store::{EventStore, PastEvents, StoreError};

const OF_DEVICE: &str =
    "SELECT sequence, event FROM events WHERE device = ?3 AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2";

const NOTABLE: &str = "
    SELECT sequence, event FROM events
    WHERE device = ?3 AND is_notable = 1 AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2";

const ACTS: &str =
    "SELECT sequence, event FROM events WHERE is_act = 1 AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2";

const INSERT: &str = "
    INSERT INTO events (sweep_id, device, at_ns, kind, is_news, is_notable, is_act, event)
    VALUES (:sweep, :device, :at_ns, :kind, :is_news, :is_notable, :is_act, :event)";

impl<D: Database> EventStore for SqlStore<D> {
    fn append_event(&self, event: &Event) -> Result<(), StoreError> {
        append(self, event)
    }

    fn events(&self, sweep: &SweepId) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT event FROM events WHERE sweep_id = ?1 ORDER BY sequence";
        let events = self.query("list events", sql, [&sweep.0], |row| row.get::<String>(0))?;
        events.iter().map(|json| from_json("an event", json)).collect()
    }

    fn events_after(&self, sweep: &SweepId, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        let sql = "SELECT sequence, event FROM events WHERE sweep_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        numbered(self, sql, params![sweep.0, after, limit])
    }

    fn last_start(&self, sweep: &SweepId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT max(sequence) FROM events
                   WHERE sweep_id = ?1 AND kind IN ('sweep_started', 'sweep_resumed')";
        let numbers = self.query("look up the start of a sweep", sql, [&sweep.0], |row| row.get::<Option<i64>>(0))?;
        Ok(numbers.into_iter().next().flatten().map(i64::unsigned_abs))
    }

    fn device_events(&self, device: &str, limit: u32) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT event FROM events WHERE device = ?1 ORDER BY sequence DESC LIMIT ?2";
        let events = self.query("list events", sql, params![device, limit], |row| row.get::<String>(0))?;
        events.iter().rev().map(|json| from_json("an event", json)).collect()
    }

    fn past_events(
        &self,
        which: PastEvents<'_>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Event)>, StoreError> {
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        match which {
            PastEvents::OfDevice(device) => numbered(self, OF_DEVICE, params![before, limit, device]),
            PastEvents::NotableOfDevice(device) => numbered(self, NOTABLE, params![before, limit, device]),
            PastEvents::Acts => numbered(self, ACTS, params![before, limit]),
        }
    }

    fn first_event(&self, device: &str) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT at_ns FROM events WHERE device = ?1 ORDER BY sequence LIMIT 1";
        let found = self.query("look up the first event", sql, [device], |row| row.get::<i64>(0))?;
        found.into_iter().next().map(timestamp).transpose()
    }

    fn new_events(&self, number: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        let sql = "SELECT sequence, event FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
        let after = i64::try_from(number).unwrap_or(i64::MAX);
        let rows = self.query("list events", sql, params![after, limit], |row| {
            Ok((row.get::<i64>(0)?.unsigned_abs(), row.get::<String>(1)?))
        })?;
        rows.into_iter().map(|(number, json)| Ok((number, from_json("an event", &json)?))).collect()
    }

    fn last_event(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(sequence), 0) FROM events";
        let numbers = self.query("number the events", sql, [], |row| row.get::<i64>(0))?;
        Ok(numbers.first().map_or(0, |number| number.unsigned_abs()))
    }
}

/// Events with their numbers.
pub(super) fn numbered(
    store: &SqlStore<impl Database>,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<(u64, Event)>, StoreError> {
    let events =
        store.query("list numbered events", sql, parameters, |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)))?;
    let numbered = events.iter().map(|(sequence, json)| {
        let sequence = u64::try_from(*sequence).map_err(|error| corrupt("the number of an event", &error))?;
        Ok((sequence, from_json("an event", json)?))
    });
    numbered.collect()
}

/// Appends an event.
pub(super) fn append(store: &SqlStore<impl Database>, event: &Event) -> Result<(), StoreError> {
    let row = EventRow::of(event)?;
    store.connected("keep an event", |connection| insert(&Transaction(connection), &row))
}

/// An event as the database has it.
pub(super) struct EventRow<'a> {
    event: &'a Event,
    columns: EventColumns,
    json: String,
}

impl EventRow<'_> {
    pub(super) fn of(event: &Event) -> Result<EventRow<'_>, StoreError> {
        let json = to_json(event)?;
        let columns = EventColumns::of(event, &json).map_err(|error| corrupt("what was to be written", &error))?;
        Ok(EventRow { event, columns, json })
    }
}

/// Appends an event, as part of a transaction that has written what it tells of.
pub(super) fn insert(transaction: &Transaction<'_>, row: &EventRow<'_>) -> Outcome<()> {
    let EventRow { event, columns, json } = row;
    let parameters = named_params! {
        ":sweep": event.sweep_id.as_ref().map(SweepId::as_str), ":device": event.device,
        ":at_ns": nanoseconds(event.at), ":kind": columns.kind, ":is_news": columns.is_news,
        ":is_notable": columns.is_notable, ":is_act": columns.is_act, ":event": json,
    };
    transaction.execute(INSERT, parameters).map(drop)
}
