use super::value::named_params;
use super::{Database, Outcome, SqlStore, Transaction, corrupt, nanoseconds, sweeps, timestamp};
use crate::domain::{Submission, SweepId};
use crate::store::{StoreError, SubmissionStore, SubmittedSweep, SweepStore as _};

const GIVE: &str = "
    INSERT INTO handed_over (sweep_id, handed_by, at_ns, max_devices) VALUES (:sweep, :by, :at_ns, :max_devices)
    ON CONFLICT (sweep_id) DO UPDATE SET handed_by = :by, at_ns = :at_ns, max_devices = :max_devices";

const GIVEN: &str = "
    SELECT h.sweep_id, s.state, h.handed_by, h.at_ns, h.max_devices
    FROM handed_over h JOIN sweeps s ON s.id = h.sweep_id
    WHERE s.state IN ('open', 'cancelling') ORDER BY h.at_ns, h.sweep_id";

impl<D: Database> SubmissionStore for SqlStore<D> {
    fn submit_to_daemon(&self, sweep: &SweepId, submission: &Submission) -> Result<(), StoreError> {
        self.sweep_state(sweep)?;
        self.transaction("hand a sweep over", |transaction| insert(transaction, sweep, submission))
    }

    fn withdraw(&self, sweep: &SweepId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM handed_over WHERE sweep_id = ?1";
        Ok(self.execute("take a sweep back", sql, [&sweep.0])? == 1)
    }

    fn submitted_to_daemon(&self) -> Result<Vec<SubmittedSweep>, StoreError> {
        let rows = self.query("list sweeps that were handed over", GIVEN, [], |row| {
            let (sweep_id, state) = (SweepId(row.get(0)?), sweeps::state(&row.get::<String>(1)?));
            let (by, at) = (row.get(2)?, timestamp(row.get(3)?));
            let max_devices = usize::try_from(row.get::<i64>(4)?);
            let max_devices = max_devices.map_err(|error| corrupt("a sweep that was handed over", &error));
            let submitted = || -> Result<SubmittedSweep, StoreError> {
                let submission = Submission { by, at: at?, max_devices: max_devices? };
                Ok(SubmittedSweep { sweep_id, state: state?, submission })
            };
            Ok(submitted())
        })?;
        rows.into_iter().collect()
    }
}

/// Gives a sweep to the daemon.
pub(super) fn insert(transaction: &Transaction<'_>, sweep: &SweepId, submission: &Submission) -> Outcome<()> {
    let parameters = named_params! {
        ":sweep": sweep.0, ":by": submission.by, ":at_ns": nanoseconds(submission.at),
        ":max_devices": i64::try_from(submission.max_devices).unwrap_or(i64::MAX),
    };
    transaction.execute(GIVE, parameters).map(drop)
}
