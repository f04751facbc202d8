//! Virtual boards: real ssh servers on loopback.
//!
//! Main type: [`Board`]. Each has its own host key, port, home folder and login key. As root, a board lives in a mount
//! namespace of its own with its own /etc/passwd, so that the login starts in the board's home with the board's shell.
//! Otherwise OpenSSH runs each command through a small script that sets the home; that server kills no command on
//! request, since it does not for forced commands.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use crate::board_layout::Layout;
use crate::folder::LabFolder;
use crate::keys::KeyPair;
use crate::process::{Owned, kill_one, signal_one};
use crate::{LabError, SmallDisk};

/// A fresh one at each look.
pub(crate) const NEW_BOOT_ID: &str = "/proc/sys/kernel/random/uuid";
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
    pub(crate) fn name(self) -> &'static str {
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
    /// Size of the disk with its home folder, which can then get full; `None` for as much as the host has. Needs root.
    pub disk_size_bytes: Option<u64>,
    /// Lines of sshd's configuration, before all others: the first value of a keyword counts.
    pub server_config: String,
}

impl Default for BoardOptions {
    fn default() -> BoardOptions {
        BoardOptions {
            server: Server::OpenSsh,
            host_key_kind: "ed25519".to_owned(),
            passwords: false,
            login_shell: None,
            port: None,
            disk_size_bytes: None,
            server_config: String::new(),
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
    options: Box<BoardOptions>,
    process: Mutex<Owned>,
    layout: Layout,
    disk: Option<SmallDisk>,
    folder: LabFolder,
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
        let name = options.server.name();
        let user = User::from_uid(Uid::effective()).ok().flatten();
        let user = user.ok_or(LabError::NotReady { server: name, reason: "who am I?".to_owned() })?;
        let folder = LabFolder::create("testlab-")?;
        let disk = options.disk_size_bytes.map(|size_bytes| SmallDisk::mount(size_bytes, false)).transpose()?;
        let home = disk.as_ref().map_or(folder.path(), SmallDisk::path).join("home");
        let layout = Layout::create(folder.path(), home.clone(), options, &user)?;
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS {
            let port = options.port.map_or_else(free_port, Ok)?;
            match layout.launch(options, port) {
                Ok(process) => {
                    let known_hosts = folder.path().join("known_hosts");
                    let line = format!("[127.0.0.1]:{port} {}\n", layout.host_key.public()?);
                    fs::write(&known_hosts, line).map_err(LabError::file("write", &known_hosts))?;
                    return Ok(Board {
                        port,
                        user: user.name,
                        identity: layout.identity.clone(),
                        host_key: layout.host_key.clone(),
                        known_hosts,
                        home,
                        options: Box::new(options.clone()),
                        process: Mutex::new(process),
                        layout,
                        disk,
                        folder,
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(LabError::NotReady { server: name, reason: "no free port".to_owned() }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Lets nobody in from now on, as while the home folders of its users are not there yet.
    ///
    /// # Errors
    /// When it did so already.
    pub fn lock_out(&self) -> Result<(), LabError> {
        let (keys, away) = self.authorized_keys();
        fs::rename(&keys, away).map_err(LabError::file("rename", &keys))
    }

    /// Lets its user in again.
    ///
    /// # Errors
    /// When nobody was locked out.
    pub fn let_in(&self) -> Result<(), LabError> {
        let (keys, away) = self.authorized_keys();
        fs::rename(&away, keys).map_err(LabError::file("rename", &away))
    }

    fn authorized_keys(&self) -> (PathBuf, PathBuf) {
        let folder = self.home.join(".ssh");
        (folder.join("authorized_keys"), folder.join("authorized_keys.away"))
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops the server and every command on it, as if the board hung.
    pub fn freeze(&self) {
        self.process().signal_family(Signal::SIGSTOP);
    }

    /// Lets a frozen board go on.
    pub fn thaw(&self) {
        self.process().signal_family(Signal::SIGCONT);
    }

    /// Stops the server with all its connections, as if it hung; commands that run on the board go on.
    pub fn freeze_daemon(&self) {
        self.signal_daemon(Signal::SIGSTOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw_daemon(&self) {
        self.signal_daemon(Signal::SIGCONT);
    }

    /// Kills the server with all its connections; commands that run on the board go on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill_daemon(&self) -> Result<(), LabError> {
        let mut process = self.process();
        let name = self.options.server.name();
        wait_until(name, || {
            let has_ended = process.has_ended();
            let servers = process.family_named(name);
            servers.iter().for_each(|server| kill_one(*server));
            has_ended && servers.is_empty()
        })
    }

    /// Starts the server again on its port, killing it before if it still runs.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart_daemon(&self) -> Result<(), LabError> {
        self.kill_daemon()?;
        let mut process = self.process();
        let next = self.layout.launch(&self.options, self.port)?;
        std::mem::replace(&mut *process, next).abandon();
        Ok(())
    }

    /// Turns it off and on: all its processes end, and as root its boot id is another one; its files stay.
    ///
    /// # Errors
    /// When its server does not start again.
    pub fn reboot(&self) -> Result<(), LabError> {
        let mut process = self.process();
        process.end();
        self.layout.write_boot_id()?;
        let next = self.layout.launch(&self.options, self.port)?;
        std::mem::replace(&mut *process, next).abandon();
        Ok(())
    }

    /// The disk with its home folder.
    ///
    /// # Errors
    /// When the board was made without a disk of its own.
    pub fn disk(&self) -> Result<&SmallDisk, LabError> {
        let reason = || "it was made without a disk of its own, and the host's is not to be filled".to_owned();
        self.disk
            .as_ref()
            .ok_or_else(|| LabError::Program { program: "fill a board's disk".to_owned(), reason: reason() })
    }

    fn signal_daemon(&self, signal: Signal) {
        let servers = self.process().family_named(self.options.server.name());
        servers.into_iter().for_each(|server| signal_one(server, signal));
    }

    fn process(&self) -> MutexGuard<'_, Owned> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
