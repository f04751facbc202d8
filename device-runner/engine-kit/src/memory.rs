//! Whether the system refused memory.
//!
//! Purpose: tell an end for want of memory from any other, without a look at its words. Main functions:
//! [`refused_bytes`] for a panic, [`tell_refusal_at_abort`] for an abort. The standard library's allocator does the
//! work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use farmctl_protocol::exit;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The system's allocator, which notes what it refuses.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// Bytes of the last request that was refused; 0 when none was.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the last request for memory that the system refused this process; `None` when it refused none.
pub(crate) fn refused_bytes() -> Option<usize> {
    Some(REFUSED.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
}

/// From now on this process leaves with [`exit::NO_MEMORY`] when it is aborted after it was refused memory: whoever
/// asks in vain by the standard library is aborted.
///
/// # Errors
/// When the system takes no handler.
pub(crate) fn tell_refusal_at_abort() -> io::Result<()> {
    // Once it is called, an abort is again what it was before.
    let flags = SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
    let action = SigAction::new(SigHandler::Handler(leave), flags, SigSet::empty());
    // SAFETY: the handler reads an atomic number and makes system calls, which any handler may.
    #[allow(unsafe_code)]
    unsafe {
        sigaction(Signal::SIGABRT, &action)?;
    }
    Ok(())
}

extern "C" fn leave(signal: c_int) {
    // SAFETY: both may be called in a handler.
    #[allow(unsafe_code)]
    unsafe {
        if REFUSED.load(Ordering::Relaxed) > 0 {
            libc::_exit(exit::NO_MEMORY);
        }
        libc::raise(signal);
    }
}

fn noted(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        REFUSED.store(bytes, Ordering::Relaxed);
    }
    pointer
}

// SAFETY: each request is passed on to the system's allocator as it is, and its answer as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        noted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        noted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        noted(unsafe { System.realloc(pointer, layout, new_size) }, new_size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::hint::black_box;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// How a process of its own ends that runs this test again.
    fn end_of(test: &str, mode: &str) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("memory::tests::{test}"), "--exact", "--nocapture"]).env(MODE, mode);
        command.output().unwrap().status
    }

    const MODE: &str = "FARMCTL_TEST_HOW_TO_END";

    #[test]
    fn an_abort_for_want_of_memory_is_told_by_the_exit_code_and_any_other_by_its_signal() {
        let this = "an_abort_for_want_of_memory_is_told_by_the_exit_code_and_any_other_by_its_signal";
        match std::env::var(MODE).as_deref() {
            Ok("refused") => {
                tell_refusal_at_abort().unwrap();
                black_box(Vec::<u8>::with_capacity(black_box(isize::MAX as usize - 4096)));
            }
            Ok(_) => {
                tell_refusal_at_abort().unwrap();
                std::process::abort();
            }
            Err(_) => {
                assert_eq!(end_of(this, "refused").code(), Some(exit::NO_MEMORY));
                assert_eq!(end_of(this, "by itself").signal(), Some(Signal::SIGABRT as i32));
            }
        }
    }

    #[test]
    fn a_size_that_is_refused_is_noted() {
        assert_eq!(vec![0u8; 64].len(), 64);
        let wanted = isize::MAX as usize - 4096;
        assert!(Vec::<u8>::new().try_reserve_exact(wanted).is_err());
        assert_eq!(refused_bytes(), Some(wanted));
    }
}
