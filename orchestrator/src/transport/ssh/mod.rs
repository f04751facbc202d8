//! A device with an ssh server, OpenSSH or dropbear.
//!
//! Main type: [`SshTransport`]: one connection, on which every call is a command of its own. Files are moved by
//! commands of a POSIX shell, so no sftp server is needed. Never connects again by itself, and never trusts an unknown
//! host key unless told to.
//!
//! Calls at the same time share the connection, but for dropbear, where they wait for each other.
//!
//! Every login shell that has the Bourne shell's quotes will do (sh, bash, dash, zsh, fish, csh, tcsh). It may print
//! when it starts, as far as file operations go; what commands print then has that text in front.

mod auth;
mod config;
mod config_file;
mod connection;
mod exec;
mod host_keys;
mod pattern;

use std::sync::Arc;

use async_trait::async_trait;

use self::connection::Connection;
use super::posix::PosixDevice;
use super::streams::{Limit, Streams};
use super::{ConnectOptions, Exit, TransportError, quote};
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
        let hops = config::resolve(endpoint, options)?;
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

/// How a person would name the way to a device. A configuration that can't be read leaves the farm file's own words.
pub fn address(endpoint: &SshEndpoint, options: &ConnectOptions) -> String {
    let hop = config::resolve(endpoint, options).ok().and_then(|mut hops| hops.pop());
    hop.map_or_else(|| format!("ssh {}", endpoint.host), |hop| format!("ssh {hop}"))
}
