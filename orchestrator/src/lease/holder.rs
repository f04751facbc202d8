use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::{SweepId, sha256_hex};
use crate::store::{LeaseHolder, Store, StoreError, SweepPart};

/// A process as leases and the journal of changes name it. One that has ended can be told from one that runs, where
/// that can be seen from here. Each task of a process is a holder of its own, so that what one leaves behind is not
/// kept by the next.
///
/// As a text: `host~machine:boot~namespace:pid:started.task`, and without the parts behind `~` as older versions wrote
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the host, for people. Two machines, or two containers, may have the same.
    host: String,
    /// Which machine; empty where it has no identity, none where an older version wrote the name.
    machine: Option<String>,
    boot: String,
    /// In which namespace `pid` counts: that of its container.
    namespace: Option<String>,
    pid: u32,
    /// When it started, in the kernel's ticks since boot: numbers of processes are used again.
    started: u64,
    /// Which of its tasks; 0 for one that has no other.
    task: u32,
}

/// Tasks of this process that have begun, and which of them have ended. Bounded by the sweeps that a process carries
/// out.
static BEGUN: AtomicU32 = AtomicU32::new(0);
static ENDED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

impl Holder {
    /// The next task of this process.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn for_next_task() -> std::io::Result<Holder> {
        Ok(Holder { task: BEGUN.fetch_add(1, Ordering::Relaxed), ..Holder::for_this_process()? })
    }

    /// This process.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn for_this_process() -> std::io::Result<Holder> {
        let pid = std::process::id();
        let started = running(pid)?.ok_or_else(|| std::io::Error::other("/proc does not show this process"))?;
        Ok(Holder {
            host: kernel("hostname")?,
            machine: Some(machine(&MACHINE_FILES)),
            boot: kernel("random/boot_id")?,
            namespace: Some(pid_namespace()),
            pid,
            started,
            task: 0,
        })
    }

    /// Whether the process has ended for sure, as this process sees it.
    fn is_gone(&self, this: &Holder) -> std::io::Result<bool> {
        if self.boot != this.boot {
            // The same machine has booted again. Another one may have the same name.
            return Ok(self.is_on_machine_of(this));
        }
        // One kernel. The processes of another container are not to be seen from here.
        if self.host != this.host || self.namespace.as_ref().is_some_and(|own| Some(own) != this.namespace.as_ref()) {
            return Ok(false);
        }
        if running(self.pid)? != Some(self.started) {
            return Ok(true);
        }
        Ok(self.pid == this.pid && ENDED.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.task))
    }

    fn is_on_machine_of(&self, this: &Holder) -> bool {
        let is_same = match &self.machine {
            Some(machine) => !machine.is_empty() && Some(machine) == this.machine.as_ref(),
            None => true,
        };
        is_same && self.host == this.host
    }
}

/// Notes that a task of this process holds nothing any more, or nothing that it will give back.
pub(super) fn end(name: &str) {
    let own = Holder::for_this_process().ok();
    let task = name.parse::<Holder>().ok().filter(|it| own.is_some_and(|own| Holder { task: 0, ..it.clone() } == own));
    if let Some(holder) = task {
        ENDED.lock().unwrap_or_else(PoisonError::into_inner).insert(holder.task);
    }
}

/// Whether the holder of this name has ended for sure.
pub fn is_holder_gone(name: &str) -> bool {
    let holder = name.parse::<Holder>().map_err(std::io::Error::other);
    let gone = holder.and_then(|holder| holder.is_gone(&Holder::for_this_process()?));
    gone.unwrap_or_else(|error| {
        tracing::warn!(holder = name, %error, "it can't be told whether a process still runs");
        false
    })
}

/// Whether a holder is this process, or a task of it.
pub fn is_of_process(holder: &str, process: &str) -> bool {
    holder.strip_prefix(process).is_some_and(|task| task.is_empty() || task.starts_with('.'))
}

/// A holder as people are told of it: its process and its host. What is no name of a holder stays as it is.
pub fn holder_in_words(name: &str) -> String {
    name.parse::<Holder>()
        .map_or_else(|_| name.to_owned(), |holder| format!("process {} on {}", holder.pid, holder.host))
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marked = |mark: &Option<String>| mark.as_ref().map_or_else(String::new, |mark| format!("~{mark}"));
        let (machine, namespace) = (marked(&self.machine), marked(&self.namespace));
        write!(f, "{}{machine}:{}{namespace}:{}:{}", self.host, self.boot, self.pid, self.started)?;
        if self.task == 0 { Ok(()) } else { write!(f, ".{}", self.task) }
    }
}

impl FromStr for Holder {
    type Err = String;

    fn from_str(text: &str) -> Result<Holder, String> {
        let unknown = || format!("{text:?} names no process");
        let mut parts = text.rsplitn(4, ':');
        let mut next = || parts.next().ok_or_else(unknown);
        let last = next()?;
        let (started, task) = last.split_once('.').unwrap_or((last, "0"));
        let (started, task) = (started.parse().map_err(|_| unknown())?, task.parse().map_err(|_| unknown())?);
        let pid = next()?.parse().map_err(|_| unknown())?;
        let (boot, namespace) = with_mark(next()?);
        let (host, machine) = with_mark(next()?);
        Ok(Holder { host, machine, boot, namespace, pid, started, task })
    }
}

/// A text and what stands behind its `~`.
fn with_mark(text: &str) -> (String, Option<String>) {
    match text.rsplit_once('~') {
        Some((text, mark)) => (text.to_owned(), Some(mark.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Where a machine's identity is, the best place first.
const MACHINE_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The machine's identity, hashed, since it is nobody else's to know; empty where it has none.
fn machine(files: &[&str]) -> String {
    let is_identity = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let identity = found.map(|text| text.trim().to_owned()).find(|text| is_identity(text));
    identity.map_or_else(String::new, |identity| sha256_hex(format!("farmctl {identity}").as_bytes())[..12].to_owned())
}

/// Which machine this is, as a hash of its identity; empty where it has none.
pub fn machine_identity() -> String {
    machine(&MACHINE_FILES)
}

/// The number of the namespace in which processes are counted; empty where the kernel has none.
fn pid_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

fn kernel(name: &str) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(format!("/proc/sys/kernel/{name}"))?.trim().to_owned())
}

/// When a process started; `None` when there is none of that number, or only its remains.
fn running(pid: u32) -> std::io::Result<Option<u64>> {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Behind the program's name, which stands in brackets and may have any characters.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let is_over = fields.first().is_none_or(|state| matches!(*state, "Z" | "X" | "x"));
    Ok(fields.get(19).and_then(|ticks| ticks.parse().ok()).filter(|_| !is_over))
}

/// Who carries a sweep out now, or the first of those who do; not a process that has ended without giving its lease
/// back.
///
/// # Errors
/// When the store can't be read.
pub fn live_holder(store: &dyn Store, sweep: &SweepId, now: Timestamp) -> Result<Option<LeaseHolder>, StoreError> {
    Ok(holders(store, sweep, now)?.into_iter().find(|holder| !is_holder_gone(&holder.holder)))
}

/// Whoever has the lease of a sweep, or a part of it, by the store: one of them may have ended without a word.
///
/// # Errors
/// When the store can't be read.
pub fn holders(store: &dyn Store, sweep: &SweepId, now: Timestamp) -> Result<Vec<LeaseHolder>, StoreError> {
    let whole = store.sweep_holder(sweep, now)?;
    // A file is one host's, and one process has all of a sweep.
    let parts = if store.is_shared() { store.sweep_parts(sweep, now)? } else { Vec::new() };
    let parts = parts.into_iter().filter(|part| part.is_live).map(|SweepPart { holder, until, .. }| {
        let sweep_id = Some(sweep.clone());
        LeaseHolder { holder, sweep_id, until }
    });
    Ok(whole.into_iter().chain(parts).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_that_ended_is_told_from_one_that_runs() {
        let this = Holder::for_this_process().unwrap();
        assert_eq!(this.to_string().parse::<Holder>().unwrap(), this);
        assert!(!is_holder_gone(&this.to_string()));

        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let started = running(child.id()).unwrap().unwrap();
        let other = Holder { pid: child.id(), started, ..this.clone() };
        assert!(!is_holder_gone(&other.to_string()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_holder_gone(&other.to_string()));
    }

    #[test]
    fn numbers_that_are_used_again_and_other_boots_are_others() {
        let this = Holder::for_this_process().unwrap();
        assert!(is_holder_gone(&Holder { started: this.started + 1, ..this.clone() }.to_string()));
        assert!(is_holder_gone(&Holder { boot: "another".to_owned(), ..this.clone() }.to_string()));
    }

    #[test]
    fn a_task_that_ended_is_gone_while_its_process_runs() {
        let [one, two] = [(); 2].map(|()| Holder::for_next_task().unwrap());
        assert_eq!(two.to_string().parse::<Holder>().unwrap(), two);
        assert!(!is_holder_gone(&one.to_string()) && !is_holder_gone(&two.to_string()));
        end(&two.to_string());
        assert!(!is_holder_gone(&one.to_string()) && is_holder_gone(&two.to_string()));
        end("sim:1");
    }

    #[test]
    fn people_are_told_of_a_process_and_its_host() {
        let this = Holder::for_this_process().unwrap();
        let words = holder_in_words(&this.to_string());
        assert_eq!(words, format!("process {} on {}", std::process::id(), this.host));
        assert_eq!(holder_in_words("somebody else"), "somebody else");
    }

    #[test]
    fn what_can_not_be_told_is_not_gone() {
        let this = Holder::for_this_process().unwrap();
        let (elsewhere, away) = ("elsewhere:x".to_owned(), u32::MAX);
        let others = [
            Holder { host: elsewhere.clone(), boot: "b".to_owned(), ..this.clone() },
            Holder { host: elsewhere, pid: away, ..this.clone() },
            // Another machine of this name.
            Holder { machine: Some("0123456789ab".to_owned()), boot: "b".to_owned(), ..this.clone() },
            Holder { machine: Some(String::new()), boot: "b".to_owned(), ..this.clone() },
            // Another container of this name.
            Holder { namespace: Some("1".to_owned()), pid: away, ..this },
        ];
        for other in others {
            assert!(!is_holder_gone(&other.to_string()), "{other}");
        }
        assert!(!is_holder_gone("no process at all"));
    }

    #[test]
    fn names_that_older_versions_wrote_are_read() {
        let this = Holder { machine: None, namespace: None, ..Holder::for_this_process().unwrap() };
        assert!(!this.to_string().contains('~'));
        assert_eq!(this.to_string().parse::<Holder>().unwrap(), this);
        assert!(!is_holder_gone(&this.to_string()));
        assert!(is_holder_gone(&Holder { pid: u32::MAX, ..this.clone() }.to_string()));
        assert!(is_holder_gone(&Holder { boot: "another".to_owned(), ..this.clone() }.to_string()));
        assert!(!is_holder_gone(&Holder { host: "another".to_owned(), ..this }.to_string()));
    }

    #[test]
    fn a_machine_is_known_by_its_identity_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let known = file("known", "00112233445566778899aabbccddeeff\n");
        let bad = [file("empty", ""), file("fresh", "uninitialized\n"), "/nowhere/at/all".to_owned()];
        let mut files: Vec<&str> = bad.iter().map(String::as_str).collect();
        assert_eq!(machine(&files), "");
        files.push(&known);
        assert_eq!((machine(&files).len(), machine(&files)), (12, machine(&[&known])));
        assert!(!machine(&files).starts_with("001122"));
    }
}
