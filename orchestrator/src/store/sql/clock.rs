use std::time::Duration;

use jiff::Timestamp;

use super::events::EventRow;
use super::value::params;
use super::{Database, SqlStore, events, nanoseconds, timestamp};
use crate::domain::{BelievedClock, Event};
use crate::store::{ClockStore, StoreError};

const BELIEVE: &str = "
    INSERT INTO believed_clock (one, wall_ns, since_boot_ns, boot, last_event) VALUES (1, ?1, ?2, ?3, ?4)
    ON CONFLICT (one) DO UPDATE SET wall_ns = ?1, since_boot_ns = ?2, boot = ?3, last_event = ?4";

/// Of so many of the newest events the times are looked at: each process that opens a store waits for it.
const NEWEST_EVENTS: i64 = 2_000;

/// A sweep may have more events than the newest ones; its begin is found by an index.
const EVENT_TIMES: &str = "
    SELECT at_ns FROM events
    WHERE kind IN ('sweep_started', 'sweep_resumed') AND sequence > ?1
    UNION
    SELECT at_ns FROM (SELECT at_ns FROM events WHERE sequence > ?1 ORDER BY sequence DESC LIMIT ?2) AS newest
    ORDER BY 1";

impl<D: Database> ClockStore for SqlStore<D> {
    fn believed_clock(&self) -> Result<Option<BelievedClock>, StoreError> {
        let sql = "SELECT wall_ns, since_boot_ns, boot, last_event FROM believed_clock";
        let rows = self.query("look up the clock", sql, [], |row| {
            let since_boot = Duration::from_nanos(row.get::<i64>(1)?.unsigned_abs());
            let (boot, last_event) = (row.get(2)?, row.get::<i64>(3)?.unsigned_abs());
            Ok(timestamp(row.get(0)?).map(|wall| BelievedClock { wall, since_boot, boot, last_event }))
        })?;
        rows.into_iter().next().transpose()
    }

    fn event_times(&self, after: u64) -> Result<Vec<Timestamp>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let times = self.query("look up the times of events", EVENT_TIMES, [after, NEWEST_EVENTS], |row| row.get(0))?;
        times.into_iter().map(timestamp).collect()
    }

    fn believe_clock(&self, believed: &BelievedClock, event: Option<&Event>) -> Result<(), StoreError> {
        let row = event.map(EventRow::of).transpose()?;
        let since_boot_ns = i64::try_from(believed.since_boot.as_nanos()).unwrap_or(i64::MAX);
        let last_event = i64::try_from(believed.last_event).unwrap_or(i64::MAX);
        self.transaction("keep the clock", |transaction| {
            let parameters = params![nanoseconds(believed.wall), since_boot_ns, believed.boot, last_event];
            transaction.execute(BELIEVE, parameters)?;
            row.as_ref().map_or(Ok(()), |row| events::insert(transaction, row))
        })
    }
}
