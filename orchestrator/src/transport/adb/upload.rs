//! Writing a file, as fast as adb's own push.
//!
//! Main function: [`write`]. The bytes go over the service `exec:` into a `cat` of the device: the shell protocol takes a
//! fifth of the speed, and the sync service removes what it could not finish. `exec:` has no end of input but the end of
//! its connection, which is also the end of its answer, so a second command waits for the first and asks for the size.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::exec::{Abandon, Running, Target};
use super::{ANSWER_LIMIT_BYTES, AdbTransport};
use crate::transport::posix::{FileCommand, READY_MARKER};
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Limit};
use crate::transport::{ErrorKind, Exit, Finished, TransportError, quote};

/// What is read from the source and sent at once.
const CHUNK_BYTES: usize = 256 << 10;
/// The last line of a device that could not write.
const REFUSED_MARKER: &str = "farmctl-refused\n";

/// [`crate::transport::Transport::write`].
pub(super) async fn write(
    transport: &AdbTransport,
    path: &str,
    offset: u64,
    source: &mut (dyn AsyncRead + Send + Unpin),
    stall: Duration,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), TransportError> {
    let (target, limit) = (&transport.target, Limit::Stall(stall));
    let activity = Arc::new(Activity::new());
    let _under_way = target.care.stream(&target.serial, &activity);
    let file = FileCommand::stream(path, offset, stall);
    let upload = Upload { target, file: &file, activity: &activity };
    let (sent_bytes, pid) = tokio::select! {
        sent = upload.run(source, progress) => sent?,
        () = activity.expiry(limit) => return Err(limit.expired(&file.what, &target.address)),
    };
    let expected = offset + sent_bytes;
    let settled = FileCommand::settle(path, expected, pid, stall);
    let finished = transport.file_command(&settled, ANSWER_LIMIT_BYTES).await?;
    settled.check_written(&target.address, finished, expected).map_err(|error| match error.kind {
        // What was sent and did not arrive was cut off on the way.
        ErrorKind::Protocol => TransportError { kind: ErrorKind::ConnectionLost, ..error },
        _ => error,
    })
}

struct Upload<'a> {
    target: &'a Arc<Target>,
    file: &'a FileCommand,
    activity: &'a Activity,
}

impl Upload<'_> {
    /// Sends all; returns how many bytes that were, and the process that writes them.
    async fn run(
        &self,
        source: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(u64, u32), TransportError> {
        let script = quote::posix_script(&self.file.command.argv)?;
        let service = format!("exec:({script}) 2>&1||printf '{}'", REFUSED_MARKER.replace('\n', "\\n"));
        let stream = self.target.server.open(&self.target.serial, &service, &self.file.what).await?;
        let mut abandon = Abandon::new(Running { stream, stderr: StderrFilter::default() }, Arc::clone(self.target));
        let Some(Running { stream, stderr }) = abandon.running() else { return Err(self.ended(&[])) };
        let (mut reader, mut writer) = stream.split();
        let mut said = Vec::new();
        let sent_bytes = tokio::select! {
            sent = self.feed(&mut writer, source, progress) => sent?,
            () = self.listen(&mut reader, stderr, &mut said, |_| false) => return Err(self.ended(&said)),
        };
        // The device has cut the file, so that its old size is not taken for the new one.
        self.listen(&mut reader, stderr, &mut said, |said| said.starts_with(READY_MARKER.as_bytes())).await;
        let pid = stderr.pid();
        let Some(pid) = pid.filter(|_| said.starts_with(READY_MARKER.as_bytes())) else {
            return Err(self.ended(&said));
        };
        // The server closes its side once it has passed everything on.
        let _ = writer.shutdown().await;
        self.listen(&mut reader, stderr, &mut said, |_| false).await;
        if said.ends_with(REFUSED_MARKER.as_bytes()) {
            return Err(self.ended(&said));
        }
        abandon.over();
        Ok((sent_bytes, pid))
    }

    /// While one chunk is sent, the next is read.
    async fn feed(
        &self,
        writer: &mut WriteHalf<'_>,
        source: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, TransportError> {
        let (mut chunk, mut next) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        let mut sent_bytes = 0;
        let mut read = source.read(&mut chunk).await;
        loop {
            let length = match read {
                Ok(0) => return Ok(sent_bytes),
                Ok(length) => length,
                Err(error) => return Err(self.target.input_unreadable(&self.file.what, &error)),
            };
            let send = async {
                let mut rest = &chunk[..length];
                while !rest.is_empty() {
                    // A broken connection is told by the receiving side, which knows more.
                    let Ok(written @ 1..) = writer.write(rest).await else { return std::future::pending().await };
                    rest = &rest[written..];
                    self.activity.note();
                }
                sent_bytes += length as u64;
                progress(sent_bytes);
            };
            ((), read) = tokio::join!(send, source.read(&mut next));
            std::mem::swap(&mut chunk, &mut next);
        }
    }

    /// Takes what the device says, until that is enough or nothing more comes.
    async fn listen(
        &self,
        reader: &mut ReadHalf<'_>,
        stderr: &mut StderrFilter,
        said: &mut Vec<u8>,
        is_enough: impl Fn(&[u8]) -> bool,
    ) {
        let mut bytes = [0; 1024];
        while said.len() < ANSWER_LIMIT_BYTES && !is_enough(said) {
            let Ok(length @ 1..) = reader.read(&mut bytes).await else { break };
            self.activity.note();
            said.extend_from_slice(&stderr.pass(&bytes[..length]));
        }
    }

    /// The error of a stream that ended before the file did.
    fn ended(&self, said: &[u8]) -> TransportError {
        let address = &self.target.address;
        match said.strip_suffix(REFUSED_MARKER.as_bytes()) {
            Some(reason) => {
                let reason = reason.strip_prefix(READY_MARKER.as_bytes()).unwrap_or(reason).to_vec();
                let finished = Finished { exit: Exit::Code(1), stdout: Vec::new(), stderr: reason };
                match self.file.check(address, &finished) {
                    Err(error) => error,
                    Ok(()) => self.lost(),
                }
            }
            None => self.lost(),
        }
    }

    fn lost(&self) -> TransportError {
        let (what, address) = (&self.file.what, &self.target.address);
        let message = format!("{what} on {address}: the connection was lost before the file was written");
        TransportError::new(ErrorKind::ConnectionLost, message)
    }
}
