//! A table of results in CSV to runs that can be scored: one of ours, or one that others published.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use csv::{ReaderBuilder, StringRecord};

use crate::domain::{Precision, RunStatus};
use crate::score::{RunAccuracy, ScoredRun, Settings, Workload};

use super::fault::{ConfigErrors, Fault, any_of, code, did_you_mean};
use super::source::{Source, Span};

/// Largest table that is read: 60,000 rows of ours.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// What can be the time of an inference, in milliseconds: from a picosecond, of which no clock knows less, to eleven
/// days and a half.
const TIMES_MS: RangeInclusive<f64> = 1e-9..=1e9;

/// Columns that every table must have.
const REQUIRED: [&str; 5] = ["device", "model", "backend", "status", "mean_ms"];
/// Columns that are read where they are there. All others are left alone.
const OPTIONAL: [&str; 18] = [
    "run_id",
    "precision",
    "delegate",
    "weights",
    "threads_requested",
    "threads",
    "batch",
    "scenario",
    "failure_kind",
    "failure",
    "n_images",
    "top1",
    "top5",
    "dataset",
    "macs",
    "params",
    "price_per_hour",
    "counts",
];

mod compared;
mod places;

pub(super) use compared::load_compared;

/// The runs of a table, or all that is wrong with it.
pub(super) fn load(source: &Source, needed: &[&str]) -> Result<Vec<ScoredRun>, ConfigErrors> {
    let mut runs = Vec::new();
    load_with(source, needed, &[], |table, row| {
        let run = table.run(row);
        let is_taken = run.is_some();
        runs.extend(run);
        is_taken
    })?;
    Ok(runs)
}

/// Reads the rows of a table that count, one after the other, or tells all that is wrong with it. `further` columns are
/// read where they are there, beside those that every reader takes. `read` says whether it took the row.
fn load_with(
    source: &Source,
    needed: &[&str],
    further: &[&'static str],
    mut read: impl FnMut(&mut Table<'_>, &Row) -> bool,
) -> Result<(), ConfigErrors> {
    let mut table = Table { source, start: header_start(&source.text), columns: HashMap::new(), faults: Vec::new() };
    let mut taken = 0u64;
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&source.text.as_bytes()[table.start..]);
    let (mut width, mut passed_over) = (None, 0u64);
    // No error can come: the text is UTF-8, in memory, and rows may have any length.
    for record in reader.records().filter_map(Result::ok) {
        let row = Row { start: table.start + record.position().map_or(0, |position| position.byte() as usize), record };
        match width {
            None => {
                width = Some(row.record.len());
                if !table.read_header(&row, needed, further) {
                    break;
                }
            }
            Some(width) if row.record.len() != width => table.refuse_width(&row, width),
            Some(_) => match table.counts(&row) {
                Some(true) => taken += u64::from(read(&mut table, &row)),
                // Of what was measured again one row counts.
                Some(false) => passed_over += 1,
                None => {}
            },
        }
    }
    if width.is_none() {
        table.faults.push(Fault::whole_file(&source.file, "the table is empty").hint(table_hint()));
    } else if taken == 0 && table.faults.is_empty() {
        table.faults.push(match passed_over {
            0 => Fault::whole_file(&source.file, "the table has a header and no rows"),
            rows => none_counts(source, rows),
        });
    }
    ConfigErrors::unless_clean(Some(()), table.faults)
}

/// Where the header begins: behind empty lines, and lines that begin with `#`.
fn header_start(text: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() && !line.starts_with('#') {
            break;
        }
        start += line.len();
    }
    start
}

fn none_counts(source: &Source, rows: u64) -> Fault {
    let said = match rows {
        1 => "`counts` of its only row is `no`: another run stands for it".to_owned(),
        rows => format!("`counts` of all its {rows} rows is `no`: other runs stand for them"),
    };
    Fault::whole_file(&source.file, said)
        .hint("take the table that has those runs, too; without the column `counts` each row counts")
}

fn table_hint() -> String {
    format!("a table of results has a header with at least {}", REQUIRED.map(|name| format!("`{name}`")).join(", "))
}

struct Table<'s> {
    source: &'s Source,
    /// Where the header begins.
    start: usize,
    /// Index of each column that is read.
    columns: HashMap<&'static str, usize>,
    faults: Vec<Fault>,
}

/// A row, and the byte where it begins.
struct Row {
    record: StringRecord,
    start: usize,
}

impl Table<'_> {
    /// Finds the columns; `false` when the rows can't be understood without those that are missing.
    fn read_header(&mut self, row: &Row, needed: &[&str], further: &[&'static str]) -> bool {
        let names: Vec<&str> = row.record.iter().map(str::trim).collect();
        if names.len() == 1 && [';', '\t', '|'].iter().any(|separator| names[0].contains(*separator)) {
            let fault = self.fault(row, 0, "the cells of the header are not separated by commas".to_owned());
            self.faults.push(fault.hint("save the table as CSV with commas, and numbers with a point"));
            return false;
        }
        for name in REQUIRED.into_iter().chain(OPTIONAL).chain(further.iter().copied()) {
            let places: Vec<usize> = (0..names.len()).filter(|index| names[*index] == name).collect();
            if let [first, second, ..] = places.as_slice() {
                let fault = self.fault(row, *second, format!("the column {} is there twice", code(name)));
                let (line, column) = self.source.line_and_column(self.place(row, *first).0);
                self.faults.push(fault.note(format!("first at {line}:{column}")));
            }
            self.columns.extend(places.first().map(|index| (name, *index)));
        }
        let mut is_whole = true;
        for name in REQUIRED.iter().chain(needed) {
            if !self.columns.contains_key(name) {
                let fault = self.fault(row, 0, format!("there is no column {}", code(name)));
                let near = did_you_mean(name, names.iter().copied()).filter(|hint| hint.starts_with("did you"));
                let hint = near.map(|hint| hint.replace("did you mean", "is it")).unwrap_or_else(|| needs(needed));
                self.faults.push(fault.hint(hint));
                is_whole = false;
            }
        }
        is_whole
    }

    fn refuse_width(&mut self, row: &Row, width: usize) {
        let cells = row.record.len();
        let (last, unclosed) = (self.place(row, cells.saturating_sub(1)), self.unclosed(row));
        let fault = match unclosed {
            Some(index) => self.fault(row, index, "this quotation mark is never closed".to_owned()),
            None if cells < width => self.fault_at(last, format!("this row has {cells} cells, the header {width}")),
            None => self.fault(row, width, format!("this row has {cells} cells, the header {width}")),
        };
        let hint = (unclosed.is_none() && cells > width)
            .then(|| "numbers have a point, no comma; a text with a comma stands in quotation marks".to_owned());
        self.faults.push(fault.maybe_hint(hint));
    }

    fn run(&mut self, row: &Row) -> Option<ScoredRun> {
        let faults_before = self.faults.len();
        let (device, model) = (self.name(row, "device"), self.name(row, "model"));
        let (backend, status) = (self.name(row, "backend"), self.status(row));
        let is_ok = status == Some(RunStatus::Ok);
        let latency_s = self.milliseconds(row, "mean_ms").map(|mean_ms| mean_ms / 1e3).filter(|_| is_ok);
        if is_ok && self.text(row, "mean_ms").is_empty() {
            self.refuse(row, "mean_ms", "a run that is ok has a time".to_owned(), None);
        }
        let (top1, top5) = (self.share(row, "top1"), self.share(row, "top5"));
        let n_images = self.count(row, "n_images").filter(|n_images| *n_images > 0);
        let threads = self.text(row, "threads_requested");
        let (line, _) = self.source.line_and_column(self.place(row, 0).0);
        let run = ScoredRun {
            device,
            workload: Workload { model, backend, delegate: self.text(row, "delegate"), precision: self.precision(row) },
            settings: Settings {
                weights: self.text(row, "weights"),
                threads: if threads.is_empty() { self.text(row, "threads") } else { threads },
                batch: self.batch(row),
                scenario: self.text(row, "scenario"),
            },
            status: status?,
            failure: self.failure(row),
            failure_kind: self.text(row, "failure_kind").parse().ok(),
            latency_s,
            accuracy: (is_ok && (top1.is_some() || top5.is_some())).then_some(RunAccuracy { top1, top5, n_images }),
            dataset: self.text(row, "dataset"),
            macs: self.count(row, "macs"),
            params: self.count(row, "params"),
            price_per_hour: self.positive(row, "price_per_hour"),
            run_id: Some(self.text(row, "run_id")).filter(|run_id| !run_id.is_empty()),
            source: format!("{}:{line}", self.source.file.display()),
        };
        (self.faults.len() == faults_before).then_some(run)
    }

    /// A cell's text; empty where there is no such column. The apostrophe that keeps a text from being taken for a
    /// formula or a number is no part of it.
    fn text(&self, row: &Row, column: &str) -> String {
        let text = self.columns.get(column).and_then(|index| row.record.get(*index)).unwrap_or_default().trim();
        text.strip_prefix('\'').unwrap_or(text).to_owned()
    }

    /// The arithmetic. A table that doesn't say is taken for one of unquantised networks, so that it can rank beside
    /// ours.
    fn precision(&self, row: &Row) -> String {
        let precision = self.text(row, "precision");
        if precision.is_empty() { Precision::Float32.to_string() } else { precision }
    }

    /// Whether another row does not stand for it: other programs write `No`, `FALSE` or `0` for `no`. `None`, and
    /// refused, where that can't be told.
    fn counts(&mut self, row: &Row) -> Option<bool> {
        let word = self.text(row, "counts");
        let is_one_of = |words: [&str; 3]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        if word.is_empty() || is_one_of(["yes", "true", "1"]) {
            return Some(true);
        }
        if is_one_of(["no", "false", "0"]) {
            return Some(false);
        }
        let hint = "it says whether the row counts; without the column each row does".to_owned();
        self.refuse(row, "counts", format!("`counts` is `yes` or `no`, found {}", code(&word)), Some(hint));
        None
    }

    /// The failure as a record says it: its kind, then what happened.
    fn failure(&self, row: &Row) -> Option<String> {
        let words = [self.text(row, "failure_kind"), self.text(row, "failure")];
        let said: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        (!said.is_empty()).then(|| said.join(": "))
    }

    fn name(&mut self, row: &Row, column: &str) -> String {
        let name = self.text(row, column);
        if name.is_empty() {
            self.refuse(row, column, format!("{} is empty", code(column)), None);
        }
        name
    }

    fn status(&mut self, row: &Row) -> Option<RunStatus> {
        let word = self.text(row, "status");
        let status = RunStatus::ALL.into_iter().find(|status| status.as_str() == word);
        if status.is_none() {
            let words = RunStatus::ALL.map(RunStatus::as_str);
            let hint = did_you_mean(&word, words).unwrap_or_else(|| format!("write {}", any_of(words)));
            self.refuse(row, "status", format!("{} is no status", code(&word)), Some(hint));
        }
        status
    }

    fn number(&mut self, row: &Row, column: &str) -> Option<f64> {
        let text = self.text(row, column);
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() && !text.is_empty() {
            let hint = text.contains(',').then(|| "write a point for the decimal comma".to_owned());
            self.refuse(row, column, format!("{}: {} is no number", code(column), code(&text)), hint);
        }
        number
    }

    fn positive(&mut self, row: &Row, column: &str) -> Option<f64> {
        let number = self.number(row, column)?;
        if number <= 0.0 {
            self.refuse(row, column, format!("{} must be more than 0, found {number}", code(column)), None);
        }
        Some(number).filter(|number| *number > 0.0)
    }

    /// A time of an inference, in milliseconds: within [`TIMES_MS`].
    fn milliseconds(&mut self, row: &Row, column: &str) -> Option<f64> {
        let milliseconds = self.positive(row, column)?;
        let is_time = TIMES_MS.contains(&milliseconds);
        if !is_time {
            let (least, most) = (TIMES_MS.start(), TIMES_MS.end());
            let found = code(&self.text(row, column));
            let hint = "times are in milliseconds: 0.001 is a microsecond, 86400000 a day".to_owned();
            let message = format!("{} is a time from {least:e} to {most:e} ms, found {found}", code(column));
            self.refuse(row, column, message, Some(hint));
        }
        is_time.then_some(milliseconds)
    }

    fn share(&mut self, row: &Row, column: &str) -> Option<f64> {
        let share = self.number(row, column)?;
        if !(0.0..=1.0).contains(&share) {
            let hint =
                (share > 1.0 && share <= 100.0).then(|| format!("write {} for {share} %", (share * 1e4).round() / 1e6));
            self.refuse(row, column, format!("{} is a share from 0 to 1, found {share}", code(column)), hint);
        }
        Some(share).filter(|share| (0.0..=1.0).contains(share))
    }

    /// A whole number. Programs that know only floating-point columns write `301000000.0`.
    fn count(&mut self, row: &Row, column: &str) -> Option<u64> {
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
        if let Ok(count) = self.text(row, column).parse::<u64>() {
            return Some(count);
        }
        let number = self.number(row, column)?;
        let is_count = number.fract() == 0.0 && (0.0..=LARGEST_EXACT).contains(&number);
        if !is_count {
            self.refuse(row, column, format!("{} must be a whole number, found {number}", code(column)), None);
        }
        is_count.then_some(number as u64)
    }

    fn batch(&mut self, row: &Row) -> u32 {
        let Some(batch) = self.count(row, "batch") else { return 1 };
        let fitting = u32::try_from(batch).ok().filter(|batch| *batch > 0);
        if fitting.is_none() {
            self.refuse(row, "batch", format!("a batch of {batch} images makes no sense"), None);
        }
        fitting.unwrap_or(1)
    }

    fn refuse(&mut self, row: &Row, column: &str, message: String, hint: Option<String>) {
        let index = self.columns.get(column).copied().unwrap_or_default();
        let fault = self.fault(row, index, message).maybe_hint(hint);
        self.faults.push(fault);
    }

    fn fault(&self, row: &Row, index: usize, message: String) -> Fault {
        self.fault_at(self.place(row, index), message)
    }

    fn fault_at(&self, (start, end): (usize, usize), message: String) -> Fault {
        let (line, column) = self.source.line_and_column(start);
        let length = self.source.text[start..end].lines().next().unwrap_or_default().chars().count();
        self.source.fault(Span { line, column, length }, message)
    }
}

fn needs(needed: &[&str]) -> String {
    let columns: Vec<String> = REQUIRED.iter().chain(needed).map(|name| format!("`{name}`")).collect();
    format!("needed here: {}", columns.join(", "))
}

#[cfg(test)]
mod tests;
