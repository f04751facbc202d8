//! One command on the device, with its limit, and its end when the call is given up.
//!
//! Main function: [`exec`]. What a call that was given up had started is killed by its number: adb's daemon ends the shell
//! alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::care::Care;
use super::server::Server;
use super::shell_v2::Exchange;
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Limit, Streams};
use crate::transport::{ErrorKind, Exit, TransportError};

/// How long the end of a command that was given up may take.
const ABANDON_LIMIT: Duration = Duration::from_secs(10);

/// A device of an adb server.
pub(super) struct Target {
    pub server: Server,
    /// What names the device to the server.
    pub serial: String,
    /// As messages name it.
    pub address: String,
    pub care: Arc<Care>,
    /// A command that is silent for longer has the device asked whether it is still there, with as long to answer.
    pub silence_limit: Duration,
}

/// Runs a script, which `what` names in messages.
pub(super) async fn exec(
    target: &Arc<Target>,
    script: &str,
    what: &str,
    streams: Streams<'_>,
    limit: Limit,
) -> Result<Exit, TransportError> {
    let activity = Arc::new(Activity::new());
    let _under_way = target.care.stream(&target.serial, &activity);
    let run = async {
        let stream = target.server.open(&target.serial, &format!("shell,v2,raw:{script}"), what).await.map_err(lost)?;
        let running = Running { stream, stderr: StderrFilter::default() };
        let mut abandon = Abandon { running: Some(running), target: Arc::clone(target) };
        let Some(Running { stream, stderr }) = &mut abandon.running else {
            return Err(limit.expired(what, &target.address));
        };
        let exchange = Exchange { what, address: &target.address, activity: &activity };
        let result = exchange.run(stream, stderr, streams).await;
        if result.is_ok() {
            abandon.running = None;
        }
        result
    };
    tokio::select! {
        result = run => result,
        () = activity.expiry(limit) => Err(limit.expired(what, &target.address)),
        reason = silence(target, &activity) => Err(TransportError::new(
            ErrorKind::ConnectionLost,
            format!("{what} on {}: nothing came for {} s, and {reason}", target.address, activity.idle().as_secs()),
        )),
    }
}

/// A server or device that was there when the connection was made, and now is not, is a connection that broke.
fn lost(error: TransportError) -> TransportError {
    match error.kind {
        ErrorKind::Refused | ErrorKind::Unreachable => TransportError { kind: ErrorKind::ConnectionLost, ..error },
        _ => error,
    }
}

/// Comes back when no byte has moved for a while and the device does not answer either: a stopped daemon or server closes
/// nothing.
async fn silence(target: &Target, activity: &Activity) -> String {
    let mut asked_at = Instant::now();
    loop {
        let quiet = activity.idle().min(asked_at.elapsed());
        if quiet < target.silence_limit {
            sleep(target.silence_limit - quiet).await;
            continue;
        }
        asked_at = Instant::now();
        match timeout(target.silence_limit, target.server.is_alive(&target.serial)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("it did not answer within {} s either", target.silence_limit.as_secs_f64()),
        }
    }
}

/// A stream on which a command runs.
struct Running {
    stream: TcpStream,
    stderr: StderrFilter,
}

/// Ends the command on the device when the call is given up.
struct Abandon {
    running: Option<Running>,
    target: Arc<Target>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        let (Some(running), Ok(runtime)) = (self.running.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let target = Arc::clone(&self.target);
        runtime.spawn(async move {
            // A device that does not answer even now can't be told; its daemon ends the shell when it is back.
            let _ = timeout(ABANDON_LIMIT, running.kill(&target)).await;
        });
    }
}

impl Running {
    /// Kills the command with all that it started: the daemon made the shell the leader of its process group.
    async fn kill(mut self, target: &Target) {
        let Some(pid) = self.find_pid().await else { return };
        let script = format!("shell,v2,raw:kill -KILL -{pid} 2>/dev/null||kill -KILL {pid}");
        // While the first stream is open, the number can't have become another process's.
        if let Ok(mut stream) = target.server.open(&target.serial, &script, "end a command").await {
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
        }
    }

    /// Reads on until the process id has come; `None` when the command ended first. It comes before all else and in
    /// one piece, so the bounds of packets don't matter.
    async fn find_pid(&mut self) -> Option<u32> {
        let mut bytes = [0; 4096];
        while self.stderr.pid().is_none() {
            match self.stream.read(&mut bytes).await {
                Ok(length @ 1..) => drop(self.stderr.pass(&bytes[..length])),
                _ => return None,
            }
        }
        self.stderr.pid()
    }
}
