//! Which measurement of a cell counts, where it was measured again.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::num::NonZeroU32;

use super::{Certainty, TrustRules, Verdict};
use crate::domain::{JobId, Record, RunStatus};

/// Whether a record is the one of its job that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// It was measured once.
    Alone,
    /// Of several it is the first whose verdict is `ok`.
    FirstOk,
    /// None of several is `ok`, and it is the last that has a result.
    Last,
    /// Another counts: the measurement of this number, 1 for the first.
    Passed(NonZeroU32),
}

impl Counting {
    /// Whether the record counts.
    pub fn counts(self) -> bool {
        !matches!(self, Counting::Passed(_))
    }

    /// Why it counts, or which does; nothing of what was measured once.
    pub fn reason(self) -> String {
        match self {
            Counting::Alone => String::new(),
            Counting::FirstOk => "the first that is ok".to_owned(),
            Counting::Last => "none is ok, and this is the last with a result".to_owned(),
            Counting::Passed(number) => format!("measurement {number} counts"),
        }
    }
}

/// What of a record says which measurement counts, in little room: there may be a million.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// What was measured first, by the hash of its job. Two jobs of a sweep share 64 bits by no chance that counts.
    first: u64,
    /// Which measurement of it this is, from 1.
    number: NonZeroU32,
    is_ok: bool,
    verdict: Option<Verdict>,
}

impl Measured {
    /// Of a record, with its verdict, where it has one.
    pub fn of(record: &Record, verdict: Option<Verdict>) -> Measured {
        let first = record.job.rerun.as_ref().map_or(&record.job.id, |rerun| &rerun.of);
        let rerun = record.job.rerun.as_ref().map_or(0, |rerun| rerun.number);
        Measured::new(first, rerun, record.status == RunStatus::Ok, verdict)
    }

    /// A measurement of what is known by this: the first (0), or which one after it.
    pub fn new(first: &impl Hash, rerun: u32, is_ok: bool, verdict: Option<Verdict>) -> Measured {
        let mut hasher = DefaultHasher::new();
        first.hash(&mut hasher);
        Measured { first: hasher.finish(), number: NonZeroU32::MIN.saturating_add(rerun), is_ok, verdict }
    }
}

/// What each record of a sweep is among those that measure the same. The rule is settled before anything is measured,
/// and knows no times: the first measurement whose verdict is `ok` counts, else the last that has a result. The best of
/// them would reward luck.
pub fn countings(records: &[Measured]) -> Vec<Counting> {
    // Only what was measured again is looked up.
    let again = records.iter().filter(|it| it.number > NonZeroU32::MIN).map(|it| (it.first, Vec::new()));
    let mut again: HashMap<u64, Vec<usize>> = again.collect();
    for (index, record) in records.iter().enumerate() {
        if let Some(members) = again.get_mut(&record.first) {
            members.push(index);
        }
    }
    let mut countings = vec![Counting::Alone; records.len()];
    for members in again.values_mut() {
        members.sort_by_key(|index| records[*index].number);
        let is_ok = |index: &&usize| records[**index].is_ok;
        let first_ok = members.iter().find(|index| records[**index].verdict == Some(Verdict::Ok) && is_ok(index));
        let last = || members.iter().rev().find(is_ok).or(members.last());
        let Some(counting) = first_ok.or_else(last).copied() else { continue };
        for index in members.iter() {
            countings[*index] = if *index != counting {
                Counting::Passed(records[counting].number)
            } else if first_ok.is_some() {
                Counting::FirstOk
            } else {
                Counting::Last
            };
        }
    }
    countings
}

/// What each record of a sweep is among those that measure the same, by these rules.
pub fn countings_of(records: &[Record], rules: &TrustRules) -> Vec<Counting> {
    let again: HashSet<&JobId> =
        records.iter().filter_map(|record| record.job.rerun.as_ref()).map(|rerun| &rerun.of).collect();
    // What was measured once counts, whatever its verdict is.
    let verdict = |record: &Record| {
        let is_asked = record.job.rerun.is_some() || again.contains(&record.job.id);
        is_asked.then(|| Certainty::of_record(record, rules)).flatten().map(|certainty| certainty.verdict())
    };
    let measured: Vec<Measured> = records.iter().map(|record| Measured::of(record, verdict(record))).collect();
    countings(&measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Rerun, sample};

    fn measured(job: &str, rerun: u32, status: RunStatus) -> Record {
        let mut record = sample::record("board-1", "tiny");
        record.status = status;
        record.job.id = JobId(format!("{job}{rerun}"));
        record.job.rerun =
            (rerun > 0).then(|| Rerun { of: JobId(format!("{job}0")), number: rerun, verdict: Verdict::Noisy });
        record
    }

    /// What the measurements of one cell are, of which this is known in their order.
    fn of(known: &[(RunStatus, Option<Verdict>)]) -> Vec<String> {
        let records: Vec<Record> = (0..).zip(known).map(|(rerun, (status, _))| measured("a", rerun, *status)).collect();
        // In the store's order another cell may stand between them.
        let other = measured("b", 0, RunStatus::Ok);
        let mut all: Vec<Measured> =
            records.iter().zip(known).map(|(record, (_, verdict))| Measured::of(record, *verdict)).collect();
        all.insert(1, Measured::of(&other, Some(Verdict::Noisy)));
        let mut countings = countings(&all);
        assert_eq!(countings.remove(1), Counting::Alone, "what was measured once counts, whatever it is");
        assert_eq!(countings.iter().filter(|counting| counting.counts()).count(), 1, "{countings:?}");
        countings.into_iter().map(|counting| counting.reason()).collect()
    }

    #[test]
    fn the_first_that_is_ok_counts_else_the_last_with_a_result() {
        use RunStatus::{Failed, Ok};
        let (good, bad) = ((Ok, Some(Verdict::Ok)), (Ok, Some(Verdict::Unsteady)));
        let broken = (Failed, None);
        let (first_ok, last) = ("the first that is ok", "none is ok, and this is the last with a result");
        assert_eq!(of(&[bad, good]), ["measurement 2 counts", first_ok]);
        assert_eq!(of(&[bad, bad, good]), ["measurement 3 counts", "measurement 3 counts", first_ok]);
        assert_eq!(of(&[bad, bad]), ["measurement 2 counts", last]);
        assert_eq!(of(&[bad, broken]), [last, "measurement 1 counts"]);
        // By rules that somebody has changed since, or of a device that told averages only.
        assert_eq!(of(&[good, good]), [first_ok, "measurement 1 counts"]);
        assert_eq!(of(&[(Ok, None), (Ok, None)]), ["measurement 2 counts", last]);
        assert_eq!(of(&[broken, broken]), ["measurement 2 counts", last]);
    }

    #[test]
    fn the_order_of_records_does_not_matter() {
        let (first, second) = (measured("a", 0, RunStatus::Ok), measured("a", 1, RunStatus::Ok));
        let turned = [&second, &first].map(|record| Measured::of(record, Some(Verdict::Noisy)));
        let passed = Counting::Passed(NonZeroU32::MIN.saturating_add(1));
        assert_eq!(countings(&turned), [Counting::Last, passed]);
    }
}
