//! Where an ssh server is and how to log in, from the farm file and `~/.ssh/config`.
//!
//! Main type: [`Hop`]; [`resolve`] gives the way to a device as hops, the device last. What the farm file says wins.
//! Where OpenSSH is installed, its own reading of the configuration counts; connects to nothing.

use std::path::{Path, PathBuf};

use super::config_file::{HostSettings, settings_for};
use super::known_hosts_command::KnownHostsCommand;
use super::openssh;
use super::tokens::Tokens;
use crate::domain::{HostKey, HostKeyChecking, SecretSource, SshEndpoint};
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
    /// Name or address to connect to.
    pub host: String,
    /// The name that the person uses for it.
    pub alias: String,
    pub port: u16,
    pub user: String,
    pub identities: Identities,
    pub password: Option<SecretSource>,
    /// Name of the host in files of known keys, where it is another.
    pub host_key_alias: Option<String>,
    /// Files of known host keys; new keys go into the first.
    pub known_hosts: Vec<PathBuf>,
    /// A file of host keys that are refused.
    pub revoked_keys: Option<PathBuf>,
    /// A program that tells host keys.
    pub known_hosts_command: Option<KnownHostsCommand>,
    /// Whether any key will do of a server at a loopback address.
    pub trusts_loopback: bool,
    pub pinned_key: Option<HostKey>,
    pub checking: HostKeyChecking,
    /// Whether old algorithms will do.
    pub legacy: bool,
    /// A command that reaches the server, instead of a connection of ours.
    pub proxy_command: Option<String>,
    /// Lines of the configuration that are not honoured.
    pub passed_over: Vec<String>,
}

/// Which keys to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identities {
    /// Private keys, or public ones whose private keys the agent has.
    pub files: Vec<PathBuf>,
    pub certificates: Vec<PathBuf>,
    /// Whether a person named the files: one that is missing is told of then.
    pub are_named: bool,
    /// Whether no other key of the agent is tried.
    pub only: bool,
    /// Socket of the agent.
    pub agent: Option<PathBuf>,
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

/// Whose reading of the person's configuration counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// OpenSSH's, where it is installed. Starts programs, and blocks until they end.
    OpenSsh,
    /// Our own.
    Own,
}

/// The way to a device: jump hosts first, the device last.
pub(super) fn resolve(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    reading: Reading,
) -> Result<Vec<Hop>, TransportError> {
    let mut hops = Vec::new();
    let endpoint = &SshEndpoint { host: without_brackets(&endpoint.host).to_owned(), ..endpoint.clone() };
    let settings = settings_of(endpoint, options, reading)?;
    resolve_into(endpoint, settings, options, reading, &mut hops)?;
    // They were found from the device outwards.
    hops.reverse();
    Ok(hops)
}

fn resolve_into(
    endpoint: &SshEndpoint,
    settings: HostSettings,
    options: &ConnectOptions,
    reading: Reading,
    hops: &mut Vec<Hop>,
) -> Result<(), TransportError> {
    if hops.len() >= MAX_HOPS {
        return Err(TransportError::new(
            ErrorKind::NameUnknown,
            format!("find the way to {}: more than {MAX_HOPS} jump hosts", endpoint.host),
        )
        .with_hint("look for a ring of ProxyJump lines in ~/.ssh/config"));
    }
    let jumps = endpoint.proxy_jump.clone().or_else(|| settings.proxy_jump.clone());
    hops.push(merge(endpoint, settings, options));
    let Some(jumps) = jumps.filter(|jumps| !jumps.eq_ignore_ascii_case("none")) else { return Ok(()) };
    if let Some(hop) = hops.last_mut() {
        hop.proxy_command = None;
    }
    let specifications: Vec<&str> = jumps.split(',').map(str::trim).collect();
    for (index, specification) in specifications.iter().enumerate().rev() {
        let mut jump = jump_endpoint(specification, endpoint)?;
        let own = settings_of(&jump, options, reading)?;
        // What its own configuration leaves open is as for the device behind it.
        jump.identity_file = endpoint.identity_file.clone().filter(|_| own.identity_files.is_empty());
        jump.known_hosts =
            endpoint.known_hosts.clone().filter(|_| own.known_hosts_files.is_empty() || own.names_are_expanded);
        jump.legacy = endpoint.legacy;
        if index > 0 {
            // Only the first of a list may have jumps of its own: the others are reached from it.
            jump.proxy_jump = Some("none".to_owned());
        }
        resolve_into(&jump, own, options, reading, hops)?;
    }
    Ok(())
}

/// What the person's configuration says of a host. The lines that are passed over are found by our own reader.
fn settings_of(
    endpoint: &SshEndpoint,
    options: &ConnectOptions,
    reading: Reading,
) -> Result<HostSettings, TransportError> {
    let own = settings_for(&endpoint.host, &options.user, &options.home);
    let includes = own.as_ref().is_ok_and(|own| own.includes_below_home);
    if reading == Reading::Own || (includes && !openssh::has_home(&options.home)) {
        return own;
    }
    let asked = openssh::settings_of(endpoint, &options.home);
    match tokio::runtime::Handle::try_current().ok().and_then(|runtime| runtime.block_on(asked)) {
        Some(settings) => {
            // ssh evaluates what our reader does not.
            let lines = own.map(|own| own.passed_over).unwrap_or_default();
            let passed_over = lines.into_iter().filter(|line| !line.to_lowercase().contains("`match ")).collect();
            Ok(HostSettings { passed_over, ..settings })
        }
        None => own,
    }
}

/// An address of IPv6 may stand in brackets.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn merge(endpoint: &SshEndpoint, settings: HostSettings, options: &ConnectOptions) -> Hop {
    let host = match &settings.host_name {
        Some(name) if !settings.names_are_expanded => name.replace("%h", &endpoint.host).replace("%%", "%"),
        Some(name) => name.clone(),
        None => endpoint.host.clone(),
    };
    let host = without_brackets(&host).to_owned();
    let port = endpoint.port.or(settings.port).unwrap_or(DEFAULT_PORT);
    let user = endpoint.user.clone().or_else(|| settings.user.clone()).unwrap_or_else(|| options.user.clone());
    let jumps = endpoint.proxy_jump.as_deref().or(settings.proxy_jump.as_deref()).unwrap_or_default();
    let key_alias = settings.host_key_alias.as_deref();
    let tokens = Tokens { options, host: &host, alias: &endpoint.host, port, user: &user, key_alias, jumps };
    let identities = identities(endpoint, &settings, &tokens);
    let known_hosts = known_hosts(endpoint, &settings, &tokens);
    let revoked = settings.revoked_host_keys.as_deref().filter(|file| !file.eq_ignore_ascii_case("none"));
    let revoked_keys = revoked.map(|file| tokens.path(file));
    let named = settings.known_hosts_command.as_deref().and_then(|words| words.first());
    let told_by_command = named.is_some_and(|name| !name.eq_ignore_ascii_case("none"));
    let known_hosts_command = settings.known_hosts_command.as_ref().filter(|_| told_by_command);
    let known_hosts_command = known_hosts_command.map(|words| KnownHostsCommand::new(words, &tokens));
    Hop {
        alias: endpoint.host.clone(),
        password: endpoint.password.clone(),
        pinned_key: endpoint.host_key.clone(),
        checking: endpoint.host_key_checking,
        legacy: endpoint.legacy,
        proxy_command: settings.proxy_command.filter(|command| !command.eq_ignore_ascii_case("none")),
        trusts_loopback: settings.no_host_authentication_for_localhost == Some(true)
            && settings.host_key_alias.is_none(),
        host_key_alias: settings.host_key_alias,
        known_hosts_command,
        passed_over: settings.passed_over,
        host,
        port,
        user,
        identities,
        known_hosts,
        revoked_keys,
    }
}

fn named_files(files: &[String], tokens: &Tokens<'_>) -> Vec<PathBuf> {
    let named = files.iter().filter(|file| !file.eq_ignore_ascii_case("none"));
    named.map(|file| tokens.path(file)).collect()
}

/// A path of the farm file, in which tokens count, too.
fn own_file(path: &Path, tokens: &Tokens<'_>) -> PathBuf {
    path.to_str().map_or_else(|| path.to_owned(), |text| tokens.path(text))
}

fn identities(endpoint: &SshEndpoint, settings: &HostSettings, tokens: &Tokens<'_>) -> Identities {
    let options = tokens.options;
    let default_files = || DEFAULT_IDENTITIES.iter().map(|name| options.home.join(".ssh").join(name)).collect();
    let (files, are_named) = match (&endpoint.identity_file, settings.identity_files.as_slice()) {
        (Some(file), _) => (vec![own_file(file, tokens)], true),
        (None, []) => (default_files(), false),
        (None, files) => (named_files(files, tokens), true),
    };
    let agent = match settings.identity_agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => options.agent_socket.clone(),
        Some(none) if none.eq_ignore_ascii_case("none") => None,
        Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => (options.environment)(name).map(PathBuf::from),
            None => Some(tokens.path(text)),
        },
    };
    Identities {
        files,
        certificates: named_files(&settings.certificate_files, tokens),
        are_named,
        only: endpoint.identity_file.is_some() || settings.identities_only == Some(true),
        agent,
    }
}

fn known_hosts(endpoint: &SshEndpoint, settings: &HostSettings, tokens: &Tokens<'_>) -> Vec<PathBuf> {
    let global = match settings.global_known_hosts_files.as_slice() {
        [] => vec![PathBuf::from(SYSTEM_KNOWN_HOSTS)],
        files => named_files(files, tokens),
    };
    let own = match (&endpoint.known_hosts, settings.known_hosts_files.as_slice()) {
        (Some(file), _) => return vec![own_file(file, tokens)],
        (None, []) => DEFAULT_KNOWN_HOSTS.iter().map(|name| tokens.options.home.join(".ssh").join(name)).collect(),
        (None, files) => named_files(files, tokens),
    };
    own.into_iter().chain(global).collect()
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
