//! Where an ssh server is and how to log in, from the farm file and `~/.ssh/config`.
//!
//! Main type: [`Hop`]; [`resolve`] gives the way to a device as hops, the device last. What the farm file says wins.
//! Reads the configuration files and nothing else; connects to nothing.

use std::path::{Path, PathBuf};

use super::config_file::{HostSettings, settings_for};
use crate::domain::{HostKey, SecretSource, SshEndpoint};
use crate::transport::{ConnectOptions, ErrorKind, TransportError};

const DEFAULT_PORT: u16 = 22;
const DEFAULT_IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];
const DEFAULT_KNOWN_HOSTS: [&str; 2] = ["known_hosts", "known_hosts2"];
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";
/// More jumps than anybody has: a ring of ProxyJump lines ends here.
const MAX_HOPS: usize = 8;

/// One ssh server on the way to a device, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// Name or address to connect to; known-hosts files have this name.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub identities: Identities,
    pub password: Option<SecretSource>,
    /// Files of known host keys; new keys go into the first.
    pub known_hosts: Vec<PathBuf>,
    pub pinned_key: Option<HostKey>,
}

/// Which private keys to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identities {
    /// These files and no other key.
    Named(Vec<PathBuf>),
    /// All keys of the agent, then those of these files that exist.
    Default(Vec<PathBuf>),
}

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}@[{}]:{}", self.user, self.host, self.port)
        } else {
            write!(f, "{}@{}:{}", self.user, self.host, self.port)
        }
    }
}

/// The way to a device: jump hosts first, the device last.
pub(super) fn resolve(endpoint: &SshEndpoint, options: &ConnectOptions) -> Result<Vec<Hop>, TransportError> {
    let mut hops = Vec::new();
    resolve_into(endpoint, options, &mut hops)?;
    // They were found from the device outwards.
    hops.reverse();
    Ok(hops)
}

fn resolve_into(endpoint: &SshEndpoint, options: &ConnectOptions, hops: &mut Vec<Hop>) -> Result<(), TransportError> {
    if hops.len() >= MAX_HOPS {
        return Err(TransportError::new(
            ErrorKind::NameUnknown,
            format!("find the way to {}: more than {MAX_HOPS} jump hosts", endpoint.host),
        )
        .with_hint("look for a ring of ProxyJump lines in ~/.ssh/config"));
    }
    let settings = settings_for(&endpoint.host, &options.home)?;
    let jumps = endpoint.proxy_jump.clone().or_else(|| settings.proxy_jump.clone());
    hops.push(merge(endpoint, settings, options));
    let Some(jumps) = jumps.filter(|jumps| !jumps.eq_ignore_ascii_case("none")) else { return Ok(()) };
    let specifications: Vec<&str> = jumps.split(',').map(str::trim).collect();
    for (index, specification) in specifications.iter().enumerate().rev() {
        let mut jump = jump_endpoint(specification, endpoint)?;
        let own = settings_for(&jump.host, &options.home)?;
        // What its own configuration leaves open is as for the device behind it.
        jump.identity_file = endpoint.identity_file.clone().filter(|_| own.identity_files.is_empty());
        jump.known_hosts = endpoint.known_hosts.clone().filter(|_| own.known_hosts_files.is_empty());
        if index > 0 {
            // Only the first of a list may have jumps of its own: the others are reached from it.
            jump.proxy_jump = Some("none".to_owned());
        }
        resolve_into(&jump, options, hops)?;
    }
    Ok(())
}

fn merge(endpoint: &SshEndpoint, settings: HostSettings, options: &ConnectOptions) -> Hop {
    let host = match &settings.host_name {
        Some(name) => name.replace("%h", &endpoint.host).replace("%%", "%"),
        None => endpoint.host.clone(),
    };
    let port = endpoint.port.or(settings.port).unwrap_or(DEFAULT_PORT);
    let user = endpoint.user.clone().or(settings.user).unwrap_or_else(|| options.user.clone());
    let expand = |path: &Path| expand_path(path, options, &host, &endpoint.host, port, &user);
    let identities = match (&endpoint.identity_file, settings.identity_files.as_slice()) {
        (Some(file), _) => Identities::Named(vec![expand(file)]),
        (None, []) => {
            Identities::Default(DEFAULT_IDENTITIES.iter().map(|name| options.home.join(".ssh").join(name)).collect())
        }
        (None, files) => Identities::Named(files.iter().map(|file| expand(Path::new(file))).collect()),
    };
    let known_hosts = match (&endpoint.known_hosts, settings.known_hosts_files.as_slice()) {
        (Some(file), _) => vec![expand(file)],
        (None, []) => {
            let own = DEFAULT_KNOWN_HOSTS.iter().map(|name| options.home.join(".ssh").join(name));
            own.chain([PathBuf::from(SYSTEM_KNOWN_HOSTS)]).collect()
        }
        (None, files) => {
            let own =
                files.iter().filter(|file| !file.eq_ignore_ascii_case("none")).map(|file| expand(Path::new(file)));
            own.chain([PathBuf::from(SYSTEM_KNOWN_HOSTS)]).collect()
        }
    };
    let (password, pinned_key) = (endpoint.password.clone(), endpoint.host_key.clone());
    Hop { host, port, user, identities, password, known_hosts, pinned_key }
}

/// `~/` and ssh's tokens in a path; a relative path is left to the working folder, as ssh does.
fn expand_path(path: &Path, options: &ConnectOptions, host: &str, alias: &str, port: u16, user: &str) -> PathBuf {
    let Some(text) = path.to_str() else { return path.to_owned() };
    let mut expanded = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => expanded.push_str(&options.home.to_string_lossy()),
            Some('h') => expanded.push_str(host),
            Some('n') => expanded.push_str(alias),
            Some('p') => expanded.push_str(&port.to_string()),
            Some('r') => expanded.push_str(user),
            Some('u') => expanded.push_str(&options.user),
            Some('%') => expanded.push('%'),
            Some(other) => expanded.extend(['%', other]),
            None => expanded.push('%'),
        }
    }
    match expanded.strip_prefix("~/") {
        Some(rest) => options.home.join(rest),
        None => PathBuf::from(expanded),
    }
}

/// A jump host from `[user@]host[:port]` or `ssh://…`.
fn jump_endpoint(specification: &str, behind: &SshEndpoint) -> Result<SshEndpoint, TransportError> {
    let bad = || {
        TransportError::new(
            ErrorKind::NameUnknown,
            format!("find the way to {}: {specification:?} is no jump host", behind.host),
        )
        .with_hint("write proxy_jump as [user@]host[:port], several separated by commas")
    };
    let text = specification.strip_prefix("ssh://").unwrap_or(specification).trim_end_matches('/');
    let (user, address) = match text.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, text),
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or_else(bad)?;
            (host, rest.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            // More than one colon without brackets is an IPv6 address.
            Some((_, rest)) if rest.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(bad());
    }
    let port = port.map(|port| port.parse::<u16>().map_err(|_| bad())).transpose()?;
    Ok(SshEndpoint { host: host.to_owned(), port, user, ..SshEndpoint::default() })
}
