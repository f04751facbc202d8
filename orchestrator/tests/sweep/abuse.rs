//! What a client may do to a daemon, by intent or not, while another client is served all the same.
//!
//! Each story is done by a client at an address of its own, and is still going on while the other one asks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use super::api::RARELY;
use super::daemon::Daemon;
use super::http::{Viewer, address, get, get_json, post};
use super::support::{Lab, QUICK, farm, local_device, runtime};

/// Whoever abuses the daemon does it from here.
const ABUSER: &str = "127.0.0.2:0";
/// The other client has its answer within this time, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(10);
/// The daemon's memory stays below this, whatever is sent.
const MOST_MEMORY_KB: u64 = 400 << 10;

/// Carries a story out, and returns what keeps it going on.
type Story = fn(&Abuser) -> Vec<TcpStream>;

const STORIES: [(&str, Story); 12] = [
    ("heads that never end", heads_that_never_end),
    ("bodies that never end", bodies_that_never_end),
    ("520 connections that say nothing", half_open_connections),
    ("a head of a megabyte", huge_heads),
    ("a body of ten gigabytes", huge_bodies),
    ("a body in parts without end", endless_parts),
    ("answers that nobody takes", untaken_answers),
    ("what is no HTTP", garbage),
    ("requests whose senders are gone", senders_that_are_gone),
    ("three hundred that look on", viewers),
    ("values in values in values", deep_values),
    ("long paths and questions", long_paths),
];

/// A client that means no good.
struct Abuser {
    daemon: SocketAddr,
    runtime: Runtime,
}

impl Abuser {
    /// A connection, if it gets one.
    fn connect(&self) -> Option<TcpStream> {
        let connected = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(ABUSER.parse().unwrap())?;
            socket.connect(self.daemon).await?.into_std()
        });
        let stream = connected.ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }

    /// So many connections that have sent this, as far as it was taken.
    fn send(&self, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
        let mut streams: Vec<TcpStream> = (0..count).filter_map(|_| self.connect()).collect();
        for stream in &mut streams {
            let _ = stream.write_all(bytes);
        }
        streams
    }

    /// A request that changes something, up to its body.
    fn post_head(&self, path: &str, length: &str) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Farmctl: 1\r\nContent-Type: application/json\r\n{length}\r\n\r\n",
            self.daemon
        )
    }

    fn get(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.daemon)
    }
}

/// The status of the answer; `None` where the connection was ended without one.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}

/// Each is refused by one of these statuses, as too much at once, or by the end of its connection.
fn refused(mut streams: Vec<TcpStream>, by: &[u16]) -> Vec<TcpStream> {
    for stream in &mut streams {
        let status = status(stream);
        assert!(status.is_none_or(|status| status == 429 || by.contains(&status)), "{status:?}");
    }
    streams
}

fn heads_that_never_end(abuser: &Abuser) -> Vec<TcpStream> {
    abuser.send(64, b"GET /api/v1/lab HTTP/1.1\r\nHost: loc")
}

fn bodies_that_never_end(abuser: &Abuser) -> Vec<TcpStream> {
    let head = abuser.post_head("/api/v1/devices/this-host/lock", "Content-Length: 50");
    abuser.send(64, format!("{head}{{").as_bytes())
}

fn half_open_connections(abuser: &Abuser) -> Vec<TcpStream> {
    abuser.send(520, b"")
}

fn huge_heads(abuser: &Abuser) -> Vec<TcpStream> {
    let head = format!("GET /api/v1/lab HTTP/1.1\r\nHost: {}\r\nX-A: {}\r\n\r\n", abuser.daemon, "a".repeat(1 << 20));
    refused(abuser.send(16, head.as_bytes()), &[431, 400])
}

fn huge_bodies(abuser: &Abuser) -> Vec<TcpStream> {
    let head = abuser.post_head("/api/v1/preview", "Content-Length: 10000000000");
    let body = " ".repeat(4 << 20);
    refused(abuser.send(16, format!("{head}{body}").as_bytes()), &[413])
}

fn endless_parts(abuser: &Abuser) -> Vec<TcpStream> {
    let head = abuser.post_head("/api/v1/preview", "Transfer-Encoding: chunked");
    let part = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    refused(abuser.send(16, format!("{head}{}", part.repeat(64)).as_bytes()), &[413])
}

fn untaken_answers(abuser: &Abuser) -> Vec<TcpStream> {
    let many = abuser.get("/api/v1/openapi.json").repeat(50);
    abuser.send(128, many.as_bytes())
}

fn garbage(abuser: &Abuser) -> Vec<TcpStream> {
    let noise: Vec<u8> = (0..40_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let both =
        "POST /api/v1/preview HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut streams = Vec::new();
    for bytes in [
        &noise,
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /api/v1/lab HTTP/1.1\r\n\r\n",
        b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
        &[0; 8192],
        both.as_bytes(),
    ] {
        streams.extend(refused(abuser.send(4, bytes), &[400, 403, 404, 405, 421, 431, 505]));
    }
    streams
}

fn senders_that_are_gone(abuser: &Abuser) -> Vec<TcpStream> {
    for _ in 0..500 {
        drop(abuser.send(1, abuser.get("/api/v1/openapi.json").as_bytes()));
    }
    Vec::new()
}

fn viewers(abuser: &Abuser) -> Vec<TcpStream> {
    abuser.send(300, abuser.get("/api/v1/events").as_bytes())
}

fn deep_values(abuser: &Abuser) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for body in ["[".repeat(60_000), "{\"file\":".repeat(7_000), format!("{{\"file\":\"{}\"}}", "a".repeat(60_000))] {
        let head = abuser.post_head("/api/v1/preview", &format!("Content-Length: {}", body.len()));
        streams.extend(refused(abuser.send(8, format!("{head}{body}").as_bytes()), &[400, 422]));
    }
    streams
}

fn long_paths(abuser: &Abuser) -> Vec<TcpStream> {
    let long = "a".repeat(15_000);
    let mut streams = Vec::new();
    for path in [
        format!("/{long}"),
        format!("/reports/{long}/x"),
        format!("/api/v1/sweeps?q={long}"),
        format!("/api/v1/sweeps?q={}", "%00+".repeat(3_000)),
        format!("/api/v1/devices/{}/history", "%2e%2e%2f".repeat(1_000)),
        format!("/api/v1/sweeps?before=x.{long}"),
    ] {
        streams.extend(refused(abuser.send(4, abuser.get(&path).as_bytes()), &[200, 400, 404, 414, 431]));
    }
    streams
}

fn memory_kb(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn another_client_is_served_whatever_one_does() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", RARELY);
    let daemon = Daemon::start(&lab, "d", &[]);
    let at = address(&lab, &daemon);
    let abuser = Abuser { daemon: at, runtime: runtime() };
    let mut viewer = Viewer::open(at);
    for (number, (name, story)) in STORIES.into_iter().enumerate() {
        println!("{name}");
        let going_on = story(&abuser);
        let asked_at = Instant::now();
        assert!(get_json(at, "/api/v1/lab")["devices"].is_object(), "{name}");
        let (status, _) = post(at, "/api/v1/preview", &json!({"file": "configs/quick.yaml"}));
        assert_eq!(status, 200, "{name}");
        // Who looks on hears what happens meanwhile.
        let why = format!("story {number}.");
        let lock = json!({"minutes": 60, "why": why});
        assert_eq!(post(at, "/api/v1/devices/this-host/lock", &lock).0, 200, "{name}");
        viewer.wait_for(|text| text.contains(&why));
        assert!(asked_at.elapsed() < PATIENCE, "{name}: served after {:?}", asked_at.elapsed());
        drop(going_on);
    }
    assert_eq!(get(at, "/readyz"), (200, b"ready\n".to_vec()));
    assert!(memory_kb(&daemon) < MOST_MEMORY_KB, "{} kB", memory_kb(&daemon));
    assert!(!daemon.told().contains("panicked"), "{}", daemon.told());
    assert!(daemon.stop().success());
}
