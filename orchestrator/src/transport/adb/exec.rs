//! One command on the device, with its limit, and its end when the call is given up.
//!
//! Main function: [`exec`]. What a call that was given up had started is killed by its number: adb's daemon ends the
//! shell alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::handle::Handle;
use super::plain;
use super::server::Server;
use super::server_state::ServerState;
use super::shell_v2::{Exchange, input_unreadable};
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Limit, Streams};
use crate::transport::{ErrorKind, Exit, TransportError};

/// How long the end of a command that was given up may take.
const ABANDON_LIMIT: Duration = Duration::from_secs(10);

/// How a device runs commands; found out once, when it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    /// By the shell protocol, version 2: since Android 7.
    V2,
    /// By the service `exec:`, which older daemons have.
    Plain,
}

impl Shell {
    /// What runs a script, bare.
    pub(super) fn service(self, script: &str) -> String {
        match self {
            Shell::V2 => format!("shell,v2,raw:{script}"),
            Shell::Plain => format!("exec:{script}"),
        }
    }
}

/// A device of an adb server.
pub(super) struct Target {
    pub server: Server,
    /// What names the device to the server.
    pub handle: Handle,
    /// What the server lists it as.
    pub serial: String,
    pub shell: Shell,
    /// As messages name it.
    pub address: String,
    pub state: Arc<ServerState>,
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
    let run = async {
        match target.shell {
            Shell::V2 => exec_v2(target, script, what, streams, &activity).await,
            Shell::Plain => plain::exec(target, script, what, streams, &activity).await,
        }
    };
    watched(target, what, limit, &activity, run).await
}

/// Does what `what` names in messages, as long as its limit has not passed and the device is there. Others know of it
/// meanwhile.
pub(super) async fn watched<T>(
    target: &Target,
    what: &str,
    limit: Limit,
    activity: &Arc<Activity>,
    run: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let _under_way = target.state.stream(&target.serial, activity);
    tokio::select! {
        result = run => result.map_err(lost),
        () = activity.expiry(limit) => Err(limit.expired(what, &target.address)),
        reason = silence(target, activity) => Err(TransportError::new(
            ErrorKind::ConnectionLost,
            format!("{what} on {}: nothing came for {} s, and {reason}", target.address, activity.idle().as_secs()),
        )),
    }
}

/// A server or device that was there when the connection was made, and now is not, is a connection that broke.
fn lost(error: TransportError) -> TransportError {
    match error.kind {
        ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::Unauthorized => {
            TransportError { kind: ErrorKind::ConnectionLost, ..error }
        }
        _ => error,
    }
}

/// Comes back when no byte has moved for a while and the device does not answer either: a stopped daemon or server
/// closes nothing.
async fn silence(target: &Target, activity: &Activity) -> String {
    let mut asked_at = Instant::now();
    loop {
        let quiet = activity.idle().min(asked_at.elapsed());
        if quiet < target.silence_limit {
            sleep(target.silence_limit - quiet).await;
            continue;
        }
        asked_at = Instant::now();
        match timeout(target.silence_limit, target.server.is_alive(&target.handle)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("it did not answer within {} s either", target.silence_limit.as_secs_f64()),
        }
    }
}

async fn exec_v2(
    target: &Arc<Target>,
    script: &str,
    what: &str,
    streams: Streams<'_>,
    activity: &Activity,
) -> Result<Exit, TransportError> {
    let stream = target.server.open(&target.handle, &Shell::V2.service(script), what).await?;
    let mut abandon = Abandon::new(Running { stream, stderr: StderrFilter::default() }, Arc::clone(target));
    let exchange = Exchange { what, address: &target.address, activity };
    let result = match abandon.running() {
        Some(Running { stream, stderr }) => exchange.run(stream, stderr, streams).await,
        None => Err(exchange.lost(&std::io::ErrorKind::NotConnected.into())),
    };
    if result.is_ok() {
        abandon.over();
    }
    result
}

impl Target {
    /// The error of a source that can't be read here.
    pub(super) fn input_unreadable(&self, what: &str, error: &std::io::Error) -> TransportError {
        input_unreadable(what, &self.address, error)
    }
}

/// A stream on which a command runs.
pub(super) struct Running {
    pub stream: TcpStream,
    /// Finds the process id, on whatever stream that is told.
    pub stderr: StderrFilter,
}

/// Ends the command on the device when the call is given up.
pub(super) struct Abandon {
    running: Option<Running>,
    target: Arc<Target>,
}

impl Abandon {
    pub(super) fn new(running: Running, target: Arc<Target>) -> Abandon {
        Abandon { running: Some(running), target }
    }

    /// The command, as long as it is not over.
    pub(super) fn running(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// The command has ended by itself.
    pub(super) fn over(&mut self) {
        self.running = None;
    }
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
        let service = target.shell.service(&format!("kill -KILL -{pid} 2>/dev/null||kill -KILL {pid}"));
        // While the first stream is open, the number can't have become another process's.
        if let Ok(mut stream) = target.server.open(&target.handle, &service, "end a command").await {
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
