//! From a farm file's words to a device that answers.
//!
//! Main function: [`connect`]. Heals on the way what can be healed, all within the time that connecting has.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::address::ServerAddress;
use super::devices::{AdbDevice, ambiguous, meant, not_listed};
use super::exec::{Shell, Target};
use super::handle::Handle;
use super::heal::{Patience, Sick, heal_device, heal_server};
use super::server::Server;
use super::server_state::ServerState;
use super::words::{ServerWord, server_says};
use crate::domain::{AdbEndpoint, is_host_and_port};
use crate::transport::{ConnectOptions, ErrorKind, TransportError};

/// Set to [`SHELL_VARIABLE_PLAIN`], every device is used as one before Android 7, without the shell protocol: a way
/// round a daemon whose shell protocol is broken.
const SHELL_VARIABLE: &str = "FARMCTL_ADB_SHELL";
const SHELL_VARIABLE_PLAIN: &str = "v1";
/// Between looks at what a server lists.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Finds a device and makes sure that it answers.
pub(super) async fn connect(endpoint: &AdbEndpoint, options: &ConnectOptions) -> Result<Target, TransportError> {
    let address = ServerAddress::resolve(endpoint.server.as_deref(), &options.environment)?;
    let server = Server { address, environment: Arc::clone(&options.environment) };
    let limit = options.connect_timeout;
    let address = named(endpoint, &server.address);
    match timeout(limit, reach(&server, endpoint, Patience::of(limit))).await {
        Ok(reached) => {
            let Reached { handle, serial, shell } = reached?;
            let state = ServerState::of(&server.address);
            Ok(Target { handle, serial, shell, address, state, server, silence_limit: limit })
        }
        Err(_) => {
            let message = format!("connect to {address}: no answer within {} s", limit.as_secs_f64());
            Err(TransportError::new(ErrorKind::Timeout, message))
        }
    }
}

/// A device that answers.
struct Reached {
    handle: Handle,
    serial: String,
    shell: Shell,
}

/// A device as its server lists it.
struct Found {
    device: AdbDevice,
    handle: Handle,
}

async fn reach(server: &Server, endpoint: &AdbEndpoint, patience: Patience) -> Result<Reached, TransportError> {
    heal_server(server, patience).await?;
    let Found { device, handle } = settled_device(server, endpoint, patience).await?;
    let well = || async {
        let Found { device, handle } = find_device(server, endpoint, patience).await?;
        if !device.is_ready() {
            return Err(device.unusable(&server.to_string()));
        }
        answers(server, &handle, patience.answer).await.map(drop)
    };
    let reason = match device.state.as_str() {
        "offline" => "it is offline",
        "device" => match answers(server, &handle, patience.answer).await {
            Ok(shell) => {
                ServerState::of(&server.address).healthy(&device.serial);
                return Ok(Reached { handle, serial: device.serial, shell });
            }
            Err(error) if matches!(error.kind, ErrorKind::Timeout | ErrorKind::ConnectionLost) => {
                "it is listed as ready but does not answer"
            }
            Err(error) => return Err(error),
        },
        _ => return Err(device.unusable(&server.to_string())),
    };
    heal_device(server, Sick { device: &device, handle: &handle, reason }, patience, well).await?;
    // It may have another number since.
    let Found { device, handle } = find_device(server, endpoint, patience).await?;
    let shell = answers(server, &handle, patience.answer).await?;
    ServerState::of(&server.address).healthy(&device.serial);
    Ok(Reached { handle, serial: device.serial, shell })
}

/// Makes sure that a command runs on the device, which may be listed long after it is gone; tells how it does.
async fn answers(server: &Server, to: &Handle, deadline: Duration) -> Result<Shell, TransportError> {
    let what = format!("look whether {to} answers");
    let probe = async {
        let has_v2 = server.features(to, deadline).await?.iter().any(|feature| feature == "shell_v2");
        let forced = (server.environment)(SHELL_VARIABLE).is_some_and(|version| version == SHELL_VARIABLE_PLAIN);
        let shell = if has_v2 && !forced { Shell::V2 } else { Shell::Plain };
        let mut stream = match server.open(to, &shell.service("echo"), &what).await {
            Err(error) if shell == Shell::Plain => return Err(without_exec(server, to, &what, error).await),
            opened => opened?,
        };
        let mut first = [0];
        match stream.read_exact(&mut first).await {
            Ok(_) => Ok(shell),
            Err(error) => Err(TransportError::new(ErrorKind::ConnectionLost, format!("{what}: {error}"))),
        }
    };
    timeout(deadline, probe).await.unwrap_or_else(|_| {
        let message = format!("{what}: nothing came within {} s", deadline.as_secs_f64());
        Err(TransportError::new(ErrorKind::Timeout, message))
    })
}

/// The error of a device that runs no command by `exec:`, where it runs one by the older `shell:`: then its daemon is
/// too old, and no connection is broken.
async fn without_exec(server: &Server, to: &Handle, what: &str, error: TransportError) -> TransportError {
    if error.kind != ErrorKind::ConnectionLost || server.open(to, "shell:echo", what).await.is_err() {
        return error;
    }
    let message = format!("{what}: its debug daemon has no service `exec:`, which Android has since 5.0");
    TransportError::new(ErrorKind::Protocol, message)
        .with_hint("update Android on the device, or reach it by ssh (a terminal app with an ssh server will do)")
}

pub(super) fn wanted(endpoint: &AdbEndpoint) -> &str {
    endpoint.serial.as_deref().or(endpoint.address.as_deref()).unwrap_or("(no serial)")
}

pub(super) fn named(endpoint: &AdbEndpoint, server: &ServerAddress) -> String {
    let wanted = wanted(endpoint);
    if server.is_default() { format!("adb {wanted}") } else { format!("adb {wanted} by server {server}") }
}

/// The device once its state is no passing one. A server that was started just now has yet to find its devices.
async fn settled_device(server: &Server, endpoint: &AdbEndpoint, patience: Patience) -> Result<Found, TransportError> {
    let state = ServerState::of(&server.address);
    let deadline = Instant::now() + patience.comeback;
    loop {
        let found = find_device(server, endpoint, patience).await;
        let passing = match &found {
            Ok(Found { device, .. }) => {
                let is_settling = matches!(device.state.as_str(), "authorizing" | "connecting" | "offline");
                is_settling && Instant::now() < deadline
            }
            Err(error) => error.kind == ErrorKind::Unreachable && state.is_fresh(patience.comeback),
        };
        if !passing {
            return found;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The device as the server lists it: by its serial number, else by its address, which is connected when need be.
async fn find_device(server: &Server, endpoint: &AdbEndpoint, patience: Patience) -> Result<Found, TransportError> {
    let listed = match server.devices(patience.answer).await {
        // It answered a moment ago: another device's healing restarts it, or it died.
        Err(error) if error.kind == ErrorKind::Refused => {
            heal_server(server, patience).await?;
            server.devices(patience.answer).await?
        }
        listed => listed?,
    };
    if let Some(found) = pick(endpoint, &listed, server)? {
        return Ok(found);
    }
    let serial = endpoint.serial.as_deref().filter(|serial| is_host_and_port(serial));
    let Some(address) = endpoint.address.as_deref().or(serial) else {
        return Err(not_listed(wanted(endpoint), &listed, &server.to_string()));
    };
    let said = match server.connect_device(address, patience.answer * 2).await {
        Err(error) if error.kind == ErrorKind::Timeout => Err(TransportError { kind: ErrorKind::Unreachable, ..error }),
        other => other,
    }?;
    let listed = server.devices(patience.answer).await?;
    pick(endpoint, &listed, server)?.ok_or_else(|| {
        let kind = match server_says(&said) {
            ServerWord::Refused => ErrorKind::Refused,
            ServerWord::Unauthorized => ErrorKind::Unauthorized,
            _ => ErrorKind::Unreachable,
        };
        let check = "check that debugging over TCP or Wi-Fi is on, and its port: `adb tcpip 5555` turns it on by USB";
        let hint = serial.and_then(|serial| meant(serial, &listed)).unwrap_or_else(|| check.to_owned());
        TransportError::new(kind, format!("connect to adb {address} by {server}: the server says: {}", said.trim()))
            .with_hint(hint)
    })
}

/// The device of the list that an endpoint names.
///
/// # Errors
/// When several devices are called so.
fn pick(endpoint: &AdbEndpoint, listed: &[AdbDevice], server: &Server) -> Result<Option<Found>, TransportError> {
    for name in [endpoint.serial.as_deref(), endpoint.address.as_deref()].into_iter().flatten() {
        let named: Vec<&AdbDevice> = listed.iter().filter(|device| device.is_named(name)).collect();
        match named.as_slice() {
            [] => {}
            [device] => {
                return Ok(Some(Found { device: (*device).clone(), handle: Handle::of(device, listed) }));
            }
            several => return Err(ambiguous(name, several, listed, &server.to_string())),
        }
    }
    Ok(None)
}
