//! What goes wrong on the way to a board and with its login, and what a person is told.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use farmctl::domain::{HostKey, SshEndpoint};
use farmctl::transport::{Command, ErrorKind, Transport, run_collect};
use futures::StreamExt as _;
use testlab::{Board, BoardOptions, ClosedPort, Direction, FaultProxy, KeyPair};

use super::ssh::{Home, says};
use super::suite::{self, LONG};
use super::support::{board, board_with, endpoint, options, refused, try_connect};

#[tokio::test]
async fn every_way_of_not_connecting_has_its_kind() {
    let (board, home) = (board(), Home::new());
    let mut options = options(home.path());
    options.connect_timeout = Duration::from_secs(3);
    let closed = ClosedPort::take().unwrap();
    let refused_port = SshEndpoint { port: Some(closed.port()), ..endpoint(&board) };
    assert_eq!(refused(refused_port, &options).await.kind, ErrorKind::Refused);
    let no_name = SshEndpoint { host: "no-such-host.invalid".into(), ..endpoint(&board) };
    assert_eq!(refused(no_name, &options).await.kind, ErrorKind::NameUnknown);
    // A listener whose queue is full drops new connections, as a black-holed address does.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(stream);
    }
    let silent = SshEndpoint { port: Some(address.port()), ..endpoint(&board) };
    assert_eq!(refused(silent, &options).await.kind, ErrorKind::Unreachable);
    board.freeze();
    assert_eq!(refused(endpoint(&board), &options).await.kind, ErrorKind::Timeout);
    board.thaw();
    options.connect_timeout = LONG;
    try_connect(endpoint(&board), &options).await.unwrap();
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    proxy.garble(Direction::ToClient);
    let garbled = SshEndpoint { port: Some(proxy.address().port()), ..endpoint(&board) };
    let kind = refused(garbled, &options).await.kind;
    assert!(matches!(kind, ErrorKind::Protocol | ErrorKind::ConnectionLost), "{kind}");
}

/// A connection to a board through a proxy, as an endpoint.
fn through(board: &Board, proxy: &FaultProxy) -> SshEndpoint {
    let key = HostKey(board.host_key.public().unwrap());
    SshEndpoint { port: Some(proxy.address().port()), host_key: Some(key), ..endpoint(board) }
}

/// Each cut is made on a connection of its own, behind each byte of a login in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_cut_at_each_byte_is_a_lost_connection() {
    let board = board();
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    try_connect(through(&board, &proxy), &options(&board.home)).await.unwrap().close().await;
    for (direction, first) in [(Direction::ToClient, 0), (Direction::ToServer, 5)] {
        let whole = proxy_bytes_of_a_login(&board, direction).await;
        assert!(whole > 850, "{whole} bytes are no login");
        let each = (first..whole).map(|bytes| {
            let board = &board;
            async move {
                let proxy = FaultProxy::start(board.address()).await.unwrap();
                // Another test may look whether its own server has this port yet.
                proxy.cut_each(direction, bytes);
                let result = try_connect(through(board, &proxy), &options(&board.home)).await;
                let error = result.err().unwrap_or_else(|| panic!("{direction:?} {bytes}: it was let in"));
                assert_eq!(error.kind, ErrorKind::ConnectionLost, "{direction:?} {bytes}: {error}");
                assert!(!error.message.contains("refused"), "{direction:?} {bytes}: {error}");
            }
        });
        futures::stream::iter(each).buffer_unordered(16).collect::<Vec<()>>().await;
    }
}

/// How many bytes go this way until a login is made.
async fn proxy_bytes_of_a_login(board: &Board, direction: Direction) -> u64 {
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    let transport = try_connect(through(board, &proxy), &options(&board.home)).await.unwrap();
    let bytes = proxy.bytes(direction);
    transport.close().await;
    // What sshd says behind its word that the login is good is no part of it.
    if direction == Direction::ToClient { bytes - bytes / 4 } else { bytes }
}

#[tokio::test]
async fn a_login_that_runs_nothing_is_told_so_in_its_own_words() {
    let sftp_only = || "ForceCommand internal-sftp".to_owned();
    for (shell, server_config, words) in [
        ("/usr/sbin/nologin", String::new(), "This account is currently not available."),
        ("/bin/rbash", String::new(), "restricted"),
        ("/bin/sh", sftp_only(), "This service allows sftp connections only."),
    ] {
        let options_of = BoardOptions { login_shell: Some(shell.into()), server_config, ..BoardOptions::default() };
        let board = board_with(&options_of);
        let transport = try_connect(endpoint(&board), &options(&board.home)).await.unwrap();
        let command = Command::new(["true"], LONG);
        let error = run_collect(transport.as_ref(), &command, b"", 1 << 20).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginRunsNothing, "{shell}: {error}");
        assert!(error.message.contains("runs no commands") && error.message.contains(words), "{shell}: {error}");
    }
}

/// As a line `exec fish` in a start file does.
#[tokio::test]
async fn a_start_file_that_starts_another_shell_is_told_before_that_gets_any_input() {
    for other in ["fish", "tcsh", "bash"] {
        let home = Home::new();
        let shell = home.write("shell", &format!("#!/bin/sh\nexec {other}\n"));
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        let board = board_with(&BoardOptions { login_shell: Some(shell), ..BoardOptions::default() });
        let transport = try_connect(endpoint(&board), &options(&board.home)).await.unwrap();
        let command = Command::new(["true"], LONG);
        let error = run_collect(transport.as_ref(), &command, b"", 1 << 20).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginRunsNothing, "{other}: {error}");
        assert!(error.hint.unwrap().contains("an `exec` of another shell"), "{other}");
    }
}

#[tokio::test]
async fn a_banner_is_shown_with_a_refusal() {
    let home = Home::new();
    let banner = home.write("banner", "AUTHORIZED USE ONLY\n");
    let server_config = format!("Banner {}", banner.display());
    let board = board_with(&BoardOptions { server_config, ..BoardOptions::default() });
    let key = KeyPair::generate(&home.path().join("stranger"), "ed25519", "").unwrap();
    let error = refused(SshEndpoint { identity_file: Some(key.path), ..endpoint(&board) }, &options(home.path())).await;
    assert!(error.message.contains("«AUTHORIZED USE ONLY»"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_one_session_runs_one_command_after_the_other() {
    let board = board_with(&BoardOptions { server_config: "MaxSessions 1".to_owned(), ..BoardOptions::default() });
    let transport = try_connect(endpoint(&board), &options(&board.home)).await.unwrap();
    let each = (0..6).map(|_| says(&transport, &["echo", "well"]));
    assert!(futures::future::join_all(each).await.iter().all(|said| said == "well"));
}

#[tokio::test]
async fn too_many_keys_are_a_refusal_in_the_servers_own_words() {
    let board = board_with(&BoardOptions { server_config: "MaxAuthTries 1".to_owned(), ..BoardOptions::default() });
    let home = Home::new();
    for name in ["id_ed25519", "id_ecdsa"] {
        KeyPair::generate(&home.path().join(".ssh").join(name), &name[3..], "").unwrap();
    }
    let error = refused(SshEndpoint { identity_file: None, ..endpoint(&board) }, &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::LoginRefused, "{error}");
    assert!(error.message.contains("Too many authentication failures"), "{error}");
}

/// A connection to a board through a proxy that can break it.
async fn proxied(board: &Board) -> (Arc<dyn Transport>, FaultProxy) {
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    let transport = try_connect(through(board, &proxy), &options(&board.home)).await.unwrap();
    (transport, proxy)
}

#[tokio::test]
async fn a_cut_write_fails_keeps_what_arrived_and_goes_on_from_there() {
    let board = board();
    let content = suite::pattern(10_000_000);
    let path = board.home.join("pushed");
    let (transport, proxy) = proxied(&board).await;
    proxy.cut_after(Direction::ToServer, 4_000_000);
    let error = transport.write("pushed", 0, &mut content.as_slice(), LONG, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    assert!(transport.is_closed());
    assert_eq!(transport.stat("pushed", LONG).await.unwrap_err().kind, ErrorKind::ConnectionLost);

    let (transport, proxy) = proxied(&board).await;
    let there = transport.stat("pushed", LONG).await.unwrap().unwrap().size_bytes;
    assert!(there > 1_000_000 && there < 4_000_000, "{there} bytes arrived of 4,000,000 sent");
    transport.write("pushed", there, &mut &content[there as usize..], LONG, &mut |_| {}).await.unwrap();
    assert!(fs::read(&path).unwrap() == content);
    assert!(proxy.bytes(Direction::ToServer) < content.len() as u64 - there + 200_000, "only the rest was sent");
}

#[tokio::test]
async fn a_cut_command_has_not_succeeded() {
    let board = board();
    let (transport, proxy) = proxied(&board).await;
    let command = Command::new(["sh", "-c", "echo begun; exec sleep 1000"], LONG);
    let mut sink = CutAtFirstByte(&proxy, 0);
    let error = transport.run(&command, &mut tokio::io::empty(), &mut sink).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    assert_eq!(sink.1, 6);
}

struct CutAtFirstByte<'a>(&'a FaultProxy, usize);

#[async_trait::async_trait]
impl farmctl::transport::OutputSink for CutAtFirstByte<'_> {
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), farmctl::transport::TransportError> {
        self.1 += bytes.len();
        self.0.cut();
        Ok(())
    }
    async fn stderr(&mut self, _: &[u8]) -> Result<(), farmctl::transport::TransportError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stalled_board_ends_in_a_timeout_and_may_go_on_later() {
    let board = board();
    let (transport, proxy) = proxied(&board).await;
    proxy.stall();
    let short = Duration::from_secs(1);
    let content = suite::pattern(20_000_000);
    let error = transport.write("stalled", 0, &mut content.as_slice(), short, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(transport.stat("stalled", short).await.unwrap_err().kind, ErrorKind::Timeout);
    proxy.pass();
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
    board.freeze();
    let command = Command::new(["true"], short);
    let error = run_collect(transport.as_ref(), &command, b"", 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    board.thaw();
}

#[tokio::test]
async fn a_slow_write_is_no_stalled_one() {
    let board = board();
    let (transport, proxy) = proxied(&board).await;
    proxy.slow(400_000);
    // Takes longer than the stall limit, though the whole of it fits into the window of the server at once.
    let content = suite::pattern(1_200_000);
    transport.write("slow", 0, &mut content.as_slice(), Duration::from_secs(2), &mut |_| {}).await.unwrap();
    assert!(fs::read(board.home.join("slow")).unwrap() == content);
}
