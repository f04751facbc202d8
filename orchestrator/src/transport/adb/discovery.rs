//! What a person asks a server who looks for devices.
//!
//! Main function: [`list_all`]. Connects to no device.

use std::sync::Arc;
use std::time::Duration;

use super::address::ServerAddress;
use super::devices::AdbDevice;
use super::heal::{Patience, heal_server};
use super::server::Server;
use crate::transport::{ConnectOptions, TransportError};

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
pub async fn list_all(
    server: Option<&str>,
    options: &ConnectOptions,
    deadline: Duration,
) -> Result<Vec<AdbDevice>, TransportError> {
    let address = ServerAddress::resolve(server, &options.environment)?;
    let server = Server { address, environment: Arc::clone(&options.environment) };
    heal_server(&server, Patience::of(options.connect_timeout)).await?;
    server.devices(deadline).await
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
