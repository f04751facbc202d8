//! What is thought of the numbers of runs, kept: to look at a page must not cost the statistics of a whole sweep anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Judgement, Record, RunId, TrustRules};
use crate::score::trust::Certainty;

/// Most runs that are kept. Beyond that all are forgotten, and computed again when they are asked for.
const MOST_KEPT: usize = 100_000;

/// Judgements by run. Neither the numbers of a run nor the rules of its sweep ever change.
#[derive(Default)]
pub(super) struct Judged(Mutex<HashMap<RunId, Judgement>>);

impl Judged {
    /// What is thought of a record's numbers by these rules; `None` where it has none.
    pub(super) fn of(&self, record: &Record, rules: &TrustRules) -> Option<Judgement> {
        let kept = |run| self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned();
        if let Some(known) = record.run_id.as_ref().and_then(kept) {
            return Some(known);
        }
        let judgement = Certainty::of_record(record, rules)?.judgement(record);
        if let Some(run) = &record.run_id {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MOST_KEPT {
                kept.clear();
            }
            kept.insert(run.clone(), judgement.clone());
        }
        Some(judgement)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{RunStatus, Verdict, sample};

    #[test]
    fn a_run_is_judged_once() {
        let (judged, rules) = (Judged::default(), TrustRules::default());
        let mut record = sample::record("board-1", "tiny");
        let first = judged.of(&record, &rules).unwrap();
        assert_eq!((first.verdict, first.reason.as_str()), (Verdict::TooFew, "4 samples, fewer than 10"));
        record.measurement.samples_ns.clear();
        assert_eq!(judged.of(&record, &rules), Some(first), "its numbers are not looked at again");
        record.run_id = Some(RunId("another".to_owned()));
        assert_eq!(judged.of(&record, &rules), None);
        record.measurement.samples_ns = vec![1; 20];
        record.status = RunStatus::Failed;
        assert_eq!(judged.of(&record, &rules), None);
    }
}
