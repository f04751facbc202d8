//! Moves one file over the ssh transport, for `bench/ssh-push`:
//! `ssh_push push|pull HOST PORT USER IDENTITY KNOWN_HOSTS FILE REMOTE`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use farmctl::domain::{SshEndpoint, TransportConfig};
use farmctl::transport::{ConnectOptions, connect};

const STALL_LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, host, port, user, identity, known_hosts, file, remote] = arguments.as_slice() else {
        return Err("usage: ssh_push push|pull HOST PORT USER IDENTITY KNOWN_HOSTS FILE REMOTE".into());
    };
    let endpoint = SshEndpoint {
        host: host.clone(),
        port: Some(port.parse()?),
        user: Some(user.clone()),
        identity_file: Some(identity.into()),
        known_hosts: Some(known_hosts.into()),
        ..SshEndpoint::default()
    };
    let options = ConnectOptions {
        home: PathBuf::from("/nonexistent"),
        user: user.clone(),
        agent_socket: None,
        environment: Arc::new(|_| None),
        accept_new: false,
        connect_timeout: STALL_LIMIT,
    };
    let transport = connect(&TransportConfig::Ssh(endpoint), &options).await?;
    if what == "pull" {
        tokio::fs::write(file, transport.read(remote, 0, u64::MAX >> 1, STALL_LIMIT).await?).await?;
    } else {
        let mut source = tokio::fs::File::open(file).await?;
        transport.write(remote, 0, &mut source, STALL_LIMIT, &mut |_| {}).await?;
    }
    transport.close().await;
    Ok(())
}
