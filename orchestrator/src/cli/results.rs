use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::SignedDuration;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::words::past;
use crate::lab::{LabError, LargeSweeps, RowQuery};
use crate::report::{BRIEF_COLUMNS, Grid, Row, RowCells, RowsParquet, brief_cells, results_csv};
use crate::terminal::print::{Format, print_file, print_lines, say};
use crate::terminal::table::Table;
use crate::wording::{many, printable_json};

/// Rows that people are shown without `--limit`.
const SHOWN: usize = 200;

#[derive(Debug, Args)]
pub(super) struct ResultsArguments {
    /// What is true of them: columns of results.csv against values by = != ~ (has a part) !~ < <= > >=, joined by
    /// `and`, `or`, `not` and brackets. All without it
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// Of sweeps that began no longer ago than this: `30d`, `12h`
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<SignedDuration>,
    /// Most rows, the newest sweep first; without it 200 for people, and all in other formats
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Write them into this file as Parquet, with typed columns: all without `--limit`
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: &ResultsArguments) -> Result<u8, LabError> {
    let query = RowQuery::parse(arguments.condition.as_deref(), arguments.since)?;
    if let Some(path) = &arguments.parquet {
        return write_parquet(context, &query, arguments.limit, path);
    }
    let for_people = context.format.is_for_people().then_some(SHOWN);
    let limit = arguments.limit.map(|limit| limit as usize).or(for_people).unwrap_or(usize::MAX);
    let mut printer = Printer { format: context.format, stream: stream(context.format), printed: 0, rows: Vec::new() };
    printer.begin()?;
    let mut more = 0;
    let read = context.lab.read_rows(&query, &LargeSweeps::default(), |row| {
        // One more tells whether there are more.
        if printer.printed >= limit {
            more += 1;
            return Ok(ControlFlow::Break(()));
        }
        printer.print(row).map(ControlFlow::Continue)
    })?;
    printer.end()?;
    let sweeps = many(u64::from(read.sweeps), "sweep");
    if printer.printed == 0 {
        say(&format!("no row of {sweeps} is so"));
        return Ok(exit::NOTHING);
    }
    if more > 0 && arguments.limit.is_none() {
        say(&format!("these are the newest {SHOWN}: `--limit` shows more, and `--format csv` all of them"));
    }
    Ok(exit::OK)
}

/// A form of output in which rows are written as they come.
struct Stream {
    head: fn() -> Result<Vec<u8>, LabError>,
    /// A row, and whether it is the first.
    row: fn(&Row<'_>, bool) -> Result<Vec<u8>, LabError>,
    tail: &'static [u8],
    print: fn(&[u8]) -> Result<(), LabError>,
}

/// None for people: columns are as wide as what is in them, which is known when there are no more.
fn stream(format: Format) -> Option<Stream> {
    format.choose(
        || None,
        || Some(Stream { head: || Ok(b"[".to_vec()), row: json_row, tail: b"\n]\n", print: print_file }),
        || Some(Stream { head: || results_csv(&[], true).map_err(failed), row: csv_row, tail: b"", print: print_file }),
        || {
            // Guarded here, and with times by the lab's clocks: all else is so already.
            let print = |bytes: &[u8]| print_lines(&String::from_utf8_lossy(bytes));
            Some(Stream { head: || Ok(markdown_table(None).into_bytes()), row: markdown_row, tail: b"", print })
        },
    )
}

fn json_row(row: &Row<'_>, is_first: bool) -> Result<Vec<u8>, LabError> {
    let json = serde_json::to_string(&RowCells(row)).map_err(failed)?;
    Ok(format!("{}\n{}", if is_first { "" } else { "," }, printable_json(&json)).into_bytes())
}

fn csv_row(row: &Row<'_>, _: bool) -> Result<Vec<u8>, LabError> {
    results_csv(std::slice::from_ref(row), false).map_err(failed)
}

fn markdown_row(row: &Row<'_>, _: bool) -> Result<Vec<u8>, LabError> {
    // Below the two lines of the heading.
    Ok(markdown_table(Some(row)).split_inclusive('\n').skip(2).collect::<String>().into_bytes())
}

fn markdown_table(row: Option<&Row<'_>>) -> String {
    Grid::of_texts(&BRIEF_COLUMNS, row.map(brief_cells)).markdown()
}

/// Writes the rows into a file, which is there whole or not at all.
fn write_parquet(context: &Context, query: &RowQuery, limit: Option<u32>, path: &Path) -> Result<u8, LabError> {
    let unwritten = |error: std::io::Error| {
        LabError::usage(format!("failed to write {}: {error}", path.display()))
            .with_hint("is there such a folder, and may you write there?")
            .caused_by(error)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new().prefix(".results-").tempfile_in(folder).map_err(unwritten)?;
    let mut file = RowsParquet::new(partial).map_err(failed)?;
    let (limit, mut written) = (limit.unwrap_or(u32::MAX), 0_u32);
    context.lab.read_rows(query, &LargeSweeps::default(), |row| {
        if written >= limit {
            return Ok(ControlFlow::Break(()));
        }
        file.push(row).map_err(failed)?;
        written += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    let partial = file.end().map_err(failed)?;
    partial.persist(path).map_err(|error| unwritten(error.error))?;
    say(&format!("{}: {}", path.display(), many(u64::from(written), "row")));
    Ok(if written == 0 { exit::NOTHING } else { exit::OK })
}

/// Prints rows as they come, where the form has it so.
struct Printer {
    format: Format,
    stream: Option<Stream>,
    printed: usize,
    rows: Vec<Vec<String>>,
}

impl Printer {
    fn begin(&self) -> Result<(), LabError> {
        self.stream.as_ref().map_or(Ok(()), |stream| (stream.print)(&(stream.head)()?))
    }

    fn print(&mut self, row: &Row<'_>) -> Result<(), LabError> {
        let is_first = self.printed == 0;
        self.printed += 1;
        match &self.stream {
            Some(stream) => (stream.print)(&(stream.row)(row, is_first)?),
            None => {
                self.rows.push(brief_cells(row));
                Ok(())
            }
        }
    }

    fn end(&mut self) -> Result<(), LabError> {
        match &self.stream {
            Some(stream) => (stream.print)(stream.tail),
            None => Table::new(&BRIEF_COLUMNS, std::mem::take(&mut self.rows)).when_empty("").print(self.format),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> LabError {
    LabError::internal(format!("failed to write a row: {error}"))
}
