//! The store as a whole: checked, made smaller, written out.

use std::io::Write;
use std::path::Path;

use crate::agent::OutputFiles;
use crate::lease::is_holder_gone;
use crate::publish::{PublishError, write_whole_by};
use crate::store::{StoreCheck, StoreError, Vacuumed};

use super::{Lab, LabError};

impl Lab {
    /// Checks the store: its file, its rows, what must hold between them, and the files they name.
    ///
    /// # Errors
    /// When there is no store, or it can't be read.
    pub fn check_store(&self) -> Result<StoreCheck, LabError> {
        let store = self.existing_store()?;
        let mut found = store.check()?;
        if found.faults.is_empty() {
            let outputs = OutputFiles::new(self.outputs());
            for sweep in store.sweeps()? {
                found.faults.extend(outputs.faults(&store.records(&sweep.id)?));
            }
        }
        Ok(found)
    }

    /// Gives unused space back to the file system.
    ///
    /// # Errors
    /// When there is no store, or it is in use.
    pub fn vacuum_store(&self) -> Result<Vacuumed, LabError> {
        let store = self.existing_store()?;
        let holders = store.lease_holders(self.now())?;
        if let Some(holder) = holders.iter().find(|holder| !is_holder_gone(holder)) {
            return Err(LabError::internal(format!("the store is in use by {holder}"))
                .with_hint("wait until its sweep has ended (`farmctl sweeps list`), then try again"));
        }
        Ok(store.vacuum()?)
    }

    /// Writes every row of every table as JSON Lines; returns how many. `None`: whoever reads them has seen enough.
    ///
    /// # Errors
    /// When there is no store, or it can't be read or written out.
    pub fn export_store(&self, to: &mut dyn Write) -> Result<Option<u64>, LabError> {
        match self.existing_store()?.export(to) {
            Err(StoreError::Export { cause }) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
            exported => Ok(Some(exported?)),
        }
    }

    /// The same, into a file that is there whole or not at all.
    ///
    /// # Errors
    /// As for [`Lab::export_store`].
    pub fn export_store_to(&self, path: &Path) -> Result<u64, LabError> {
        let (store, mut rows) = (self.existing_store()?, 0);
        write_whole_by::<LabError>(path, |file| {
            rows = store.export(file).map_err(|error| match error {
                StoreError::Export { cause } => PublishError::Write { path: path.to_owned(), cause }.into(),
                other => LabError::from(other),
            })?;
            Ok(())
        })?;
        Ok(rows)
    }
}
