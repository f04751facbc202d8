//! A PostgreSQL server that belongs to one test.
//!
//! Main type: [`PostgresServer`]: the real one of Debian's package, with a folder of its own, reached by a socket in it
//! and by no network. It can be stopped as by a power cut, and started again. Never touches a server of the host.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};

use crate::LabError;
use crate::folder::LabFolder;
use crate::process::{Owned, find_program, run};

const WHAT: &str = "PostgreSQL";
const PACKAGE: &str = "postgresql";
/// The server refuses to be run by root.
const ORDINARY_USER: &str = "nobody";
/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What it logs when it is there.
const READY: &str = "database system is ready to accept connections";
/// The user of the databases.
const ROLE: &str = "farmctl";

/// A running server.
pub struct PostgresServer {
    process: Mutex<Option<Owned>>,
    programs: PathBuf,
    folder: LabFolder,
}

impl PostgresServer {
    /// Makes one, and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<PostgresServer, LabError> {
        let programs = programs()?;
        let folder = LabFolder::create("testlab-postgres-")?;
        if let Some(user) = ordinary_user()? {
            let (owner, group) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            chown(folder.path(), owner, group).map_err(LabError::file("give away", folder.path()))?;
        }
        let server = PostgresServer { process: Mutex::new(None), programs, folder };
        let data = server.data();
        let options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username", ROLE, "--pgdata"];
        let mut words: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
        words.push(data.as_os_str());
        server.run_as_ordinary("initdb", &words)?;
        server.restart()?;
        Ok(server)
    }

    /// Starts it again after [`PostgresServer::stop_at_once`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), LabError> {
        let (log, data) = (self.folder.path().join("log"), self.data());
        let mut words = as_ordinary_user()?;
        words.extend(["--pdeathsig", "KILL"].map(OsString::from));
        words.push(self.programs.join("postgres").into());
        words.extend(["-D".into(), data.into_os_string(), "-k".into(), self.folder.path().into()]);
        let settings = [
            "listen_addresses=",
            "max_connections=200",
            "shared_buffers=32MB",
            // Nobody cuts this machine's power; a server that is killed loses nothing of what the system has.
            "fsync=off",
            "full_page_writes=off",
            "autovacuum=off",
            "logging_collector=off",
        ];
        settings.iter().for_each(|setting| words.extend(["-c".into(), OsString::from(setting)]));
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        // Twice setpriv: whoever becomes another user must ask the kernel again.
        let setpriv = find_program("setpriv", "util-linux")?;
        let mut process = Owned::start(&setpriv, &words, self.folder.path(), &log)?;
        let give_up_at = Instant::now() + READY_LIMIT;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
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

    /// Makes an empty database; gives its address.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn create(&self, database: &str) -> Result<String, LabError> {
        self.run_sql("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(self.url(database))
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@/{database}?host={}", self.folder.path().display())
    }

    /// What statements give, a row a line, its columns separated by `|`.
    ///
    /// # Errors
    /// When the server refuses, with its words.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<String, LabError> {
        let host = self.folder.path().as_os_str();
        let settings = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", ROLE, "-d", database, "-c", sql, "-h"];
        let mut words: Vec<&OsStr> = settings.iter().map(OsStr::new).collect();
        words.push(host);
        run(&self.programs.join("psql").to_string_lossy(), PACKAGE, &words)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run_as_ordinary(&self, program: &str, words: &[&OsStr]) -> Result<String, LabError> {
        let path = self.programs.join(program);
        let user = as_ordinary_user()?;
        let all: Vec<&OsStr> =
            user.iter().map(OsString::as_os_str).chain([path.as_os_str()]).chain(words.iter().copied()).collect();
        run("setpriv", "util-linux", &all)
    }
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf, LabError> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.filter(|path| path.join("bin/initdb").is_file());
    let newest = folders.max_by_key(|path| number(path)).map(|path| path.join("bin"));
    let elsewhere = || find_program("initdb", PACKAGE).ok()?.parent().map(Path::to_owned);
    newest.or_else(elsewhere).ok_or_else(|| LabError::Missing { program: "initdb".into(), package: PACKAGE.into() })
}

/// Whom root becomes; `None` where this is no root.
fn ordinary_user() -> Result<Option<User>, LabError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = User::from_name(ORDINARY_USER).ok().flatten();
    let missing = || LabError::Program { program: WHAT.into(), reason: format!("there is no user {ORDINARY_USER}") };
    found.map(Some).ok_or_else(missing)
}

/// Words for `setpriv` to become that user.
fn as_ordinary_user() -> Result<Vec<OsString>, LabError> {
    let Some(user) = ordinary_user()? else { return Ok(Vec::new()) };
    let (owner, group) = (format!("--reuid={}", user.uid), format!("--regid={}", user.gid));
    Ok(vec![owner.into(), group.into(), "--clear-groups".into()])
}

/// Whether a process works in this folder: each of a server's does.
fn is_worked_in(folder: &Path) -> bool {
    let works = |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place == folder);
    fs::read_dir("/proc").into_iter().flatten().flatten().any(works)
}
