//! Starting an adb server of this host.
//!
//! Main function: [`start`]. The server outlives farmctl, as it does when `adb` starts it. Never installs anything.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::address::ServerAddress;
use crate::environment::EnvironmentLookup;
use crate::transport::{ErrorKind, TransportError};

/// Longest text of `adb` that is passed on.
const MESSAGE_LIMIT_BYTES: usize = 400;

/// Lets `adb` start a server at this address, and waits until it answers.
pub(super) async fn start(address: &ServerAddress, program: &Path, deadline: Duration) -> Result<(), TransportError> {
    let failed = |kind, reason: String| {
        let program = program.display();
        TransportError::new(kind, format!("start the adb server at {address} with {program}: {reason}"))
    };
    let mut command = Command::new(program);
    // -H is left out: with it, adb takes the server for one of another host, which it won't start.
    command.args(["-P", &address.port.to_string(), "start-server"]);
    command.env_remove("ADB_SERVER_SOCKET").env_remove("ANDROID_ADB_SERVER_ADDRESS");
    // The server keeps what it inherits: a pipe would stay open as long as it lives, so its words go into a file.
    let log = tempfile::NamedTempFile::new().map_err(|error| failed(ErrorKind::File, error.to_string()))?;
    let stderr = log.reopen().map_err(|error| failed(ErrorKind::File, error.to_string()))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(ErrorKind::Refused, error.to_string()))?;
    match timeout(deadline, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let said = std::fs::read(log.path()).unwrap_or_default();
            let said = String::from_utf8_lossy(&said[said.len().saturating_sub(MESSAGE_LIMIT_BYTES)..]).into_owned();
            Err(failed(ErrorKind::Refused, format!("{status}: {}", said.trim().replace('\n', "; "))))
        }
        Ok(Err(error)) => Err(failed(ErrorKind::Refused, error.to_string())),
        Err(_) => Err(failed(ErrorKind::Timeout, format!("it was ended after {} s", deadline.as_secs_f64()))),
    }
}

/// `adb` of the PATH, else of the Android SDK.
///
/// # Errors
/// When there is none.
pub(super) fn find_program(
    environment: &EnvironmentLookup,
    address: &ServerAddress,
) -> Result<PathBuf, TransportError> {
    let path = environment("PATH").unwrap_or_default();
    let sdk = ["ANDROID_HOME", "ANDROID_SDK_ROOT"].into_iter().filter_map(|name| environment(name));
    let mut programs = std::env::split_paths(&path)
        .chain(sdk.map(|folder| PathBuf::from(folder).join("platform-tools")))
        .map(|folder| folder.join("adb"));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        let message = format!("start the adb server at {address}: there is no program `adb`");
        TransportError::new(ErrorKind::Refused, message).with_hint(
            "install Android's platform tools (Debian and Ubuntu: `apt install adb`), put `adb` on the PATH, or set \
             ANDROID_HOME to the SDK",
        )
    })
}
