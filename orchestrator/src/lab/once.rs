//! What is one host's at a time, whichever hosts share the store.

use crate::lease::LeaseError;

use super::{Lab, LabError};

impl Lab {
    /// Does what is one host's at a time, under a lease of that name; leaves it to the other host that is at it. A
    /// store that is a file has one daemon, which needs no lease.
    ///
    /// # Errors
    /// When the work fails, or the store can't be used.
    pub(crate) fn one_at_a_time(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        if !self.store()?.is_shared() {
            return work();
        }
        let keeper = self.start_lease_keeper()?;
        match keeper.device(&format!("lab {what}"), None) {
            Ok(lease) => {
                let worked = work();
                lease.release()?;
                worked
            }
            Err(LeaseError::Held(_)) => Ok(()),
            Err(LeaseError::Store(error)) => Err(error.into()),
        }
    }
}
