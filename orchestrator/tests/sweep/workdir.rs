//! farmctl's folder on a device of the lab, seen from this host.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testlab::{Board, Phone};

use super::support::Lab;

/// How long what a killed host had running on a device may take to find that nobody listens any more.
const ENDING: Duration = Duration::from_secs(20);

/// The folder of one device.
pub struct Workdir(PathBuf);

impl Workdir {
    pub fn on_host(lab: &Lab) -> Workdir {
        Workdir(lab.path("here"))
    }

    pub fn on_board(board: &Board) -> Workdir {
        Workdir(board.home.join("farmctl"))
    }

    pub fn on_phone(phone: &Phone) -> Workdir {
        Workdir(phone.data_path("local/tmp/farmctl"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Names of the runs that have a folder.
    pub fn runs(&self) -> BTreeSet<String> {
        names(&self.path("runs"))
    }

    /// Removes models, runs and what was pushed in part.
    pub fn forget(&self) {
        for folder in ["partial", "store", "runs"] {
            for name in names(&self.path(folder)) {
                let path = self.path(folder).join(name);
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
            }
        }
    }

    /// What ended work must not leave behind: folders of runs, parts of files, a lock that is held, processes.
    pub fn leavings(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in ["runs", "partial"] {
            left.extend(names(&self.path(folder)).into_iter().map(|name| format!("{folder}/{name}")));
        }
        if std::fs::File::open(self.path("lock")).is_ok_and(|lock| lock.try_lock_shared().is_err()) {
            left.push("the lock is held".to_owned());
        }
        left.extend(self.processes().into_iter().map(|process| format!("process {process}")));
        left
    }

    /// Ends all that runs here, as systemd-logind does when a login ends.
    pub fn kill_processes(&self) {
        for process in self.process_folders() {
            let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Ends those that follow a run: they are of a login, while the run belongs to nobody.
    pub fn kill_followers(&self) {
        let all = self.process_folders();
        let parent = |process: &Path| {
            let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
            status.lines().find_map(|line| line.strip_prefix("PPid:\t")).map(|pid| Path::new("/proc").join(pid))
        };
        for process in &all {
            if parent(process).is_some_and(|parent| parent != Path::new("/proc/1") && !all.contains(&parent)) {
                let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        }
    }

    /// Processes whose program lies here, in whatever namespaces they are.
    fn processes(&self) -> Vec<String> {
        let told = |process: PathBuf| {
            let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
            format!("{}: {}", process.display(), String::from_utf8_lossy(&words).replace('\0', " "))
        };
        self.process_folders().into_iter().map(told).collect()
    }

    fn process_folders(&self) -> Vec<PathBuf> {
        let programs: BTreeSet<(u64, u64)> = files(&self.path("bin")).iter().filter_map(|file| inode(file)).collect();
        let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        all.filter(|process| inode(&process.join("exe")).is_some_and(|program| programs.contains(&program))).collect()
    }
}

/// Waits until nothing is on these devices that ended work must not leave behind.
pub fn expect_nothing_left(workdirs: &[Workdir]) {
    let give_up_at = Instant::now() + ENDING;
    loop {
        let left: Vec<String> = workdirs.iter().flat_map(Workdir::leavings).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up_at, "left on devices: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()))
}
