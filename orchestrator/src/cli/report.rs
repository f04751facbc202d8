use std::io::Write;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{LabError, SweepResults};
use crate::report::{self, ReportInput};
use crate::terminal::print::{print_coloured_lines, print_file, print_lines, say, terminal_width};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// A sweep's identifier, the beginning of one, its name (the newest of it), or `latest`
    #[arg(default_value = "latest")]
    sweep: String,
    /// Print the meaning and unit of each column of results.csv, and do nothing else
    #[arg(long)]
    columns: bool,
}

pub(super) fn run(context: &Context, arguments: &ReportArguments) -> Result<u8, LabError> {
    if arguments.columns {
        print_lines(&report::columns_text())?;
        return Ok(exit::OK);
    }
    if context.format.is_for_people() {
        let results = context.lab.publish(&arguments.sweep)?;
        print_results(context, &results)?;
        say(&format!("reports: {}", results.folder.display()));
        return Ok(exit::OK);
    }
    print_rows_of(context, &context.lab.results(context.lab.sweep_meant(&arguments.sweep)?)?)?;
    Ok(exit::OK)
}

/// Prints the table of a sweep for people.
pub(super) fn print_results(context: &Context, results: &SweepResults) -> Result<(), LabError> {
    let table = report::result_table(&results.input(), terminal_width(), context.color);
    print_coloured_lines(&table, context.color)
}

/// Prints the rows of a sweep in a form for programs.
pub(super) fn print_rows_of(context: &Context, results: &SweepResults) -> Result<(), LabError> {
    let name = match context.format.is_page() {
        true => "index.html",
        false => context.format.choose(|| "results.csv", || "results.json", || "results.csv", || "results.md"),
    };
    if results.is_part() && name != "index.html" && name != "results.md" {
        let mut printed = Printed { refused: None };
        let written = context.lab.write_rows(&results.sweep, name, &mut printed);
        return printed.refused.map_or(written, Err);
    }
    print_report(name, &results.input())
}

/// Standard output, written piece by piece, with what it refused.
struct Printed {
    refused: Option<LabError>,
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        print_file(bytes).map_err(|error| {
            let said = std::io::Error::other(error.to_string());
            self.refused = Some(error);
            said
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn print_report(name: &str, input: &ReportInput<'_>) -> Result<(), LabError> {
    let report = report::REPORTS
        .iter()
        .find(|report| report.file_name() == name)
        .ok_or_else(|| LabError::internal(format!("there is no report {name}")))?;
    let bytes =
        report.render(input).map_err(|error| LabError::internal(format!("failed to render {name}: {error}")))?;
    print_file(&bytes)
}
