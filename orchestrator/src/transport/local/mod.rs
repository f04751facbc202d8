//! This host as a device.
//!
//! Main type: [`LocalTransport`]. Commands run in their own process group, which is ended with the call. Never reads
//! the environment: the home folder is given.

mod files;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::{Capabilities, Command, Exit, FileStat, OutputSink, Transport, TransportError};

/// Commands and files of this host.
pub struct LocalTransport {
    home: PathBuf,
}

impl LocalTransport {
    /// Relative paths lie below `home`, and commands start there.
    pub fn new(home: &Path) -> LocalTransport {
        LocalTransport { home: home.to_owned() }
    }

    fn path(&self, path: &str) -> PathBuf {
        match path {
            "~" => self.home.clone(),
            other => self.home.join(other.strip_prefix("~/").unwrap_or(other)),
        }
    }
}

#[async_trait]
impl Transport for LocalTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: true, resumes_writes: true }
    }

    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        process::run(&self.home, command, stdin, output).await
    }

    async fn write(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        files::write(&self.path(path), offset, source, stall, progress).await
    }

    async fn read(&self, path: &str, offset: u64, limit: u64, deadline: Duration) -> Result<Vec<u8>, TransportError> {
        let path = self.path(path);
        files::within(deadline, "read", &path, files::read(&path, offset, limit)).await
    }

    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError> {
        let path = self.path(path);
        files::within(deadline, "look at", &path, files::stat(&path)).await
    }

    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError> {
        let (from, to) = (self.path(from), self.path(to));
        files::within(deadline, "rename", &from, tokio::fs::rename(&from, &to)).await
    }

    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError> {
        let path = self.path(path);
        files::within(deadline, "remove", &path, files::remove(&path)).await
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(&self) {}
}
