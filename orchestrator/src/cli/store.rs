//! The store as a whole: checked, made smaller, written out.

use std::io::BufWriter;
use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use crate::agent::OutputFiles;
use crate::lease::is_holder_gone;
use crate::publish::{PublishError, write_whole_by};
use crate::store::{Store, StoreCheck, StoreError};

use super::{CliError, Context, Format, exit, print_data, print_json, say};

#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Check the store: its file, its rows, what must hold between them, and the files they name (exit code 3: faults)
    Check,
    /// Give unused space back to the file system
    Vacuum,
    /// Write every row of every table as JSON Lines, to standard output or a file
    Export {
        /// The file, which is there whole or not at all
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub(super) fn run(context: &Context, verb: &StoreVerb) -> Result<u8, CliError> {
    let store = context.lab.existing_store()?;
    match verb {
        StoreVerb::Check => check(context, store.as_ref()),
        StoreVerb::Vacuum => vacuum(context, store.as_ref()),
        StoreVerb::Export { to } => export(store.as_ref(), to.as_deref()),
    }
}

fn check(context: &Context, store: &dyn Store) -> Result<u8, CliError> {
    let mut found = store.check()?;
    if found.faults.is_empty() {
        let outputs = OutputFiles::new(context.lab.outputs());
        for sweep in store.sweeps()? {
            found.faults.extend(outputs.faults(&store.records(&sweep.id)?));
        }
    }
    match context.format {
        Format::Json => print_json(&found)?,
        _ => print_data(text(&found).as_bytes())?,
    }
    if found.faults.is_empty() {
        return Ok(exit::OK);
    }
    say(
        "help: restore the lab's .farm/ from a backup, or move it away and begin anew; `farmctl store export` saves what comes before the damage",
    );
    Ok(exit::INVALID)
}

fn text(found: &StoreCheck) -> String {
    let mut text: String =
        found.faults.iter().map(|fault| format!("fault: {}\n", crate::wording::single_line(fault))).collect();
    let rows: Vec<String> =
        found.rows.iter().filter(|(_, count)| *count > 0).map(|(table, count)| format!("{count} {table}")).collect();
    match found.faults.len() {
        0 => text.push_str(&format!("the store is sound: schema {}, {}\n", found.schema_version, rows.join(", "))),
        faults => text.push_str(&format!("{faults} faults\n")),
    }
    text
}

fn vacuum(context: &Context, store: &dyn Store) -> Result<u8, CliError> {
    let holders = store.lease_holders(Timestamp::now())?;
    if let Some(holder) = holders.iter().find(|holder| !is_holder_gone(holder)) {
        return Err(CliError::internal(format!("the store is in use by {holder}"))
            .with_hint("wait until its sweep has ended (`farmctl sweeps list`), then try again"));
    }
    let vacuumed = store.vacuum()?;
    match context.format {
        Format::Json => print_json(&vacuumed)?,
        _ => {
            print_data(format!("{} bytes before, {} after\n", vacuumed.before_bytes, vacuumed.after_bytes).as_bytes())?
        }
    }
    Ok(exit::OK)
}

fn export(store: &dyn Store, to: Option<&std::path::Path>) -> Result<u8, CliError> {
    let Some(path) = to else {
        return match store.export(&mut BufWriter::new(std::io::stdout().lock())) {
            // A reader that has seen enough (`| head`) is no error.
            Err(StoreError::Export { cause }) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(exit::OK),
            other => Ok(other.map(|_| exit::OK)?),
        };
    };
    let mut rows = 0;
    write_whole_by::<CliError>(path, |file| {
        rows = store.export(file).map_err(|error| match error {
            StoreError::Export { cause } => PublishError::Write { path: path.to_owned(), cause }.into(),
            other => CliError::from(other),
        })?;
        Ok(())
    })?;
    say(&format!("{rows} rows in {}", path.display()));
    Ok(exit::OK)
}
