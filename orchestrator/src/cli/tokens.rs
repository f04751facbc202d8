//! Who may look at the lab, run sweeps and administer it over HTTP.

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};

use crate::api::{Role, TokenFile};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::words::one_of;
use crate::lab::{ErrorKind, LabError, TokensPlace};
use crate::terminal::print::{print_lines, say};
use crate::terminal::table::Table;

#[derive(Debug, Subcommand)]
pub(super) enum TokensVerb {
    /// Make a token, and print it: it can't be read again
    Add {
        /// Whose it is: what they do is recorded under this name
        name: String,
        /// What they may do
        #[arg(long, value_parser = one_of(Role::ALL, Role::as_str, Role::description))]
        role: Role,
        /// How long it lets in: `90d`, `12h`; without it, until it is removed
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        lasts: Option<SignedDuration>,
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
    let TokensPlace { path, is_named, doubt } = context.lab.tokens_place();
    doubt.iter().for_each(|doubt| say(doubt));
    let file = TokenFile::new(path.clone());
    match verb {
        TokensVerb::Add { name, role, lasts } => {
            let now = context.lab.now();
            let expires_at = lasts.map(|lasts| now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
            let secret = file.add(name, *role, now, expires_at).map_err(failed)?;
            context.lab.token_was_added(name, role.as_str());
            print_lines(&format!("{secret}\n"))?;
            say(&format!("{name} logs in with this token; {} has its hash alone", context.lab.short_path(&path)));
            if let Some(expires_at) = expires_at {
                say(&format!("it lets in until {expires_at:.0}"));
            }
            if !is_named {
                say("the daemon asks for tokens once configs/daemon.yaml says `tokens: { file: ../.farm/tokens }` \
                     and it is started anew");
            }
            Ok(exit::OK)
        }
        TokensVerb::List => list(context, &file, &path),
        TokensVerb::Remove { names } => {
            let mut removed = false;
            for name in names {
                let was_there = file.remove(name).map_err(failed)?;
                if was_there {
                    context.lab.token_was_removed(name);
                }
                say(&if was_there { format!("{name} is out") } else { format!("there is no token of {name}") });
                removed |= was_there;
            }
            Ok(if removed { exit::OK } else { exit::NOTHING })
        }
    }
}

/// A length of time as people write it: `90d`, `12h`, `30m`.
fn span(text: &str) -> Result<SignedDuration, String> {
    let hint = || format!("{text:?} is no length of time: say `90d`, `12h` or `30m`");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(hint)?;
    let number = number.parse::<u16>().map_err(|_| hint())?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(hint()),
    };
    if number == 0 { Err(hint()) } else { Ok(SignedDuration::from_mins(minutes * i64::from(number))) }
}

fn failed(error: crate::api::TokenError) -> LabError {
    LabError::failed(ErrorKind::Usage, error)
}

fn list(context: &Context, file: &TokenFile, path: &Path) -> Result<u8, LabError> {
    let is_missing = matches!(path.try_exists(), Ok(false));
    let tokens = if is_missing { Arc::default() } else { file.tokens().map_err(failed)? };
    let header = ["name", "role", "created", "expires", "last_used"];
    let (uses, now) = (file.last_uses(), context.lab.now());
    let rows = tokens.iter().map(|token| {
        let expires = match token.expires_at {
            None => "never".to_owned(),
            Some(at) if token.has_expired(now) => format!("{at:.0} (over)"),
            Some(at) => format!("{at:.0}"),
        };
        // What is from before it was made is of another token of that name.
        let used_at = uses.get(&token.name).filter(|at| **at >= token.created_at);
        let last_used = used_at.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}"));
        vec![token.name.clone(), token.role.as_str().to_owned(), format!("{:.0}", token.created_at), expires, last_used]
    });
    let place = context.lab.short_path(path);
    Table::new(&header, rows)
        .when_empty(format!("there is no token yet in {place}: `farmctl tokens add NAME --role view` makes one"))
        .print(context.format)?;
    if context.format.is_for_people() && !tokens.is_empty() {
        say(&format!("these are the tokens of {place}"));
    }
    Ok(if tokens.is_empty() { exit::NOTHING } else { exit::OK })
}
