//! Moves one file over the adb transport, or runs `true` many times, and prints how long that took:
//! `adb_push push|pull|true SERIAL SERVER FILE REMOTE`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farmctl::domain::{AdbEndpoint, TransportConfig};
use farmctl::transport::{Command, ConnectOptions, connect, run_collect};

const LIMIT: Duration = Duration::from_secs(60);
const ROUND_TRIPS: u32 = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, serial, server, file, remote] = arguments.as_slice() else {
        return Err("usage: adb_push push|pull|true SERIAL SERVER FILE REMOTE".into());
    };
    let endpoint = AdbEndpoint { serial: Some(serial.clone()), server: Some(server.clone()), ..AdbEndpoint::default() };
    let options = ConnectOptions {
        home: PathBuf::from("/nonexistent"),
        user: String::new(),
        agent_socket: None,
        environment: Arc::new(|_| None),
        accept_new: false,
        connect_timeout: LIMIT,
    };
    let transport = connect(&TransportConfig::Adb(endpoint), &options).await?;
    let started = Instant::now();
    match what.as_str() {
        "push" => {
            let mut source = tokio::fs::File::open(file).await?;
            transport.write(remote, 0, &mut source, LIMIT, &mut |_| {}).await?;
        }
        "pull" => tokio::fs::write(file, transport.read(remote, 0, u64::MAX >> 1, LIMIT).await?).await?,
        _ => {
            for _ in 0..ROUND_TRIPS {
                run_collect(transport.as_ref(), &Command::new(["true"], LIMIT), b"", 1000).await?;
            }
        }
    }
    eprintln!("{:.3} s", started.elapsed().as_secs_f64());
    transport.close().await;
    Ok(())
}
