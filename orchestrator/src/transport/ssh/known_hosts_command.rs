//! `KnownHostsCommand`: a program of the person's that tells host keys.
//!
//! Main type: [`KnownHostsCommand`]. As ssh has it, the program is started without a shell, once before keys are agreed
//! on and once with the key that the server has shown; one that fails ends the connection.

use std::process::Stdio;
use std::time::Duration;

use russh::keys::{HashAlg, PublicKey};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::tokens::Tokens;
use crate::transport::{ErrorKind, TransportError};
use crate::wording::single_line;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Most that is read of its keys.
const MAX_BYTES: u64 = 4 << 20;
/// Most of its own words that are told.
const MAX_WORDS_BYTES: u64 = 400;
/// Tokens that stand for a key, or for what is asked of it; `%%` is settled with them.
const OF_KEY: [char; 6] = ['%', 'H', 'I', 'f', 'K', 't'];

/// A program and its arguments; what hangs on the key still stands in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownHostsCommand {
    words: Vec<String>,
}

/// What a program said.
struct Said {
    output: Vec<u8>,
    words: Vec<u8>,
    status: std::process::ExitStatus,
}

impl KnownHostsCommand {
    /// The command as it is written, for that host.
    pub(super) fn new(words: &[String], tokens: &Tokens<'_>) -> KnownHostsCommand {
        KnownHostsCommand { words: words.iter().map(|word| tokens.all_but(&OF_KEY, word)).collect() }
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// What it says of a server by that name, as lines of a known-hosts file: before its key is known, or of that key.
    pub(super) async fn ask(&self, name: &str, key: Option<&PublicKey>) -> Result<String, TransportError> {
        let words: Vec<String> = self.words.iter().map(|word| of_key(word, name, key)).collect();
        let failed = |why: String| {
            TransportError::new(
                ErrorKind::HostKeyUnknown,
                format!("ask the KnownHostsCommand {:?} for the keys of {name}: {why}", words.join(" ")),
            )
            .with_hint("try that command by hand, as the one who runs farmctl")
        };
        let (Some(program), arguments) = (words.first(), words.get(1..).unwrap_or_default()) else {
            return Err(failed("it has no name".to_owned()));
        };
        if !program.starts_with('/') {
            return Err(failed("ssh takes a whole path only, from / on".to_owned()));
        }
        let said = match timeout(LIMIT, run(program, arguments)).await {
            Ok(said) => said.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("it was not done within {} s", LIMIT.as_secs()))),
        };
        if !said.status.success() {
            let words = single_line(&String::from_utf8_lossy(&said.words));
            let words = if words.is_empty() { words } else { format!(": «{words}»") };
            return Err(failed(format!("it ended with {}{words}", said.status)));
        }
        Ok(String::from_utf8_lossy(&said.output).into_owned())
    }
}

/// Runs it to its end; it is ended with this future.
async fn run(program: &str, arguments: &[String]) -> std::io::Result<Said> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(std::io::Error::other("it has no pipes"));
    };
    let (mut output, mut words) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(MAX_BYTES), stderr.take(MAX_WORDS_BYTES));
    // A pipe that nobody reads any more ends a program that says too much.
    let (read, heard) = tokio::join!(stdout.read_to_end(&mut output), stderr.read_to_end(&mut words));
    read?;
    heard?;
    drop((stdout, stderr));
    Ok(Said { output, words, status: child.wait().await? })
}

/// The word with what is known of the key.
fn of_key(word: &str, name: &str, key: Option<&PublicKey>) -> String {
    let mut line = String::new();
    let mut rest = word.chars();
    while let Some(character) = rest.next() {
        let token = if character == '%' { rest.next() } else { None };
        match (character, token) {
            ('%', Some('%')) => line.push('%'),
            ('%', Some('H')) => line.push_str(name),
            ('%', Some('I')) => line.push_str(if key.is_some() { "HOSTNAME" } else { "ORDER" }),
            ('%', Some('t')) => {
                line.push_str(key.map(PublicKey::algorithm).as_ref().map_or("NONE", |algorithm| algorithm.as_str()));
            }
            ('%', Some('f')) => {
                line.push_str(&key.map_or("NONE".to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string()));
            }
            ('%', Some('K')) => {
                let written = key.and_then(|key| PublicKey::new(key.key_data().clone(), "").to_openssh().ok());
                let data = written.as_deref().and_then(|written| written.split(' ').nth(1));
                line.push_str(data.unwrap_or("NONE").trim_end());
            }
            ('%', Some(other)) => line.extend(['%', other]),
            (other, _) => line.push(other),
        }
    }
    line
}
