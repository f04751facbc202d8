//! ssh's tokens, and variables of the environment, in the paths of a configuration.
//!
//! Main type: [`Tokens`].

use std::fmt::Write as _;
use std::path::PathBuf;

use sha1::{Digest, Sha1};

use crate::transport::ConnectOptions;

/// What the tokens of one host mean.
pub(super) struct Tokens<'a> {
    pub options: &'a ConnectOptions,
    /// Name or address to connect to.
    pub host: &'a str,
    /// The name that the person uses for it.
    pub alias: &'a str,
    pub port: u16,
    pub user: &'a str,
    /// The name that its key is known by, if it is another.
    pub key_alias: Option<&'a str>,
    /// Its jump hosts, as they are written.
    pub jumps: &'a str,
}

impl Tokens<'_> {
    /// A path without its tokens; a relative one is left to the working folder, as ssh does.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => self.options.home.join(self.expanded(rest)),
            None => PathBuf::from(self.expanded(text)),
        }
    }

    /// A text in which tokens of another kind stay what they are, with the signs that stand before them.
    pub(super) fn all_but(&self, kept: &[char], text: &str) -> String {
        self.replaced(text, &|token| if kept.contains(&token) { None } else { self.value(token) })
    }

    fn expanded(&self, text: &str) -> String {
        self.replaced(text, &|token| self.value(token))
    }

    fn replaced(&self, text: &str, value: &dyn Fn(char) -> Option<String>) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            expanded.push_str(&rest[..at]);
            let (taken, value) = match rest[at..].strip_prefix("${").and_then(|inner| inner.split_once('}')) {
                Some((name, _)) => (name.len() + 3, (self.options.environment)(name)),
                None => match rest[at..].strip_prefix('%').and_then(|inner| inner.chars().next()) {
                    Some(token) => (1 + token.len_utf8(), value(token)),
                    None => (1, None),
                },
            };
            // What means nothing stays.
            expanded.push_str(value.as_deref().unwrap_or(&rest[at..at + taken]));
            rest = &rest[at + taken..];
        }
        expanded.push_str(rest);
        expanded
    }

    fn value(&self, token: char) -> Option<String> {
        Some(match token {
            '%' => "%".to_owned(),
            'C' => self.connection_hash(),
            'd' => self.options.home.to_string_lossy().into_owned(),
            'h' => self.host.to_owned(),
            'i' => nix::unistd::getuid().to_string(),
            'j' => self.jumps.to_owned(),
            'k' => self.key_alias.unwrap_or(self.alias).to_owned(),
            'L' => own_name().split('.').next().unwrap_or_default().to_owned(),
            'l' => own_name(),
            'n' => self.alias.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => self.options.user.clone(),
            _ => return None,
        })
    }

    fn connection_hash(&self) -> String {
        let text = format!("{}{}{}{}{}", own_name(), self.host, self.port, self.user, self.jumps);
        let mut hash = String::new();
        for byte in Sha1::digest(text.as_bytes()) {
            // Writing to a string can't fail.
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }
}

/// The name of this host.
fn own_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_mean_what_they_mean_to_ssh() {
        let options = ConnectOptions {
            home: PathBuf::from("/home/ann"),
            user: "ann".to_owned(),
            agent_socket: None,
            environment: std::sync::Arc::new(|name| (name == "KEYS").then(|| "/keys".to_owned())),
            accept_new: false,
            connect_timeout: std::time::Duration::ZERO,
        };
        let tokens = Tokens {
            options: &options,
            host: "10.0.0.1",
            alias: "b",
            port: 22,
            user: "root",
            key_alias: Some("known"),
            jumps: "",
        };
        let name = own_name();
        let short = name.split('.').next().unwrap_or_default();
        for (text, meant) in [
            ("~/.ssh/%n", "/home/ann/.ssh/b"),
            ("%d/%r@%h-%p-%u", "/home/ann/root@10.0.0.1-22-ann"),
            ("${KEYS}/%k%j", "/keys/known"),
            ("%i", &nix::unistd::getuid().to_string()),
            ("%l/%L", &format!("{name}/{short}")),
            ("100%%", "100%"),
            ("%z ${NONE} $x %", "%z ${NONE} $x %"),
        ] {
            assert_eq!(tokens.path(text), PathBuf::from(meant), "{text}");
        }
        assert_eq!(tokens.all_but(&['%', 'H'], "%H %h %%H"), "%H 10.0.0.1 %%H");
        assert_eq!(tokens.path("%C").to_string_lossy().len(), 40);
    }
}
