//! Connecting by ssh: the right host, the right login, and what goes wrong on the way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::Arc;
use std::time::Duration;

use farmctl::domain::{HostKey, SecretSource, SshEndpoint, TransportConfig};
use farmctl::transport::{Command, ErrorKind, Transport, address, run_collect};
use testlab::{Agent, Board, BoardOptions, Direction, FaultProxy, KeyPair};

use super::suite::{self, LONG};
use super::support::{board, board_with, endpoint, options, refused, try_connect};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        Home(home)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn ssh_keygen(arguments: &[&str]) -> String {
    let output = Program::new("ssh-keygen").args(arguments).output().expect("ssh-keygen: install openssh-client");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn says(transport: &Arc<dyn Transport>, argv: &[&str]) -> String {
    let finished =
        run_collect(transport.as_ref(), &Command::new(argv.iter().copied(), LONG), b"", 10_000).await.unwrap();
    String::from_utf8(finished.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_until_it_is_accepted_on_purpose() {
    let (board, home) = (board(), Home::new());
    let unknown = SshEndpoint { known_hosts: None, ..endpoint(&board) };
    let mut options = options(home.path());
    let error = refused(unknown.clone(), &options).await;
    assert_eq!(error.kind, ErrorKind::HostKeyUnknown);
    let fingerprint = ssh_keygen(&["-lf", board.host_key.path.to_str().unwrap()]);
    assert!(error.message.contains(fingerprint.split(' ').nth(1).unwrap()), "{error}");
    assert!(error.hint.unwrap().contains("--accept-new"));
    let file = home.path().join(".ssh/known_hosts");
    assert!(!file.exists(), "nothing is written without being asked");

    options.accept_new = true;
    try_connect(unknown.clone(), &options).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // ssh's own tool reads what was written.
    ssh_keygen(&["-F", &format!("[127.0.0.1]:{}", board.port), "-f", file.to_str().unwrap()]);

    options.accept_new = false;
    try_connect(unknown, &options).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_naming_file_and_line() {
    let (board, other, home) = (board(), board(), Home::new());
    let line = format!("[127.0.0.1]:{} {}\n", board.port, other.host_key.public().unwrap());
    let file =
        home.write("known", &format!("# a comment\n\nother.example {}\n{line}", board.host_key.public().unwrap()));
    let wrong = SshEndpoint { known_hosts: Some(file.clone()), ..endpoint(&board) };
    for accept_new in [false, true] {
        let mut options = options(home.path());
        options.accept_new = accept_new;
        let error = refused(wrong.clone(), &options).await;
        assert_eq!(error.kind, ErrorKind::HostKeyChanged);
        assert!(error.message.contains(&format!("{}:4", file.display())), "{error}");
        assert!(error.hint.unwrap().contains("ssh-keygen"));
    }
}

#[tokio::test]
async fn hashed_lines_lists_wildcards_and_revoked_keys_are_understood() {
    let (board, home) = (board(), Home::new());
    let (name, key) = (format!("[127.0.0.1]:{}", board.port), board.host_key.public().unwrap());
    let file = home.write("known", &format!("{name} {key}\nother.example {key}\n"));
    ssh_keygen(&["-H", "-f", file.to_str().unwrap()]);
    assert!(fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let known = SshEndpoint { known_hosts: Some(file.clone()), ..endpoint(&board) };
    try_connect(known.clone(), &options(home.path())).await.unwrap();
    ssh_keygen(&["-R", &name, "-f", file.to_str().unwrap()]);
    assert_eq!(refused(known.clone(), &options(home.path())).await.kind, ErrorKind::HostKeyUnknown);

    for (text, expected) in [
        (format!("other.example,{name} {key} a comment\n"), None),
        (format!("[127.0.0.*]:* {key}\n"), None),
        (format!("[127.0.0.*]:*,!{name} {key}\n"), Some(ErrorKind::HostKeyUnknown)),
        (format!("127.0.0.1 {key}\n"), Some(ErrorKind::HostKeyUnknown)),
        (format!("@cert-authority {name} {key}\n"), Some(ErrorKind::HostKeyUnknown)),
        (format!("{name} {key}\n@revoked * {key}\n"), Some(ErrorKind::HostKeyChanged)),
    ] {
        fs::write(&file, &text).unwrap();
        let result = try_connect(known.clone(), &options(home.path())).await;
        assert_eq!(result.err().map(|error| error.kind), expected, "{text}");
    }
}

#[tokio::test]
async fn a_pinned_host_key_counts_alone() {
    let (board, home) = (board(), Home::new());
    let fingerprint = ssh_keygen(&["-lf", board.host_key.path.to_str().unwrap()]).split(' ').nth(1).unwrap().to_owned();
    for pin in [board.host_key.public().unwrap(), fingerprint] {
        let pinned = SshEndpoint { known_hosts: None, host_key: Some(HostKey(pin)), ..endpoint(&board) };
        try_connect(pinned, &options(home.path())).await.unwrap();
    }
    let wrong = HostKey("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
    let error = refused(SshEndpoint { host_key: Some(wrong), ..endpoint(&board) }, &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::HostKeyChanged);
}

#[tokio::test]
async fn keys_of_every_kind_open_a_board() {
    let home = Home::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let board = board_with(&BoardOptions { host_key_kind: kind.to_owned(), ..BoardOptions::default() });
        let key = KeyPair::generate(&home.path().join(kind), kind, "").unwrap();
        fs::write(board.home.join(".ssh/authorized_keys"), key.public().unwrap() + "\n").unwrap();
        let own = SshEndpoint { identity_file: Some(key.path), ..endpoint(&board) };
        try_connect(own, &options(home.path())).await.unwrap_or_else(|error| panic!("{kind}: failed to {error}"));
    }
}

#[tokio::test]
async fn the_default_key_files_are_tried() {
    let (board, home) = (board(), Home::new());
    let plain = SshEndpoint { identity_file: None, ..endpoint(&board) };
    let error = refused(plain.clone(), &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::LoginRefused);
    assert!(error.message.contains("nothing to log in with") && error.message.contains("publickey"), "{error}");
    fs::copy(&board.identity.path, home.path().join(".ssh/id_ed25519")).unwrap();
    try_connect(plain, &options(home.path())).await.unwrap();
}

#[tokio::test]
async fn a_refused_login_tells_what_was_tried_but_no_secret() {
    let board = board_with(&BoardOptions { passwords: true, ..BoardOptions::default() });
    let home = Home::new();
    let key = KeyPair::generate(&home.path().join("stranger"), "ed25519", "").unwrap();
    let password = home.write("password", "wrong-secret\n");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    for source in [SecretSource::File(password), SecretSource::Environment("BOARD_PASSWORD".to_owned())] {
        let mut options = options(home.path());
        options.environment = Arc::new(|name| (name == "BOARD_PASSWORD").then(|| "wrong-secret".to_owned()));
        let wrong = SshEndpoint { identity_file: Some(key.path.clone()), password: Some(source), ..endpoint(&board) };
        let error = refused(wrong, &options).await;
        assert_eq!(error.kind, ErrorKind::LoginRefused);
        let text = format!("{error:?}");
        assert!(text.contains("stranger") && text.contains("password"), "{text}");
        assert!(!text.contains("wrong-secret"), "{text}");
    }
    let missing = SecretSource::Environment("NOT_SET".to_owned());
    let unset = SshEndpoint { identity_file: Some(key.path), password: Some(missing), ..endpoint(&board) };
    let error = refused(unset, &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::LoginRefused);
    assert!(error.message.contains("NOT_SET"), "{error}");
}

#[tokio::test]
async fn an_encrypted_key_works_through_the_agent() {
    let (board, home) = (board(), Home::new());
    for kind in ["ed25519", "rsa"] {
        let key = KeyPair::generate(&home.path().join(kind), kind, "it's secret").unwrap();
        fs::write(board.home.join(".ssh/authorized_keys"), key.public().unwrap() + "\n").unwrap();
        let own = SshEndpoint { identity_file: Some(key.path.clone()), ..endpoint(&board) };
        let error = refused(own.clone(), &options(home.path())).await;
        assert_eq!(error.kind, ErrorKind::LoginRefused);
        assert!(error.message.contains("encrypted"), "{error}");
        assert!(error.hint.unwrap().contains("ssh-add"));

        let agent = Agent::start().unwrap();
        agent.add(&key, "it's secret").unwrap();
        let mut options = options(home.path());
        options.agent_socket = Some(agent.socket.clone());
        try_connect(own, &options).await.unwrap();
        // And with no file named, the agent's keys come first.
        try_connect(SshEndpoint { identity_file: None, ..endpoint(&board) }, &options).await.unwrap();
    }
}

#[tokio::test]
async fn the_ssh_configuration_of_the_person_is_honoured() {
    let (board, home) = (board(), Home::new());
    fs::copy(&board.identity.path, home.path().join(".ssh/board key")).unwrap();
    fs::copy(&board.known_hosts, home.path().join(".ssh/boards_known")).unwrap();
    home.write(
        ".ssh/config",
        &format!(
            "Include conf.d/*.conf\nMatch user somebody\n  Port 1\nHost board-* !board-2\n  HostName=127.0.0.1\n  Port {}\n  \
             IdentityFile \"%d/.ssh/board key\"\n  UserKnownHostsFile ~/.ssh/boards_known\n  User nobody\nHost *\n  Port 1\n",
            board.port
        ),
    );
    fs::create_dir(home.path().join(".ssh/conf.d")).unwrap();
    home.write(".ssh/conf.d/user.conf", &format!("Host board-1\n  User {}\n", board.user));
    let alias = SshEndpoint { host: "board-1".to_owned(), ..SshEndpoint::default() };
    let transport = try_connect(alias.clone(), &options(home.path())).await.unwrap();
    assert_eq!(says(&transport, &["pwd"]).await, board.home.to_str().unwrap());
    let config = TransportConfig::Ssh(alias.clone());
    assert_eq!(address(&config, &options(home.path())), format!("ssh {}@127.0.0.1:{}", board.user, board.port));
    // What the farm file says wins.
    let explicit = TransportConfig::Ssh(SshEndpoint { user: Some("other".into()), port: Some(7), ..alias });
    assert_eq!(address(&explicit, &options(home.path())), "ssh other@127.0.0.1:7");
    home.write(".ssh/config", "Host x\n  Port many\n");
    let error = refused(SshEndpoint { host: "x".into(), ..SshEndpoint::default() }, &options(home.path())).await;
    assert!(error.message.contains(".ssh/config:2"), "{error}");
}

#[tokio::test]
async fn a_board_behind_a_jump_host_is_reached() {
    let (jump, board, home) = (board(), board(), Home::new());
    let both = format!(
        "{}{}",
        fs::read_to_string(&jump.known_hosts).unwrap(),
        fs::read_to_string(&board.known_hosts).unwrap()
    );
    let known = home.write("known", &both);
    fs::write(jump.home.join(".ssh/authorized_keys"), board.identity.public().unwrap() + "\n").unwrap();
    let proxy_jump = Some(format!("{}@127.0.0.1:{}", jump.user, jump.port));
    let behind = SshEndpoint { known_hosts: Some(known), proxy_jump, ..endpoint(&board) };
    let transport = try_connect(behind.clone(), &options(home.path())).await.unwrap();
    assert_eq!(says(&transport, &["pwd"]).await, board.home.to_str().unwrap());

    let closed = SshEndpoint { port: Some(closed_port()), ..behind.clone() };
    let error = refused(closed, &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains(&format!("127.0.0.1:{}", jump.port)), "{error}");

    home.write(".ssh/config", "Host ring\n  ProxyJump ring\n");
    let ring = SshEndpoint { host: "ring".into(), ..SshEndpoint::default() };
    assert_eq!(refused(ring, &options(home.path())).await.kind, ErrorKind::NameUnknown);
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn every_way_of_not_connecting_has_its_kind() {
    let (board, home) = (board(), Home::new());
    let mut options = options(home.path());
    options.connect_timeout = Duration::from_secs(3);
    let refused_port = SshEndpoint { port: Some(closed_port()), ..endpoint(&board) };
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

/// A connection to a board through a proxy that can break it.
async fn proxied(board: &Board) -> (Arc<dyn Transport>, FaultProxy) {
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    let key = HostKey(board.host_key.public().unwrap());
    let through = SshEndpoint { port: Some(proxy.address().port()), host_key: Some(key), ..endpoint(board) };
    let transport = try_connect(through, &options(&board.home)).await.unwrap();
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
