//! What a person asks a server who looks for devices.
//!
//! Main functions: [`list_all`], [`mdns_services`]. Connects to no device.

use std::sync::Arc;
use std::time::Duration;

use super::address::ServerAddress;
use super::devices::AdbDevice;
use super::heal::{Patience, heal_server};
use super::server::Server;
use crate::transport::{ConnectOptions, TransportError};

/// A service that a phone with wireless debugging announces once it is paired.
const TLS_CONNECT: &str = "_adb-tls-connect._tcp";

/// A device that announces itself in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MdnsService {
    /// What it calls itself, for example `adb-R58M123ABCD-x7Yz`.
    pub name: String,
    /// `host:port` where it listens.
    pub address: String,
}

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
    let server = of(server, options)?;
    heal_server(&server, Patience::of(options.connect_timeout)).await?;
    server.devices(deadline).await
}

/// The devices that announce wireless debugging.
///
/// # Errors
/// When the server does not answer, or is too old to look.
pub async fn mdns_services(
    server: Option<&str>,
    options: &ConnectOptions,
    deadline: Duration,
) -> Result<Vec<MdnsService>, TransportError> {
    let text = of(server, options)?.ask("host:mdns:services", "list what the network announces", deadline).await?;
    Ok(parse_services(&text))
}

fn of(server: Option<&str>, options: &ConnectOptions) -> Result<Server, TransportError> {
    let address = ServerAddress::resolve(server, &options.environment)?;
    Ok(Server { address, environment: Arc::clone(&options.environment) })
}

/// Reads lines of name, service and address with tabs between them; other services are left out.
fn parse_services(text: &str) -> Vec<MdnsService> {
    let service = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, kind, address) = (words.next()?, words.next()?, words.next()?);
        let is_ours = kind.trim_end_matches('.') == TLS_CONNECT && address.contains(':');
        is_ours.then(|| MdnsService { name: name.to_owned(), address: address.to_owned() })
    };
    text.lines().filter_map(service).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paired_wireless_debugging_is_listed() {
        let text = "adb-R58-x7\t_adb-tls-connect._tcp\t10.0.0.7:37001\nadb-R59\t_adb-tls-pairing._tcp.\t10.0.0.8:1\n\
                    adb-R60\t_adb-tls-connect._tcp.\t10.0.0.9:37002\nhalf a line\n";
        let names: Vec<String> = parse_services(text).into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["adb-R58-x7", "adb-R60"]);
    }

    #[test]
    fn a_device_that_is_ready_needs_no_remedy() {
        let device = |state: &str| AdbDevice { state: state.to_owned(), ..AdbDevice::default() };
        assert_eq!(device("device").remedy(), None);
        assert!(device("unauthorized").remedy().is_some());
    }
}
