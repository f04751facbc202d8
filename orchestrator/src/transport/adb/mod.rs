//! An Android device behind an adb server.
//!
//! Main type: [`AdbTransport`]: a device of a server; every call is a connection of its own to that server. Files are
//! moved by commands of a POSIX shell, so that a broken push goes on where it ended. Never talks to a device without a
//! server, and never puts anything on the device that it was not told to.
//!
//! Commands run by the shell protocol, version 2. A device without it (before Android 7) is used by the services `exec:`
//! and `sync:` (`plain`, `parts`), which is chosen when it is connected; `FARMCTL_ADB_SHELL=v1` chooses it for every
//! device. Its files are handled by the same commands, which Android has since 6.
//!
//! The server's protocol is spoken here, on sockets that a deadline can drop: a daemon or server that is stopped holds
//! up neither a worker nor the end of the process.

mod address;
mod care;
mod connect;
mod crate_calls;
mod devices;
mod discovery;
mod exec;
mod heal;
mod listener;
mod parts;
mod plain;
mod server;
mod shell_v2;
mod signal;
mod socket;
mod start;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use self::address::ServerAddress;
pub use self::care::{HealingNotice, take_healing_notices};
pub use self::devices::AdbDevice;
pub use self::discovery::{AnnouncedDevice, list_announced, list_devices};
use self::exec::{Shell, Target};
use super::posix::FileCommand;
use super::streams::{Limit, Streams};
use super::{
    Capabilities, Collect, Command, ConnectOptions, Exit, FileStat, Finished, OutputSink, Transport, TransportError,
    quote,
};
use crate::domain::AdbEndpoint;

/// Longest answer of a file operation, not counting the bytes that are read.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// A device of an adb server.
pub struct AdbTransport {
    target: Arc<Target>,
}

impl AdbTransport {
    /// Finds the server, starts it when that may be, finds the device, connects it when it has an address, and heals
    /// what does not answer.
    ///
    /// # Errors
    /// When there is no server, it has no such device, or the device is in a state in which it can't be used.
    pub async fn connect(endpoint: &AdbEndpoint, options: &ConnectOptions) -> Result<AdbTransport, TransportError> {
        Ok(AdbTransport { target: Arc::new(connect::connect(endpoint, options).await?) })
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
        let script = quote::posix_script(&file.command.argv)?;
        let mut output = Collect { stdout: Vec::new(), stderr: Vec::new(), limit_bytes };
        let streams = Streams { stdin, output: &mut output, progress };
        let exit = exec::exec(&self.target, &script, &file.what, streams, limit).await?;
        Ok(Finished { exit, stdout: output.stdout, stderr: output.stderr })
    }
}

/// How a person would name the way to a device. A server that can't be named is left out.
pub fn address(endpoint: &AdbEndpoint, options: &ConnectOptions) -> String {
    match ServerAddress::resolve(endpoint.server.as_deref(), &options.environment) {
        Ok(server) => connect::named(endpoint, &server),
        Err(_) => format!("adb {}", connect::wanted(endpoint)),
    }
}

#[async_trait]
impl Transport for AdbTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: false, resumes_writes: true }
    }

    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let script = quote::posix_script_telling_signals(&command.argv)?;
        let what = format!("run {}", command.argv[0]);
        let streams = Streams { stdin, output, progress: &mut |_| {} };
        exec::exec(&self.target, &script, &what, streams, Limit::Total(command.deadline)).await
    }

    async fn write(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        if self.target.shell == Shell::Plain {
            return parts::write(self, path, offset, source, stall, progress).await;
        }
        let file = FileCommand::write(path, offset, stall);
        let mut sent_bytes = 0;
        let mut count = |bytes| {
            sent_bytes = bytes;
            progress(bytes);
        };
        let finished =
            self.feed_file_command(&file, source, &mut count, Limit::Stall(stall), ANSWER_LIMIT_BYTES).await?;
        file.check_written(&self.target.address, finished, offset + sent_bytes)
    }

    async fn read(&self, path: &str, offset: u64, limit: u64, deadline: Duration) -> Result<Vec<u8>, TransportError> {
        let file = FileCommand::read(path, offset, limit, deadline);
        let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(ANSWER_LIMIT_BYTES);
        let finished = self.file_command(&file, limit_bytes).await?;
        let mut bytes = file.answer(&self.target.address, finished)?;
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError> {
        let file = FileCommand::stat(path, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.file_stat(&self.target.address, finished)
    }

    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::rename(from, to, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.check(&self.target.address, &finished)
    }

    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::remove(path, deadline);
        let finished = self.file_command(&file, ANSWER_LIMIT_BYTES).await?;
        file.check(&self.target.address, &finished)
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(&self) {}
}
