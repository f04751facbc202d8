//! The daemon of a lab as other processes see it: whether one runs, what it is told to read, what it is at.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::config::{self, DaemonConfig};
use crate::domain::{Channel, DaemonStatus, SecretSource, SweepId, TransportConfig};
use crate::lease::{Holder, is_holder_gone, is_of_process};

use super::{Lab, LabError, Overrides};

/// How long the lock is tried for, and how often.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// The file whose lock says that a daemon runs.
const LOCK_FILE: &str = "daemon.lock";
/// What a daemon last said of itself.
const STATUS_FILE: &str = "daemon.json";

/// What a daemon writes into the file that it locks.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    /// The process, as holders of leases are named.
    process: String,
    /// What it reads instead of the lab's own files.
    sources: Overrides,
}

/// What a daemon writes of itself for others.
#[derive(Serialize)]
struct WrittenStatus<'a> {
    #[serde(flatten)]
    status: &'a DaemonStatus,
    /// Where page and API are.
    url: Option<&'a str>,
}

/// Variables of the environment that the files of a lab name.
#[derive(Debug)]
pub struct NamedVariables {
    /// Those that stand for a part of a text: a host, a path.
    pub plain: BTreeSet<String>,
    /// Those that hold a secret.
    pub secret: BTreeSet<String>,
}

/// Where the daemon has, or would have, its tokens.
pub struct TokensPlace {
    /// The file.
    pub path: PathBuf,
    /// Whether the daemon's configuration names it.
    pub is_named: bool,
    /// Why that is not known.
    pub doubt: Option<String>,
}

/// The word that this process is the lab's daemon. The kernel gives it back, however the process ends; one that ends by
/// itself takes its name out, too.
pub struct DaemonLock {
    file: File,
    path: PathBuf,
}

impl DaemonLock {
    /// Whether the file that has the lock's name is the one that is locked.
    fn is_in_place(&self) -> bool {
        let identity = |about: std::io::Result<std::fs::Metadata>| about.ok().map(|about| [about.dev(), about.ino()]);
        let locked = identity(self.file.metadata());
        locked.is_some() && locked == identity(std::fs::symlink_metadata(&self.path))
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "the name of this daemon stays in its lock");
        }
    }
}

impl Lab {
    /// What the daemon's file says.
    ///
    /// # Errors
    /// When it is faulty, with its place.
    pub fn daemon_rules(&self, path: &Path) -> Result<DaemonConfig, LabError> {
        self.daemon_rules_with(path, &|name| self.variable(name))
    }

    /// The variables that the daemon's file, and the files that it goes by, name.
    ///
    /// # Errors
    /// When one of them is faulty, with its place.
    pub fn named_variables(&self, path: &Path) -> Result<NamedVariables, LabError> {
        let asked = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            self.variable(name)
        };
        let rules = self.daemon_rules_with(path, &lookup)?;
        let of_channels = rules.channels.iter().filter_map(Channel::secret);
        let devices = self.inventory()?.devices;
        let of_devices = devices.iter().filter_map(|device| match &device.transport {
            TransportConfig::Ssh(endpoint) => endpoint.password.as_ref(),
            _ => None,
        });
        let variable = |secret: &SecretSource| match secret {
            SecretSource::Environment(name) => Some(name.clone()),
            SecretSource::File(_) => None,
        };
        let secret: BTreeSet<String> = of_channels.chain(of_devices).filter_map(variable).collect();
        let plain = asked.into_inner().into_iter().filter(|name| name != "HOME" && !secret.contains(name)).collect();
        Ok(NamedVariables { plain, secret })
    }

    fn daemon_rules_with(
        &self,
        path: &Path,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<DaemonConfig, LabError> {
        let (inventory, catalog) = match self.declared(lookup) {
            Ok(declared) => declared,
            Err(errors) => config::both(Err(errors), config::check_daemon(path)).map(|(declared, ())| declared)?,
        };
        Ok(config::load_daemon(path, &self.of_all_hosts(inventory), &catalog)?)
    }

    /// The file of tokens that the daemon goes by, or would. Nothing else of the lab is read: a token that is to be out
    /// is out, whatever is faulty meanwhile.
    pub fn tokens_place(&self) -> TokensPlace {
        let (config, usual) = (self.daemon_config(), self.path(Path::new(".farm/tokens")));
        let place = |path, is_named| TokensPlace { path, is_named, doubt: None };
        if config.symlink_metadata().is_err() {
            return place(usual, false);
        }
        match config::tokens_file(&config) {
            Ok(Some(path)) => place(path, true),
            Ok(None) => place(usual, false),
            Err(errors) => {
                let (usual_name, faults) = (self.short_path(&usual), LabError::from(errors).in_short());
                let doubt =
                    format!("which tokens the daemon goes by is not known, so this is about {usual_name}: {faults}");
                TokensPlace { path: usual, is_named: true, doubt: Some(doubt) }
            }
        }
    }

    /// Makes sure that this process is the lab's one daemon.
    ///
    /// # Errors
    /// When another is, or the file can't be locked.
    pub fn lock_daemon(&self) -> Result<DaemonLock, LabError> {
        self.make_private_folder()?;
        let path = self.daemon_file(LOCK_FILE);
        let failed = |error: std::io::Error| {
            LabError::internal(format!("failed to lock {}: {error}", path.display())).caused_by(error)
        };
        let mut file = open_lock(&path).map_err(|error| match std::fs::symlink_metadata(&path) {
            Ok(about) if !about.is_file() => {
                LabError::internal(format!("failed to lock {}: it is no file", path.display()))
                    .with_hint("remove it, or move it away: a daemon makes the file itself")
            }
            _ => failed(error),
        })?;
        let give_up_at = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Whoever asks whether a daemon runs has the lock for a moment.
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(self.locked_by_another(&path, &file)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let process = Holder::for_this_process().map_err(failed)?.to_string();
        let identity = Identity { process, sources: self.overrides() };
        let written = file.set_len(0).and_then(|()| Ok(serde_json::to_writer(&mut file, &identity)?));
        written.map_err(failed)?;
        Ok(DaemonLock { file, path })
    }

    /// Makes sure that others still see that this process is the lab's one daemon: a lock whose file was removed or
    /// replaced is taken anew.
    ///
    /// # Errors
    /// When another daemon has it by now, or it can't be had.
    pub fn keep_daemon_lock(&self, lock: &mut DaemonLock) -> Result<(), LabError> {
        if !lock.is_in_place() {
            let path = lock.path.display().to_string();
            *lock = self.lock_daemon().map_err(|error| {
                LabError::new(
                    error.kind(),
                    format!("{path} was removed or replaced, and this daemon has ended: {error}"),
                )
            })?;
            tracing::warn!(path, "the file that says that a daemon runs was removed or replaced, and is made anew");
        }
        Ok(())
    }

    /// Who keeps this process from being the daemon: one that runs, or whoever else has locked its file.
    fn locked_by_another(&self, path: &Path, file: &File) -> LabError {
        if self.daemon_is_running() {
            return LabError::usage("a daemon runs in this lab already")
                .with_hint("`farmctl schedules list` shows what it is at");
        }
        let by = lock_holder(file).map_or_else(
            || "a process that is no daemon".to_owned(),
            |pid| format!("process {pid}, which is no daemon"),
        );
        LabError::unavailable(format!("{} is locked by {by}", path.display()))
            .with_hint("end that process, or wait until it has ended")
    }

    /// Whether a daemon runs in this lab.
    pub fn daemon_is_running(&self) -> bool {
        self.daemon_identity().is_some()
    }

    /// The daemon that runs in this lab, if one does and has said who it is. Whoever asks shares the lock, so that two
    /// who ask do not see each other; and a lock alone is no daemon: its process is looked for.
    fn daemon_identity(&self) -> Option<Identity> {
        let flags = NO_LINK_NO_WAIT.bits();
        let mut file = File::options().read(true).custom_flags(flags).open(self.daemon_file(LOCK_FILE)).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        let identity: Identity = serde_json::from_slice(&text).ok()?;
        (!is_holder_gone(&identity.process)).then_some(identity)
    }

    /// Whether a daemon runs in this lab that does what this process was told to.
    pub fn daemon_takes_over(&self) -> bool {
        let Some(daemon) = self.daemon_identity() else { return false };
        let serves = daemon.sources.serve(&self.overrides());
        if !serves {
            self.remark("a daemon runs, but not by the files that these options name: this is carried out here");
        }
        serves
    }

    /// Whether this holder of a lease is the daemon that runs in this lab.
    pub(super) fn is_daemon(&self, holder: &str) -> bool {
        self.daemon_identity().is_some_and(|daemon| is_of_process(holder, &daemon.process))
    }

    /// What the daemon last said of itself.
    pub fn daemon_status(&self) -> Option<DaemonStatus> {
        let text = std::fs::read(self.daemon_file(STATUS_FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes what this process, which is the daemon, is at: beside the file, then renamed.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_daemon_status(&self, status: &DaemonStatus, url: Option<&str>) -> std::io::Result<()> {
        let path = self.daemon_file(STATUS_FILE);
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut file, &WrittenStatus { status, url })?;
        file.flush()?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    }

    /// What the daemon says is wrong now that keeps it from going on with a sweep.
    pub(super) fn troubles_of(&self, sweep: &SweepId) -> Vec<String> {
        let of_sweep = format!("sweep {sweep}: ");
        let about = ["room: ".to_owned(), "store: ".to_owned(), format!("end of {of_sweep}"), of_sweep];
        let mut troubles = self.daemon_status().map(|status| status.troubles).unwrap_or_default();
        troubles.retain(|trouble| about.iter().any(|about| trouble.starts_with(about)));
        troubles
    }
}

/// The lock's file is emptied: it is never what a link leads to. And nobody is waited for who would read a pipe.
const NO_LINK_NO_WAIT: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK);

/// The lock's file, for its owner alone.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let flags = NO_LINK_NO_WAIT.bits();
    let file = File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    // An older version made it for everybody.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The process that has locked a file, as the kernel tells it.
fn lock_holder(file: &File) -> Option<u32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 708 fd:01:1234 0 EOF`
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5).is_some_and(|place| place.ends_with(&inode));
        if is_it { words.get(4)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_is_no_link_and_no_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let (link, mine, pipe) = (folder.path().join("link"), folder.path().join("mine"), folder.path().join("pipe"));
        std::fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_lock(&link).is_err() && open_lock(&pipe).is_err());
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
        let path = folder.path().join("lock");
        let lock = DaemonLock { file: open_lock(&path).unwrap(), path: path.clone() };
        assert!(lock.is_in_place());
        std::fs::remove_file(&path).unwrap();
        assert!(!lock.is_in_place());
        open_lock(&path).unwrap();
        assert!(!lock.is_in_place(), "it is another's");
    }
}
