use std::io::{self, Write};

use super::{Report, ReportError, ReportInput, collected};
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

    fn write(&self, input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        compress(input, out).map_err(|error| ReportError::new(self.file_name(), error))
    }
}

fn compress(input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    let mut writer = csv::Writer::from_writer(encoder);
    writer.write_record(["sweep_id", "run_id", "job_id", "device", "model", "sample_index", "latency_ns"])?;
    for record in input.records {
        let run_id = record.run_id.as_ref().map_or("", |id| id.as_str());
        let (device, model) = (csv_text(&record.job.device), csv_text(&record.job.model.name));
        let about = [record.sweep_id.as_str(), run_id, record.job.id.as_str(), &device, &model];
        for (index, latency_ns) in record.measurement.samples_ns.iter().enumerate() {
            let (index, latency_ns) = (index.to_string(), latency_ns.to_string());
            writer.write_record(about.into_iter().chain([index.as_str(), latency_ns.as_str()]))?;
        }
    }
    let mut encoder = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    encoder.flush()?;
    encoder.finish().map(drop)
}
