//! A device with an ssh server, OpenSSH or dropbear.
//!
//! Main type: [`SshTransport`]: one connection, on which every call is a command of its own. Files are moved by commands
//! of a POSIX shell, so no sftp server is needed. Never connects again by itself, and never trusts an unknown host key
//! unless told to.
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
use super::posix::FileCommand;
use super::streams::{Limit, Streams};
use super::{
    Capabilities, Collect, Command, ConnectOptions, Exit, FileStat, Finished, OutputSink, Transport, TransportError,
    quote,
};
use crate::domain::SshEndpoint;

/// Longest answer of a file operation, not counting the bytes that are read.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

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

    async fn file_command(&self, file: &FileCommand, limit_bytes: usize) -> Result<Finished, TransportError> {
        let limit = Limit::Total(file.command.deadline);
        self.feed_file_command(file, &mut tokio::io::empty(), &mut |_| {}, limit, limit_bytes).await
    }

    async fn feed_file_command(
        &self,
        file: &FileCommand,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
        limit: Limit,
        limit_bytes: usize,
    ) -> Result<Finished, TransportError> {
        let line = quote::command_line(&file.command.argv)?;
        let mut output = Collect { stdout: Vec::new(), stderr: Vec::new(), limit_bytes };
        let streams = Streams { stdin, output: &mut output, progress };
        let exit = exec::exec(&self.connection, line, &file.what, streams, limit).await?;
        Ok(Finished { exit, stdout: output.stdout, stderr: output.stderr })
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
        let file = FileCommand::write(path, offset, stall);
        let mut sent_bytes = 0;
        let mut count = |bytes| {
            sent_bytes = bytes;
            progress(bytes);
        };
        let finished =
            self.feed_file_command(&file, source, &mut count, Limit::Stall(stall), ANSWER_LIMIT_BYTES).await?;
        file.check_written(&self.connection.address, finished, offset + sent_bytes)
    }

    async fn read(&self, path: &str, offset: u64, limit: u64, deadline: Duration) -> Result<Vec<u8>, TransportError> {
        let file = FileCommand::read(path, offset, limit, deadline);
        let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(ANSWER_LIMIT_BYTES);
        let finished = self.file_command(&file, limit_bytes).await?;
        let mut bytes = file.answer(&self.connection.address, finished)?;
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError> {
        let file = FileCommand::stat(path, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.file_stat(&self.connection.address, finished)
    }

    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::rename(from, to, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.check(&self.connection.address, &finished)
    }

    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::remove(path, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.check(&self.connection.address, &finished)
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}
