use rusqlite::params;

use super::{SqliteStore, from_json, nanoseconds, to_json};
use crate::domain::{Event, SweepId};
use crate::store::{EventStore, StoreError};

impl EventStore for SqliteStore {
    fn append_event(&self, event: &Event) -> Result<(), StoreError> {
        append(self, event)
    }

    fn events(&self, sweep: &SweepId) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT event FROM events WHERE sweep_id = ?1 ORDER BY sequence";
        let events = self.query("list events", sql, [&sweep.0], |row| row.get::<_, String>(0))?;
        events.iter().map(|json| from_json("an event", json)).collect()
    }

    fn device_events(&self, device: &str, limit: u32) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT event FROM events WHERE device = ?1 ORDER BY sequence DESC LIMIT ?2";
        let events = self.query("list events", sql, params![device, limit], |row| row.get::<_, String>(0))?;
        events.iter().rev().map(|json| from_json("an event", json)).collect()
    }
}

/// Appends an event.
pub(super) fn append(store: &SqliteStore, event: &Event) -> Result<(), StoreError> {
    let sql = "INSERT INTO events (sweep_id, device, at_ns, event) VALUES (?1, ?2, ?3, ?4)";
    let sweep = event.sweep_id.as_ref().map(SweepId::as_str);
    let parameters = params![sweep, event.device, nanoseconds(event.at), to_json(event)?];
    store.execute("keep an event", sql, parameters).map(drop)
}
