//! Virtual boards: real ssh servers on loopback.
//!
//! Main type: [`Board`]. Each has its own host key, port, home folder and login key. As root, a board lives in a mount
//! namespace of its own with its own /etc/passwd, so that the login starts in the board's home with the board's shell.
//! Otherwise OpenSSH runs each command through a small script that sets the home; that server kills no command on
//! request, since it does not for forced commands.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::LabError;
use crate::keys::KeyPair;
use crate::process::{Owned, find_program, run};

const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Another process may take the free port first.
const PORT_ATTEMPTS: usize = 5;

/// Which ssh server a board has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// OpenSSH's sshd, with an sftp server.
    OpenSsh,
    /// dropbear, without an sftp server. Needs root.
    Dropbear,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::OpenSsh => "sshd",
            Server::Dropbear => "dropbear",
        }
    }
}

/// How a board is made.
#[derive(Debug, Clone)]
pub struct BoardOptions {
    /// Its server.
    pub server: Server,
    /// Kind of its host key, as `ssh-keygen -t` has it.
    pub host_key_kind: String,
    /// Whether it asks for passwords too (that of the user of the test: only good for a refusal).
    pub passwords: bool,
    /// Shell of its login; `None` for /bin/sh. Needs root.
    pub login_shell: Option<PathBuf>,
    /// Port to use, for a board that comes back; `None` for a free one.
    pub port: Option<u16>,
}

impl Default for BoardOptions {
    fn default() -> BoardOptions {
        BoardOptions {
            server: Server::OpenSsh,
            host_key_kind: "ed25519".to_owned(),
            passwords: false,
            login_shell: None,
            port: None,
        }
    }
}

/// A running virtual board.
pub struct Board {
    /// Where its server listens; the address is 127.0.0.1.
    pub port: u16,
    /// Who can log in.
    pub user: String,
    /// The key that opens it.
    pub identity: KeyPair,
    /// Its host key.
    pub host_key: KeyPair,
    /// A known-hosts file that has its host key.
    pub known_hosts: PathBuf,
    /// Home folder of its login.
    pub home: PathBuf,
    process: Owned,
    folder: TempDir,
}

impl Board {
    /// Starts a board with OpenSSH.
    ///
    /// # Errors
    /// When a program is missing or the server does not start.
    pub fn start() -> Result<Board, LabError> {
        Board::start_with(&BoardOptions::default())
    }

    /// Starts a board.
    ///
    /// # Errors
    /// When a program is missing, root is needed, or the server does not start.
    pub fn start_with(options: &BoardOptions) -> Result<Board, LabError> {
        let is_root = Uid::effective().is_root();
        if !is_root && (options.server == Server::Dropbear || options.login_shell.is_some()) {
            return Err(LabError::NeedsRoot { what: "a board with dropbear or a login shell of its own" });
        }
        let user = User::from_uid(Uid::effective()).ok().flatten();
        let user = user.ok_or(LabError::NotReady { server: options.server.name(), reason: "who am I?".to_owned() })?;
        let folder = tempfile::Builder::new().prefix("testlab-").tempdir();
        let folder = folder.map_err(LabError::file("create", "a temporary folder"))?;
        let layout = Layout::create(folder.path(), options, &user)?;
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS {
            let port = options.port.map_or_else(free_port, Ok)?;
            match layout.launch(options, port, is_root) {
                Ok(process) => {
                    let Layout { identity, host_key, known_hosts, home, .. } = layout;
                    let line = format!("[127.0.0.1]:{port} {}\n", host_key.public()?);
                    fs::write(&known_hosts, line).map_err(LabError::file("write", &known_hosts))?;
                    return Ok(Board { port, user: user.name, identity, host_key, known_hosts, home, process, folder });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(LabError::NotReady { server: options.server.name(), reason: "no free port".to_owned() }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops the server and every command on it, as if the board hung.
    pub fn freeze(&self) {
        self.process.signal_family(Signal::SIGSTOP);
    }

    /// Lets a frozen board go on.
    pub fn thaw(&self) {
        self.process.signal_family(Signal::SIGCONT);
    }
}

/// Files of a board that is being made.
struct Layout {
    folder: PathBuf,
    home: PathBuf,
    identity: KeyPair,
    host_key: KeyPair,
    known_hosts: PathBuf,
}

impl Layout {
    fn create(folder: &Path, options: &BoardOptions, user: &User) -> Result<Layout, LabError> {
        let home = folder.join("home");
        let ssh = home.join(".ssh");
        for path in [&home, &ssh] {
            fs::create_dir(path).map_err(LabError::file("create", path))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(LabError::file("protect", path))?;
        }
        let identity = KeyPair::generate(&folder.join("id"), "ed25519", "")?;
        let host_key = KeyPair::generate(&folder.join("host_key"), &options.host_key_kind, "")?;
        let authorized = ssh.join("authorized_keys");
        fs::write(&authorized, identity.public()? + "\n").map_err(LabError::file("write", &authorized))?;
        let shell = options.login_shell.as_deref().unwrap_or(Path::new("/bin/sh"));
        let own_line = format!("{}:x:{}:{}::{}:{}", user.name, user.uid, user.gid, home.display(), shell.display());
        let passwd = folder.join("passwd");
        fs::write(&passwd, passwd_with(&own_line, &user.name)?).map_err(LabError::file("write", &passwd))?;
        let enter = folder.join("enter");
        fs::write(&enter, enter_script(&home)).map_err(LabError::file("write", &enter))?;
        fs::set_permissions(&enter, fs::Permissions::from_mode(0o700)).map_err(LabError::file("protect", &enter))?;
        let known_hosts = folder.join("known_hosts");
        Ok(Layout { folder: folder.to_owned(), home, identity, host_key, known_hosts })
    }

    fn launch(&self, options: &BoardOptions, port: u16, is_root: bool) -> Result<Owned, LabError> {
        let server = match options.server {
            Server::OpenSsh => self.sshd_command(options, port, is_root)?,
            Server::Dropbear => self.dropbear_command(options, port)?,
        };
        let log = self.folder.join("log");
        let mut process = if is_root {
            let passwd = self.folder.join("passwd");
            let script = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
            let mut command: Vec<&OsStr> =
                ["-m", "--propagation", "slave", "sh", "-c", script].map(OsStr::new).to_vec();
            command.push(passwd.as_os_str());
            command.extend(server.iter().map(|word| OsStr::new(word.as_str())));
            Owned::start(&find_program("unshare", "util-linux")?, &command, &self.folder, &log)?
        } else {
            let arguments: Vec<&OsStr> = server[1..].iter().map(|word| OsStr::new(word.as_str())).collect();
            Owned::start(Path::new(&server[0]), &arguments, &self.folder, &log)?
        };
        let ready = wait_until(options.server.name(), || {
            process.has_ended() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        if ready.is_err() || process.has_ended() {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(LabError::NotReady { server: options.server.name(), reason: log.trim().to_owned() });
        }
        Ok(process)
    }

    fn sshd_command(&self, options: &BoardOptions, port: u16, is_root: bool) -> Result<Vec<String>, LabError> {
        let program = find_program("sshd", "openssh-server")?;
        if is_root {
            fs::create_dir_all("/run/sshd").map_err(LabError::file("create", "/run/sshd"))?;
        }
        let folder = self.folder.display();
        let passwords = if options.passwords { "yes" } else { "no" };
        let sftp_server = sftp_server();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n\
             AuthorizedKeysFile {folder}/home/.ssh/authorized_keys\nStrictModes no\nUsePAM no\nUseDNS no\nPrintMotd no\n\
             PermitRootLogin {}\nPasswordAuthentication {passwords}\nKbdInteractiveAuthentication no\n\
             MaxStartups 100:30:200\nMaxSessions 100\nAllowTcpForwarding yes\nSetEnv {}={folder}\n\
             Subsystem sftp {sftp_server}\n",
            if options.passwords { "yes" } else { "prohibit-password" },
            crate::process::MARK,
        );
        if !is_root {
            config.push_str(&format!("ForceCommand exec {folder}/enter\n"));
        }
        let path = self.folder.join("sshd_config");
        fs::write(&path, config).map_err(LabError::file("write", &path))?;
        let words = [program.display().to_string(), "-D".into(), "-e".into(), "-f".into(), path.display().to_string()];
        Ok(words.to_vec())
    }

    fn dropbear_command(&self, options: &BoardOptions, port: u16) -> Result<Vec<String>, LabError> {
        let program = find_program("dropbear", "dropbear-bin")?;
        let key = self.folder.join("dropbear_host_key");
        if !key.exists() {
            let from = self.host_key.path.as_os_str();
            let arguments = [OsStr::new("openssh"), OsStr::new("dropbear"), from, key.as_os_str()];
            run("dropbearconvert", "dropbear-bin", &arguments)?;
        }
        // With -e commands inherit the mark.
        let mut words = vec![program.display().to_string(), "-F".into(), "-E".into(), "-m".into(), "-e".into()];
        if !options.passwords {
            words.push("-s".into());
        }
        words.extend(["-r".into(), key.display().to_string(), "-p".into(), format!("127.0.0.1:{port}")]);
        words.extend(["-P".into(), self.folder.join("pid").display().to_string()]);
        Ok(words)
    }
}

/// /etc/passwd with one user's line replaced.
fn passwd_with(line: &str, user: &str) -> Result<String, LabError> {
    let text = fs::read_to_string("/etc/passwd").map_err(LabError::file("read", "/etc/passwd"))?;
    let prefix = format!("{user}:");
    let others = text.lines().filter(|other| !other.starts_with(&prefix));
    Ok(std::iter::once(line).chain(others).map(|line| format!("{line}\n")).collect())
}

fn enter_script(home: &Path) -> String {
    format!(
        "#!/bin/sh\nHOME='{}';export HOME\ncd \"$HOME\"||exit\n\
         if [ -z \"$SSH_ORIGINAL_COMMAND\" ];then exec sh;fi\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        home.display()
    )
}

/// The program, since a forced command can't start the one within sshd.
fn sftp_server() -> String {
    let known = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
    known.iter().find(|path| Path::new(path).exists()).unwrap_or(&"internal-sftp").to_string()
}

pub(crate) fn free_port() -> Result<u16, LabError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::file("listen on", "127.0.0.1"))?;
    Ok(listener.local_addr().map_err(LabError::file("listen on", "127.0.0.1"))?.port())
}

/// Looks again and again until something is so.
pub(crate) fn wait_until(server: &'static str, mut is_so: impl FnMut() -> bool) -> Result<(), LabError> {
    let deadline = Instant::now() + READY_LIMIT;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(LabError::NotReady { server, reason: format!("not ready after {} s", READY_LIMIT.as_secs()) });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
