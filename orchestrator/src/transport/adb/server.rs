//! The services of an adb server itself, each with a deadline that ends it.
//!
//! Main type: [`Server`]. Never starts, restarts or heals anything (that is
//! `heal`).

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::ServerAddress;
use super::devices::{AdbDevice, parse_devices};
use super::socket::{Refusal, ServerSocket};
use crate::transport::{EnvironmentLookup, ErrorKind, TransportError};

/// The services of one adb server.
#[derive(Clone)]
pub(super) struct Server {
    pub address: ServerAddress,
    /// Where `adb` is looked for when the server has to be started.
    pub environment: EnvironmentLookup,
}

impl Server {
    /// Version of the protocol that the server speaks.
    pub(super) async fn version(&self, deadline: Duration) -> Result<u32, TransportError> {
        let text = self.ask("host:version", "ask for the version", deadline).await?;
        u32::from_str_radix(&text, 16).map_err(|_| {
            let message = format!("ask for the version of {self}: it answered {text:?}");
            TransportError::new(ErrorKind::Protocol, message)
        })
    }

    /// What the server lists.
    pub(super) async fn devices(&self, deadline: Duration) -> Result<Vec<AdbDevice>, TransportError> {
        Ok(parse_devices(&self.ask("host:devices-l", "list the devices", deadline).await?))
    }

    /// What server and device both can do.
    pub(super) async fn features(&self, serial: &str, deadline: Duration) -> Result<Vec<String>, TransportError> {
        let what = format!("ask what {serial} can do");
        let text = self.ask(&format!("host-serial:{serial}:features"), &what, deadline).await?;
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
    pub(super) async fn reconnect_device(&self, serial: &str, deadline: Duration) -> Result<String, TransportError> {
        self.ask(&format!("host-serial:{serial}:reconnect"), &format!("reconnect {serial}"), deadline).await
    }

    /// Tells the server to reset its connections to all devices that are offline.
    pub(super) async fn reconnect_offline(&self, deadline: Duration) -> Result<String, TransportError> {
        self.ask("host:reconnect-offline", "reconnect what is offline", deadline).await
    }

    /// Ends the server.
    pub(super) async fn kill(&self, deadline: Duration) -> Result<(), TransportError> {
        let what = "end the server";
        let exchange = async {
            let mut socket = self.socket(what).await?;
            socket.request("host:kill").await.map_err(|refusal| refusal.of(what, &self.to_string()))
        };
        self.within(deadline, what, exchange).await
    }

    /// A stream to a service of the device.
    pub(super) async fn open(&self, serial: &str, service: &str, what: &str) -> Result<TcpStream, TransportError> {
        let at = format!("{serial} by {self}");
        let mut socket = self.socket(what).await?;
        socket.request(&format!("host:transport:{serial}")).await.map_err(|refusal| refusal.of(what, &at))?;
        socket.request(service).await.map_err(|refusal| refusal.of(what, &at))?;
        Ok(socket.into_stream())
    }

    pub(super) async fn ask(&self, service: &str, what: &str, deadline: Duration) -> Result<String, TransportError> {
        let exchange = async {
            let mut socket = self.socket(what).await?;
            let told = |refusal: Refusal| refusal.of(what, &self.to_string());
            socket.request(service).await.map_err(told)?;
            socket.text().await.map_err(|error| told(error.into()))
        };
        self.within(deadline, what, exchange).await
    }

    async fn socket(&self, what: &str) -> Result<ServerSocket, TransportError> {
        ServerSocket::connect(&self.address).await.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
                _ => ErrorKind::Unreachable,
            };
            TransportError::new(kind, format!("{what} at {self}: {error}"))
                .with_hint("start it there: `adb -a -P PORT server nodaemon`, or `adb start-server` on its own host")
        })
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        what: &str,
        exchange: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        timeout(deadline, exchange).await.unwrap_or_else(|_| {
            let message = format!("{what} at {self}: no answer within {} s", deadline.as_secs_f64());
            Err(TransportError::new(ErrorKind::Timeout, message))
        })
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "adb server {}", self.address)
    }
}
