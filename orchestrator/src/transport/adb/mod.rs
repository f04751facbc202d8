//! An Android device behind an adb server.
//!
//! Main type: [`AdbTransport`]: a device of a server; every call is a connection of its own to that server. A file is
//! written by the sync service (`whole`); one that broke off is gone on with, and all else is done, by commands of a
//! POSIX shell. Never talks to a device without a server, and never puts anything on the device that it was not told
//! to.
//!
//! Commands run by the shell protocol, version 2. A device without it (before Android 7) is used by the services
//! `exec:` and `sync:` (`plain`, `parts`), which is chosen when it is connected; `FARMCTL_ADB_SHELL=v1` chooses it for
//! every device. Its files are handled by the same commands, which Android has since 6.
//!
//! The server's protocol is spoken here, on sockets that a deadline can drop: a daemon or server that is stopped holds
//! up neither a worker nor the end of the process.

mod address;
mod connect;
mod crate_calls;
mod devices;
mod discovery;
mod exec;
mod handle;
mod heal;
mod listener;
mod parts;
mod plain;
mod server;
mod server_state;
mod shell_v2;
mod signal;
mod socket;
mod start;
mod sync;
mod whole;
mod words;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use self::address::ServerAddress;
pub use self::devices::AdbDevice;
pub use self::discovery::{AnnouncedDevice, list_announced, list_devices};
use self::exec::{Shell, Target};
pub use self::server_state::{HealingNotice, take_healing_notices};
use super::posix::{FileCommand, PosixDevice};
use super::streams::{Limit, Streams};
use super::{ConnectOptions, Exit, TransportError, quote};
use crate::domain::AdbEndpoint;

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

    /// Writes into a file by commands of the device's shell.
    async fn go_on(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        match self.target.shell {
            Shell::V2 => self.write_by_shell(path, offset, source, stall, progress).await,
            Shell::Plain => parts::write(self, path, offset, source, stall, progress).await,
        }
    }
}

#[async_trait]
impl PosixDevice for AdbTransport {
    fn address(&self) -> &str {
        &self.target.address
    }

    async fn run_program(
        &self,
        argv: &[String],
        what: &str,
        streams: Streams<'_>,
        limit: Limit,
    ) -> Result<Exit, TransportError> {
        let script = quote::posix_script_telling_signals(argv)?;
        exec::exec(&self.target, &script, what, streams, limit).await
    }

    async fn run_file(&self, file: &FileCommand, streams: Streams<'_>, limit: Limit) -> Result<Exit, TransportError> {
        // One process less: no caller asks for the signal.
        let script = quote::posix_script(&file.command.argv)?;
        exec::exec(&self.target, &script, &file.what, streams, limit).await
    }

    async fn write_file(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        if offset == 0 && path.starts_with('/') {
            return whole::write(self, path, source, stall, progress).await;
        }
        self.go_on(path, offset, source, stall, progress).await
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(&self) {}
}

/// How a person would name the way to a device. A server that can't be named is left out.
pub fn address(endpoint: &AdbEndpoint, options: &ConnectOptions) -> String {
    match ServerAddress::resolve(endpoint.server.as_deref(), &options.environment) {
        Ok(server) => connect::named(endpoint, &server),
        Err(_) => format!("adb {}", connect::wanted(endpoint)),
    }
}
