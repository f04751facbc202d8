use clap::{Args, ValueEnum};

use crate::cli::exit;
use crate::cli::print::print_json;
use crate::config;
use crate::lab::LabError;

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// The kind of file
    #[arg(value_enum)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// farms/*.yaml
    Inventory,
    /// configs/*.yaml
    Sweep,
    /// configs/models.yaml
    Models,
    /// configs/backends.yaml
    Backends,
    /// configs/datasets.yaml
    Datasets,
    /// configs/daemon.yaml
    Daemon,
}

pub(super) fn run(arguments: &SchemaArguments) -> Result<u8, LabError> {
    let kind = match arguments.kind {
        Kind::Inventory => config::FileKind::Inventory,
        Kind::Sweep => config::FileKind::Sweep,
        Kind::Models => config::FileKind::Models,
        Kind::Backends => config::FileKind::Backends,
        Kind::Datasets => config::FileKind::Datasets,
        Kind::Daemon => config::FileKind::Daemon,
    };
    print_json(&config::schema(kind))?;
    Ok(exit::OK)
}
