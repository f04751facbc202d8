//! A device whose files are moved by commands of its shell: all of [`Transport`], once for every way to such a device.
//!
//! Main type: the trait [`PosixDevice`]. What implements it is a [`Transport`].

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::{ANSWER_LIMIT_BYTES, FileCommand};
use crate::transport::streams::{Limit, Streams};
use crate::transport::{
    Capabilities, Collect, Command, Exit, FileStat, Finished, OutputSink, Transport, TransportError,
};

/// What a way to a device has to give: commands of its shell.
#[async_trait]
pub trait PosixDevice: Send + Sync {
    /// The device, as messages name it.
    fn address(&self) -> &str;

    /// Runs a program, which `what` names in messages.
    async fn run_program(
        &self,
        argv: &[String],
        what: &str,
        streams: Streams<'_>,
        limit: Limit,
    ) -> Result<Exit, TransportError>;

    /// Runs the command of a file operation, of which the exit code says enough.
    async fn run_file(&self, file: &FileCommand, streams: Streams<'_>, limit: Limit) -> Result<Exit, TransportError> {
        self.run_program(&file.command.argv, &file.what, streams, limit).await
    }

    /// [`Transport::write`].
    async fn write_file(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        self.write_by_shell(path, offset, source, stall, progress).await
    }

    /// [`Transport::is_closed`].
    fn is_closed(&self) -> bool;

    /// [`Transport::close`].
    async fn close(&self);

    /// Runs a command with `stdin` as its input, and collects what it prints.
    async fn feed_file(
        &self,
        file: &FileCommand,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
        limit: Limit,
        limit_bytes: usize,
    ) -> Result<Finished, TransportError> {
        let mut output = Collect { stdout: Vec::new(), stderr: Vec::new(), limit_bytes };
        let exit = self.run_file(file, Streams { stdin, output: &mut output, progress }, limit).await?;
        Ok(Finished { exit, stdout: output.stdout, stderr: output.stderr })
    }

    /// Runs a command that needs no input.
    async fn ask(&self, file: &FileCommand, limit_bytes: usize) -> Result<Finished, TransportError> {
        let limit = Limit::Total(file.command.deadline);
        self.feed_file(file, &mut tokio::io::empty(), &mut |_| {}, limit, limit_bytes).await
    }

    /// Writes into a file by one command that reads it all.
    async fn write_by_shell(
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
        let finished = self.feed_file(&file, source, &mut count, Limit::Stall(stall), ANSWER_LIMIT_BYTES).await?;
        file.check_written(self.address(), finished, offset + sent_bytes)
    }
}

#[async_trait]
impl<D: PosixDevice> Transport for D {
    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: false, resumes_writes: true }
    }

    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let program = command.argv.first().map_or("", String::as_str);
        let what = format!("run {program}");
        let streams = Streams { stdin, output, progress: &mut |_| {} };
        self.run_program(&command.argv, &what, streams, Limit::Total(command.deadline)).await
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
        let file = FileCommand::read(path, offset, limit, deadline);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let finished = self.ask(&file, limit.saturating_add(ANSWER_LIMIT_BYTES)).await?;
        let mut bytes = file.answer(self.address(), finished)?;
        bytes.truncate(limit);
        Ok(bytes)
    }

    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError> {
        let file = FileCommand::stat(path, deadline);
        file.file_stat(self.address(), self.ask(&file, ANSWER_LIMIT_BYTES).await?)
    }

    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::rename(from, to, deadline);
        file.check(self.address(), &self.ask(&file, ANSWER_LIMIT_BYTES).await?)
    }

    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError> {
        let file = FileCommand::remove(path, deadline);
        file.check(self.address(), &self.ask(&file, ANSWER_LIMIT_BYTES).await?)
    }

    fn is_closed(&self) -> bool {
        PosixDevice::is_closed(self)
    }

    async fn close(&self) {
        PosixDevice::close(self).await;
    }
}
