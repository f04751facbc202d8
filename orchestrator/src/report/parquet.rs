use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::columns::{COLUMNS, Cell, ColumnKind, Row};
use super::{Begun, Report, ReportError, ReportInput, RowFile, collected};
use crate::domain::SweepRow;

mod samples;

/// `results.parquet`: the table of `results.csv` with typed columns.
pub(super) struct ResultsParquet;

/// `samples.parquet`: every raw sample, one a row.
pub(super) struct SamplesParquet;

/// Rows of a row group: some megabytes in memory.
const GROUP_ROWS: usize = 10_000;
/// zstd's own default: higher levels gain a few per cent on digits and cost several times the time.
const COMPRESSION_LEVEL: i32 = 3;

impl Report for ResultsParquet {
    fn file_name(&self) -> &'static str {
        "results.parquet"
    }

    fn description(&self) -> &'static str {
        "the same rows with typed columns, for pandas, DuckDB, Spark"
    }

    fn render(&self, input: &ReportInput<'_>) -> std::result::Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, _: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        Some(RowsParquet::new(out).map(|rows| Box::new(rows) as Box<dyn RowFile + 'w>))
    }
}

impl Report for SamplesParquet {
    fn file_name(&self) -> &'static str {
        "samples.parquet"
    }

    fn description(&self) -> &'static str {
        "every raw sample in nanoseconds, with typed columns"
    }

    fn render(&self, input: &ReportInput<'_>) -> std::result::Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, _: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        Some(samples::begun(out))
    }
}

/// The rows of any number of sweeps as one file, with typed columns. It is written in groups of rows, of which one is
/// in memory.
pub struct RowsParquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    /// Of each column the cells of the next group.
    cells: Vec<Vec<Cell>>,
}

impl<W: Write + Send> RowsParquet<W> {
    /// Begins one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(sink: W) -> std::result::Result<RowsParquet<W>, ReportError> {
        RowsParquet::begun(sink).map_err(|error| ReportError::new(ResultsParquet.file_name(), error))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When a group can't be written.
    pub fn push(&mut self, row: &Row<'_>) -> std::result::Result<(), ReportError> {
        self.added(row).map_err(|error| ReportError::new(ResultsParquet.file_name(), error))
    }

    /// Writes the last group and what a reader begins with.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn end(self) -> std::result::Result<W, ReportError> {
        self.ended().map_err(|error| ReportError::new(ResultsParquet.file_name(), error))
    }

    fn begun(sink: W) -> Result<RowsParquet<W>> {
        let fields = COLUMNS.iter().map(|column| field(column.name, column.kind, Repetition::OPTIONAL));
        let about = COLUMNS.iter().map(|column| {
            let text = serde_json::json!({ "unit": column.unit, "description": column.description });
            (column.name.to_owned(), text)
        });
        let about = serde_json::Value::Object(about.collect()).to_string();
        let properties = properties().set_key_value_metadata(Some(vec![KeyValue::new("columns".to_owned(), about)]));
        let schema = schema(fields.collect::<Result<_>>()?)?;
        let file = SerializedFileWriter::new(sink, schema, properties.build().into())?;
        Ok(RowsParquet { file, cells: COLUMNS.iter().map(|_| Vec::new()).collect() })
    }

    fn added(&mut self, row: &Row<'_>) -> Result<()> {
        COLUMNS.iter().zip(&mut self.cells).for_each(|(column, cells)| cells.push((column.value)(row)));
        if self.cells.first().is_some_and(|cells| cells.len() >= GROUP_ROWS) { self.write_group() } else { Ok(()) }
    }

    fn ended(mut self) -> Result<W> {
        self.write_group()?;
        self.file.into_inner()
    }

    fn write_group(&mut self) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        for (column, cells) in COLUMNS.iter().zip(&mut self.cells) {
            let cells = std::mem::take(cells);
            let mut writer = next_column(&mut group)?;
            match column.kind {
                ColumnKind::Text | ColumnKind::Word => write_known::<ByteArrayType>(&mut writer, &cells, text)?,
                ColumnKind::Integer | ColumnKind::Time => write_known::<Int64Type>(&mut writer, &cells, integer)?,
                ColumnKind::Bits => write_known::<Int64Type>(&mut writer, &cells, bits)?,
                ColumnKind::Number => write_known::<DoubleType>(&mut writer, &cells, number)?,
            }
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }
}

impl<W: Write + Send> RowFile for RowsParquet<W> {
    fn push(&mut self, row: &Row<'_>) -> std::result::Result<(), ReportError> {
        RowsParquet::push(self, row)
    }

    fn end(self: Box<Self>) -> std::result::Result<(), ReportError> {
        RowsParquet::end(*self).map(drop)
    }
}

fn properties() -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(COMPRESSION_LEVEL).unwrap_or_default();
    // Which program wrote a file says its records; its bytes are a function of them alone.
    WriterProperties::builder().set_compression(Compression::ZSTD(level)).set_created_by("farmctl".to_owned())
}

fn schema(fields: Vec<TypePtr>) -> Result<TypePtr> {
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

fn field(name: &str, kind: ColumnKind, repetition: Repetition) -> Result<TypePtr> {
    let (physical, logical) = match kind {
        ColumnKind::Text | ColumnKind::Word => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnKind::Integer => (Physical::INT64, Some(LogicalType::integer(64, true))),
        ColumnKind::Bits => (Physical::INT64, Some(LogicalType::integer(64, false))),
        ColumnKind::Number => (Physical::DOUBLE, None),
        ColumnKind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    };
    let builder = Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
    Ok(Arc::new(builder.build()?))
}

fn next_column<'a, W: Write + Send>(
    group: &'a mut SerializedRowGroupWriter<'_, W>,
) -> Result<SerializedColumnWriter<'a>> {
    group.next_column()?.ok_or_else(|| ParquetError::General("the schema has no more columns".to_owned()))
}

/// Writes a column whose cells may be empty.
fn write_known<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    cells: &[Cell],
    value: fn(&Cell) -> Option<T::T>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = cells.iter().map(value).collect();
    if let Some(index) = (0..cells.len()).find(|index| values[*index].is_none() && cells[*index] != Cell::Empty) {
        return Err(ParquetError::General(format!("{:?} is not of its column's kind", cells[index])));
    }
    let levels: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
    let known: Vec<T::T> = values.into_iter().flatten().collect();
    let typed: &mut ColumnWriterImpl<'_, T> = writer.typed::<T>();
    typed.write_batch(&known, Some(&levels), None)?;
    Ok(())
}

fn text(cell: &Cell) -> Option<ByteArray> {
    let Cell::Text(text) = cell else { return None };
    Some(text.as_str().into())
}

/// Readers subtract these numbers, and an unsigned difference below zero wraps round.
fn integer(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Integer(number) => Some(signed(*number)),
        Cell::Time(time) => Some(time.as_microsecond()),
        Cell::Empty | Cell::Text(_) | Cell::Number(_) => None,
    }
}

/// The largest stands for all above it: 292 years in nanoseconds, which no run lasts.
fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Unsigned numbers have the bits of signed ones.
fn bits(cell: &Cell) -> Option<i64> {
    let Cell::Integer(number) = cell else { return None };
    Some(number.cast_signed())
}

fn number(cell: &Cell) -> Option<f64> {
    let Cell::Number(number) = cell else { return None };
    Some(*number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::io::Write as _;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;
    use crate::domain::sample;
    use crate::report::tests::{records, rendered};

    pub(super) fn read(bytes: &[u8]) -> SerializedFileReader<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        SerializedFileReader::new(file).unwrap()
    }

    #[test]
    fn results_have_types_and_nulls() {
        let mut records = records();
        records[0].job.seed = u64::MAX;
        let bytes = rendered("results.parquet", &records);
        assert_eq!(bytes, rendered("results.parquet", &records), "the same bytes for the same records");
        let reader = read(&bytes);
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let index = |name: &str| (0..schema.num_columns()).find(|index| schema.column(*index).name() == name).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 4);
        let first = &rows[0];
        assert_eq!(first.get_string(index("device")).unwrap(), "board-1");
        assert_eq!(first.get_long(index("macs")).unwrap(), 300_774_272, "signed");
        assert_eq!(first.get_ulong(index("seed")).unwrap(), u64::MAX, "all bits of a seed");
        assert_eq!(first.get_double(index("p50_ms")).unwrap(), 19.500001);
        assert_eq!(first.get_timestamp_micros(index("started_at")).unwrap(), sample::at(10).as_microsecond());
        assert!(rows[2].get_double(index("p50_ms")).is_err(), "not measured is null");
        assert!(rows[2].get_string(index("failure")).unwrap().contains('\n'), "texts are whole");
        let about = reader.metadata().file_metadata().key_value_metadata().unwrap();
        assert!(about[0].value.as_ref().unwrap().contains(r#""p50_ms":{"description":"Median latency."#));
    }

    #[test]
    fn rows_of_many_sweeps_come_in_groups_and_none_is_lost() {
        let records = records();
        let (sweep, outputs) = (sample::sweep(), std::collections::HashMap::new());
        let input = ReportInput::new(&sweep, &records, &outputs);
        let mut file = RowsParquet::new(Vec::new()).unwrap();
        let times = GROUP_ROWS / records.len() + 1;
        (0..times).for_each(|_| input.rows().iter().for_each(|row| file.push(row).unwrap()));
        let reader = read(&file.end().unwrap());
        assert_eq!(reader.metadata().num_row_groups(), 2);
        assert_eq!(reader.metadata().file_metadata().num_rows(), (times * records.len()) as i64);
    }
}
