use std::io::{self, Write};

use super::columns::Row;
use super::{Begun, Report, ReportError, ReportInput, RowFile, collected};
use crate::domain::{Record, SweepRow};
use crate::wording::csv_text;

/// `samples.csv.zst`: every raw sample, one a row.
pub(super) struct SamplesCsv;

/// zstd's own default: higher levels gain a few per cent on digits and cost several times the time.
const COMPRESSION_LEVEL: i32 = 3;

impl Report for SamplesCsv {
    fn file_name(&self) -> &'static str {
        "samples.csv.zst"
    }

    fn description(&self) -> &'static str {
        "every raw sample in nanoseconds, one a row, compressed with zstd"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, _: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        Some(begun(out).map_err(refused).map(|rows| Box::new(rows) as Box<dyn RowFile + 'w>))
    }
}

/// `samples.csv.zst` that is being written.
struct SampleRows<W: Write>(csv::Writer<zstd::Encoder<'static, W>>);

fn begun<W: Write>(out: W) -> io::Result<SampleRows<W>> {
    let mut encoder = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    let mut writer = csv::Writer::from_writer(encoder);
    writer.write_record(["sweep_id", "run_id", "job_id", "device", "model", "sample_index", "latency_ns"])?;
    Ok(SampleRows(writer))
}

impl<W: Write> SampleRows<W> {
    fn add(&mut self, record: &Record) -> io::Result<()> {
        let run_id = record.run_id.as_ref().map_or("", |id| id.as_str());
        let (device, model) = (csv_text(&record.job.device), csv_text(&record.job.model.name));
        let about = [record.sweep_id.as_str(), run_id, record.job.id.as_str(), &device, &model];
        for (index, latency_ns) in record.measurement.samples_ns.iter().enumerate() {
            let (index, latency_ns) = (index.to_string(), latency_ns.to_string());
            self.0.write_record(about.into_iter().chain([index.as_str(), latency_ns.as_str()]))?;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let mut encoder = self.0.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        encoder.flush()?;
        encoder.finish().map(drop)
    }
}

impl<W: Write> RowFile for SampleRows<W> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), ReportError> {
        self.add(row.record).map_err(refused)
    }

    fn end(self: Box<Self>) -> Result<(), ReportError> {
        self.finish().map_err(refused)
    }
}

fn refused(error: io::Error) -> ReportError {
    ReportError::new(SamplesCsv.file_name(), error)
}
