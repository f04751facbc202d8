//! Boards, phones and connections for the transport tests.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use farmctl::domain::{AdbEndpoint, SshEndpoint, TransportConfig};
use farmctl::environment::EnvironmentLookup;
use farmctl::transport::{ConnectOptions, Transport, TransportError, connect};
use testlab::{AdbServer, Board, BoardOptions, Phone};

/// Options of a person with an empty environment.
pub fn options(home: &Path) -> ConnectOptions {
    ConnectOptions {
        home: home.to_owned(),
        user: "nobody-in-particular".to_owned(),
        agent_socket: None,
        environment: Arc::new(|_| None),
        accept_new: false,
        connect_timeout: Duration::from_secs(60),
    }
}

pub fn board() -> Board {
    board_with(&BoardOptions::default())
}

pub fn board_with(options: &BoardOptions) -> Board {
    Board::start_with(options).unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Everything that is needed to log in.
pub fn endpoint(board: &Board) -> SshEndpoint {
    SshEndpoint {
        host: "127.0.0.1".to_owned(),
        port: Some(board.port),
        user: Some(board.user.clone()),
        identity_file: Some(board.identity.path.clone()),
        known_hosts: Some(board.known_hosts.clone()),
        ..SshEndpoint::default()
    }
}

pub async fn try_connect(
    endpoint: SshEndpoint,
    options: &ConnectOptions,
) -> Result<Arc<dyn Transport>, TransportError> {
    connect(&TransportConfig::Ssh(endpoint), options).await
}

/// The error that connecting must end with.
pub async fn refused(endpoint: SshEndpoint, options: &ConnectOptions) -> TransportError {
    match try_connect(endpoint, options).await {
        Ok(_) => panic!("connected, against expectation"),
        Err(error) => error,
    }
}

pub async fn connected(board: &Board) -> Arc<dyn Transport> {
    let home = tempfile::tempdir().unwrap();
    try_connect(endpoint(board), &options(home.path())).await.unwrap_or_else(|error| panic!("failed to {error}"))
}

pub fn phone() -> Phone {
    Phone::start().unwrap_or_else(|error| panic!("failed to {error}"))
}

pub fn adb_server() -> AdbServer {
    AdbServer::start().unwrap_or_else(|error| panic!("failed to {error}"))
}

/// A phone by its address, which its server may not know yet.
pub fn phone_endpoint(phone: &Phone, server: &AdbServer) -> AdbEndpoint {
    AdbEndpoint {
        address: Some(phone.address().to_string()),
        server: Some(server.address().to_string()),
        ..AdbEndpoint::default()
    }
}

pub async fn connected_phone(phone: &Phone, server: &AdbServer) -> Arc<dyn Transport> {
    connected_phone_with(phone, server, &options(&std::env::temp_dir())).await
}

/// The same phone, used as one before Android 7.
pub async fn connected_old_phone(phone: &Phone, server: &AdbServer) -> Arc<dyn Transport> {
    let environment: EnvironmentLookup = Arc::new(|name| (name == "FARMCTL_ADB_SHELL").then(|| "v1".to_owned()));
    let options = ConnectOptions { environment, ..options(&std::env::temp_dir()) };
    connected_phone_with(phone, server, &options).await
}

async fn connected_phone_with(phone: &Phone, server: &AdbServer, options: &ConnectOptions) -> Arc<dyn Transport> {
    let config = TransportConfig::Adb(phone_endpoint(phone, server));
    connect(&config, options).await.unwrap_or_else(|error| panic!("failed to {error}"))
}
