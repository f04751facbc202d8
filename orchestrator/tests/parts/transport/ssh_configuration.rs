//! Connecting by ssh as a person's own configuration says: options, commands, certificates, jump hosts.

use std::fs;
use std::path::{Path, PathBuf};

use farmctl::domain::{HostKeyChecking, SshEndpoint, TransportConfig};
use farmctl::transport::{ErrorKind, address};

use testlab::{Agent, Board, BoardOptions, ClosedPort, KeyPair};

use super::ssh::{Home, says, ssh_keygen};
use super::support::{board, board_with, endpoint, options, refused, try_connect};

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

    let port = ClosedPort::take().unwrap();
    let closed = SshEndpoint { port: Some(port.port()), ..behind.clone() };
    let error = refused(closed, &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains(&format!("127.0.0.1:{}", jump.port)), "{error}");

    home.write(".ssh/config", "Host ring\n  ProxyJump ring\n");
    let ring = SshEndpoint { host: "ring".into(), ..SshEndpoint::default() };
    assert_eq!(refused(ring, &options(home.path())).await.kind, ErrorKind::NameUnknown);
}
