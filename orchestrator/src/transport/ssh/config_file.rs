//! Reads `~/.ssh/config`, for a host without OpenSSH, and for the lines that farmctl passes over.
//!
//! Main function: [`settings_for`]. Knows the keywords that farmctl honours, `Host` blocks, `Include`, and `Match` by
//! names; other conditions are not evaluated, and such a block applies to nothing.

use std::path::{Path, PathBuf};

use globset::Glob;

use super::pattern;
use crate::regular_file;
use crate::transport::{ErrorKind, TransportError};

const MAX_INCLUDE_DEPTH: usize = 16;
/// Most files that one pattern names.
const MAX_INCLUDED: usize = 1000;
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What the file says of one host; the first value that is found counts, as in ssh.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostSettings {
    pub host_name: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// All of them, in order.
    pub identity_files: Vec<String>,
    pub identities_only: Option<bool>,
    pub identity_agent: Option<String>,
    pub certificate_files: Vec<String>,
    pub proxy_jump: Option<String>,
    pub proxy_command: Option<String>,
    pub host_key_alias: Option<String>,
    pub known_hosts_files: Vec<String>,
    pub global_known_hosts_files: Vec<String>,
    pub revoked_host_keys: Option<String>,
    /// A program and its arguments, as they are written.
    pub known_hosts_command: Option<Vec<String>>,
    pub no_host_authentication_for_localhost: Option<bool>,
    /// Whether the host's name has no tokens left.
    pub names_are_expanded: bool,
    /// Whether a file is included by a name below `~/.ssh`.
    pub includes_below_home: bool,
    /// Lines that are about the host and that farmctl does not honour, each with its place.
    pub passed_over: Vec<String>,
}

/// Keywords that change whether and how ssh gets in, and that farmctl does not honour. What needs no line here either
/// does nothing in batch mode, or is honoured.
const PASSED_OVER: [&str; 15] = [
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "ciphers",
    "gssapiauthentication",
    "hostbasedauthentication",
    "hostkeyalgorithms",
    "kexalgorithms",
    "macs",
    "pkcs11provider",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "securitykeyprovider",
    "stricthostkeychecking",
    "verifyhostkeydns",
];

/// Values that mean of such a keyword what farmctl does anyway.
const HARMLESS: [&str; 4] = ["no", "yes", "ask", "any"];

/// Where the person's configuration is.
pub(super) fn config_path(home: &Path) -> PathBuf {
    home.join(".ssh/config")
}

/// What `~/.ssh/config` says of a host, by the name that the person uses for it.
pub(super) fn settings_for(host: &str, user: &str, home: &Path) -> Result<HostSettings, TransportError> {
    let mut reader = Reader { host, user, home, settings: HostSettings::default() };
    let path = config_path(home);
    if path.exists() {
        reader.file(&path, true, 0)?;
    }
    Ok(reader.settings)
}

struct Reader<'a> {
    host: &'a str,
    /// The person's own name.
    user: &'a str,
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
        let read = regular_file::read(path, MAX_FILE_BYTES);
        let bytes = read.map_err(|error| unreadable(error.to_string()))?;
        let mut applies_now = applies;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let Some(Line { keyword, arguments, text }) = Line::read(line) else { continue };
            match keyword.as_str() {
                "host" => {
                    applies_now = applies && pattern::list_matches(arguments.iter().map(String::as_str), self.host)
                }
                "match" => {
                    let matched = self.match_applies(&arguments);
                    if applies && matched.is_none() {
                        self.settings.passed_over.push(format!("{}:{} `{}`", path.display(), index + 1, line.trim()));
                    }
                    applies_now = applies && matched == Some(true);
                }
                "include" => self.include(&arguments, applies_now, depth)?,
                _ if applies_now && is_passed_over(&keyword, &arguments) => {
                    self.settings.passed_over.push(format!("{}:{} `{}`", path.display(), index + 1, line.trim()));
                }
                // A shell reads it, with its quotes.
                "proxycommand" if applies_now => self.set(&keyword, vec![text], path, index + 1)?,
                _ if applies_now => self.set(&keyword, arguments, path, index + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a `Match` is about the host; `None` when it has conditions that are not evaluated.
    fn match_applies(&self, arguments: &[String]) -> Option<bool> {
        // A condition and its value may be joined by `=`.
        let split = |word: &String| match word.split_once('=') {
            Some((condition, value)) => vec![condition.to_owned(), value.to_owned()],
            None => vec![word.clone()],
        };
        let words: Vec<String> = arguments.iter().flat_map(split).filter(|word| !word.is_empty()).collect();
        let mut words = words.iter();
        let mut applies = true;
        while let Some(word) = words.next() {
            let word = word.to_lowercase();
            let (is_not, condition) = word.strip_prefix('!').map_or((false, word.as_str()), |rest| (true, rest));
            let settings = &self.settings;
            let subject = match condition {
                "all" => continue,
                "host" => settings.host_name.as_deref().unwrap_or(self.host),
                "originalhost" => self.host,
                "user" => settings.user.as_deref().unwrap_or(self.user),
                "localuser" => self.user,
                _ => return None,
            };
            applies &= pattern::list_matches(words.next()?.split(','), subject) != is_not;
        }
        Some(applies)
    }

    fn include(&mut self, arguments: &[String], applies: bool, depth: usize) -> Result<(), TransportError> {
        for argument in arguments {
            self.settings.includes_below_home |= !argument.starts_with('/');
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
            "identitiesonly" => {
                settings.identities_only.get_or_insert(first.eq_ignore_ascii_case("yes"));
            }
            "identityagent" => settings.identity_agent = settings.identity_agent.take().or(Some(first)),
            "certificatefile" => settings.certificate_files.push(first),
            "proxycommand" if settings.proxy_command.is_none() && settings.proxy_jump.is_none() => {
                settings.proxy_command = Some(first);
            }
            "hostkeyalias" => settings.host_key_alias = settings.host_key_alias.take().or(Some(first)),
            "globalknownhostsfile" if settings.global_known_hosts_files.is_empty() => {
                settings.global_known_hosts_files = arguments;
            }
            "knownhostscommand" if settings.known_hosts_command.is_none() => {
                settings.known_hosts_command = Some(arguments);
            }
            "nohostauthenticationforlocalhost" => {
                let is_on = first.eq_ignore_ascii_case("yes") || first.eq_ignore_ascii_case("true");
                settings.no_host_authentication_for_localhost.get_or_insert(is_on);
            }
            "revokedhostkeys" => settings.revoked_host_keys = settings.revoked_host_keys.take().or(Some(first)),
            "proxyjump" => settings.proxy_jump = settings.proxy_jump.take().or(Some(first)),
            "userknownhostsfile" if settings.known_hosts_files.is_empty() => settings.known_hosts_files = arguments,
            _ => {}
        }
        Ok(())
    }
}

/// Whether a line is one that farmctl does not honour.
fn is_passed_over(keyword: &str, arguments: &[String]) -> bool {
    let value = arguments.first().map(|value| value.to_lowercase()).unwrap_or_default();
    let is_harmless = match keyword {
        // It is `no` that makes ssh accept more.
        "stricthostkeychecking" => matches!(value.as_str(), "yes" | "ask" | "true"),
        // Other ways in are tried by ssh as well.
        "gssapiauthentication" | "hostbasedauthentication" => value == "no",
        _ => HARMLESS.contains(&value.as_str()),
    };
    PASSED_OVER.contains(&keyword) && !is_harmless
}

/// Files that an `Include` names: below `~/.ssh` unless absolute, with wildcards in any part, in order of names.
fn included_files(argument: &str, home: &Path) -> Vec<PathBuf> {
    let whole = match argument.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(argument),
    };
    let mut found = vec![PathBuf::from("/")];
    for part in whole.components().skip(1) {
        let name = part.as_os_str();
        let text = name.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let Ok(glob) = Glob::new(&text).map(|glob| glob.compile_matcher()) else { return Vec::new() };
        let entries = found.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let mut matching: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| glob.is_match(entry.file_name()))
            // As the shell has it, a wildcard means no hidden file.
            .filter(|entry| text.starts_with('.') || !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| entry.path())
            .take(MAX_INCLUDED)
            .collect();
        matching.sort();
        found = matching;
    }
    found.retain(|path| path.is_file());
    found
}

/// A line that says something.
struct Line {
    /// In small letters.
    keyword: String,
    /// Without their quotes.
    arguments: Vec<String>,
    /// What follows the keyword, as it is written.
    text: String,
}

impl Line {
    /// `None` for an empty line or a comment.
    fn read(line: &str) -> Option<Line> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let end = line.find(|character: char| character.is_whitespace() || character == '=').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        Some(Line { keyword: keyword.to_lowercase(), arguments: split_arguments(rest), text: rest.to_owned() })
    }
}

/// Words in quotes of either kind; `\` stands before a quote, another `\`, or a space that is part of a word.
pub(super) fn split_arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                let escaped = characters.next_if(|next| matches!(next, '"' | '\'' | '\\' | ' '));
                current.get_or_insert_default().push(escaped.unwrap_or('\\'));
            }
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                current.get_or_insert_default();
            }
            ('#', None) if current.is_none() => break,
            (space, None) if space.is_whitespace() => arguments.extend(current.take()),
            (other, _) => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    arguments
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(text: &str) -> HostSettings {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(config_path(home.path()), text).unwrap();
        settings_for("b", "ann", home.path()).unwrap()
    }

    #[test]
    fn quotes_are_those_of_ssh() {
        let read = |text: &str| Line::read(text).map(|line| line.arguments).unwrap();
        assert_eq!(read("IdentityFile '/a b' # x"), ["/a b"]);
        assert_eq!(read("IdentityFile \"it's\" \\\"x\\\\y\\ z\\n # x"), ["it's", "\"x\\y z\\n"]);
        let command = r#"sh -c "nc  %h '%p'" # x"#;
        let read = settings(&format!("Host b\n ProxyCommand = {command}\n"));
        assert_eq!(read.proxy_command.as_deref(), Some(command));
    }

    #[test]
    fn a_match_may_be_written_with_an_equals_sign() {
        let read = settings("Match host=b user=ann\n Port 7\nMatch originalhost=x\n User bob\n");
        assert_eq!((read.port, read.user, read.passed_over), (Some(7), None, Vec::new()));
        assert_eq!(settings("Match tagged=x\n Port 7\n").passed_over.len(), 1);
    }
}
