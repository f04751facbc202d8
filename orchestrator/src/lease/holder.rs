use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::SweepId;
use crate::store::{LeaseHolder, Store, StoreError};

/// A process as leases and the journal of changes name it: unique among all processes of all hosts of a lab, and one
/// that is gone can be told from one that runs. Each task of a process is a holder of its own, so that what one leaves
/// behind is not kept by the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    host: String,
    boot: String,
    pid: u32,
    /// When it started, in the kernel's ticks since boot: numbers of processes are used again.
    started: u64,
    /// Which of its tasks; 0 for one that has no other.
    task: u32,
}

/// Tasks of this process that have begun, and which of them have ended. Bounded by the sweeps that a process carries out.
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
        Ok(Holder { host: kernel("hostname")?, boot: kernel("random/boot_id")?, pid, started, task: 0 })
    }

    /// Whether the process has ended for sure. Of another host's processes that can't be told from here.
    fn is_gone(&self) -> std::io::Result<bool> {
        if self.host != kernel("hostname")? {
            return Ok(false);
        }
        if self.boot != kernel("random/boot_id")? || running(self.pid)? != Some(self.started) {
            return Ok(true);
        }
        let is_this_process = self.pid == std::process::id();
        Ok(is_this_process && ENDED.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.task))
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
    let gone = name.parse::<Holder>().map_err(std::io::Error::other).and_then(|holder| holder.is_gone());
    gone.unwrap_or_else(|error| {
        tracing::warn!(holder = name, %error, "it can't be told whether a process still runs");
        false
    })
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.host, self.boot, self.pid, self.started)?;
        if self.task == 0 { Ok(()) } else { write!(f, ".{}", self.task) }
    }
}

impl FromStr for Holder {
    type Err = String;

    fn from_str(text: &str) -> Result<Holder, String> {
        let unknown = || format!("{text:?} names no process");
        let mut parts = text.rsplitn(4, ':');
        let mut next = || parts.next().ok_or_else(unknown);
        let (started, task) = match next()?.split_once('.') {
            Some((started, task)) => (started.to_owned(), task.parse().map_err(|_| unknown())?),
            None => (text.rsplit(':').next().unwrap_or_default().to_owned(), 0),
        };
        let started = started.parse().map_err(|_| unknown())?;
        let pid = next()?.parse().map_err(|_| unknown())?;
        let boot = next()?.to_owned();
        Ok(Holder { host: next()?.to_owned(), boot, pid, started, task })
    }
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

/// Who carries a sweep out now; not a process that has ended without giving its lease back.
///
/// # Errors
/// When the store can't be read.
pub fn live_holder(store: &dyn Store, sweep: &SweepId) -> Result<Option<LeaseHolder>, StoreError> {
    let holder = store.sweep_holder(sweep, Timestamp::now())?;
    Ok(holder.filter(|holder| !is_holder_gone(&holder.holder)))
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
    fn what_can_not_be_told_is_not_gone() {
        let this = Holder::for_this_process().unwrap();
        assert!(!is_holder_gone(&Holder { host: "elsewhere:x".to_owned(), boot: "b".to_owned(), ..this }.to_string()));
        assert!(!is_holder_gone("no process at all"));
    }
}
