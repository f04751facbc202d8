//! What must hold of what is measured again.

use std::collections::BTreeMap;

use farmctl::domain::{JobId, Record, TrustPolicy};
use farmctl::score::trust::{Certainty, countings_of};

use crate::lab::Lab;

/// Each doubtful row is measured again, as often as the sweep allows it and on its device; nothing else is; and one row
/// of each cell counts.
pub fn check<'a>(lab: &Lab<'_>, records: &'a [Record], trust: &TrustPolicy) -> Result<(), String> {
    let rerun = |record: &'a Record| Some(((&record.job.rerun.as_ref()?.of, number(record)), record));
    let again: BTreeMap<(&JobId, u32), &Record> = records.iter().filter_map(rerun).collect();
    for record in records {
        let (job, number) = (&record.job, number(record));
        let what = format!("{} on {}, measurement {}", job.model.name, job.device, number + 1);
        let first = job.rerun.as_ref().map_or(&job.id, |rerun| &rerun.of);
        let next = again.get(&(first, number + 1)).copied();
        let verdict = Certainty::of_record(record, &trust.rules).map(|certainty| certainty.verdict());
        let is_wanted = verdict.is_some_and(|verdict| verdict.may_rerun_help()) && number < trust.max_reruns;
        // What is collected once its sweep is over changes nothing any more.
        let is_late = record.measurement.remarks.iter().any(|remark| remark.contains("collected after its sweep"));
        if next.is_some() != is_wanted && !is_late {
            return Err(format!("{what} is {verdict:?}, and was measured again: {}", next.is_some()));
        }
        let Some(next) = next else { continue };
        if next.job.device != job.device || next.job.repeat != job.repeat {
            return Err(format!("{what} was measured again on {}", next.job.device));
        }
        check_place(lab, records, record, next, trust).map_err(|wrong| format!("{what} {wrong}"))?;
    }
    let countings = countings_of(records, &trust.rules);
    let counting = countings.iter().filter(|standing| standing.counts()).count();
    let cells = records.iter().filter(|record| number(record) == 0).count();
    if counting == cells { Ok(()) } else { Err(format!("{counting} rows of {cells} cells count")) }
}

/// What is measured again comes behind what the device has to do besides, and after the pause.
fn check_place(
    lab: &Lab<'_>,
    records: &[Record],
    before: &Record,
    next: &Record,
    trust: &TrustPolicy,
) -> Result<(), String> {
    // Who sets clocks, and cuts devices off, changes the order of what is waiting.
    let (Some(began), true) = (next.started_at, lab.harshness.faults == 0 && lab.harshness.moments == 0) else {
        return Ok(());
    };
    let paused = began.duration_since(before.finished_at).as_secs_f64();
    if paused + 0.001 < trust.rerun_pause_seconds {
        return Err(format!("was measured again after {paused} s"));
    }
    let is_first = |record: &&Record| record.job.device == next.job.device && number(record) == 0;
    let later = records.iter().filter(is_first).filter(|record| record.started_at > Some(began)).count();
    if later == 0 { Ok(()) } else { Err(format!("was measured again before {later} others were at all")) }
}

fn number(record: &Record) -> u32 {
    record.job.rerun.as_ref().map_or(0, |rerun| rerun.number)
}
