//! The end of a sweep: its reports, and the word that it is over.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::agent::cell_record;
use crate::domain::{
    Failure, FailureKind, HOST_LOG_PREFIX, Job, Record, RunStatus, SweepId, SweepRow, SweepState, TrustRules,
};
use crate::lab::{Lab, LabError};
use crate::publish;
use crate::report::spans::{DeviceSpan, SpanReader};
use crate::report::{ReportInput, Whole};
use crate::schedule::Schedule;
use crate::score::trust::countings_of;
use crate::wording::many;

/// How long ago a sweep may have ended whose reports are looked for.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// Events that are read at once.
const EVENTS_AT_ONCE: u32 = 5000;
/// Due times of a schedule whose reports are looked for.
const LOOKED_AT: u32 = 20;

/// What came of a sweep: what its reports are made of.
pub struct SweepResults {
    /// The sweep.
    pub sweep: SweepRow,
    /// A record of each cell: a job that has none yet is there as cancelled. Of a large sweep a part of them: each way
    /// to end is among them.
    pub records: Vec<Record>,
    /// What its numbers are judged by: the rules that it was begun with.
    rules: TrustRules,
    /// What networks answered, by hash.
    outputs: HashMap<String, Vec<f32>>,
    /// Where its reports are, or will be.
    pub folder: PathBuf,
    /// By whose clocks people are told times.
    zone: TimeZone,
    /// What its devices did when; read only where reports are written.
    spans: Vec<DeviceSpan>,
    /// What all of its records come to, where these are a part of them.
    pub(super) whole: Option<Whole>,
}

impl SweepResults {
    /// What reports are made of.
    pub fn input(&self) -> ReportInput<'_> {
        let input = ReportInput::new(&self.sweep, &self.records, &self.outputs);
        let input = input.judged_by(self.rules).in_zone(self.zone.clone()).with_spans(&self.spans);
        self.whole.iter().fold(input, ReportInput::part_of)
    }

    /// Whether its records are a part of all: rows for programs are to be read from the store.
    pub fn is_part(&self) -> bool {
        self.whole.is_some()
    }

    /// The records that count: of what was measured again, one.
    pub fn counting(&self) -> Vec<&Record> {
        let countings = countings_of(&self.records, &self.rules);
        self.records.iter().zip(countings).filter(|(_, counting)| counting.counts()).map(|(it, _)| it).collect()
    }
}

/// The record of a job that has none, as of this moment.
pub(super) fn unfinished(sweep: &SweepRow, job: &Job, moment: Timestamp) -> Record {
    let failure = Failure::new(FailureKind::Cancelled, "the sweep was stopped before this job had a result");
    cell_record(sweep, None, job, RunStatus::Cancelled, Some(failure), moment)
}

impl Lab {
    /// What came of this sweep so far.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn results(&self, sweep: SweepRow) -> Result<SweepResults, LabError> {
        if self.is_large(&sweep)? {
            return self.large_results(sweep);
        }
        let records = self.records(&sweep)?;
        self.results_of(sweep, records)
    }

    /// What came of a sweep with these records.
    pub(super) fn results_of(&self, sweep: SweepRow, records: Vec<Record>) -> Result<SweepResults, LabError> {
        let outputs = self.output_files().load(&records);
        let folder = publish::sweep_folder(&self.reports(), sweep.id.as_str());
        let (rules, zone) = (self.trust_rules(&sweep.id)?, self.time_zone());
        Ok(SweepResults { sweep, records, rules, outputs, folder, zone, spans: Vec::new(), whole: None })
    }

    /// What the numbers of a sweep are judged by.
    pub(in crate::lab) fn trust_rules(&self, sweep: &SweepId) -> Result<TrustRules, LabError> {
        let definition = self.store()?.definition(sweep)?;
        Ok(definition.map(|definition| definition.sweep.trust.rules).unwrap_or_default())
    }

    /// The records of a sweep that count: of what was measured again, one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn counting_records(&self, sweep: &SweepRow) -> Result<Vec<Record>, LabError> {
        let (records, rules) = (self.records(sweep)?, self.trust_rules(&sweep.id)?);
        let countings = countings_of(&records, &rules);
        Ok(records.into_iter().zip(countings).filter(|(_, counting)| counting.counts()).map(|(it, _)| it).collect())
    }

    /// The records of a sweep, with a row `cancelled` for each job that has none: a report never leaves a cell out.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn records(&self, sweep: &SweepRow) -> Result<Vec<Record>, LabError> {
        let store = self.store()?;
        let mut records = store.records(&sweep.id)?;
        let moment = sweep.finished_at.unwrap_or_else(|| self.now());
        records.extend(store.open_jobs(&sweep.id, None)?.iter().map(|job| unfinished(sweep, job, moment)));
        Ok(records)
    }

    /// Writes the reports of a sweep as it is now.
    ///
    /// # Errors
    /// When there is no such sweep, or they can't be written.
    pub fn publish(&self, wanted: &str) -> Result<SweepResults, LabError> {
        self.publish_as(self.sweep_meant(wanted)?)
    }

    pub(super) fn publish_as(&self, sweep: SweepRow) -> Result<SweepResults, LabError> {
        let results = match self.is_large(&sweep)? {
            true => self.publish_large(sweep)?,
            false => {
                let spans = self.device_spans(&sweep.id)?;
                SweepResults { spans, ..self.results(sweep)? }
            }
        };
        publish::publish(&self.reports(), &results.input(), self.dated_now())?;
        let left = match results.is_part() {
            true => self.share_all_outputs(&results.sweep)?,
            false => self.output_files().share_all(&results.records),
        };
        if left > 0 {
            let what = many(left as u64, "output") + if left == 1 { " is" } else { " are" };
            let id = &results.sweep.id;
            self.remark(&format!("{what} on this host alone: `farmctl report {id}` lets the others have them"));
        }
        self.share_reports(&results.sweep);
        Ok(results)
    }

    /// What the devices of a sweep did when; nothing where its events have left.
    fn device_spans(&self, sweep: &SweepId) -> Result<Vec<DeviceSpan>, LabError> {
        let store = self.store()?;
        let (mut reader, mut read) = (SpanReader::default(), 0);
        loop {
            let events = store.events_after(sweep, read, EVENTS_AT_ONCE)?;
            let is_all = events.len() < EVENTS_AT_ONCE as usize;
            for (number, event) in &events {
                reader.take(event);
                read = *number;
            }
            if is_all {
                return Ok(reader.finish());
            }
        }
    }

    /// Writes the reports, and marks the sweep as over when each of its jobs has its record. In this order, a sweep
    /// that is over has its reports, whatever ends this process in between.
    ///
    /// # Errors
    /// When the reports or the store can't be written.
    pub fn conclude(&self, sweep: &SweepId) -> Result<SweepResults, LabError> {
        let (store, now) = (self.store()?, self.now());
        let results = self.publish_as(self.as_it_ends(sweep, now)?)?;
        store.finish_sweep(sweep, now)?;
        self.trim_cache();
        Ok(results)
    }

    /// A sweep as it is now, or over when each of its jobs has its record.
    fn as_it_ends(&self, sweep: &SweepId, now: Timestamp) -> Result<SweepRow, LabError> {
        let mut sweep = self.find_sweep(sweep.as_str())?;
        if !sweep.state.is_over() && self.store()?.open_jobs(&sweep.id, None)?.is_empty() {
            let is_cancelled = sweep.state == SweepState::Cancelling;
            sweep.state = if is_cancelled { SweepState::Cancelled } else { SweepState::Finished };
            sweep.finished_at = Some(now);
        }
        Ok(sweep)
    }

    /// Writes the reports of sweeps that were over when their process was ended, before it had written them.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn publish_what_is_missing(&self, schedules: &[Schedule]) -> Result<(), LabError> {
        let store = self.store()?;
        for schedule in schedules {
            let starts = store.scheduled_starts(Some(&schedule.name), LOOKED_AT).unwrap_or_default();
            for id in starts.into_iter().filter_map(|start| start.sweep_id) {
                let is_there = publish::sweep_folder(&self.reports(), id.as_str()).join("results.csv").is_file();
                let Ok(sweep) = self.find_sweep(id.as_str()) else { continue };
                // Those of older ones may have left by the rules of retention.
                let is_new = sweep.finished_at.is_some_and(|at| self.now().duration_since(at) < LATELY);
                // Another host has concluded it.
                let is_report = |name: &String| !name.starts_with(HOST_LOG_PREFIX);
                let is_shared = self.shared_report_names(&id).is_ok_and(|names| names.iter().any(is_report));
                if is_there || is_shared || !is_new {
                    continue;
                }
                if let Err(error) = self.conclude(&sweep.id) {
                    tracing::warn!(sweep = %id, %error, "its reports were not written");
                }
            }
        }
        Ok(())
    }
}
