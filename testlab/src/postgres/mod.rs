//! A PostgreSQL server that belongs to one test.
//!
//! Main type: [`PostgresServer`]: a real one, with a folder of its own, reached by a socket in it and, where a test
//! wants that, by a port of 127.0.0.1. It can be stopped as by a power cut, started again, and made silent. Never
//! touches a server of the host.

mod options;
mod programs;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::LabError;
use crate::board::free_port;
use crate::folder::LabFolder;
use crate::process::{Owned, find_program, run};
pub use options::{PostgresOptions, PostgresTls};
use programs::{as_ordinary_user, of_debian, of_version, ordinary_user};

const WHAT: &str = "PostgreSQL";
const PACKAGE: &str = "postgresql";
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What it logs when it is there.
const READY: &str = "database system is ready to accept connections";
/// Names the version that is started where a test wants no certain one.
const VERSION_VARIABLE: &str = "FARMCTL_TEST_POSTGRES";
/// The user of the databases: their superuser.
const ROLE: &str = "farmctl";
/// The port that names the socket of a server that listens on no network.
const USUAL_PORT: u16 = 5432;
/// Ports that are tried: another program may take one in between.
const PORTS: usize = 5;

/// A running server.
pub struct PostgresServer {
    process: Mutex<Option<Owned>>,
    programs: PathBuf,
    /// Where `psql` is.
    client: PathBuf,
    options: PostgresOptions,
    port: u16,
    folder: LabFolder,
}

impl PostgresServer {
    /// Makes one, and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<PostgresServer, LabError> {
        PostgresServer::start_with(PostgresOptions::default())
    }

    /// The same with these options.
    ///
    /// # Errors
    /// As for [`PostgresServer::start`]; and when the version can't be had.
    pub fn start_with(options: PostgresOptions) -> Result<PostgresServer, LabError> {
        let client = of_debian()?;
        let wanted = || std::env::var(VERSION_VARIABLE).ok()?.parse().ok();
        let options = PostgresOptions { version: options.version.or_else(wanted), ..options };
        let folder = LabFolder::create("testlab-postgres-")?;
        give_away(folder.path())?;
        let programs = match options.version {
            Some(version) => of_version(version, folder.path())?,
            None => client.clone(),
        };
        let mut server =
            PostgresServer { process: Mutex::new(None), programs, client, options, port: USUAL_PORT, folder };
        let data = server.data();
        let words = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username", ROLE, "--pgdata"];
        let mut words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        words.push(data.as_os_str());
        server.run_as_ordinary("initdb", &words)?;
        server.let_in()?;
        if server.options.let_in.is_empty() {
            server.restart()?;
            return Ok(server);
        }
        for _ in 1..PORTS {
            server.port = free_port()?;
            if server.restart().is_ok() {
                return Ok(server);
            }
        }
        server.port = free_port()?;
        server.restart()?;
        Ok(server)
    }

    /// Writes who may come, and what the server shows them.
    fn let_in(&self) -> Result<(), LabError> {
        let rules = self.data().join("pg_hba.conf");
        let text = format!("local all all trust\n{}\n", self.options.let_in.join("\n"));
        // It belongs to the server's user, and stays so.
        fs::write(&rules, text).map_err(LabError::file("write", &rules))?;
        let Some(tls) = &self.options.tls else { return Ok(()) };
        let files = [&tls.certificate, &tls.key, &tls.client_authority];
        for (from, name) in files.into_iter().zip(TLS_FILES) {
            let to = self.folder.path().join(name);
            fs::copy(from, &to).map_err(LabError::file("copy", from))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).map_err(LabError::file("keep", &to))?;
            give_away(&to)?;
        }
        Ok(())
    }

    /// What it is started with.
    fn settings(&self) -> Vec<String> {
        let mut settings: Vec<String> = [
            "max_connections=200",
            "shared_buffers=32MB",
            // Nobody cuts this machine's power; a server that is killed loses nothing of what the system has.
            "fsync=off",
            "full_page_writes=off",
            "autovacuum=off",
            "logging_collector=off",
            "password_encryption=scram-sha-256",
        ]
        .map(str::to_owned)
        .into();
        let network = if self.options.let_in.is_empty() { "" } else { "127.0.0.1" };
        settings.extend([format!("listen_addresses={network}"), format!("port={}", self.port)]);
        if self.options.tls.is_some() {
            settings.push("ssl=on".to_owned());
            let file = |(setting, name): (&str, &str)| format!("{setting}={}", self.folder.path().join(name).display());
            settings.extend(["ssl_cert_file", "ssl_key_file", "ssl_ca_file"].into_iter().zip(TLS_FILES).map(file));
        }
        settings
    }

    /// Starts it again after [`PostgresServer::stop_at_once`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), LabError> {
        let (log, data) = (self.log_file(), self.data());
        let mut words = as_ordinary_user()?;
        words.extend(["--pdeathsig", "KILL"].map(OsString::from));
        words.push(self.programs.join("postgres").into());
        words.extend(["-D".into(), data.into_os_string(), "-k".into(), self.folder.path().into()]);
        self.settings().into_iter().for_each(|setting| words.extend(["-c".into(), OsString::from(setting)]));
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        // Twice setpriv: whoever becomes another user must ask the kernel again.
        let setpriv = find_program("setpriv", "util-linux")?;
        let mut process = Owned::start(&setpriv, &words, self.folder.path(), &log)?;
        let give_up_at = Instant::now() + READY_LIMIT;
        loop {
            let said = self.log();
            if said.contains(READY) {
                break;
            }
            if process.has_ended() || Instant::now() > give_up_at {
                return Err(LabError::NotReady { server: WHAT, reason: said });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Ends it with all it has under way, as a crash does.
    pub fn stop_at_once(&self) {
        drop(self.process.lock().unwrap_or_else(PoisonError::into_inner).take());
        // One of its processes that was just being started may outlive it for a moment; no server starts beside that.
        let give_up_at = Instant::now() + READY_LIMIT;
        while is_worked_in(&self.data()) && Instant::now() < give_up_at {
            std::thread::sleep(POLL_INTERVAL);
        }
        // It would take what is left for a server that runs.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    /// It and its connections say nothing any more, and close nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on after [`PostgresServer::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            process.signal_family(signal);
        }
    }

    /// Makes an empty database; gives its address.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn create(&self, database: &str) -> Result<String, LabError> {
        self.run_sql("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(self.url(database))
    }

    /// The address of a database, for the superuser by the socket.
    pub fn url(&self, database: &str) -> String {
        self.url_of(ROLE, database)
    }

    /// The address of a database, for a role by the socket.
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@/{database}?host={}&port={}", self.folder.path().display(), self.port)
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// What statements give, a row a line, its columns separated by `|`.
    ///
    /// # Errors
    /// When the server refuses, with its words.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<String, LabError> {
        self.run_psql(database, &[OsStr::new("-c"), OsStr::new(sql)])
    }

    /// Carries out a script of `psql`, which may connect to other databases.
    ///
    /// # Errors
    /// When the server refuses a statement, with its words.
    pub fn run_script(&self, database: &str, script: &str) -> Result<String, LabError> {
        let file = self.folder.path().join("script.sql");
        fs::write(&file, script).map_err(LabError::file("write", &file))?;
        self.run_psql(database, &[OsStr::new("-f"), file.as_os_str()])
    }

    fn run_psql(&self, database: &str, what: &[&OsStr]) -> Result<String, LabError> {
        let port = self.port.to_string();
        let settings = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", ROLE, "-d", database, "-p", &port, "-h"];
        let mut words: Vec<&OsStr> = settings.iter().map(OsStr::new).collect();
        words.push(self.folder.path().as_os_str());
        words.extend(what);
        run(&self.client.join("psql").to_string_lossy(), PACKAGE, &words)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn run_as_ordinary(&self, program: &str, words: &[&OsStr]) -> Result<String, LabError> {
        let path = self.programs.join(program);
        let user = as_ordinary_user()?;
        let all: Vec<&OsStr> =
            user.iter().map(OsString::as_os_str).chain([path.as_os_str()]).chain(words.iter().copied()).collect();
        run("setpriv", "util-linux", &all)
    }
}

/// Names of the files in its folder by which it encrypts.
const TLS_FILES: [&str; 3] = ["server.pem", "server.key", "clients.pem"];

/// Lets a file be the server's user's.
fn give_away(path: &Path) -> Result<(), LabError> {
    let Some(user) = ordinary_user()? else { return Ok(()) };
    let (owner, group) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    chown(path, owner, group).map_err(LabError::file("give away", path))
}

/// Whether a process works in this folder: each of a server's does.
fn is_worked_in(folder: &Path) -> bool {
    let works = |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place == folder);
    fs::read_dir("/proc").into_iter().flatten().flatten().any(works)
}
