//! Whether the system refused memory.
//!
//! Purpose: tell a panic for want of memory from any other, without a look at its words. Main function:
//! [`refused_bytes`]. The standard library's allocator does the work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

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
mod tests {
    use super::*;

    #[test]
    fn a_size_that_is_refused_is_noted() {
        assert_eq!(vec![0u8; 64].len(), 64);
        let wanted = isize::MAX as usize - 4096;
        assert!(Vec::<u8>::new().try_reserve_exact(wanted).is_err());
        assert_eq!(refused_bytes(), Some(wanted));
    }
}
