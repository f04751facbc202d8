//! Who may look at the lab, run sweeps and administer it over HTTP.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use crate::api::{Role, TokenFile};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{print_data, say};
use crate::cli::table::Table;
use crate::cli::words::one_of;
use crate::lab::LabError;

#[derive(Debug, Subcommand)]
pub(super) enum TokensVerb {
    /// Make a token, and print it: it can't be read again
    Add {
        /// Whose it is: what they do is recorded under this name
        name: String,
        /// What they may do
        #[arg(long, value_parser = one_of(Role::ALL, Role::as_str, Role::description))]
        role: Role,
    },
    /// List whose tokens there are
    List,
    /// Remove tokens; who is logged in by one is out at once
    Remove {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(super) fn run(context: &Context, verb: &TokensVerb) -> Result<u8, LabError> {
    let (path, is_named) = path(context)?;
    let file = TokenFile::new(path.clone());
    match verb {
        TokensVerb::Add { name, role } => {
            let secret = file.add(name, *role, Timestamp::now()).map_err(failed)?;
            print_data(format!("{secret}\n").as_bytes())?;
            say(&format!("{name} logs in with this token; {} has its hash alone", context.lab.short_path(&path)));
            if !is_named {
                say("the daemon asks for tokens once configs/daemon.yaml says `tokens: { file: ../.farm/tokens }`");
            }
            Ok(exit::OK)
        }
        TokensVerb::List => list(context, &file),
        TokensVerb::Remove { names } => {
            let mut removed = false;
            for name in names {
                let was_there = file.remove(name).map_err(failed)?;
                say(&if was_there { format!("{name} is out") } else { format!("there is no token of {name}") });
                removed |= was_there;
            }
            Ok(if removed { exit::OK } else { exit::NOTHING })
        }
    }
}

fn failed(error: crate::api::TokenError) -> LabError {
    LabError::usage(format!("failed to {error}"))
}

/// The file that the daemon goes by, or would; and whether its configuration names one.
fn path(context: &Context) -> Result<(PathBuf, bool), LabError> {
    let config = context.lab.daemon_config();
    let named = if config.is_file() { context.lab.daemon_rules(&config)?.access.tokens } else { None };
    Ok(named.map_or_else(|| (context.lab.path(Path::new(".farm/tokens")), false), |path| (path, true)))
}

fn list(context: &Context, file: &TokenFile) -> Result<u8, LabError> {
    let tokens = file.tokens().map_err(failed)?;
    let header = ["name", "role", "created"];
    let rows = tokens
        .iter()
        .map(|token| vec![token.name.clone(), token.role.as_str().to_owned(), format!("{:.0}", token.created_at)]);
    Table::new(&header, rows).when_empty("there is no token yet").print(context.format)?;
    Ok(if tokens.is_empty() { exit::NOTHING } else { exit::OK })
}
