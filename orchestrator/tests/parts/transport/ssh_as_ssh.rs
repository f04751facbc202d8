//! What the person's own `ssh` lets in, farmctl lets in, and what it keeps out is told in its words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use farmctl::domain::SshEndpoint;
use farmctl::transport::{Command, ErrorKind, TransportError, run_collect};
use testlab::{Agent, Board, BoardOptions, KeyPair};

use super::suite::LONG;
use super::support::{board, board_with, endpoint, options, refused, try_connect};

/// A board and a home whose `~/.ssh/config` leads there.
struct Configured {
    board: Board,
    home: tempfile::TempDir,
}

impl Configured {
    fn new(board: Board) -> Configured {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::copy(&board.known_hosts, home.path().join(".ssh/known_hosts")).unwrap();
        Configured { board, home }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The lines are those of `Host b`, beside where it is.
    async fn connect(&self, lines: &str, agent: Option<&Agent>) -> Result<(), TransportError> {
        self.connect_within(options(self.home.path()).connect_timeout, lines, agent).await
    }

    async fn connect_within(&self, limit: Duration, lines: &str, agent: Option<&Agent>) -> Result<(), TransportError> {
        let place = format!("HostName 127.0.0.1\nPort {}\nUser {}\n", self.board.port, self.board.user);
        self.write(".ssh/config", &format!("Host b\n{place}{lines}\n"));
        let mut options = options(self.home.path());
        options.connect_timeout = limit;
        options.agent_socket = agent.map(|agent| agent.socket.clone());
        let alias = SshEndpoint { host: "b".to_owned(), ..SshEndpoint::default() };
        try_connect(alias, &options).await.map(drop)
    }

    fn key(&self) -> String {
        format!("IdentityFile {}", self.board.identity.path.display())
    }
}

/// Signs a user's key, and puts the certificate where no key lies beside it.
fn certificate(authority: &KeyPair, key: &KeyPair, user: &str, place: &Path) {
    let public = key.path.with_extension("pub");
    let mut words = vec!["-q", "-s", authority.path.to_str().unwrap(), "-I", "lab", "-n", user, "-V", "always:forever"];
    words.push(public.to_str().unwrap());
    assert!(Program::new("ssh-keygen").args(words).status().unwrap().success());
    fs::rename(key.path.with_file_name("user-cert.pub"), place).unwrap();
}

#[tokio::test]
async fn a_certificate_counts_whose_key_only_the_agent_has() {
    let home = tempfile::tempdir().unwrap();
    let authority = KeyPair::generate(&home.path().join("ca"), "ed25519", "").unwrap();
    let trusted = home.path().join("trusted");
    fs::write(&trusted, authority.public().unwrap()).unwrap();
    let server_config = format!("TrustedUserCAKeys {}", trusted.display());
    let it = Configured::new(board_with(&BoardOptions { server_config, ..BoardOptions::default() }));
    for kind in ["ed25519", "rsa"] {
        let key = KeyPair::generate(&home.path().join("user"), kind, "").unwrap();
        let signed = home.path().join("elsewhere.pub");
        certificate(&authority, &key, &it.board.user, &signed);
        let agent = Agent::start().unwrap();
        agent.add(&key, "").unwrap();
        fs::remove_file(&key.path).unwrap();
        for named in ["", &format!("IdentityFile {}.pub\nIdentitiesOnly yes\n", key.path.display())] {
            let lines = format!("{named}CertificateFile {}", signed.display());
            it.connect(&lines, Some(&agent)).await.unwrap_or_else(|error| panic!("{lines}: failed to {error}"));
        }
        fs::remove_file(key.path.with_extension("pub")).unwrap();
    }
}

#[tokio::test]
async fn a_revoked_host_key_lets_nobody_in() {
    let it = Configured::new(board());
    let (key, public) = (it.key(), it.board.host_key.public().unwrap());
    let revoked = it.write("revoked", &format!("# stolen\n{public}\n"));
    let lines = format!("{key}\nRevokedHostKeys {}", revoked.display());
    let error = it.connect(&lines, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostKeyChanged, "{error}");
    assert!(error.message.contains("is revoked by") && error.message.contains("revoked:2"), "{error}");
    it.write("revoked", "# nobody\n");
    it.connect(&lines, None).await.unwrap();
    fs::remove_file(revoked).unwrap();
    assert_eq!(it.connect(&lines, None).await.unwrap_err().kind, ErrorKind::HostKeyUnknown);
}

#[tokio::test]
async fn a_server_whose_certificate_does_not_count_is_known_by_its_key() {
    let home = tempfile::tempdir().unwrap();
    let authority = KeyPair::generate(&home.path().join("ca"), "ed25519", "").unwrap();
    let host_key = KeyPair::generate(&home.path().join("host"), "ed25519", "").unwrap();
    let (ca, own) = (authority.public().unwrap(), host_key.public().unwrap());
    for faulty in [["-n", "127.0.0.1", "-V", "20200101:20210101"], ["-n", "elsewhere", "-V", "always:forever"]] {
        let mut words = vec!["-q", "-s", authority.path.to_str().unwrap(), "-I", "lab", "-h"];
        words.extend(faulty);
        let public = host_key.path.with_extension("pub");
        words.push(public.to_str().unwrap());
        assert!(Program::new("ssh-keygen").args(words).status().unwrap().success());
        let server_config = format!(
            "HostKey {}\nHostCertificate {}",
            host_key.path.display(),
            home.path().join("host-cert.pub").display()
        );
        let it = Configured::new(board_with(&BoardOptions { server_config, ..BoardOptions::default() }));
        let known = |text: &str| it.write(".ssh/known_hosts", text);
        let authority = format!("@cert-authority * {ca}\n");
        known(&authority);
        let error = it.connect(&it.key(), None).await.unwrap_err();
        assert!(error.message.contains("its certificate, by ") && error.message.contains("does not count"), "{error}");
        known(&format!("{authority}[127.0.0.1]:{} {own}\n", it.board.port));
        it.connect(&it.key(), None).await.unwrap_or_else(|error| panic!("{faulty:?}: failed to {error}"));
        known(&format!("{authority}[127.0.0.1]:{} {own}\n@revoked * {own}\n", it.board.port));
        assert!(it.connect(&it.key(), None).await.unwrap_err().message.contains("is revoked by"));
    }
}

#[tokio::test]
async fn an_agent_that_hangs_is_named_and_keys_in_files_count_all_the_same() {
    let it = Configured::new(board());
    let socket = it.home.path().join("agent");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let place = format!("IdentityAgent {}", socket.display());
    it.connect(&format!("{}\n{place}", it.key()), None).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let error = it.connect(&place, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginMissing, "{error}");
    assert!(error.hint.unwrap().contains("does not answer: it told nothing within 2 s"));
}

#[tokio::test]
async fn a_key_that_the_agent_may_not_sign_with_was_not_refused_by_the_server() {
    let it = Configured::new(board());
    let agent = Agent::start().unwrap();
    // It asks a person, whom nobody can reach.
    let mut add = Program::new("ssh-add");
    add.args(["-q", "-c"]).arg(&it.board.identity.path).env("SSH_AUTH_SOCK", &agent.socket);
    assert!(add.status().unwrap().success());
    let error = it.connect("", Some(&agent)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginMissing, "{error}");
    assert!(error.message.contains("the ssh agent did not sign with it"), "{error}");
    assert!(!error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_proxy_command_that_hangs_is_named_and_no_server() {
    let it = Configured::new(board());
    let lines = format!("{}\nProxyCommand sleep 60", it.key());
    let error = it.connect_within(Duration::from_secs(2), &lines, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.message.contains("nothing came through its ProxyCommand within"), "{error}");
    assert!(error.message.ends_with("the ProxyCommand \"sleep 60\" said nothing"), "{error}");
}

#[tokio::test]
async fn a_command_tells_host_keys_and_one_that_fails_lets_nobody_in() {
    let it = Configured::new(board());
    let public = it.board.host_key.public().unwrap();
    let key = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
    fs::remove_file(it.home.path().join(".ssh/known_hosts")).unwrap();
    let command = |body: &str| {
        let path = it.write("keys", &format!("#!/bin/sh\necho \"$@\" >> {}/asked\n{body}\n", it.home.path().display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}\nKnownHostsCommand \"{}\" %I %H %t %f 100%%", it.key(), path.display())
    };
    it.connect(&command(&format!("echo \"$2 {key}\"")), None).await.unwrap();
    // Before keys are agreed on, and of the key that was shown.
    let (name, asked) = (format!("[127.0.0.1]:{}", it.board.port), it.home.path().join("asked"));
    let told = fs::read_to_string(&asked).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], format!("ORDER {name} NONE NONE 100%"));
    assert!(lines[1].starts_with(&format!("HOSTNAME {name} ssh-ed25519 SHA256:")), "{told}");
    // It tells of nobody, of another key, of a revoked one, and nothing at all.
    let error = it.connect(&command("echo \"elsewhere {key}\""), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.contains("/keys tells"), "{error}");
    let other = KeyPair::generate(&it.home.path().join("other"), "ed25519", "").unwrap().public().unwrap();
    let error = it.connect(&command(&format!("echo \"$2 {}\"", other.trim())), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostKeyChanged, "{error}");
    assert!(error.hint.unwrap().contains("correct what the command tells"));
    let error = it.connect(&command(&format!("echo \"@revoked * {key}\"")), None).await.unwrap_err();
    assert!(error.message.contains("is revoked by KnownHostsCommand"), "{error}");
    let error = it.connect(&command("echo no network >&2; exit 3"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostKeyUnknown, "{error}");
    assert!(error.message.contains("exit status: 3: «no network»"), "{error}");
    let error = it.connect(&format!("{}\nKnownHostsCommand keys", it.key()), None).await.unwrap_err();
    assert!(error.message.contains("a whole path only"), "{error}");
    it.connect(&format!("{}\nKnownHostsCommand none\nNoHostAuthenticationForLocalhost yes", it.key()), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_on_this_host_may_have_any_key_where_the_configuration_says_so() {
    let it = Configured::new(board());
    fs::write(it.home.path().join(".ssh/known_hosts"), "").unwrap();
    let kind = |lines: &str| {
        let lines = format!("{}\n{lines}", it.key());
        let it = &it;
        async move { it.connect(&lines, None).await.map_err(|error| error.kind) }
    };
    let yes = "NoHostAuthenticationForLocalhost yes";
    assert_eq!(kind("").await, Err(ErrorKind::HostKeyUnknown));
    assert_eq!(kind("NoHostAuthenticationForLocalhost no").await, Err(ErrorKind::HostKeyUnknown));
    assert_eq!(kind(yes).await, Ok(()));
    // By a name of its own, or behind a program, it is not known to be this host.
    assert_eq!(kind(&format!("{yes}\nHostKeyAlias other")).await, Err(ErrorKind::HostKeyUnknown));
    let relay = format!("{yes}\nProxyCommand bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3'");
    assert_eq!(kind(&relay).await, Err(ErrorKind::HostKeyUnknown));
    // A key that is revoked stays so.
    let revoked = it.write("revoked", &it.board.host_key.public().unwrap());
    let lines = format!("{yes}\nRevokedHostKeys {}", revoked.display());
    assert_eq!(kind(&lines).await, Err(ErrorKind::HostKeyChanged));
}

#[tokio::test]
async fn a_banner_in_another_encoding_is_named_and_no_cable() {
    let home = tempfile::tempdir().unwrap();
    let banner = home.path().join("banner");
    fs::write(&banner, b"Bienvenue au caf\xe9\n").unwrap();
    let server_config = format!("Banner {}", banner.display());
    let board = board_with(&BoardOptions { server_config, ..BoardOptions::default() });
    let error = refused(endpoint(&board), &options(home.path())).await;
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    assert!(error.message.contains("UTF-8") && error.hint.unwrap().contains("`Banner`"));
}

#[tokio::test]
async fn a_proxy_command_that_fails_is_told_in_its_own_words() {
    let it = Configured::new(board());
    let lines = format!("{}\nProxyCommand sh -c \"echo no route to there >&2; exit 7\"", it.key());
    let error = it.connect(&lines, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.message.contains("exit status: 7") && error.message.contains("«no route to there»"), "{error}");
    assert!(!error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_file_that_was_never_offered_is_not_called_refused() {
    let it = Configured::new(board());
    let stranger = KeyPair::generate(&it.home.path().join("stranger"), "ed25519", "").unwrap();
    let open = it.write("open", &fs::read_to_string(&it.board.identity.path).unwrap());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let lines = format!("IdentityFile {}\nIdentityFile {}", stranger.path.display(), open.display());
    let error = it.connect(&lines, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginRefused);
    let (refused, unusable) = error.message.split_once("it was not shown").unwrap();
    assert!(refused.contains("stranger") && !refused.contains("/open") && unusable.contains("/open"), "{error}");
}

#[tokio::test]
async fn a_login_shell_may_print_megabytes_and_merge_its_streams() {
    let home = tempfile::tempdir().unwrap();
    for (number, begins) in [
        "head -c 3000000 /dev/zero | tr '\\0' x; echo",
        "head -c 1000000 /dev/zero | tr '\\0' y >&2; echo >&2",
        "exec 2>&1; echo hello",
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do read x; done",
    ]
    .into_iter()
    .enumerate()
    {
        let shell = home.path().join(format!("shell-{number}"));
        fs::write(&shell, format!("#!/bin/sh\n{begins}\nexec /bin/sh \"$@\"\n")).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        let board = board_with(&BoardOptions { login_shell: Some(shell), ..BoardOptions::default() });
        let transport = try_connect(endpoint(&board), &options(home.path())).await.unwrap();
        let command = Command::new(["sh", "-c", "cat; echo well"], LONG);
        let finished = run_collect(transport.as_ref(), &command, b"all ", 1000).await;
        let finished = finished.unwrap_or_else(|error| panic!("{begins}: failed to {error}"));
        assert_eq!(finished.stdout, b"all well\n", "{begins}");
        let missing = Command::new(["nothing-of-this-name"], LONG);
        let error = run_collect(transport.as_ref(), &missing, b"", 1000).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::CommandNotFound, "{begins}: {error}");
        transport.write("pushed", 0, &mut &b"12345"[..], LONG, &mut |_| {}).await.unwrap();
        assert_eq!(fs::read(board.home.join("pushed")).unwrap(), b"12345");
    }
}
