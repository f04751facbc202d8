//! Writing a file from its beginning, by the service that adb's own client uses.
//!
//! Main function: [`write()`]. The sync service is faster than a shell's `cat`, but when the end of a file never comes
//! the daemon removes it, by its name. So the service gets a name of its own for the file, and a shell takes that away
//! as soon as the file is there: the service goes on writing into it, and what arrived stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::AdbTransport;
use super::exec::watched;
use super::plain::nonce;
use super::sync::{Sending, send};
use crate::transport::TransportError;
use crate::transport::posix::{ANSWER_LIMIT_BYTES, FileCommand, PosixDevice as _};
use crate::transport::streams::{Activity, Limit};

/// A shorter file goes by one command of a shell, which needs one round trip less.
const SHORT_BYTES: u64 = 1 << 20;
/// What stands behind the right name in the service's own, before something that no other call has.
const SUFFIX: &str = ".sync-";

/// [`crate::transport::Transport::write`] with an absolute path, from the beginning.
pub(super) async fn write(
    transport: &AdbTransport,
    path: &str,
    source: &mut (dyn AsyncRead + Send + Unpin),
    stall: Duration,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), TransportError> {
    let target = &transport.target;
    let suffix = format!("{SUFFIX}{}", nonce());
    let adopt = FileCommand::adopt(path, &suffix, SUFFIX, stall);
    let mut beginning = Vec::new();
    let read = (&mut *source).take(SHORT_BYTES).read_to_end(&mut beginning).await;
    let length = read.map_err(|error| target.input_unreadable(&adopt.what, &error))?;
    if (length as u64) < SHORT_BYTES {
        return transport.go_on(path, 0, &mut beginning.as_slice(), stall, progress).await;
    }
    let activity = Arc::new(Activity::new());
    let folder = path.rsplit_once('/').map(|(folder, _)| if folder.is_empty() { "/" } else { folder });
    let sending = Sending { path: &format!("{path}{suffix}"), folder, what: &adopt.what, activity: &activity };
    let mut content = beginning.as_slice().chain(source);
    let send = send(target, &sending, &mut content, progress);
    let sent = watched(target, &adopt.what, Limit::Stall(stall), &activity, send);
    let adopted = async {
        let finished = transport.ask(&adopt, ANSWER_LIMIT_BYTES).await?;
        adopt.check(&target.address, &finished)
    };
    tokio::try_join!(sent, adopted).map(drop)
}
