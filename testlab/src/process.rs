//! Programs that end with their owner.
//!
//! Main type: [`Owned`]. The kernel ends the program when this process dies; dropping the value also ends what the
//! program started. Needs no unsafe code: `setpriv` asks the kernel.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LabError;

/// Everything started for a board has this variable, so that it is found again after it was orphaned.
pub(crate) const MARK: &str = "TESTLAB_BOARD";

/// Folders where servers are, in addition to PATH.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// A running program with all it started.
pub(crate) struct Owned {
    child: Child,
    mark: PathBuf,
    is_abandoned: bool,
}

impl Owned {
    /// Starts `command` under `setpriv`, marked with the folder that it belongs to.
    pub(crate) fn start(program: &Path, command: &[&OsStr], mark: &Path, log: &Path) -> Result<Owned, LabError> {
        let log_file = std::fs::File::create(log).map_err(LabError::file("create", log))?;
        let errors = log_file.try_clone().map_err(LabError::file("open", log))?;
        let setpriv = find_program("setpriv", "util-linux")?;
        let mut starting = Command::new(setpriv);
        starting
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(command)
            .env(MARK, mark)
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(errors)
            // A Ctrl-C in the terminal is for the owner alone.
            .process_group(0);
        let child = spawn_kept(starting).map_err(LabError::file("start", program))?;
        Ok(Owned { child, mark: mark.to_owned(), is_abandoned: false })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processes of this name that its children started; for a container: those that its first process started.
    pub(crate) fn grandchildren_named(&self, name: &str) -> Vec<Pid> {
        let all = processes();
        let children_of = |parent: Pid| all.iter().filter(move |process| process.parent == parent);
        let own = i32::try_from(self.child.id()).map(Pid::from_raw).ok();
        let grandchildren = own.into_iter().flat_map(children_of).flat_map(|child| children_of(child.id));
        grandchildren.filter(|process| process.name == name).map(|process| process.id).collect()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// It and all it started.
    pub(crate) fn family(&self) -> Vec<Pid> {
        let own = i32::try_from(self.child.id()).map(Pid::from_raw).ok();
        let mut family: Vec<Pid> = own.into_iter().collect();
        let all = processes();
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            let children = all.iter().filter(|process| process.parent == parent).map(|process| process.id);
            family.extend(children.collect::<Vec<_>>());
            next += 1;
        }
        for process in &all {
            if !family.contains(&process.id) && is_marked(process.id, &self.mark) {
                family.push(process.id);
            }
        }
        family
    }

    /// Those of its family whose name begins so.
    pub(crate) fn family_named(&self, name: &str) -> Vec<Pid> {
        let family = self.family();
        let all = processes().into_iter().filter(|process| process.name.starts_with(name));
        all.map(|process| process.id).filter(|process| family.contains(process)).collect()
    }

    /// Lets go of it after its end, while what it started goes on for the next owner of the same mark.
    pub(crate) fn abandon(mut self) {
        self.is_abandoned = true;
    }

    /// Ends it and all it started.
    pub(crate) fn end(&mut self) {
        // Twice: a process may have started another one in between.
        self.signal_family(Signal::SIGKILL);
        let _ = self.child.wait();
        for process in processes() {
            if is_marked(process.id, &self.mark) {
                kill_one(process.id);
            }
        }
    }

    /// Sends a signal to all in the namespace of processes that it made, however they came there.
    pub(crate) fn signal_namespace(&self, signal: Signal) {
        let namespace = |process: i32, name: &str| std::fs::read_link(format!("/proc/{process}/ns/{name}")).ok();
        let Ok(own) = i32::try_from(self.child.id()) else { return };
        let Some(made) = namespace(own, "pid_for_children") else { return };
        let all = processes().into_iter().map(|process| process.id);
        all.filter(|id| namespace(id.as_raw(), "pid").as_ref() == Some(&made)).for_each(|id| signal_one(id, signal));
    }

    /// Sends a signal to it and all it started.
    pub(crate) fn signal_family(&self, signal: Signal) {
        self.family().into_iter().for_each(|process| signal_one(process, signal));
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.is_abandoned {
            let _ = self.child.wait();
            return;
        }
        self.end();
    }
}

/// Ends one process, which may have gone meanwhile.
pub(crate) fn kill_one(process: Pid) {
    signal_one(process, Signal::SIGKILL);
}

/// Sends a signal to one process, which may have gone meanwhile.
pub(crate) fn signal_one(process: Pid, signal: Signal) {
    let _ = kill(process, signal);
}

/// Ends the processes whose command line begins with these words, behind their own name.
pub(crate) fn kill_started_with(words: &[String]) {
    for process in processes() {
        let line = std::fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
        let mut found = line.split(|byte| *byte == 0).skip(1);
        if words.iter().all(|word| found.next() == Some(word.as_bytes())) {
            kill_one(process.id);
        }
    }
}

type Started = std::io::Result<Child>;

/// Starts a program from a thread that lives as long as this process, since the kernel counts the death of the starting
/// thread (which may be one of a pool) as that of the parent.
fn spawn_kept(command: Command) -> Started {
    static STARTER: OnceLock<mpsc::Sender<(Command, mpsc::Sender<Started>)>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<(Command, mpsc::Sender<Started>)>();
        // Without a thread nobody takes orders, which is told below.
        let _ = std::thread::Builder::new().name("testlab-starter".to_owned()).spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, started) = mpsc::channel();
    let gone = || std::io::Error::other("no thread to start programs from");
    starter.send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

struct Process {
    id: Pid,
    parent: Pid,
    name: String,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let parsed = ids.filter_map(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses and may hold spaces; behind it: state, parent.
        let (head, tail) = stat.rsplit_once(')')?;
        let parent = tail.split_ascii_whitespace().nth(1)?.parse().ok()?;
        let name = head.split_once('(')?.1.to_owned();
        Some(Process { id: Pid::from_raw(id), parent: Pid::from_raw(parent), name })
    });
    parsed.collect()
}

fn is_marked(id: Pid, mark: &Path) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{id}/environ")) else { return false };
    let wanted = format!("{MARK}={}", mark.display());
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// Finds a program in PATH or where servers are.
pub(crate) fn find_program(program: &str, package: &str) -> Result<PathBuf, LabError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.iter().map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file());
    found.ok_or_else(|| LabError::Missing { program: program.to_owned(), package: package.to_owned() })
}

/// Runs a program to its end and gives its output.
pub(crate) fn run(program: &str, package: &str, arguments: &[&OsStr]) -> Result<String, LabError> {
    let path = find_program(program, package)?;
    let output =
        Command::new(&path).args(arguments).stdin(Stdio::null()).output().map_err(LabError::file("start", &path))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Err(LabError::Program { program: program.to_owned(), reason })
}
