//! How much each of many has at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What each has. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    taken: Arc<Mutex<HashMap<String, u32>>>,
}

/// One that somebody has, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: String,
    shares: Shares,
}

impl Shares {
    /// One more; `None` for who has that many already.
    pub(super) fn take(&self, of: &str, at_most: u32) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = taken.entry(of.to_owned()).or_default();
        if *has >= at_most {
            return None;
        }
        *has += 1;
        Some(Share { of: of.to_owned(), shares: self.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(has) = taken.get_mut(&self.of) {
            *has -= 1;
            if *has == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_has_a_share_and_gets_back_what_it_gave_up() {
        let shares = Shares::default();
        let mut held: Vec<Share> = (0..3).map(|_| shares.take("anna", 3).unwrap()).collect();
        assert!(shares.take("anna", 3).is_none());
        let other = shares.take("ben", 3).unwrap();
        held.pop();
        assert!(shares.take("anna", 3).is_some());
        drop((held, other));
        assert!(shares.taken.lock().unwrap().is_empty(), "nobody is remembered who has none");
    }
}
