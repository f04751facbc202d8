//! One command over the shell protocol, version 2.
//!
//! Main type: [`Exchange`]. The protocol is described in AOSP's `packages/modules/adb/shell_protocol.h`: packets of one
//! byte of kind and four bytes of length, little-endian. Input, output and the end are handled at the same time, so
//! that none waits for another. Output that ends without the packet with the exit code is a lost connection.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::signal::SignalFilter;
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Streams};
use crate::transport::{ErrorKind, Exit, OutputSink, TransportError};

const KIND_STDIN: u8 = 0;
const KIND_STDOUT: u8 = 1;
const KIND_STDERR: u8 = 2;
const KIND_EXIT: u8 = 3;
const KIND_CLOSE_STDIN: u8 = 4;
const HEADER_BYTES: usize = 5;
/// What is read from the source and sent at once.
const CHUNK_BYTES: usize = 256 << 10;
/// What is taken from the connection at once.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// A command that runs, and what messages call it.
pub(super) struct Exchange<'a> {
    pub what: &'a str,
    pub address: &'a str,
    pub activity: &'a Activity,
}

impl Exchange<'_> {
    /// Feeds and drains the command that runs on this stream until its exit code comes.
    pub(super) async fn run(
        &self,
        stream: &mut TcpStream,
        stderr: &mut StderrFilter,
        streams: Streams<'_>,
    ) -> Result<Exit, TransportError> {
        let Streams { stdin, output, progress } = streams;
        let (reader, writer) = stream.split();
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
        tokio::select! {
            result = self.receive(&mut reader, stderr, output) => result,
            // Completes only with an error: the command's own end decides.
            error = self.feed(writer, stdin, progress) => Err(error),
        }
    }

    async fn feed(
        &self,
        mut writer: WriteHalf<'_>,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> TransportError {
        // While one packet is sent, the next is read.
        let (mut packet, mut next) = (vec![0; HEADER_BYTES + CHUNK_BYTES], vec![0; HEADER_BYTES + CHUNK_BYTES]);
        let mut sent_bytes = 0;
        let mut read = stdin.read(&mut packet[HEADER_BYTES..]).await;
        loop {
            let length = match read {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => return input_unreadable(self.what, self.address, &error),
            };
            packet[..HEADER_BYTES].copy_from_slice(&header(KIND_STDIN, length));
            let send = async {
                self.send(&mut writer, &packet[..HEADER_BYTES + length]).await;
                sent_bytes += length as u64;
                progress(sent_bytes);
            };
            ((), read) = tokio::join!(send, stdin.read(&mut next[HEADER_BYTES..]));
            std::mem::swap(&mut packet, &mut next);
        }
        let _ = writer.write_all(&header(KIND_CLOSE_STDIN, 0)).await;
        std::future::pending().await
    }

    async fn send(&self, writer: &mut WriteHalf<'_>, mut packet: &[u8]) {
        while !packet.is_empty() {
            // A broken connection is told by the receiving side, which knows more.
            let Ok(written @ 1..) = writer.write(packet).await else { return std::future::pending().await };
            packet = &packet[written..];
            self.activity.note();
        }
    }

    async fn receive(
        &self,
        reader: &mut BufReader<ReadHalf<'_>>,
        stderr: &mut StderrFilter,
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let mut signal = SignalFilter::default();
        loop {
            let (kind, length) = read_header(reader).await.map_err(|error| self.lost(&error))?;
            if kind == KIND_EXIT {
                let mut code = vec![0; length.min(1)];
                reader.read_exact(&mut code).await.map_err(|error| self.lost(&error))?;
                let mut rest = signal.pass(&stderr.finish());
                let signal = signal.finish().map_err(|held| rest.extend(held)).ok();
                if !rest.is_empty() {
                    output.stderr(&rest).await?;
                }
                return self.exit(code.first().copied(), signal, stderr);
            }
            let mut left = length;
            while left > 0 {
                let bytes = reader.fill_buf().await.map_err(|error| self.lost(&error))?;
                if bytes.is_empty() {
                    return Err(self.lost(&std::io::ErrorKind::UnexpectedEof.into()));
                }
                let taken = left.min(bytes.len());
                self.activity.note();
                match kind {
                    KIND_STDOUT => output.stdout(&bytes[..taken]).await?,
                    KIND_STDERR => {
                        let passed = signal.pass(&stderr.pass(&bytes[..taken]));
                        if !passed.is_empty() {
                            output.stderr(&passed).await?;
                        }
                    }
                    // A kind that a later version may have.
                    _ => {}
                }
                reader.consume(taken);
                left -= taken;
            }
        }
    }

    /// How the command ended, from its exit code and what its standard error told of it.
    pub(super) fn exit(
        &self,
        code: Option<u8>,
        signal: Option<i32>,
        stderr: &StderrFilter,
    ) -> Result<Exit, TransportError> {
        let failed =
            |kind, reason: &str| TransportError::new(kind, format!("{} on {}: {reason}", self.what, self.address));
        match (code, signal) {
            (_, Some(signal)) => Ok(Exit::Signal(signal)),
            (Some(127), None) if stderr.tells_not_found() => {
                Err(failed(ErrorKind::CommandNotFound, "there is no such program, or it may not be run"))
            }
            (Some(code), None) => Ok(Exit::Code(i32::from(code))),
            (None, None) => Err(failed(ErrorKind::Protocol, "the device ended it without an exit code")),
        }
    }

    /// The error of a stream that ended too early.
    pub(super) fn lost(&self, error: &std::io::Error) -> TransportError {
        let reason = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the device or its adb server closed it".to_owned(),
            _ => error.to_string(),
        };
        TransportError::new(
            ErrorKind::ConnectionLost,
            format!(
                "{} on {}: the connection was lost before the command had ended ({reason})",
                self.what, self.address
            ),
        )
    }
}

/// The error of a source that can't be read here.
pub(super) fn input_unreadable(what: &str, address: &str, error: &std::io::Error) -> TransportError {
    TransportError::new(ErrorKind::File, format!("{what} on {address}: read its input: {error}"))
}

fn header(kind: u8, length: usize) -> [u8; HEADER_BYTES] {
    // No packet of ours is longer than CHUNK_BYTES.
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind, a, b, c, d]
}

async fn read_header(reader: &mut BufReader<ReadHalf<'_>>) -> std::io::Result<(u8, usize)> {
    let mut bytes = [0; HEADER_BYTES];
    reader.read_exact(&mut bytes).await?;
    let [kind, a, b, c, d] = bytes;
    Ok((kind, u32::from_le_bytes([a, b, c, d]) as usize))
}
