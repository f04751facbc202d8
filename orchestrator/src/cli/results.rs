use std::ops::ControlFlow;

use clap::Args;
use jiff::SignedDuration;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, print_file, print_lines, say};
use crate::cli::table::Table;
use crate::cli::words::past;
use crate::lab::{LabError, LargeSweeps, RowQuery};
use crate::report::{BRIEF_COLUMNS, Grid, Row, RowCells, brief_cells, results_csv};
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
}

pub(super) fn run(context: &Context, arguments: &ResultsArguments) -> Result<u8, LabError> {
    let query = RowQuery::parse(arguments.condition.as_deref(), arguments.since)?;
    let for_people = (context.format == Format::Human).then_some(SHOWN);
    let limit = arguments.limit.map(|limit| limit as usize).or(for_people).unwrap_or(usize::MAX);
    let mut printer = Printer { format: context.format, printed: 0, rows: Vec::new() };
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

/// Prints rows as they come; for people, whose columns are as wide as what is in them, when there are no more.
struct Printer {
    format: Format,
    printed: usize,
    rows: Vec<Vec<String>>,
}

impl Printer {
    fn begin(&self) -> Result<(), LabError> {
        match self.format {
            Format::Human => Ok(()),
            Format::Json => print_file(b"["),
            Format::Csv => print_file(&results_csv(&[], true).map_err(failed)?),
            Format::Markdown => print_lines(&Grid::of_texts(&BRIEF_COLUMNS, []).markdown()),
        }
    }

    fn print(&mut self, row: &Row<'_>) -> Result<(), LabError> {
        let is_first = self.printed == 0;
        self.printed += 1;
        match self.format {
            Format::Human => {
                self.rows.push(brief_cells(row));
                Ok(())
            }
            Format::Json => {
                let json = serde_json::to_string(&RowCells(row)).map_err(failed)?;
                let text = format!("{}\n{}", if is_first { "" } else { "," }, printable_json(&json));
                print_file(text.as_bytes())
            }
            Format::Csv => print_file(&results_csv(std::slice::from_ref(row), false).map_err(failed)?),
            Format::Markdown => {
                let table = Grid::of_texts(&BRIEF_COLUMNS, [brief_cells(row)]).markdown();
                // Below the two lines of the heading.
                print_lines(&table.split_inclusive('\n').skip(2).collect::<String>())
            }
        }
    }

    fn end(&mut self) -> Result<(), LabError> {
        match self.format {
            Format::Human => {
                Table::new(&BRIEF_COLUMNS, std::mem::take(&mut self.rows)).when_empty("").print(self.format)
            }
            Format::Json => print_file(b"\n]\n"),
            Format::Csv | Format::Markdown => Ok(()),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> LabError {
    LabError::internal(format!("failed to write a row: {error}"))
}
