//! From a farm file's words to a device that answers.
//!
//! Main function: [`connect`]. Heals on the way what can be healed, all within the time that connecting has.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::address::ServerAddress;
use super::devices::{AdbDevice, not_listed};
use super::exec::{Shell, Target};
use super::heal::{Patience, heal_device, heal_server};
use super::server::Server;
use super::server_state::ServerState;
use crate::domain::AdbEndpoint;
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
            let (serial, shell) = reached?;
            let state = ServerState::of(&server.address);
            Ok(Target { serial, shell, address, state, server, silence_limit: limit })
        }
        Err(_) => {
            let message = format!("connect to {address}: no answer within {} s", limit.as_secs_f64());
            Err(TransportError::new(ErrorKind::Timeout, message))
        }
    }
}

/// What names a device that answers, and how it runs commands.
async fn reach(server: &Server, endpoint: &AdbEndpoint, patience: Patience) -> Result<(String, Shell), TransportError> {
    heal_server(server, patience).await?;
    let device = settled_device(server, endpoint, patience).await?;
    let well = || async {
        let device = find_device(server, endpoint, patience).await?;
        if !device.is_ready() {
            return Err(device.unusable(&server.to_string()));
        }
        answers(server, &device.serial, patience.answer).await.map(drop)
    };
    let mut shell = None;
    let reason = match device.state.as_str() {
        "offline" => "it is offline",
        "device" => match answers(server, &device.serial, patience.answer).await {
            Ok(found) => {
                shell = Some(found);
                ""
            }
            Err(error) if matches!(error.kind, ErrorKind::Timeout | ErrorKind::ConnectionLost) => {
                "it is listed as ready but does not answer"
            }
            Err(error) => return Err(error),
        },
        _ => return Err(device.unusable(&server.to_string())),
    };
    if !reason.is_empty() {
        heal_device(server, &device, reason, patience, well).await?;
    }
    let shell = match shell {
        Some(shell) => shell,
        None => answers(server, &device.serial, patience.answer).await?,
    };
    ServerState::of(&server.address).healthy(&device.serial);
    Ok((device.serial, shell))
}

/// Makes sure that a command runs on the device, which may be listed long after it is gone; tells how it does.
async fn answers(server: &Server, serial: &str, deadline: Duration) -> Result<Shell, TransportError> {
    let what = format!("look whether {serial} answers");
    let probe = async {
        let has_v2 = server.features(serial, deadline).await?.iter().any(|feature| feature == "shell_v2");
        let forced = (server.environment)(SHELL_VARIABLE).is_some_and(|version| version == SHELL_VARIABLE_PLAIN);
        let shell = if has_v2 && !forced { Shell::V2 } else { Shell::Plain };
        let mut stream = server.open(serial, &shell.service("echo"), &what).await?;
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

pub(super) fn wanted(endpoint: &AdbEndpoint) -> &str {
    endpoint.serial.as_deref().or(endpoint.address.as_deref()).unwrap_or("(no serial)")
}

pub(super) fn named(endpoint: &AdbEndpoint, server: &ServerAddress) -> String {
    let wanted = wanted(endpoint);
    if server.is_default() { format!("adb {wanted}") } else { format!("adb {wanted} by server {server}") }
}

/// The device once its state is no passing one. A server that was started just now has yet to find its devices.
async fn settled_device(
    server: &Server,
    endpoint: &AdbEndpoint,
    patience: Patience,
) -> Result<AdbDevice, TransportError> {
    let state = ServerState::of(&server.address);
    let deadline = Instant::now() + patience.comeback;
    loop {
        let found = find_device(server, endpoint, patience).await;
        let passing = match &found {
            Ok(device) => {
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
async fn find_device(server: &Server, endpoint: &AdbEndpoint, patience: Patience) -> Result<AdbDevice, TransportError> {
    let listed = match server.devices(patience.answer).await {
        // It answered a moment ago: another device's healing restarts it, or it died.
        Err(error) if error.kind == ErrorKind::Refused => {
            heal_server(server, patience).await?;
            server.devices(patience.answer).await?
        }
        listed => listed?,
    };
    let names = [endpoint.serial.as_deref(), endpoint.address.as_deref()];
    let find = |listed: &[AdbDevice]| {
        let named = |name: &str| listed.iter().find(|device| device.serial == name).cloned();
        names.into_iter().flatten().find_map(named)
    };
    if let Some(device) = find(&listed) {
        return Ok(device);
    }
    let Some(address) = endpoint.address.as_deref() else {
        return Err(not_listed(wanted(endpoint), &listed, &server.to_string()));
    };
    let said = match server.connect_device(address, patience.answer * 2).await {
        Err(error) if error.kind == ErrorKind::Timeout => Err(TransportError { kind: ErrorKind::Unreachable, ..error }),
        other => other,
    }?;
    let listed = server.devices(patience.answer).await?;
    find(&listed).ok_or_else(|| {
        let kind = if said.contains("refused") { ErrorKind::Refused } else { ErrorKind::Unreachable };
        TransportError::new(kind, format!("connect to adb {address} by {server}: the server says: {}", said.trim()))
            .with_hint(
                "check that debugging over TCP or Wi-Fi is on, and its port: `adb tcpip 5555` turns it on by USB",
            )
    })
}
