//! `samples.parquet`, written a group of samples at a time.

use std::io::Write;

use parquet::basic::{Encoding, Repetition};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use super::{SamplesParquet, field, next_column, properties, schema, signed};
use crate::domain::Record;
use crate::report::columns::{ColumnKind, Row};
use crate::report::{Begun, Report as _, ReportError, RowFile};

/// Samples of a row group: readers work on groups at a time, and this many fit any reader's memory.
const GROUP_SAMPLES: usize = 1 << 20;
/// Texts that stand in each row of a record's samples.
const TEXTS: [&str; 5] = ["sweep_id", "run_id", "job_id", "device", "model"];
const INDEX: &str = "sample_index";
const LATENCY: &str = "latency_ns";

/// The file that is being written.
struct SampleGroups<W: Write + Send> {
    file: SerializedFileWriter<W>,
    /// The records of the next group, and how many samples they have together.
    records: Vec<Sampled>,
    samples: usize,
}

/// What the file has of a record.
struct Sampled {
    texts: [ByteArray; 5],
    samples_ns: Vec<u64>,
}

impl Sampled {
    fn of(record: &Record) -> Sampled {
        let (sweep, job) = (record.sweep_id.as_str(), &record.job);
        let run_id = record.run_id.as_ref().map_or("", |run_id| run_id.as_str());
        let texts = [sweep, run_id, job.id.as_str(), &job.device, &job.model.name].map(ByteArray::from);
        Sampled { texts, samples_ns: record.measurement.samples_ns.clone() }
    }
}

/// Begins the file.
pub(super) fn begun<'w>(out: &'w mut (dyn Write + Send + 'w)) -> Begun<'w> {
    SampleGroups::begun(out).map_err(refused).map(|rows| Box::new(rows) as Box<dyn RowFile + 'w>)
}

impl<W: Write + Send> SampleGroups<W> {
    fn begun(out: W) -> Result<SampleGroups<W>> {
        let texts = TEXTS.map(|name| field(name, ColumnKind::Text, Repetition::REQUIRED));
        let numbers = [INDEX, LATENCY].map(|name| field(name, ColumnKind::Integer, Repetition::REQUIRED));
        let schema = schema(texts.into_iter().chain(numbers).collect::<Result<_>>()?)?;
        // Latencies hardly repeat, and lie near each other.
        let latency = ColumnPath::from(LATENCY);
        let properties = properties()
            .set_column_dictionary_enabled(latency.clone(), false)
            .set_column_encoding(latency, Encoding::DELTA_BINARY_PACKED);
        let file = SerializedFileWriter::new(out, schema, properties.build().into())?;
        Ok(SampleGroups { file, records: Vec::new(), samples: 0 })
    }

    /// Adds a record, which is never divided.
    fn add(&mut self, record: &Record) -> Result<()> {
        if record.measurement.samples_ns.is_empty() {
            return Ok(());
        }
        self.samples += record.measurement.samples_ns.len();
        self.records.push(Sampled::of(record));
        if self.samples >= GROUP_SAMPLES { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        self.samples = 0;
        let mut group = self.file.next_row_group()?;
        for text in 0..TEXTS.len() {
            each_record::<ByteArrayType, _>(&mut group, &records, |record, values| {
                let text = record.texts.get(text).cloned().unwrap_or_default();
                values.resize(record.samples_ns.len(), text);
            })?;
        }
        each_record::<Int64Type, _>(&mut group, &records, |record, values| {
            values.extend(0..record.samples_ns.len() as i64);
        })?;
        each_record::<Int64Type, _>(&mut group, &records, |record, values| {
            values.extend(record.samples_ns.iter().map(|latency_ns| signed(*latency_ns)));
        })?;
        group.close()?;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if self.samples > 0 {
            self.write_group()?;
        }
        self.file.close().map(drop)
    }
}

impl<W: Write + Send> RowFile for SampleGroups<W> {
    fn push(&mut self, row: &Row<'_>) -> std::result::Result<(), ReportError> {
        self.add(row.record).map_err(refused)
    }

    fn end(self: Box<Self>) -> std::result::Result<(), ReportError> {
        self.finish().map_err(refused)
    }
}

fn refused(error: parquet::errors::ParquetError) -> ReportError {
    ReportError::new(SamplesParquet.file_name(), error)
}

/// Writes the next column: of each record the values that `fill` puts into an empty list.
fn each_record<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    records: &[Sampled],
    fill: impl Fn(&Sampled, &mut Vec<T::T>),
) -> Result<()> {
    let mut writer = next_column(group)?;
    let mut values = Vec::new();
    for record in records {
        values.clear();
        fill(record, &mut values);
        writer.typed::<T>().write_batch(&values, None, None)?;
    }
    writer.close()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parquet::file::reader::FileReader;
    use parquet::record::RowAccessor;

    use super::*;
    use crate::domain::sample;
    use crate::report::parquet::tests::read;
    use crate::report::tests::{records, rendered};

    #[test]
    fn all_samples_are_there() {
        let mut records = records();
        records[1].measurement.samples_ns = vec![u64::MAX, 0, 1 << 62];
        records[3].measurement.samples_ns.clear();
        let reader = read(&rendered("samples.parquet", &records));
        let rows = reader.get_row_iter(None).unwrap().map(std::result::Result::unwrap);
        let found: Vec<_> = rows
            .map(|row| (row.get_string(3).unwrap().clone(), row.get_long(5).unwrap(), row.get_long(6).unwrap()))
            .collect();
        let of_record = |record: &Record| {
            let device = record.job.device.clone();
            let samples = record.measurement.samples_ns.clone().into_iter().enumerate();
            samples.map(move |(index, ns)| (device.clone(), index as i64, signed(ns)))
        };
        assert_eq!(found, records.iter().flat_map(of_record).collect::<Vec<_>>());
    }

    #[test]
    fn groups_hold_every_record_once() {
        let mut records = vec![sample::record("a", "net"); 5];
        // Samples of a loop that was broken off are there, too, and nobody judges them.
        records[1].status = crate::domain::RunStatus::Failed;
        records[1].measurement.samples_ns = vec![1; GROUP_SAMPLES];
        records[4].measurement.samples_ns.clear();
        let of_groups = |records: &[Record]| -> Vec<i64> {
            let reader = read(&rendered("samples.parquet", records));
            reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect()
        };
        let of_one = records[0].measurement.samples_ns.len() as i64;
        assert_eq!(of_groups(&records), [of_one + GROUP_SAMPLES as i64, 2 * of_one]);
        assert!(of_groups(&records[4..]).is_empty());
        assert_eq!(rendered("results.parquet", &[])[..4], *b"PAR1");
    }
}
