//! Writes a whole file by the daemon's sync service.
//!
//! Main function: [`send`]. The protocol is described in SYNC.TXT of AOSP's `packages/modules/adb`: four letters and a
//! little-endian length, then so many bytes. The daemon removes a file whose end never came, so what can't be sent in
//! one go has to be sent in parts.

use std::io::{self, IoSlice};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::exec::Target;
use super::words::daemon_says;
use crate::transport::streams::Activity;
use crate::transport::{ErrorKind, TransportError};

const HEADER_BYTES: usize = 8;
/// The longest packet that every daemon takes.
const MAX_DATA_BYTES: usize = 64 << 10;
/// Longest reason of a refusal that is read.
const MAX_REASON_BYTES: usize = 4 << 10;
/// A regular file that its owner may write and all may read.
const FILE_MODE: u32 = 0o100_644;

/// What is read from the source at once: so many packets go out together.
const BLOCK_BYTES: usize = 16 * MAX_DATA_BYTES;
/// What `lstat` says of a path that isn't there, in this protocol.
const NO_MODE: u32 = 0;

/// A file to be written, and what messages call that.
pub(super) struct Sending<'a> {
    pub path: &'a str,
    /// The folder that has to be there: the daemon would make it.
    pub folder: Option<&'a str>,
    pub what: &'a str,
    pub activity: &'a Activity,
}

/// Writes all that `source` gives into a file, which is made or replaced, and returns how many bytes that were.
/// `progress` is told after each packet how many were sent.
pub(super) async fn send(
    target: &Target,
    sending: &Sending<'_>,
    source: &mut (dyn AsyncRead + Send + Unpin),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, TransportError> {
    let mut stream: TcpStream = target.server.open(&target.handle, "sync:", sending.what).await?;
    let mut sent_bytes = 0;
    let (mut reader, mut writer) = stream.split();
    if let Some(folder) = sending.folder {
        let mode = ask_mode(&mut reader, &mut writer, folder).await.map_err(|error| sending.lost(target, &error))?;
        if mode == NO_MODE {
            let reason = format!("{} on {}: {folder}: No such file or directory", sending.what, target.address);
            return Err(TransportError::new(ErrorKind::File, reason));
        }
    }
    let mut count = |bytes| {
        sent_bytes = bytes;
        progress(bytes);
    };
    let answer = tokio::select! {
        // A refusal may come long before the end of the file.
        answer = read_answer(&mut reader) => answer,
        error = feed(&mut writer, sending, source, &mut count) => return Err(error),
    };
    let (what, address) = (sending.what, &target.address);
    match answer {
        Ok(None) => Ok(sent_bytes),
        Ok(Some(reason)) => Err(TransportError::new(daemon_says(&reason), format!("{what} on {address}: {reason}"))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(TransportError::new(ErrorKind::Protocol, format!("{what} on {address}: {error}")))
        }
        Err(error) => Err(sending.lost(target, &error)),
    }
}

impl Sending<'_> {
    fn lost(&self, target: &Target, error: &io::Error) -> TransportError {
        let message = format!(
            "{} on {}: the connection was lost before the file was written ({error})",
            self.what, target.address
        );
        TransportError::new(ErrorKind::ConnectionLost, message)
    }
}

/// What `lstat` says of a path: its kind and who may use it.
async fn ask_mode(reader: &mut ReadHalf<'_>, writer: &mut WriteHalf<'_>, path: &str) -> io::Result<u32> {
    writer.write_all(&[&header(b"STAT", path.len())[..], path.as_bytes()].concat()).await?;
    // Its own name, then mode, size and time of the last change.
    let mut answer = [0; 16];
    reader.read_exact(&mut answer).await?;
    let [_, _, _, _, a, b, c, d, ..] = answer;
    Ok(u32::from_le_bytes([a, b, c, d]))
}

/// Completes only with an error: the daemon's answer decides.
async fn feed(
    writer: &mut WriteHalf<'_>,
    sending: &Sending<'_>,
    source: &mut (dyn AsyncRead + Send + Unpin),
    progress: &mut (dyn FnMut(u64) + Send),
) -> TransportError {
    let name = format!("{},{FILE_MODE}", sending.path);
    let begin = [&header(b"SEND", name.len())[..], name.as_bytes()].concat();
    // While one block is sent, the next is read.
    let (mut block, mut next) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut sent_bytes = 0;
    let mut sent = writer.write_all(&begin).await;
    let mut read = source.read(&mut block).await;
    while sent.is_ok() {
        let length = match read {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => {
                return TransportError::new(ErrorKind::File, format!("{}: read its source: {error}", sending.what));
            }
        };
        (sent, read) = tokio::join!(send_block(writer, &block[..length], sending.activity), source.read(&mut next));
        if sent.is_ok() {
            sent_bytes += length as u64;
            progress(sent_bytes);
        }
        std::mem::swap(&mut block, &mut next);
    }
    if sent.is_ok() {
        // The number is the time of the last change; none is as good as any.
        let _ = writer.write_all(&header(b"DONE", 0)).await;
    }
    // A broken connection is told by the receiving side, which knows more.
    std::future::pending().await
}

async fn send_block(writer: &mut WriteHalf<'_>, block: &[u8], activity: &Activity) -> io::Result<()> {
    let packets = || block.chunks(MAX_DATA_BYTES);
    let headers: Vec<_> = packets().map(|packet| header(b"DATA", packet.len())).collect();
    let mut slices: Vec<IoSlice<'_>> = headers
        .iter()
        .zip(packets())
        .flat_map(|(header, packet)| [IoSlice::new(header), IoSlice::new(packet)])
        .collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let written @ 1.. = writer.write_vectored(left).await? else { return Err(io::ErrorKind::WriteZero.into()) };
        IoSlice::advance_slices(&mut left, written);
        activity.note();
    }
    Ok(())
}

/// The reason of a refusal; `None` when the file is written.
async fn read_answer(reader: &mut ReadHalf<'_>) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header).await?;
    let [a, b, c, d, length @ ..] = header;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    match &[a, b, c, d] {
        b"OKAY" => Ok(None),
        b"FAIL" => {
            let mut reason = vec![0; length.min(MAX_REASON_BYTES)];
            reader.read_exact(&mut reason).await?;
            Ok(Some(String::from_utf8_lossy(&reason).into_owned()))
        }
        other => {
            let text = String::from_utf8_lossy(other).into_owned();
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} came where the sync service answers")))
        }
    }
}

fn header(kind: &[u8; 4], length: usize) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = *kind;
    // No packet of ours is longer than MAX_DATA_BYTES.
    let [e, f, g, h] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}
