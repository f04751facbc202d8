//! The store as a whole: checked, made smaller, written out.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{Aside, LabError, StoreCheck};
use crate::terminal::print::{print_text, say};
use crate::wording::many;

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
    /// Make a store of an export, in a lab that has none
    Import {
        /// The export
        from: PathBuf,
    },
    /// Copy the store into a new file, as it is at one moment; a daemon and sweeps go on meanwhile
    Backup {
        /// The file
        to: PathBuf,
    },
    /// Copy a whole store to a PostgreSQL server or from one; what was broken off is gone on with
    Copy {
        /// The store: a file, or postgres://USER@HOST/DATABASE
        from: String,
        /// Where none is: a new file, or a database that is empty
        to: String,
    },
    /// Put a backup in the place of the store, which goes aside; no daemon and no sweep may run
    Restore {
        /// The backup
        from: PathBuf,
    },
}

pub(super) fn run(context: &Context, verb: &StoreVerb) -> Result<u8, LabError> {
    match verb {
        StoreVerb::Check => check(context),
        StoreVerb::Vacuum => vacuum(context),
        StoreVerb::Export { to } => export(context, to.as_deref()),
        StoreVerb::Import { from } => {
            let rows = context.lab.import_store(from)?;
            say(&format!("the store has {} now", many(rows, "row")));
            say("what is in .farm/outputs/ and reports/ is no row: copy these folders, too");
            Ok(exit::OK)
        }
        StoreVerb::Backup { to } => {
            context.lab.back_up_store(to)?;
            say(&format!("the store is in {}; `farmctl store restore` puts it back", to.display()));
            Ok(exit::OK)
        }
        StoreVerb::Copy { from, to } => {
            let rows = context.lab.copy_store(from, to)?;
            say(&format!("{} copied and compared", many(rows, "row")));
            say("what is in .farm/outputs/ and reports/ is no row: copy these folders, too");
            Ok(exit::OK)
        }
        StoreVerb::Restore { from } => restore(context, from),
    }
}

fn check(context: &Context) -> Result<u8, LabError> {
    let found = context.lab.check_store()?;
    print_text(context.format, &text(&found), &found)?;
    if found.faults.is_empty() {
        return Ok(exit::OK);
    }
    say("help: restore the lab's .farm/ from a backup, or move it away and begin anew; `farmctl store export` saves \
         what comes before the damage");
    Ok(exit::INVALID)
}

fn text(found: &StoreCheck) -> String {
    let mut text: String =
        found.faults.iter().map(|fault| format!("fault: {}\n", crate::wording::single_line(fault))).collect();
    let rows: Vec<String> =
        found.rows.iter().filter(|(_, count)| *count > 0).map(|(table, count)| format!("{count} {table}")).collect();
    match found.faults.len() {
        0 => text.push_str(&format!("the store is sound: schema {}, {}\n", found.schema_version, rows.join(", "))),
        faults => text.push_str(&format!("{}\n", many(faults as u64, "fault"))),
    }
    text
}

fn vacuum(context: &Context) -> Result<u8, LabError> {
    let vacuumed = context.lab.vacuum_store()?;
    let text = format!("{} bytes before, {} after\n", vacuumed.before_bytes, vacuumed.after_bytes);
    print_text(context.format, &text, &vacuumed)?;
    Ok(exit::OK)
}

fn restore(context: &Context, from: &Path) -> Result<u8, LabError> {
    let aside = context.lab.restore_store(from)?;
    say(&format!("{} is the store now", context.lab.short_path(from)));
    if let Some(Aside { path, is_whole }) = aside {
        let what = if is_whole { "the one before it is" } else { "of the one before it there was only its log:" };
        say(&format!("{what} {}", context.lab.short_path(&path)));
    }
    Ok(exit::OK)
}

fn export(context: &Context, to: Option<&Path>) -> Result<u8, LabError> {
    match to {
        Some(path) => {
            let rows = context.lab.export_store_to(path)?;
            say(&format!("{} in {}", many(rows, "row"), path.display()));
        }
        None => drop(context.lab.export_store(&mut BufWriter::new(std::io::stdout().lock()))?),
    }
    Ok(exit::OK)
}
