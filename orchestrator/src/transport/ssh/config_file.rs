//! Reads `~/.ssh/config`.
//!
//! Main function: [`settings_for`]. Knows the few keywords that farmctl honours, `Host` blocks, `Include` and `Match
//! all`; the conditions of other `Match` blocks are not evaluated, and such a block applies to nothing.

use std::path::{Path, PathBuf};

use globset::Glob;

use super::pattern;
use crate::transport::{ErrorKind, TransportError};

const MAX_INCLUDE_DEPTH: usize = 16;
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What the file says of one host; the first value that is found counts, as in ssh.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostSettings {
    pub host_name: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// All of them, in order.
    pub identity_files: Vec<String>,
    pub proxy_jump: Option<String>,
    pub known_hosts_files: Vec<String>,
}

/// What `~/.ssh/config` says of a host, by the name that the person uses for it.
pub(super) fn settings_for(host: &str, home: &Path) -> Result<HostSettings, TransportError> {
    let mut reader = Reader { host, home, settings: HostSettings::default() };
    let path = home.join(".ssh/config");
    if path.exists() {
        reader.file(&path, true, 0)?;
    }
    Ok(reader.settings)
}

struct Reader<'a> {
    host: &'a str,
    home: &'a Path,
    settings: HostSettings,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, applies: bool, depth: usize) -> Result<(), TransportError> {
        let unreadable = |reason: String| {
            TransportError::new(
                ErrorKind::NameUnknown,
                format!("read the ssh configuration {}: {reason}", path.display()),
            )
        };
        if depth > MAX_INCLUDE_DEPTH {
            return Err(unreadable("it is included in itself".to_owned()));
        }
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > MAX_FILE_BYTES {
            return Err(unreadable(format!("it has {size} bytes, more than {MAX_FILE_BYTES}")));
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let mut applies_now = applies;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let Some((keyword, arguments)) = split_line(line) else { continue };
            match keyword.as_str() {
                "host" => {
                    applies_now = applies && pattern::list_matches(arguments.iter().map(String::as_str), self.host)
                }
                "match" => applies_now = applies && self.match_applies(&arguments, path, index + 1),
                "include" => self.include(&arguments, applies_now, depth)?,
                _ if applies_now => self.set(&keyword, arguments, path, index + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn match_applies(&self, arguments: &[String], path: &Path, line: usize) -> bool {
        let applies = arguments.len() == 1 && arguments[0].eq_ignore_ascii_case("all");
        if !applies {
            tracing::debug!(file = %path.display(), line, "the conditions of Match are not evaluated: the block is passed over");
        }
        applies
    }

    fn include(&mut self, arguments: &[String], applies: bool, depth: usize) -> Result<(), TransportError> {
        for argument in arguments {
            for path in included_files(argument, self.home) {
                self.file(&path, applies, depth + 1)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, keyword: &str, arguments: Vec<String>, path: &Path, line: usize) -> Result<(), TransportError> {
        let settings = &mut self.settings;
        let Some(first) = arguments.first().cloned() else { return Ok(()) };
        match keyword {
            "hostname" => settings.host_name = settings.host_name.take().or(Some(first)),
            "user" => settings.user = settings.user.take().or(Some(first)),
            "port" if settings.port.is_none() => {
                let port = first.parse().ok().filter(|port| *port != 0);
                settings.port = Some(port.ok_or_else(|| {
                    TransportError::new(
                        ErrorKind::NameUnknown,
                        format!("read the ssh configuration {}:{line}: {first:?} is no port", path.display()),
                    )
                })?);
            }
            "identityfile" if first.eq_ignore_ascii_case("none") => {}
            "identityfile" => settings.identity_files.push(first),
            "proxyjump" => settings.proxy_jump = settings.proxy_jump.take().or(Some(first)),
            "userknownhostsfile" if settings.known_hosts_files.is_empty() => settings.known_hosts_files = arguments,
            _ => {}
        }
        Ok(())
    }
}

/// Files that an `Include` names: below `~/.ssh` unless absolute, with wildcards in the last part, in order of names.
fn included_files(argument: &str, home: &Path) -> Vec<PathBuf> {
    let whole = match argument.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(argument),
    };
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(glob) = Glob::new(name).map(|glob| glob.compile_matcher()) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| glob.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Keyword in small letters, and arguments without their quotes; `None` for an empty line or a comment.
fn split_line(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|character: char| character.is_whitespace() || character == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((keyword.to_lowercase(), split_arguments(rest)))
}

fn split_arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            '#' if !quoted && current.is_none() => break,
            space if space.is_whitespace() && !quoted => arguments.extend(current.take()),
            other => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    arguments
}
