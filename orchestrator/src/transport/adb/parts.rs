//! Going on with a file of a device whose daemon has no shell protocol.
//!
//! Main function: [`write()`]. Each part is a file of its own by the sync service, which the device then appends: so a
//! write that breaks goes on behind the last part.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::AdbTransport;
use super::exec::watched;
use super::plain::temporary_path;
use super::sync::{Sending, send};
use crate::transport::TransportError;
use crate::transport::posix::{ANSWER_LIMIT_BYTES, FileCommand, PosixDevice as _};
use crate::transport::streams::{Activity, Limit};

/// What is lost at most when the connection breaks, and what a part needs of the device's space meanwhile.
const PART_BYTES: u64 = 4 << 20;

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
    let cut = FileCommand::write(path, offset, stall);
    let nothing = &mut tokio::io::empty();
    let finished = transport.feed_file(&cut, nothing, &mut |_| {}, limit, ANSWER_LIMIT_BYTES).await?;
    cut.check_written(&target.address, finished, offset)?;
    let mut written_bytes = 0;
    let mut first = [0; 1];
    loop {
        let length = source.read(&mut first).await.map_err(|error| target.input_unreadable(&cut.what, &error))?;
        if length == 0 {
            return Ok(());
        }
        let part = temporary_path();
        let activity = std::sync::Arc::new(Activity::new());
        let sending = Sending { path: &part, folder: None, what: &cut.what, activity: &activity };
        let mut content = (&first[..]).chain(&mut *source).take(PART_BYTES);
        let mut tell = |bytes| progress(written_bytes + bytes);
        let send = send(target, &sending, &mut content, &mut tell);
        written_bytes += watched(target, &cut.what, limit, &activity, send).await?;
        let append = FileCommand::append(path, &part, stall);
        let finished = transport.ask(&append, ANSWER_LIMIT_BYTES).await?;
        append.check_written(&target.address, finished, offset + written_bytes)?;
    }
}
