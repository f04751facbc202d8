//! Connecting by ssh: the right host, the right login, and what goes wrong on the way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farmctl::domain::{HostKey, HostKeyChecking, SecretSource, SshEndpoint, TransportConfig};
use farmctl::transport::{Command, ErrorKind, Transport, address, run_collect};
use futures::StreamExt as _;
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
        (format!("127.0.0.1 {key}\n"), None),
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
    assert_eq!(error.kind, ErrorKind::LoginMissing);
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
    assert_eq!(error.kind, ErrorKind::LoginMissing);
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
        assert_eq!(error.kind, ErrorKind::LoginMissing);
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
            "Include conf.d/*.conf\nMatch user somebody\n  Port 1\nHost board-* !board-2\n  HostName=127.0.0.1\n  \
             Port {}\n  IdentityFile \"%d/.ssh/board key\"\n  UserKnownHostsFile ~/.ssh/boards_known\n  User nobody\n\
             Host *\n  Port 1\n",
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

/// A board and a home whose `~/.ssh/config` leads there; the lines are those of `Host b`, beside where it is.
struct Configured {
    board: Board,
    home: Home,
}

impl Configured {
    fn new() -> Configured {
        let configured = Configured { board: board(), home: Home::new() };
        fs::copy(&configured.board.known_hosts, configured.home.path().join(".ssh/known_hosts")).unwrap();
        configured
    }

    fn key(&self) -> PathBuf {
        self.board.identity.path.clone()
    }

    async fn connect(&self, lines: &str, agent: Option<&Agent>) -> Result<(), farmctl::transport::TransportError> {
        let place = format!("HostName 127.0.0.1\nPort {}\nUser {}\n", self.board.port, self.board.user);
        self.connect_by(&format!("Host b\n{place}{lines}\n"), agent).await
    }

    async fn connect_by(&self, config: &str, agent: Option<&Agent>) -> Result<(), farmctl::transport::TransportError> {
        self.home.write(".ssh/config", config);
        let mut options = options(self.home.path());
        options.agent_socket = agent.map(|agent| agent.socket.clone());
        let alias = SshEndpoint { host: "b".to_owned(), ..SshEndpoint::default() };
        try_connect(alias, &options).await.map(drop)
    }
}

#[tokio::test]
async fn whatever_ssh_does_with_a_configuration_is_done() {
    let it = Configured::new();
    let (key, port) = (it.key(), it.board.port);
    let host_key = it.board.host_key.public().unwrap();
    let agent = Agent::start().unwrap();
    agent.add(&it.board.identity, "").unwrap();
    let public = it.home.write("board.pub", &it.board.identity.public().unwrap());
    let stranger = KeyPair::generate(&it.home.path().join("stranger"), "ed25519", "").unwrap();
    for lines in [
        format!("IdentityFile {}\nIdentitiesOnly yes", public.display()),
        "IdentityFile ~/.ssh/id_missing".to_owned(),
        format!("IdentityFile {}\nAddKeysToAgent yes", stranger.path.display()),
    ] {
        it.connect(&lines, Some(&agent)).await.unwrap_or_else(|error| panic!("{lines}: failed to {error}"));
    }
    let error =
        it.connect(&format!("IdentityFile {}\nIdentitiesOnly yes", stranger.path.display()), Some(&agent)).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::LoginRefused, "IdentitiesOnly keeps the agent's other keys back");
    let error = it.connect(&format!("IdentityFile {}", public.display()), None).await.unwrap_err();
    assert!(error.message.contains("private key is not in the ssh agent"), "{error}");
    it.connect(&format!("IdentityAgent {}", agent.socket.display()), None).await.unwrap();

    let key = format!("IdentityFile {}", key.display());
    let known = |text: &str| drop(it.home.write(".ssh/known_hosts", text));
    known(&format!("alias {host_key}\n"));
    it.connect(&format!("{key}\nHostKeyAlias alias"), None).await.unwrap();
    known(&format!("127.0.0.1 {host_key}\n"));
    it.connect(&key, None).await.unwrap();
    known(&format!("[127.0.0.1]:{port} {host_key}\n"));
    let place = format!("HostName 127.0.0.1\nPort {port}\nUser {}\n{key}\n", it.board.user);
    for condition in ["host b", "originalhost b exec \"true\"", "all"] {
        it.connect_by(&format!("Match {condition}\n{place}"), None)
            .await
            .unwrap_or_else(|error| panic!("Match {condition}: failed to {error}"));
    }
    fs::create_dir_all(it.home.path().join("inc/a")).unwrap();
    it.home.write("inc/a/conf", &format!("Host b\n{place}"));
    it.connect_by(&format!("Include {}/inc/*/conf\n", it.home.path().display()), None).await.unwrap();
}

#[tokio::test]
async fn a_proxy_command_reaches_the_board() {
    let it = Configured::new();
    let (port, user) = (it.board.port, &it.board.user);
    let script = "import socket,sys,threading,os\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n\
                  def up():\n  while (d:=os.read(0,65536)): s.sendall(d)\n  s.shutdown(1)\n\
                  threading.Thread(target=up,daemon=True).start()\n\
                  while (d:=s.recv(65536)): os.write(1,d)\n";
    let proxy = it.home.write("proxy.py", script);
    let lines = format!(
        "Host b\nUser {user}\nIdentityFile {}\nHostKeyAlias [127.0.0.1]:{port}\n\
         ProxyCommand python3 {} 127.0.0.1 {port}\n",
        it.key().display(),
        proxy.display()
    );
    it.connect_by(&lines, None).await.unwrap_or_else(|error| panic!("failed to {error}"));
}

#[tokio::test]
async fn certificates_of_servers_and_of_users_count() {
    let home = Home::new();
    let authority = KeyPair::generate(&home.path().join("ca"), "ed25519", "").unwrap();
    let signed = |key: &Path, more: &[&str]| {
        let words = ["-q", "-s", authority.path.to_str().unwrap(), "-I", "lab"];
        ssh_keygen(&[&words[..], more, &[key.to_str().unwrap()]].concat());
    };
    let host_key = KeyPair::generate(&home.path().join("host"), "ed25519", "").unwrap();
    signed(&host_key.path.with_extension("pub"), &["-h", "-n", "127.0.0.1", "-V", "always:forever"]);
    let trusted = home.write("trusted", &authority.public().unwrap());
    let server_config = format!(
        "HostKey {}\nHostCertificate {}\nTrustedUserCAKeys {}",
        host_key.path.display(),
        home.path().join("host-cert.pub").display(),
        trusted.display()
    );
    let board = board_with(&BoardOptions { server_config, ..BoardOptions::default() });
    let user_key = KeyPair::generate(&home.path().join("user"), "ed25519", "").unwrap();
    signed(&user_key.path.with_extension("pub"), &["-n", &board.user, "-V", "always:forever"]);
    let ca = authority.public().unwrap();
    let at = |known: &str| SshEndpoint {
        known_hosts: Some(home.write("known", known)),
        identity_file: Some(user_key.path.clone()),
        ..endpoint(&board)
    };
    let options = options(home.path());
    try_connect(at(&format!("@cert-authority * {ca}\n")), &options).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(at(&format!("@cert-authority *.lab {ca}\n")), &options).await.kind, ErrorKind::HostKeyUnknown);
    let revoked = format!("@cert-authority * {ca}\n@revoked * {ca}\n");
    assert_eq!(refused(at(&revoked), &options).await.kind, ErrorKind::HostKeyChanged);
}

#[tokio::test]
async fn what_is_passed_over_is_named_with_its_line_and_chosen_in_the_farm_file() {
    let it = Configured::new();
    it.home.write(".ssh/known_hosts", "");
    let lines = format!("IdentityFile {}\nStrictHostKeyChecking accept-new", it.key().display());
    let error = it.connect(&lines, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostKeyUnknown);
    assert!(error.hint.unwrap().contains(".ssh/config:6 `StrictHostKeyChecking accept-new`"));
    let chosen = |host_key_checking| SshEndpoint {
        known_hosts: Some(it.home.path().join(".ssh/known_hosts")),
        host_key_checking,
        ..endpoint(&it.board)
    };
    try_connect(chosen(HostKeyChecking::No), &options(it.home.path())).await.unwrap();
    try_connect(chosen(HostKeyChecking::AcceptNew), &options(it.home.path())).await.unwrap();
    try_connect(chosen(HostKeyChecking::Yes), &options(it.home.path())).await.unwrap();
}

#[tokio::test]
async fn rsa_with_sha1_is_a_choice() {
    let server_config = "HostKeyAlgorithms ssh-rsa\nPubkeyAcceptedAlgorithms ssh-rsa,ssh-ed25519".to_owned();
    let old = BoardOptions { host_key_kind: "rsa".to_owned(), server_config, ..BoardOptions::default() };
    let (board, home) = (board_with(&old), Home::new());
    let error = refused(endpoint(&board), &options(home.path())).await;
    assert!(error.hint.unwrap().contains("`legacy: true`"));
    try_connect(SshEndpoint { legacy: true, ..endpoint(&board) }, &options(home.path()))
        .await
        .unwrap_or_else(|error| panic!("failed to {error}"));
}

#[tokio::test]
async fn an_address_may_stand_in_brackets() {
    let (board, home) = (board(), Home::new());
    let endpoint = SshEndpoint { host: "[127.0.0.1]".to_owned(), ..endpoint(&board) };
    try_connect(endpoint, &options(home.path())).await.unwrap();
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

/// A connection to a board through a proxy, as an endpoint.
fn through(board: &Board, proxy: &FaultProxy) -> SshEndpoint {
    let key = HostKey(board.host_key.public().unwrap());
    SshEndpoint { port: Some(proxy.address().port()), host_key: Some(key), ..endpoint(board) }
}

/// Each cut is made on a connection of its own, behind each seventeenth byte of a login in both directions: from which
/// on, the day settles, so that each byte has its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_cut_at_whichever_byte_is_a_lost_connection() {
    const STEP: u64 = 17;
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    cut_logins(|bytes| bytes % STEP == day % STEP).await;
}

/// The same behind each byte: some minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: by hand, with --ignored"]
async fn a_login_that_is_cut_at_each_byte_is_a_lost_connection() {
    cut_logins(|_| true).await;
}

/// Cuts logins behind the chosen numbers of bytes.
async fn cut_logins(is_chosen: impl Fn(u64) -> bool) {
    let board = board();
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    try_connect(through(&board, &proxy), &options(&board.home)).await.unwrap().close().await;
    for (direction, first) in [(Direction::ToClient, 0), (Direction::ToServer, 5)] {
        let whole = proxy_bytes_of_a_login(&board, direction).await;
        let cuts: Vec<u64> = (first..whole).filter(|bytes| is_chosen(*bytes)).collect();
        assert!(cuts.len() > 50, "{} of {whole} bytes", cuts.len());
        let each = cuts.into_iter().map(|bytes| {
            let board = &board;
            async move {
                let proxy = FaultProxy::start(board.address()).await.unwrap();
                proxy.cut_next(direction, bytes);
                let result = try_connect(through(board, &proxy), &options(&board.home)).await;
                let error = result.err().unwrap_or_else(|| panic!("{direction:?} {bytes}: it was let in"));
                assert_eq!(error.kind, ErrorKind::ConnectionLost, "{direction:?} {bytes}: {error}");
                assert!(!error.message.contains("refused"), "{direction:?} {bytes}: {error}");
            }
        });
        futures::stream::iter(each).buffer_unordered(4).collect::<Vec<()>>().await;
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
