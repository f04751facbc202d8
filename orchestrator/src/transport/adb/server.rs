//! The services of an adb server itself, each with a deadline that ends it.
//!
//! Main type: [`Server`]. Never starts, restarts or heals anything (that is
//! `heal`).

use std::io;
use std::time::Duration;

use adb_client::server::{ADBServer, MDNSServices};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::ServerAddress;
use super::crate_calls;
use super::devices::{AdbDevice, parse_devices};
use super::handle::Handle;
use super::socket::{Refusal, ServerSocket};
use super::words::{ServerWord, server_says};
use crate::environment::EnvironmentLookup;
use crate::transport::{ErrorKind, TransportError};

/// The services of one adb server.
#[derive(Clone)]
pub(super) struct Server {
    pub address: ServerAddress,
    /// Where `adb` is looked for when the server has to be started.
    pub environment: EnvironmentLookup,
}

impl Server {
    /// The number of its version, which `adb version` has as its last: 41 of 1.0.41. Shows whether it answers at all.
    pub(super) async fn version(&self, deadline: Duration) -> Result<u32, TransportError> {
        let digits = self.ask("host:version", "ask for the version", deadline).await?;
        u32::from_str_radix(digits.trim(), 16).map_err(|_| {
            let message = format!("ask for the version at {self}: it answered {digits:?}");
            TransportError::new(ErrorKind::Protocol, message)
        })
    }

    /// What the server lists.
    pub(super) async fn devices(&self, deadline: Duration) -> Result<Vec<AdbDevice>, TransportError> {
        Ok(parse_devices(&self.ask("host:devices-l", "list the devices", deadline).await?))
    }

    /// What server and device both can do.
    pub(super) async fn features(&self, to: &Handle, deadline: Duration) -> Result<Vec<String>, TransportError> {
        let what = format!("ask what {to} can do");
        let text = self.ask(&to.request("features"), &what, deadline).await?;
        Ok(text.split(',').map(str::to_owned).collect())
    }

    /// Tells the server to connect to a device; the answer is the server's own sentence, of success or failure.
    pub(super) async fn connect_device(&self, address: &str, deadline: Duration) -> Result<String, TransportError> {
        self.ask(&format!("host:connect:{address}"), &format!("connect to {address}"), deadline).await
    }

    /// Tells the server to let go of a device that is connected over TCP.
    pub(super) async fn disconnect_device(&self, address: &str, deadline: Duration) -> Result<String, TransportError> {
        self.ask(&format!("host:disconnect:{address}"), &format!("disconnect {address}"), deadline).await
    }

    /// Tells the server to reset its connection to a device.
    pub(super) async fn reconnect_device(&self, to: &Handle, deadline: Duration) -> Result<String, TransportError> {
        self.ask(&to.request("reconnect"), &format!("reconnect {to}"), deadline).await
    }

    /// Tells the server to reset its connections to all devices that are offline.
    pub(super) async fn reconnect_offline(&self, deadline: Duration) -> Result<(), TransportError> {
        self.by_crate("reconnect what is offline", deadline, ADBServer::reconnect_offline).await
    }

    /// Ends the server.
    pub(super) async fn kill(&self, deadline: Duration) -> Result<(), TransportError> {
        self.by_crate("end the server", deadline, ADBServer::kill).await
    }

    /// What the server has heard of by mDNS: name, kind of service, address.
    pub(super) async fn mdns_services(&self, deadline: Duration) -> Result<Vec<MDNSServices>, TransportError> {
        self.by_crate("list what is announced by mDNS", deadline, ADBServer::mdns_services).await
    }

    /// A stream to a service of the device.
    pub(super) async fn open(&self, to: &Handle, service: &str, what: &str) -> Result<TcpStream, TransportError> {
        let at = format!("{to} by {self}");
        let mut socket = self.socket(what).await?;
        socket.request(&to.transport()).await.map_err(|refusal| refusal.of(what, &at))?;
        socket.request(service).await.map_err(|refusal| refusal.of(what, &at))?;
        Ok(socket.into_stream())
    }

    /// Whether the device's daemon answers: it refuses a service that it does not have, and starts nothing for that.
    pub(super) async fn is_alive(&self, to: &Handle) -> Result<(), TransportError> {
        const WHAT: &str = "look whether it is still there";
        let at = format!("{to} by {self}");
        let mut socket = self.socket(WHAT).await?;
        socket.request(&to.transport()).await.map_err(|refusal| refusal.of(WHAT, &at))?;
        match socket.request("farmctl-alive:").await {
            Ok(()) => Ok(()),
            Err(Refusal::Fail(reason)) if server_says(&reason) == ServerWord::Closed => Ok(()),
            Err(refusal) => Err(refusal.of(WHAT, &at)),
        }
    }

    async fn by_crate<T: Send + 'static>(
        &self,
        what: &str,
        deadline: Duration,
        make: impl FnOnce(&mut ADBServer) -> adb_client::Result<T> + Send + 'static,
    ) -> Result<T, TransportError> {
        match crate_calls::call(&self.address, deadline, make).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(Refusal::Broken(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(self.not_reached(what, &error))
            }
            Some(Err(refusal)) => Err(refusal.of(what, &self.to_string())),
            None => Err(self.expired(what, deadline)),
        }
    }

    async fn socket(&self, what: &str) -> Result<ServerSocket, TransportError> {
        ServerSocket::connect(&self.address).await.map_err(|error| self.not_reached(what, &error))
    }

    fn not_reached(&self, what: &str, error: &io::Error) -> TransportError {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
            _ => ErrorKind::Unreachable,
        };
        TransportError::new(kind, format!("{what} at {self}: {error}"))
            .with_hint("start it there: `adb -a -P PORT server nodaemon`, or `adb start-server` on its own host")
    }

    fn expired(&self, what: &str, deadline: Duration) -> TransportError {
        let message = format!("{what} at {self}: no answer within {} s", deadline.as_secs_f64());
        TransportError::new(ErrorKind::Timeout, message)
    }

    async fn ask(&self, service: &str, what: &str, deadline: Duration) -> Result<String, TransportError> {
        let exchange = async {
            let mut socket = self.socket(what).await?;
            let told = |refusal: Refusal| refusal.of(what, &self.to_string());
            socket.request(service).await.map_err(told)?;
            socket.text().await.map_err(|error| told(error.into()))
        };
        timeout(deadline, exchange).await.unwrap_or_else(|_| Err(self.expired(what, deadline)))
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "adb server {}", self.address)
    }
}
