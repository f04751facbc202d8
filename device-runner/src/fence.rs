//! Leases of the device, as it remembers them.
//!
//! Purpose: refuse orders of a host that lost its lease and does not know it yet. Main function: [`raise`]. Never
//! judges whether a lease is still good: it only knows the highest epoch of each lab.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use farmctl_protocol::Fence;

use crate::workdir::Workdir;

/// Longest name of a lab.
const LAB_CHARACTERS: usize = 64;

/// An order was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The device knows of a newer lease.
    #[error(
        "take the order: it came under epoch {} of lab {}, and epoch {known} is known here", .order.epoch, .order.lab
    )]
    Stale {
        /// What came with the order.
        order: Fence,
        /// The highest epoch seen of that lab.
        known: u64,
    },
    /// What the device remembers can't be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Says what is wrong with a fence, if anything is: a lab's name becomes a file's.
pub fn check(fence: &Fence) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=LAB_CHARACTERS).contains(&fence.lab.len()) && fence.lab.bytes().all(allowed) {
        Ok(())
    } else {
        Err(format!("fence.lab {:?} is not made of 1 to {LAB_CHARACTERS} letters, digits, '-' and '_'", fence.lab))
    }
}

/// Remembers the order's epoch, if it is not lower than what is known. The caller holds the device's lock.
///
/// # Errors
/// [`FenceError::Stale`] when a higher epoch is known.
pub fn raise(workdir: &Workdir, order: &Fence) -> Result<(), FenceError> {
    let path = workdir.fences().join(&order.lab);
    let failed = |action| {
        let path = path.clone();
        move |source| FenceError::Io { action, path, source }
    };
    // What can't be read as a number was torn by a power cut: then nothing is known.
    let known = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed("read")(error)),
    };
    if order.epoch < known {
        return Err(FenceError::Stale { order: order.clone(), known });
    }
    if order.epoch == known {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(order.epoch.to_string().as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write"))?;
    fs::rename(&fresh, &path).map_err(failed("rename"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn order(lab: &str, epoch: u64) -> Fence {
        Fence { lab: lab.to_owned(), epoch }
    }

    #[test]
    fn an_order_under_a_lost_lease_is_refused() {
        let folder = Scratch::new();
        let workdir = Workdir::open(folder.path()).unwrap();
        raise(&workdir, &order("a", 5)).unwrap();
        raise(&workdir, &order("a", 5)).unwrap();
        raise(&workdir, &order("a", 7)).unwrap();
        assert!(matches!(raise(&workdir, &order("a", 6)), Err(FenceError::Stale { known: 7, .. })));
        raise(&workdir, &order("b", 1)).unwrap();
        fs::write(workdir.fences().join("a"), "").unwrap();
        raise(&workdir, &order("a", 1)).unwrap();
    }

    #[test]
    fn a_labs_name_is_safe_as_a_file_name() {
        assert!(check(&order("0a1b-_", 1)).is_ok());
        for lab in ["", "../x", "a/b", "a b", &"x".repeat(65)] {
            assert!(check(&order(lab, 1)).is_err(), "{lab:?}");
        }
    }
}
