//! A client of the daemon's API, as plain as can be: tests send what no library would.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::daemon::{Daemon, wait_until};
use super::support::Lab;

/// No answer takes longer, however slow the machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// Where a daemon says that it is reached.
pub fn address(lab: &Lab, daemon: &Daemon) -> SocketAddr {
    daemon.wait_for("page and API: ");
    let path = lab.path(".farm/daemon.json");
    wait_until(|| path.is_file(), || daemon.told());
    let said: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let url = said["url"].as_str().unwrap();
    assert!(daemon.told().contains(url), "{url} in {}", daemon.told());
    url.split_once("://").unwrap().1.trim_end_matches('/').parse().unwrap()
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Sends it as it is; returns status and body.
pub fn send(address: SocketAddr, text: &str) -> (u16, Vec<u8>) {
    let mut stream = connect(address);
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer to {text}"));
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

pub fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

pub fn get_json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = get(address, path);
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

pub fn post(address: SocketAddr, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let more = "Connection: close\r\nX-Farmctl: 1\r\nContent-Type: application/json\r\n";
    let (status, answer) = send(
        address,
        &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()),
    );
    (status, serde_json::from_slice(&answer).unwrap())
}

/// A viewer of what changes.
pub struct Viewer {
    stream: TcpStream,
    pub heard: String,
}

impl Viewer {
    pub fn open(address: SocketAddr) -> Viewer {
        let mut stream = connect(address);
        stream.write_all(format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
        let mut viewer = Viewer { stream, heard: String::new() };
        viewer.wait_for(|text| text.contains("event: lab"));
        viewer
    }

    pub fn wait_for(&mut self, is_it: impl Fn(&str) -> bool) {
        let mut bytes = [0; 16 << 10];
        while !is_it(&self.heard) {
            let read = self.stream.read(&mut bytes).unwrap_or_else(|error| panic!("{error} after:\n{}", self.heard));
            assert!(read > 0, "it ended after:\n{}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
