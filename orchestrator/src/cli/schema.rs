use clap::Args;

use crate::cli::exit;
use crate::cli::words::one_of;
use crate::config::{self, FileKind};
use crate::lab::LabError;
use crate::terminal::print::print_json;

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// The kind of file
    #[arg(value_parser = one_of(FileKind::ALL, FileKind::as_str, FileKind::files))]
    kind: FileKind,
}

pub(super) fn run(arguments: &SchemaArguments) -> Result<u8, LabError> {
    print_json(&config::schema(arguments.kind))?;
    Ok(exit::OK)
}
