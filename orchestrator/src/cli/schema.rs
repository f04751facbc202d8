use clap::{Args, ValueEnum};

use crate::config;

use super::{CliError, exit, print_json};

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

pub(super) fn run(arguments: &SchemaArguments) -> Result<u8, CliError> {
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
