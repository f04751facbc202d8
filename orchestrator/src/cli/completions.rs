use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, exit};
use crate::lab::LabError;
use crate::terminal::print::print_file;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Result<u8, LabError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "farmctl", &mut script);
    print_file(&script)?;
    Ok(exit::OK)
}
