use jiff::Timestamp;

use super::value::{Row, named_params, params};
use super::{Database, Fault, Outcome, SqlStore, Transaction, corrupt, nanoseconds, timestamp};
use crate::domain::{DueTime, Event, SchedulePause, ScheduledStart, StartState, StartStep, SweepId};
use crate::store::{ScheduleStore, StoreError, Unfinished};

const RULE: &str = "
    INSERT INTO schedules (name, rule, settled_until_ns) VALUES (:name, :rule, :now_ns)
    ON CONFLICT (name) DO UPDATE SET rule = :rule, settled_until_ns = :now_ns
        WHERE schedules.rule <> :rule";

const SETTLE: &str = "
    INSERT INTO schedule_starts (schedule, due_at_ns, state, why, settled_at_ns)
    VALUES (:schedule, :due_ns, :state, :why, :now_ns)
    ON CONFLICT (schedule, due_at_ns) DO UPDATE SET state = :state, why = :why, settled_at_ns = :now_ns
        WHERE schedule_starts.state = :waiting AND :state = :left_out";

const SETTLED: &str = "UPDATE schedules SET settled_until_ns = ?2 WHERE name = ?1 AND settled_until_ns < ?2";

const BEGIN: &str = "
    UPDATE schedule_starts SET state = :to, sweep_id = :sweep, settled_at_ns = :now_ns
    WHERE schedule = :schedule AND due_at_ns = :due_ns AND state = :from";

const WAITING: &str = "SELECT due_at_ns FROM schedule_starts WHERE schedule = ?1 AND state = ?2 ORDER BY due_at_ns";

const UNFINISHED: &str = "
    SELECT s.id, t.due_at_ns, s.state FROM schedule_starts t JOIN sweeps s ON s.id = t.sweep_id
    WHERE t.schedule = ?1 AND s.state IN ('open', 'cancelling') ORDER BY t.due_at_ns";

const PAUSE: &str =
    "INSERT INTO schedule_pauses (schedule, paused_by, since_ns) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

/// With the sweeps that people began by a schedule.
const STARTS: &str = "
    SELECT schedule, due_at_ns, state, why, sweep_id, settled_at_ns, NULL AS ordered_by FROM schedule_starts
    WHERE CAST(?1 AS TEXT) IS NULL OR schedule = ?1
    UNION ALL
    SELECT ordered_schedule, started_at_ns, 'begun', NULL, id, started_at_ns, ordered_by FROM sweeps
    WHERE ordered_schedule IS NOT NULL AND (CAST(?1 AS TEXT) IS NULL OR ordered_schedule = ?1)
    ORDER BY 2 DESC LIMIT ?2";

impl<D: Database> ScheduleStore for SqlStore<D> {
    fn settled_until(&self, schedule: &str, rule: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let until_ns = self.transaction("look up a schedule", |transaction| {
            let parameters = named_params! {":name": schedule, ":rule": rule, ":now_ns": nanoseconds(now)};
            transaction.execute(RULE, parameters)?;
            // By a clock that was ahead, due times were settled that are still to come.
            let sql = "UPDATE schedules SET settled_until_ns = ?2 WHERE name = ?1 AND settled_until_ns > ?2";
            transaction.execute(sql, params![schedule, nanoseconds(now)])?;
            let sql = "SELECT settled_until_ns FROM schedules WHERE name = ?1";
            transaction.one(sql, [schedule], |row| row.get(0))
        })?;
        timestamp(until_ns)
    }

    fn settle_due(
        &self,
        schedule: &str,
        due: &[(Timestamp, Option<String>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transaction("settle due times", |transaction| {
            for (due_at, why) in due {
                let state = if why.is_some() { StartState::Skipped } else { StartState::Waiting };
                transaction.execute(
                    SETTLE,
                    named_params! {
                        ":schedule": schedule, ":due_ns": nanoseconds(*due_at), ":state": state.as_str(), ":why": why,
                        ":now_ns": nanoseconds(now), ":waiting": StartState::Waiting.as_str(),
                        ":left_out": StartState::Skipped.as_str(),
                    },
                )?;
                transaction.execute(SETTLED, params![schedule, nanoseconds(*due_at)])?;
            }
            Ok(())
        })
    }

    fn waiting_starts(&self, schedule: &str) -> Result<Vec<Timestamp>, StoreError> {
        let parameters = [schedule, StartState::Waiting.as_str()];
        let rows = self.query("list due times that wait", WAITING, parameters, |row| row.get(0))?;
        rows.into_iter().map(timestamp).collect()
    }

    fn unfinished_sweeps(&self, schedule: &str) -> Result<Vec<Unfinished>, StoreError> {
        let rows = self.query("list sweeps of a schedule", UNFINISHED, [schedule], |row| {
            let (sweep_id, due_at) = (SweepId(row.get(0)?), timestamp(row.get(1)?));
            let state = row.get::<String>(2)?.parse();
            let state = state.map_err(|error: String| corrupt("the state of a sweep", &error));
            Ok(state.and_then(|state| Ok(Unfinished { sweep_id, due_at: due_at?, state })))
        })?;
        rows.into_iter().collect()
    }

    fn pause_schedule(&self, pause: &SchedulePause, event: &Event) -> Result<bool, StoreError> {
        let parameters = params![pause.schedule, pause.by, nanoseconds(pause.since)];
        self.changed_with_event("pause a schedule", PAUSE, parameters, event)
    }

    fn resume_schedule(&self, schedule: &str, event: &Event) -> Result<bool, StoreError> {
        let sql = "DELETE FROM schedule_pauses WHERE schedule = ?1";
        self.changed_with_event("resume a schedule", sql, [schedule], event)
    }

    fn schedule_pauses(&self) -> Result<Vec<SchedulePause>, StoreError> {
        let sql = "SELECT schedule, paused_by, since_ns FROM schedule_pauses ORDER BY schedule";
        let rows = self.query("list paused schedules", sql, [], |row| {
            let (schedule, by) = (row.get(0)?, row.get(1)?);
            Ok(timestamp(row.get(2)?).map(|since| SchedulePause { schedule, by, since }))
        })?;
        rows.into_iter().collect()
    }

    fn scheduled_starts(&self, schedule: Option<&str>, limit: u32) -> Result<Vec<ScheduledStart>, StoreError> {
        let rows = self.query("list due times", STARTS, params![schedule, limit], StartRow::read)?;
        rows.into_iter().map(StartRow::start).collect()
    }
}

impl<D: Database> SqlStore<D> {
    /// Whether a due time waits to be begun.
    pub(super) fn is_waiting(&self, due: &DueTime) -> Result<bool, StoreError> {
        Ok(self.waiting_starts(&due.schedule)?.contains(&due.due_at))
    }
}

/// Settles that a sweep was begun for a due time; fails, so that all is undone, when nothing waits for that.
pub(super) fn begin(transaction: &Transaction<'_>, due: &DueTime, sweep: &SweepId, now: Timestamp) -> Outcome<bool> {
    let step = StartStep::Begin;
    for from in step.from() {
        let changed = transaction.execute(
            BEGIN,
            named_params! {
                ":schedule": due.schedule, ":due_ns": nanoseconds(due.due_at), ":from": from.as_str(),
                ":to": step.to().as_str(), ":sweep": sweep.0, ":now_ns": nanoseconds(now),
            },
        )?;
        if changed == 1 {
            return Ok(true);
        }
    }
    Err(Fault::Undone)
}

/// A due time as the database has it.
struct StartRow {
    schedule: String,
    due_at_ns: i64,
    state: String,
    why: Option<String>,
    sweep_id: Option<String>,
    settled_at_ns: i64,
    by: Option<String>,
}

impl StartRow {
    fn read(row: &Row<'_>) -> Outcome<StartRow> {
        Ok(StartRow {
            schedule: row.get(0)?,
            due_at_ns: row.get(1)?,
            state: row.get(2)?,
            why: row.get(3)?,
            sweep_id: row.get(4)?,
            settled_at_ns: row.get(5)?,
            by: row.get(6)?,
        })
    }

    fn start(self) -> Result<ScheduledStart, StoreError> {
        Ok(ScheduledStart {
            due: DueTime { schedule: self.schedule, due_at: timestamp(self.due_at_ns)? },
            state: self.state.parse().map_err(|error: String| corrupt("the state of a due time", &error))?,
            why: self.why,
            sweep_id: self.sweep_id.map(SweepId),
            by: self.by,
            settled_at: timestamp(self.settled_at_ns)?,
        })
    }
}
