use super::events::EventRow;
use super::value::{named_params, params};
use super::{Database, SqlStore, events, from_json, nanoseconds, to_json};
use crate::domain::{Event, Regression, RegressionState, RegressionStep, SweepId};
use crate::store::{DueComparison, RegressionStore, StoreError};

const DUE: &str = "
    SELECT d.sweep_id, d.schedule FROM due_comparisons d JOIN sweeps s ON s.id = d.sweep_id
    ORDER BY s.finished_at_ns, s.id";

/// One that a person acknowledged meanwhile stays as it is.
const KEEP: &str = "
    INSERT INTO regressions (id, state, against, cell, since, reference, seen_in, found_at_ns, ended_by, regression)
    VALUES (:id, :state, :against, :cell, :since, :reference, :seen_in, :found_ns, :ended_by, :regression)
    ON CONFLICT (id) DO UPDATE SET state = :state, seen_in = :seen_in, ended_by = :ended_by, regression = :regression
        WHERE regressions.state = :open";

const SEEN_IN: &str = "SELECT seen_in FROM regressions WHERE id = ?1 AND state = ?2";

const ACKNOWLEDGE: &str =
    "UPDATE regressions SET state = ?2, ended_by = ?3, regression = ?4 WHERE id = ?1 AND state = ?5";

const LIST: &str = "
    SELECT regression FROM regressions WHERE CAST(?1 AS TEXT) IS NULL OR state = ?1
    ORDER BY found_at_ns DESC, cell, since DESC";

impl<D: Database> RegressionStore for SqlStore<D> {
    fn due_comparisons(&self) -> Result<Vec<DueComparison>, StoreError> {
        self.query("list sweeps to compare", DUE, [], |row| {
            Ok(DueComparison { sweep: SweepId(row.get(0)?), schedule: row.get(1)? })
        })
    }

    fn keep_comparison(&self, sweep: &SweepId, regressions: &[Regression], event: &Event) -> Result<bool, StoreError> {
        let rows: Vec<(&Regression, String)> =
            regressions.iter().map(|it| Ok((it, to_json(it)?))).collect::<Result<_, StoreError>>()?;
        let row = EventRow::of(event)?;
        self.transaction("keep what a comparison found", |transaction| {
            let sql = "DELETE FROM due_comparisons WHERE sweep_id = ?1";
            if transaction.execute(sql, [&sweep.0])? == 0 {
                return Ok(false);
            }
            for (regression, json) in &rows {
                transaction.execute(
                    KEEP,
                    named_params! {
                        ":id": regression.id.0, ":state": regression.state.as_str(),
                        ":against": regression.against.to_string(), ":cell": regression.cell,
                        ":since": regression.since.0, ":reference": regression.reference.0,
                        ":seen_in": regression.seen_in.0, ":found_ns": nanoseconds(regression.found_at),
                        ":ended_by": ended_by(regression),
                        ":regression": json, ":open": RegressionState::Open.as_str(),
                    },
                )?;
            }
            events::insert(transaction, &row)?;
            Ok(true)
        })
    }

    fn leave_comparison(&self, sweep: &SweepId) -> Result<(), StoreError> {
        let sql = "DELETE FROM due_comparisons WHERE sweep_id = ?1";
        self.execute("leave a comparison out", sql, [&sweep.0]).map(drop)
    }

    fn regressions(&self, only_open: bool) -> Result<Vec<Regression>, StoreError> {
        let state = only_open.then_some(RegressionState::Open.as_str());
        let rows = self.query("list what got slower", LIST, [state], |row| row.get::<String>(0))?;
        rows.iter().map(|json| from_json("what got slower", json)).collect()
    }

    fn acknowledge_regression(&self, regression: &Regression, event: &Event) -> Result<bool, StoreError> {
        let step = RegressionStep::Acknowledge;
        let row = EventRow::of(event)?;
        self.transaction("acknowledge what got slower", |transaction| {
            for from in step.from() {
                let seen_in = transaction.first(SEEN_IN, params![regression.id.0, from.as_str()], |row| row.get(0))?;
                let Some(seen_in) = seen_in.map(SweepId) else { continue };
                // A comparison may have seen it in a newer sweep meanwhile.
                let json = to_json(&Regression { seen_in, ..regression.clone() })?;
                let parameters =
                    params![regression.id.0, step.to().as_str(), ended_by(regression), json, from.as_str()];
                transaction.execute(ACKNOWLEDGE, parameters)?;
                events::insert(transaction, &row)?;
                return Ok(true);
            }
            Ok(false)
        })
    }
}

/// Who said that it is as it should be.
fn ended_by(regression: &Regression) -> Option<&str> {
    regression.end.as_ref()?.by.as_deref()
}
