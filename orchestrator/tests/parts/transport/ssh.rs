//! Connecting by ssh: the right host, the right login, and what goes wrong on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::Arc;

use farmctl::domain::{HostKey, SecretSource, SshEndpoint};
use farmctl::transport::{Command, ErrorKind, Transport, run_collect};

use testlab::{Agent, BoardOptions, KeyPair};

use super::suite::LONG;
use super::support::{board, board_with, endpoint, options, refused, try_connect};

pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Home {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        Home(home)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

pub(super) fn ssh_keygen(arguments: &[&str]) -> String {
    let output = Program::new("ssh-keygen").args(arguments).output().expect("ssh-keygen: install openssh-client");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) async fn says(transport: &Arc<dyn Transport>, argv: &[&str]) -> String {
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
