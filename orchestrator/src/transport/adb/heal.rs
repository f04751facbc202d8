//! Brings back a server that does not answer, and a device that its server only believes to be there.
//!
//! Main functions: [`heal_server`] and [`heal_device`]: reconnect that device, then what is offline, then restart the
//! server. Never restarts a server while another device has a call under way through it, nor one of another host.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::address::ServerAddress;
use super::devices::AdbDevice;
use super::handle::Handle;
use super::server::Server;
use super::server_state::{ServerState, tell};
use super::{listener, start};
use crate::domain::is_host_and_port;
use crate::transport::{ErrorKind, TransportError};

/// A stream that moved a byte within this time shows that the server is alive.
const RECENT: Duration = Duration::from_secs(5);
/// Between looks at a device that is coming back.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long the steps may take: parts of the time that connecting has.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For an answer that takes milliseconds where all is well.
    pub answer: Duration,
    /// For a device to come back after a step.
    pub comeback: Duration,
}

impl Patience {
    pub(super) fn of(connect_timeout: Duration) -> Patience {
        Patience { answer: connect_timeout / 5, comeback: connect_timeout / 6 }
    }
}

/// Makes sure that the server answers: starts it when it isn't running, and restarts it when it hangs, where that may
/// be.
pub(super) async fn heal_server(server: &Server, patience: Patience) -> Result<(), TransportError> {
    let state = ServerState::of(&server.address);
    let generation = state.generation();
    match server.version(patience.answer).await {
        Ok(version) => {
            if let Some(before) = state.another_version(version) {
                let step = format!(
                    "it is of version {version} now and was of {before}: an `adb` of another version restarted it, and \
                     cuts off all devices each time that it is called; let all programs of this host use one `adb`"
                );
                tell(&server.address, None, &step);
            }
            Ok(())
        }
        Err(error) if !server.address.is_loopback() => Err(error),
        Err(error) if error.kind == ErrorKind::Refused => {
            let _once = state.restarting.lock().await;
            // Another device may have started it meanwhile.
            if server.version(patience.answer).await.is_err() {
                let program = start::find_program(&server.environment, &server.address)?;
                start::start(&server.address, &program, patience.answer * 2).await?;
            }
            state.started();
            Ok(())
        }
        Err(error) if error.kind == ErrorKind::Timeout => match state.busy_other("", Some(RECENT)) {
            Some(busy) => {
                Err(error.with_hint(format!("it is not restarted, for {busy} has moved bytes through it just now")))
            }
            None => restart(server, &state, generation, None, "it does not answer", patience).await,
        },
        Err(error) => Err(error),
    }
}

/// A device that is not as its server lists it.
#[derive(Clone, Copy)]
pub(super) struct Sick<'a> {
    pub device: &'a AdbDevice,
    pub handle: &'a Handle,
    /// What is wrong, in words.
    pub reason: &'a str,
}

/// Brings back a device that is offline, or that does not answer though it is listed as ready.
///
/// `look` tells whether it is well.
pub(super) async fn heal_device<F, L>(
    server: &Server,
    Sick { device, handle, reason }: Sick<'_>,
    patience: Patience,
    look: L,
) -> Result<(), TransportError>
where
    L: Fn() -> F,
    F: Future<Output = Result<(), TransportError>>,
{
    let state = ServerState::of(&server.address);
    let generation = state.generation();
    let serial = device.serial.as_str();
    tell(&server.address, Some(serial), &format!("{reason}: reconnecting it"));
    reconnect(server, device, handle, patience).await;
    let mut outcome = come_back(patience, &look).await;
    if outcome.is_err() && server.reconnect_offline(patience.answer).await.is_ok() {
        tell(&server.address, Some(serial), "it still does not answer: reconnecting all that is offline");
        outcome = come_back(patience, &look).await;
    }
    let Err(error) = outcome else { return Ok(()) };
    if !server.address.is_loopback() {
        return Err(error);
    }
    // A server that says why it can't reach the device, and lists it no more, is not the one that hangs.
    let listed = server.devices(patience.answer).await.is_ok_and(|devices| devices.iter().any(|d| d.serial == serial));
    if !listed && !matches!(error.kind, ErrorKind::Timeout | ErrorKind::ConnectionLost) {
        return Err(error);
    }
    // A call that only waits is as good as lost with the server, so each one counts here.
    if let Some(busy) = state.busy_other(serial, None) {
        return Err(error.with_hint(format!("the adb server is not restarted while {busy} is in use through it")));
    }
    if !state.may_restart_for(serial) {
        return Err(error);
    }
    restart(server, &state, generation, Some(serial), "reconnecting did not help", patience).await?;
    come_back(patience, &look).await
}

/// Lets the server connect to the device anew.
async fn reconnect(server: &Server, device: &AdbDevice, handle: &Handle, patience: Patience) {
    // What these answer does not matter: whether the device comes back does. A name that mDNS gave can't be connected.
    if is_host_and_port(&device.serial) {
        // `reconnect` and `connect` believe a dead connection to be there; letting go of it does not.
        let _ = server.disconnect_device(&device.serial, patience.answer).await;
        let _ = server.connect_device(&device.serial, patience.answer).await;
    } else {
        let _ = server.reconnect_device(handle, patience.answer).await;
    }
}

/// Waits until the device is well again.
async fn come_back<F, L>(patience: Patience, look: &L) -> Result<(), TransportError>
where
    L: Fn() -> F,
    F: Future<Output = Result<(), TransportError>>,
{
    let deadline = Instant::now() + patience.comeback;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = timeout(left, look()).await.unwrap_or_else(|_| {
            let message =
                format!("reach the device: it did not come back within {} s", patience.comeback.as_secs_f64());
            Err(TransportError::new(ErrorKind::Timeout, message))
        });
        if outcome.is_ok() || Instant::now() + POLL_INTERVAL >= deadline {
            return outcome;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Ends the server and starts it again, unless another device did so since `generation`.
async fn restart(
    server: &Server,
    state: &ServerState,
    generation: u64,
    serial: Option<&str>,
    reason: &str,
    patience: Patience,
) -> Result<(), TransportError> {
    let _once = state.restarting.lock().await;
    if state.generation() != generation {
        return Ok(());
    }
    let program = start::find_program(&server.environment, &server.address)?;
    tell(&server.address, serial, &format!("{reason}: restarting the adb server"));
    // It may go without saying so.
    let _ = server.kill(patience.answer / 2).await;
    if !is_gone(&server.address, patience.answer / 2).await {
        let port = server.address.port;
        if let Ok(Err(reason)) = tokio::task::spawn_blocking(move || listener::kill_adb_at(port)).await {
            let message = format!("end {server}, which does not answer: {reason}");
            return Err(TransportError::new(ErrorKind::Unreachable, message)
                .with_hint("end that process by hand, then try again"));
        }
        is_gone(&server.address, patience.answer / 2).await;
    }
    state.restarted();
    start::start(&server.address, &program, patience.answer * 2).await?;
    state.started();
    Ok(())
}

/// Whether nothing listens there any more, at the latest after `limit`.
async fn is_gone(address: &ServerAddress, limit: Duration) -> bool {
    let gone = async {
        while tokio::net::TcpStream::connect((address.host.as_str(), address.port)).await.is_ok() {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(limit, gone).await.is_ok()
}
