//! What time it is for whoever may do something: leases, locks of people, pauses of jobs, who waits for a device, and
//! which hosts are there.
//!
//! A statement that decides such a thing has `:lease_now` in it. In SQLite that is the time which the caller gives. In
//! PostgreSQL it is the server's (`lease_now`, a function of the schema): several hosts share it, and their clocks may
//! differ. What a caller gives and gets is by its own clock: it is moved by what the two clocks differ.

use jiff::Timestamp;

use super::value::named_params;
use super::{Connection, Outcome, Transaction, nanoseconds, timestamp};
use crate::store::StoreError;

const NOW: &str = "SELECT CAST(:lease_now AS BIGINT)";
const SECOND_NS: i64 = 1_000_000_000;

/// What time it is by the clock that decides, in nanoseconds since 1970.
pub(super) fn deciding_ns(connection: &dyn Connection, now: Timestamp) -> Outcome<i64> {
    Transaction(connection).one(NOW, named_params! {":lease_now": nanoseconds(now)}, |row| row.get(0))
}

/// How far the clock that decides is ahead of a caller's, in nanoseconds: in whole seconds, so that clocks that agree
/// change nothing, and what people said stays what they said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockLead(i64);

impl ClockLead {
    /// Of a caller that says what time it is.
    pub(super) fn look_up(transaction: &Transaction<'_>, now: Timestamp) -> Outcome<ClockLead> {
        Ok(ClockLead::between(deciding_ns(transaction.0, now)?, now))
    }

    /// Between what decides and what the caller says.
    pub(super) fn between(decides_ns: i64, now: Timestamp) -> ClockLead {
        let lead_ns = i128::from(decides_ns) - i128::from(nanoseconds(now));
        let half = i128::from(SECOND_NS / 2) * lead_ns.signum();
        let seconds = (lead_ns + half) / i128::from(SECOND_NS);
        ClockLead(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_NS))
    }

    /// A caller's time, as it is kept.
    pub(super) fn kept(self, time: Timestamp) -> i64 {
        nanoseconds(time).saturating_add(self.0)
    }

    /// A time that is kept, as the caller is told it.
    pub(super) fn told(self, kept_ns: i64) -> Result<Timestamp, StoreError> {
        timestamp(kept_ns.saturating_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::conformance::at;

    #[test]
    fn clocks_that_agree_change_nothing_and_others_differ_by_whole_seconds() {
        let now_ns = nanoseconds(at(100));
        for (decides_ns, lead_ns) in [
            (now_ns, 0),
            (now_ns + SECOND_NS / 3, 0),
            (now_ns - SECOND_NS / 3, 0),
            (now_ns + SECOND_NS * 7 + 3, SECOND_NS * 7),
            (now_ns - SECOND_NS * 86_400 - 5, SECOND_NS * -86_400),
        ] {
            let lead = ClockLead::between(decides_ns, at(100));
            assert_eq!(lead, ClockLead(lead_ns), "{decides_ns}");
            assert_eq!(lead.told(lead.kept(at(40))).unwrap(), at(40));
        }
        assert_eq!(ClockLead::between(i64::MAX, Timestamp::MIN).kept(Timestamp::MAX), i64::MAX);
    }
}
