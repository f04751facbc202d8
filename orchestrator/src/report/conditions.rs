use std::io::Write;

use csv::Writer;
use farmctl_protocol::Moment;

use super::columns::Row;
use super::{Begun, Report, ReportError, ReportInput, RowFile, collected};
use crate::domain::{Record, SweepRow};
use crate::wording::csv_text;

/// `conditions.csv`: what the device was like during each run, one look a row.
pub(super) struct ConditionsCsv;

const HEADER: [&str; 11] = [
    "sweep_id",
    "run_id",
    "job_id",
    "device",
    "model",
    "at_ms",
    "temp_c",
    "freq_mhz",
    "other_load",
    "stolen_share",
    "power_mw",
];

impl Report for ConditionsCsv {
    fn file_name(&self) -> &'static str {
        "conditions.csv"
    }

    fn description(&self) -> &'static str {
        "heat, clocks and load of each device during each run, one look a row"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, _: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        let mut rows = LookRows(Writer::from_writer(out));
        let begun = rows.0.write_record(HEADER);
        Some(begun.map_err(refused).map(|()| Box::new(rows) as Box<dyn RowFile + 'w>))
    }
}

/// `conditions.csv` that is being written.
struct LookRows<W: Write>(Writer<W>);

impl<W: Write> LookRows<W> {
    fn add(&mut self, record: &Record) -> csv::Result<()> {
        let run_id = record.run_id.as_ref().map_or("", |id| id.as_str());
        let (device, model) = (csv_text(&record.job.device), csv_text(&record.job.model.name));
        let about = [record.sweep_id.as_str(), run_id, record.job.id.as_str(), &device, &model];
        for moment in record.measurement.conditions.iter().flat_map(|conditions| &conditions.series) {
            let figures = figures(moment);
            self.0.write_record(about.into_iter().chain(figures.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

impl<W: Write> RowFile for LookRows<W> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), ReportError> {
        self.add(row.record).map_err(refused)
    }

    fn end(mut self: Box<Self>) -> Result<(), ReportError> {
        self.0.flush().map_err(refused)
    }
}

fn refused(error: impl Into<csv::Error>) -> ReportError {
    ReportError::new(ConditionsCsv.file_name(), error.into())
}

/// A look in the header's order; empty is what the device did not tell.
fn figures(moment: &Moment) -> [String; 6] {
    let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        moment.at_ms.to_string(),
        text(moment.celsius),
        text(moment.frequency_khz.map(|khz| khz as f64 / 1e3)),
        text(moment.other_load),
        text(moment.stolen_share),
        text(moment.power_uw.map(|power_uw| power_uw as f64 / 1e3)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::sample;

    #[test]
    fn each_look_is_a_row_and_what_was_not_told_is_empty() {
        let mut records = vec![sample::record("board-1", "tiny"), sample::skipped("board-2", "tiny", "no")];
        let mut conditions = sample::conditions();
        conditions.series.push(Moment {
            at_ms: 1250,
            celsius: Some(70.5),
            frequency_khz: Some(2_601_000),
            other_load: Some(0.25),
            power_uw: Some(2_054_144),
            ..Moment::default()
        });
        records[0].measurement.conditions = Some(Box::new(conditions));
        let (sweep, outputs) = (sample::sweep(), HashMap::new());
        let input = ReportInput::new(&sweep, &records, &outputs);
        let text = String::from_utf8(ConditionsCsv.render(&input).expect("renders")).expect("text");
        let rows: Vec<&str> =
            text.lines().map(|line| line.split_once("tiny,").map_or(line, |(_, rest)| rest)).collect();
        assert_eq!(rows, [HEADER.join(",").as_str(), "0,41,,,,", "1250,70.5,2601,0.25,,2054.144"]);
    }
}
