//! Android devices through an adb server: what breaks, what comes back by itself, and what a person is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use farmctl::domain::{AdbEndpoint, TransportConfig};
use farmctl::transport::adb::{HealingNotice, list_announced, list_devices, take_healing_notices};
use farmctl::transport::{
    Command, ConnectOptions, ErrorKind, Exit, OutputSink, Transport, TransportError, address, connect, run_collect,
};
use testlab::{AdbServer, ClosedPort, Phone, PhoneOptions};
use tokio::io::{AsyncRead, ReadBuf};

use super::suite::{self, LONG};
use super::support::{adb_server, connected_old_phone, connected_phone, options, phone, phone_endpoint};

pub(super) const SHORT: Duration = Duration::from_secs(2);

/// Options with which a server may be started.
pub(super) fn with_programs() -> ConnectOptions {
    let home = std::env::temp_dir();
    ConnectOptions { environment: Arc::new(|name| std::env::var(name).ok()), ..options(&home) }
}

pub(super) async fn reached(
    endpoint: &AdbEndpoint,
    options: &ConnectOptions,
) -> Result<Arc<dyn Transport>, TransportError> {
    connect(&TransportConfig::Adb(endpoint.clone()), options).await
}

pub(super) async fn refused(endpoint: &AdbEndpoint, options: &ConnectOptions) -> TransportError {
    match reached(endpoint, options).await {
        Ok(_) => panic!("connected, against expectation"),
        Err(error) => error,
    }
}

pub(super) async fn says(transport: &Arc<dyn Transport>, argv: &[&str]) -> String {
    let finished = run_collect(transport.as_ref(), &Command::new(argv.iter().copied(), LONG), b"", 10_000).await;
    String::from_utf8(finished.unwrap_or_else(|error| panic!("failed to {error}")).stdout).unwrap().trim().to_owned()
}

/// What was done to this test's own server.
pub(super) fn healing_of(server: &AdbServer, seen: &mut Vec<HealingNotice>) -> Vec<String> {
    // Tests of this file run at the same time, each with a server of its own.
    static SEEN: std::sync::Mutex<Vec<HealingNotice>> = std::sync::Mutex::new(Vec::new());
    let mut all = SEEN.lock().unwrap();
    all.extend(take_healing_notices());
    let own = server.address().to_string();
    seen.extend(all.extract_if(.., |notice| notice.server == own));
    seen.iter().map(|notice| notice.step.clone()).collect()
}

/// Does something at the first byte of output, once.
pub(super) struct AtFirstByte<F: FnMut() + Send>(pub(super) Option<F>);

#[async_trait::async_trait]
impl<F: FnMut() + Send> OutputSink for AtFirstByte<F> {
    async fn stdout(&mut self, _: &[u8]) -> Result<(), TransportError> {
        if let Some(mut action) = self.0.take() {
            action();
        }
        Ok(())
    }
    async fn stderr(&mut self, _: &[u8]) -> Result<(), TransportError> {
        Ok(())
    }
}

pub(super) async fn interrupted(
    transport: &Arc<dyn Transport>,
    deadline: Duration,
    action: impl FnMut() + Send,
) -> TransportError {
    let command = Command::new(["sh", "-c", "echo begun; exec sleep 1000"], deadline);
    transport.run(&command, &mut tokio::io::empty(), &mut AtFirstByte(Some(action))).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_during_a_command_is_a_lost_connection_and_comes_back() {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_phone(&phone, &server).await;
    let error = interrupted(&transport, LONG, || phone.kill_daemon().unwrap()).await;
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    let error = refused(&phone_endpoint(&phone, &server), &options(&std::env::temp_dir())).await;
    assert!(matches!(error.kind, ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::ConnectionLost), "{error}");
    phone.restart_daemon().unwrap();
    let transport = connected_phone(&phone, &server).await;
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_phone_whose_daemon_dies_is_a_lost_connection_and_a_write_goes_on_behind_its_last_part() {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_old_phone(&phone, &server).await;
    let error = interrupted(&transport, LONG, || phone.kill_daemon().unwrap()).await;
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    phone.restart_daemon().unwrap();
    let transport = connected_old_phone(&phone, &server).await;
    let content = suite::pattern(20_000_000);
    let begun = 3_000_000;
    let path = phone.data_path("local/tmp/pushed");
    std::fs::write(&path, &content[..begun]).unwrap();
    let arrived = || std::fs::metadata(&path).unwrap().len();
    let mut killed = false;
    let mut progress = |_| {
        if !killed && arrived() > begun as u64 {
            phone.kill_daemon().unwrap();
            killed = true;
        }
    };
    let rest = &mut &content[begun..];
    let error = transport.write(PUSHED, begun as u64, rest, LONG, &mut progress).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    phone.restart_daemon().unwrap();
    go_on(&connected_old_phone(&phone, &server).await, &phone, &content).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_old_phone_long_commands_run_and_nothing_is_left_behind() {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_old_phone(&phone, &server).await;
    let long = "x".repeat(9_000);
    assert_eq!(says(&transport, &["echo", &long]).await, long);
    let script = "cat; ls -a /data/local/tmp >&2; exec kill -KILL $$";
    let command = Command::new(["sh", "-c", script], LONG);
    let finished = run_collect(transport.as_ref(), &command, b"input", 10_000).await.unwrap();
    assert_eq!((finished.exit, finished.stdout.as_slice()), (Exit::Signal(9), b"input".as_slice()));
    let listed = String::from_utf8(finished.stderr).unwrap();
    assert!(listed.starts_with(".\n") && !listed.contains("farmctl"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_phone_ends_in_a_timeout_and_is_as_good_as_before_once_it_goes_on() {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_phone(&phone, &server).await;
    let error = interrupted(&transport, SHORT, || phone.freeze()).await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    let content = suite::pattern(20_000_000);
    let path = "/data/local/tmp/stalled";
    let error = transport.write(path, 0, &mut content.as_slice(), SHORT, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(transport.stat(path, SHORT).await.unwrap_err().kind, ErrorKind::Timeout);
    phone.thaw();
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_be_silent_and_a_daemon_may_not() {
    let (phone, server) = (phone(), adb_server());
    let options = ConnectOptions { connect_timeout: SHORT, ..options(&std::env::temp_dir()) };
    // The first connection may take longer than that.
    connected_phone(&phone, &server).await;
    let transport = reached(&phone_endpoint(&phone, &server), &options).await.unwrap();
    assert_eq!(says(&transport, &["sh", "-c", "sleep 7; echo well"]).await, "well");
    let error = interrupted(&transport, LONG, || phone.freeze_daemon()).await;
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    phone.thaw_daemon();
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
    server.kill();
    let error = run_collect(transport.as_ref(), &Command::new(["true"], LONG), b"", 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "the way that was there is gone: {error}");
}

/// Gives its second half only once something has come about.
struct Gated<F> {
    content: Vec<u8>,
    given: usize,
    has_come_about: F,
    is_open: bool,
}

impl<F: FnMut() -> bool + Unpin> AsyncRead for Gated<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.is_open && self.given > self.content.len() / 2 {
            self.is_open = (self.has_come_about)();
            if !self.is_open {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let end = self.content.len().min(self.given + to.remaining());
        to.put_slice(&self.content[self.given..end]);
        self.given = end;
        Poll::Ready(Ok(()))
    }
}

const PUSHED: &str = "/data/local/tmp/pushed";
/// Bytes of it that have to be there before something breaks.
const ARRIVED: u64 = 1_000_000;

/// Pushes the rest of a file that broke off.
async fn go_on(transport: &Arc<dyn Transport>, phone: &Phone, content: &[u8]) {
    let there = transport.stat(PUSHED, LONG).await.unwrap().unwrap().size_bytes;
    assert!(there > ARRIVED && there < content.len() as u64, "{there} bytes arrived");
    transport.write(PUSHED, there, &mut &content[there as usize..], LONG, &mut |_| {}).await.unwrap();
    assert!(std::fs::read(phone.data_path("local/tmp/pushed")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_breaks_keeps_what_arrived_and_goes_on_from_there() {
    let (phone, server) = (phone(), adb_server());
    let folder = phone.data_path("local/tmp");
    let names = || -> Vec<_> { std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
    for (is_old, daemon_dies) in [(false, false), (true, false), (false, true), (true, true)] {
        let connected = async || match is_old {
            false => connected_phone(&phone, &server).await,
            true => connected_old_phone(&phone, &server).await,
        };
        let transport = connected().await;
        // As of a push whose host was gone before anything else could be.
        std::fs::write(folder.join("pushed.sync-0"), "x").unwrap();
        let breaks = || {
            let arrived = std::fs::metadata(folder.join("pushed")).map_or(0, |facts| facts.len());
            if arrived > ARRIVED {
                match daemon_dies {
                    true => phone.kill_daemon().unwrap(),
                    false => server.disconnect(phone.address()).unwrap(),
                }
            }
            arrived > ARRIVED
        };
        let content = suite::pattern(20_000_000);
        let mut source = Gated { content: content.clone(), given: 0, has_come_about: breaks, is_open: false };
        let error = transport.write(PUSHED, 0, &mut source, LONG, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
        if daemon_dies {
            phone.restart_daemon().unwrap();
        }
        go_on(&connected().await, &phone, &content).await;
        assert_eq!(names(), ["pushed"], "nothing else is left");
        std::fs::remove_file(folder.join("pushed")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_a_read_only_file_system_too() {
    let options = PhoneOptions { data_size_bytes: Some(8 << 20), ..PhoneOptions::default() };
    let (phone, server) = (Phone::start_with(&options).unwrap(), adb_server());
    for transport in [connected_phone(&phone, &server).await, connected_old_phone(&phone, &server).await] {
        for (path, kind) in [("/data/local/tmp/big", ErrorKind::DiskFull), ("/proc/big", ErrorKind::File)] {
            let content = suite::pattern(16_000_000);
            let error = transport.write(path, 0, &mut content.as_slice(), LONG, &mut |_| {}).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(path), "{error}");
            transport.remove("/data/local/tmp/big", LONG).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_with_what_is() {
    let (phone, server) = (phone(), adb_server());
    server.connect(phone.address()).unwrap();
    let options = options(&std::env::temp_dir());
    let serial = phone.address().to_string().replace("6001", "6010");
    let wrong = AdbEndpoint { serial: Some(serial), address: None, ..phone_endpoint(&phone, &server) };
    let error = refused(&wrong, &options).await;
    assert_eq!(error.kind, ErrorKind::Refused, "a serial number with a port is connected to: {error}");
    assert!(error.hint.unwrap().contains(&format!("did you mean {}", phone.address())));

    let closed =
        AdbEndpoint { address: Some(format!("{}:1", phone.address().ip())), ..phone_endpoint(&phone, &server) };
    let error = refused(&closed, &options).await;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");

    let listed = list_devices(Some(&server.address().to_string()), &options, LONG).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].serial.as_str(), listed[0].connection()), (phone.address().to_string().as_str(), "tcp"));
    assert!(listed[0].is_ready());
    let announced = list_announced(Some(&server.address().to_string()), &options, LONG).await.unwrap();
    assert!(announced.iter().all(|device| device.service.starts_with("_adb")), "{announced:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_and_without_adb_a_person_is_told_what_to_install() {
    let closed = ClosedPort::take().unwrap();
    let port = closed.port();
    let endpoint =
        AdbEndpoint { serial: Some("R58".into()), server: Some(format!("127.0.0.1:{port}")), ..AdbEndpoint::default() };
    let options = options(&std::env::temp_dir());
    let error = refused(&endpoint, &options).await;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.message.contains(&port.to_string()), "{error}");
    assert!(error.hint.unwrap().contains("apt install adb"));
    let config = TransportConfig::Adb(endpoint.clone());
    assert_eq!(address(&config, &options), format!("adb R58 by server 127.0.0.1:{port}"));
    let plain = TransportConfig::Adb(AdbEndpoint { server: None, ..endpoint });
    assert_eq!(address(&plain, &options), "adb R58");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_holds_nobody_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = AdbEndpoint {
        serial: Some("R58".into()),
        server: Some(listener.local_addr().unwrap().to_string()),
        ..AdbEndpoint::default()
    };
    let options = ConnectOptions { connect_timeout: SHORT, ..with_programs() };
    let started = Instant::now();
    let error = refused(&endpoint, &options).await;
    assert!(started.elapsed() < LONG, "it came back");
    // It listens, but it is no adb: nothing is killed.
    assert!(error.message.contains("not adb"), "{error}");
}
