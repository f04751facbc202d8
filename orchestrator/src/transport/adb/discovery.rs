//! What a person asks a server who looks for devices.
//!
//! Main function: [`list_devices`]. Connects to no device.

use std::sync::Arc;
use std::time::Duration;

use super::address::ServerAddress;
use super::devices::AdbDevice;
use super::heal::{Patience, heal_server};
use super::server::Server;
use crate::transport::{ConnectOptions, ErrorKind, TransportError};

impl AdbDevice {
    /// What a person can do about a device that can't be used.
    pub fn remedy(&self) -> Option<String> {
        if self.is_ready() { None } else { self.unusable("").hint }
    }
}

/// What a server lists; one of this host is started when it isn't running, or hangs.
///
/// # Errors
/// When the server can't be started, or does not answer within the deadline.
pub async fn list_devices(
    server: Option<&str>,
    options: &ConnectOptions,
    deadline: Duration,
) -> Result<Vec<AdbDevice>, TransportError> {
    let address = ServerAddress::resolve(server, &options.environment)?;
    let server = Server { address, environment: Arc::clone(&options.environment) };
    heal_server(&server, Patience::of(options.connect_timeout)).await?;
    server.devices(deadline).await
}

/// A device that announces itself by mDNS, and that the server may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedDevice {
    /// Name that it announces: `adb-` and its serial number.
    pub name: String,
    /// Kind of service: `_adb-tls-connect._tcp` can be connected to, `_adb-tls-pairing._tcp` wants to be paired.
    pub service: String,
    /// `host:port`.
    pub address: String,
}

/// Devices on the network that an adb server has heard of by mDNS; none where the server knows no mDNS. Starts no
/// server.
///
/// # Errors
/// When the server does not answer within the deadline.
pub async fn list_announced(
    server: Option<&str>,
    options: &ConnectOptions,
    deadline: Duration,
) -> Result<Vec<AnnouncedDevice>, TransportError> {
    let address = ServerAddress::resolve(server, &options.environment)?;
    let server = Server { address, environment: Arc::clone(&options.environment) };
    let announced = match server.mdns_services(deadline).await {
        // An old server, or one that was built without.
        Err(error) if error.kind == ErrorKind::Protocol => return Ok(Vec::new()),
        other => other?,
    };
    let announced = announced.into_iter().map(|service| AnnouncedDevice {
        name: service.service_name,
        service: service.reg_type,
        address: service.socket_v4.to_string(),
    });
    Ok(announced.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_ready_needs_no_remedy() {
        let device = |state: &str| AdbDevice { state: state.to_owned(), ..AdbDevice::default() };
        assert_eq!(device("device").remedy(), None);
        assert!(device("unauthorized").remedy().is_some());
    }
}
