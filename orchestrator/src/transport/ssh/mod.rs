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
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use self::connection::Connection;
use super::posix::{FileCommand, FileShell};
use super::streams::{Limit, Streams};
use super::{Capabilities, Command, ConnectOptions, Exit, FileStat, OutputSink, Transport, TransportError, quote};
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
impl FileShell for SshTransport {
    fn address(&self) -> &str {
        &self.connection.address
    }

    async fn run_file(&self, file: &FileCommand, streams: Streams<'_>, limit: Limit) -> Result<Exit, TransportError> {
        let line = quote::command_line(&file.command.argv)?;
        exec::exec(&self.connection, line, &file.what, streams, limit).await
    }
}

/// How a person would name the way to a device. A configuration that can't be read leaves the farm file's own words.
pub fn address(endpoint: &SshEndpoint, options: &ConnectOptions) -> String {
    let hop = config::resolve(endpoint, options).ok().and_then(|mut hops| hops.pop());
    hop.map_or_else(|| format!("ssh {}", endpoint.host), |hop| format!("ssh {hop}"))
}

#[async_trait]
impl Transport for SshTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: false, resumes_writes: true }
    }

    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let line = quote::command_line(&command.argv)?;
        let what = format!("run {}", command.argv[0]);
        let streams = Streams { stdin, output, progress: &mut |_| {} };
        exec::exec(&self.connection, line, &what, streams, Limit::Total(command.deadline)).await
    }

    async fn write(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        self.write_file(path, offset, source, stall, progress).await
    }

    async fn read(&self, path: &str, offset: u64, limit: u64, deadline: Duration) -> Result<Vec<u8>, TransportError> {
        self.read_file(path, offset, limit, deadline).await
    }

    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError> {
        self.stat_file(path, deadline).await
    }

    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError> {
        self.rename_file(from, to, deadline).await
    }

    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError> {
        self.remove_file(path, deadline).await
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}
