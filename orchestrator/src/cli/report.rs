use clap::Args;

use crate::agent::OutputFiles;
use crate::domain::SweepRow;
use crate::publish;
use crate::report::{self, ReportInput};
use crate::store::Store;

use super::stored::{find_sweep, records_with_open_jobs};
use super::{CliError, Context, Format, exit, print_data, say};

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// A sweep's identifier, the beginning of one, or `latest`
    #[arg(default_value = "latest")]
    sweep: String,
    /// Print the meaning and unit of each column of results.csv, and do nothing else
    #[arg(long)]
    columns: bool,
}

pub(super) fn run(context: &Context, arguments: &ReportArguments) -> Result<u8, CliError> {
    if arguments.columns {
        print_data(report::columns_text().as_bytes())?;
        return Ok(exit::OK);
    }
    let store = context.lab.store()?;
    let sweep = find_sweep(store.as_ref(), &arguments.sweep)?;
    let records = records_with_open_jobs(store.as_ref(), &sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let input = ReportInput { sweep: &sweep, records: &records, outputs: &outputs };
    match context.format {
        Format::Human => {
            let folder = publish::publish(&context.lab.reports(), &input)?;
            print_data(report::result_table(&input, super::terminal_width(), context.color).as_bytes())?;
            say(&format!("reports: {}", folder.display()));
        }
        Format::Json => print_report("results.json", &input)?,
        Format::Csv => print_report("results.csv", &input)?,
        Format::Markdown => print_report("results.md", &input)?,
    }
    Ok(exit::OK)
}

/// Prints the rows of a sweep as CSV, or as a Markdown table.
pub(super) fn print_sweep(context: &Context, store: &dyn Store, sweep: &SweepRow) -> Result<(), CliError> {
    let records = records_with_open_jobs(store, sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let name = if context.format == Format::Markdown { "results.md" } else { "results.csv" };
    print_report(name, &ReportInput { sweep, records: &records, outputs: &outputs })
}

pub(super) fn print_report(name: &str, input: &ReportInput<'_>) -> Result<(), CliError> {
    let report = report::REPORTS
        .iter()
        .find(|report| report.file_name() == name)
        .ok_or_else(|| CliError::internal(format!("there is no report {name}")))?;
    let bytes =
        report.render(input).map_err(|error| CliError::internal(format!("failed to render {name}: {error}")))?;
    print_data(&bytes)
}
