//! Whether a process was stopped for a while.
//!
//! Purpose: find out that somebody stopped the measuring process and let it go on, however short that was. Main type:
//! [`Stops`]. Never takes the process's end from whoever waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// The stops of a child of this process from now on.
#[derive(Debug)]
pub struct Stops {
    child: Option<Pid>,
    was_any: Arc<AtomicBool>,
}

impl Stops {
    /// Those of the child `pid`. A thread sleeps until there is one: when the child has ended the kernel does not
    /// know of them any more.
    pub fn of(pid: u32) -> Stops {
        let child = i32::try_from(pid).ok().map(Pid::from_raw);
        let stops = Stops { child, was_any: Arc::default() };
        if let Some(child) = child {
            // What happened before is forgotten.
            has_gone_on(child);
            let was_any = Arc::clone(&stops.was_any);
            let wait = move || wait_for_stops(child, &was_any);
            // Without the thread only a stop is found of a child that still lives.
            let _ = thread::Builder::new().name("stops".to_owned()).spawn(wait);
        }
        stops
    }

    /// Whether there was one that is over.
    pub fn was_any(&self) -> bool {
        self.child.is_some_and(has_gone_on) || self.was_any.load(Ordering::SeqCst)
    }
}

/// Notes stops until the child ends, which is left for its parent to wait for.
fn wait_for_stops(child: Pid, was_any: &AtomicBool) {
    let flags = WaitPidFlag::WCONTINUED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::Pid(child), flags) {
            Ok(WaitStatus::Continued(_)) => {
                // First told, then taken: nobody finds neither.
                was_any.store(true, Ordering::SeqCst);
                has_gone_on(child);
            }
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Whether the child was let go on since this was last asked.
fn has_gone_on(child: Pid) -> bool {
    let flags = WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
    matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Continued(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use std::process::{Child, Command};

    fn sleeper() -> (Child, Pid) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        (child, pid)
    }

    fn stop_and_go_on(pid: Pid) {
        kill(pid, Signal::SIGSTOP).unwrap();
        assert!(waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED).is_ok());
        kill(pid, Signal::SIGCONT).unwrap();
    }

    #[test]
    fn a_child_that_was_stopped_and_let_go_on_is_found_and_its_end_is_left() {
        let (mut child, pid) = sleeper();
        stop_and_go_on(pid);
        let stops = Stops::of(child.id());
        assert!(!stops.was_any(), "that was before");
        stop_and_go_on(pid);
        assert!(stops.was_any());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None);
    }

    #[test]
    fn a_child_that_has_ended_since_was_stopped_all_the_same() {
        let (mut child, pid) = sleeper();
        let stops = Stops::of(child.id());
        stop_and_go_on(pid);
        while !stops.was_any.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(stops.was_any());
    }

    #[test]
    fn nobody_was_stopped_who_is_not_there() {
        assert!(!Stops::of(u32::MAX).was_any());
        assert!(!Stops::of(1).was_any(), "no child of this process");
    }
}
