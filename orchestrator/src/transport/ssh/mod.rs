//! A device with an ssh server, OpenSSH or dropbear.
//!
//! Main type: [`SshTransport`]: one connection, on which every call is a command of its own. Files are moved by
//! commands of a POSIX shell, so no sftp server is needed. Never connects again by itself, and never trusts an unknown
//! host key unless told to.
//!
//! Calls at the same time share the connection, but for dropbear, where they wait for each other.
//!
//! Every login shell that has the Bourne shell's quotes will do (sh, bash, dash, zsh, fish, csh, tcsh). It may print
//! when it starts, and read lines: what commands print and read begins behind a marker of ours.

mod agent;
mod auth;
mod config;
mod config_file;
mod connection;
mod exec;
mod facts;
mod host_keys;
mod key_files;
mod known_hosts_command;
mod names;
mod openssh;
mod output;
mod pattern;
mod places;
mod preferences;
mod proxy_command;
mod revoked_keys;
mod tokens;
mod tried;

use std::sync::Arc;

use async_trait::async_trait;

use self::config::Reading;
use self::connection::Connection;
use super::posix::PosixDevice;
use super::streams::{Limit, Streams};
use super::{ConnectOptions, ErrorKind, Exit, TransportError, quote};
use crate::domain::SshEndpoint;

/// A logged-in connection to a device.
pub struct SshTransport {
    connection: Arc<Connection>,
}

impl SshTransport {
    /// Finds the way, connects, checks the host key and logs in.
    ///
    /// # Errors
    /// When one of these fails; the kind says which.
    pub async fn connect(endpoint: &SshEndpoint, options: &ConnectOptions) -> Result<SshTransport, TransportError> {
        let (wanted, with) = (endpoint.clone(), options.clone());
        // It reads files, and asks OpenSSH where that is installed.
        let resolved = tokio::task::spawn_blocking(move || config::resolve(&wanted, &with, Reading::OpenSsh)).await;
        let unknown =
            |error| TransportError::new(ErrorKind::NameUnknown, format!("find the way to {}: {error}", endpoint.host));
        let hops = resolved.map_err(unknown)??;
        Ok(SshTransport { connection: Arc::new(Connection::open(&hops, options).await?) })
    }
}

#[async_trait]
impl PosixDevice for SshTransport {
    fn address(&self) -> &str {
        &self.connection.address
    }

    async fn run_program(
        &self,
        argv: &[String],
        what: &str,
        streams: Streams<'_>,
        limit: Limit,
    ) -> Result<Exit, TransportError> {
        exec::exec(&self.connection, quote::command_line(argv)?, what, streams, limit).await
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

/// Why the device can't be logged in to without an ssh agent, where there is none: no key of the way there can be used
/// as it lies on this host. `None` when nothing is missing.
pub fn missing_agent(endpoint: &SshEndpoint, options: &ConnectOptions) -> Option<String> {
    let hops = config::resolve(endpoint, options, Reading::Own).ok()?;
    hops.iter().filter(|hop| hop.password.is_none() && hop.identities.agent.is_none()).find_map(|hop| {
        let files: Vec<_> = hop.identities.files.iter().filter(|file| file.exists()).collect();
        if files.iter().any(|file| russh::keys::load_secret_key(file, None).is_ok()) {
            return None;
        }
        Some(match files.first() {
            Some(file) => format!("{} can't be used without an agent for {hop}", file.display()),
            None => format!("there is no key file for {hop}"),
        })
    })
}

/// How a person would name the way to a device. A configuration that can't be read leaves the farm file's own words.
pub fn address(endpoint: &SshEndpoint, options: &ConnectOptions) -> String {
    let hop = config::resolve(endpoint, options, Reading::Own).ok().and_then(|mut hops| hops.pop());
    hop.map_or_else(|| format!("ssh {}", endpoint.host), |hop| format!("ssh {hop}"))
}
