//! The store as a whole: checked, made smaller, written out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use crate::lease::{holder_in_words, is_holder_gone};
use crate::publish::{PublishError, write_whole_by};
use crate::store::{self, Aside, StoreCheck, StoreError, Vacuumed};

use super::{DaemonLock, ErrorKind, Lab, LabError};

impl Lab {
    /// Checks the store: its file, its rows, what must hold between them, and the files they name.
    ///
    /// # Errors
    /// When there is no store, or it can't be read.
    pub fn check_store(&self) -> Result<StoreCheck, LabError> {
        let store = self.existing_store()?;
        let mut found = store.check()?;
        if found.faults.is_empty() {
            let outputs = self.output_files();
            for sweep in store.sweeps()? {
                let parts = self.record_parts(&sweep)?;
                let mut faults = BTreeSet::new();
                for first in parts.beginnings(0) {
                    faults.extend(outputs.faults(parts.part_without_outputs(first)?.records()));
                }
                found.faults.extend(faults);
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
            return Err(in_use(holder));
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

    /// Copies the store, as it is at one moment, into a new file; it is used meanwhile.
    ///
    /// # Errors
    /// When there is no store, or the file is there or can't be written.
    pub fn back_up_store(&self, to: &Path) -> Result<(), LabError> {
        Ok(self.existing_store()?.back_up(to)?)
    }

    /// Puts such a copy in the place of the store; returns where the one that was there is now, or what was left of it.
    ///
    /// # Errors
    /// When the copy is not sound, or the store is in use.
    pub fn restore_store(&self, from: &Path) -> Result<Option<Aside>, LabError> {
        self.refuse_server("restore")?;
        let _lock = self.only_user()?;
        Ok(store::restore(from, &self.store_file())?)
    }

    /// Makes the store of an export; returns how many rows it has.
    ///
    /// # Errors
    /// When there is a store already, or the export is not whole, or of another version.
    pub fn import_store(&self, from: &Path) -> Result<u64, LabError> {
        self.refuse_server("import")?;
        let file = self.store_file();
        // Of a log that is left nothing can be made: it goes aside.
        if store::is_there(&file).unwrap_or(false) {
            return Err(LabError::usage(format!("this lab has a store already: {}", file.display()))
                .with_hint("move it away, or import into the folder of a new lab with --lab"));
        }
        let _lock = self.only_user()?;
        let failed = |error: std::io::Error| LabError::usage(format!("failed to read {}: {error}", from.display()));
        let mut export = BufReader::new(File::open(from).map_err(failed)?);
        Ok(store::import(&mut export, from, &file)?)
    }

    /// Copies a store to a server or from one, to where none is; returns how many rows it has. An address is a path, or
    /// `postgres://…`.
    ///
    /// # Errors
    /// When one can't be opened or is in use, or the other place has a store.
    pub fn copy_store(&self, from: &str, to: &str) -> Result<u64, LabError> {
        let access = self.server_access();
        if store::is_server(from) || store::is_there(Path::new(from)).unwrap_or(false) {
            let holders = store::open_at(from, &access)?.lease_holders(self.now())?;
            if let Some(holder) = holders.iter().find(|holder| !is_holder_gone(holder)) {
                return Err(in_use(holder));
            }
        }
        Ok(store::copy(from, to, &access)?)
    }

    /// What puts a file in the place of the store needs a store that is one.
    fn refuse_server(&self, verb: &str) -> Result<(), LabError> {
        let Some(_) = self.store_server()? else { return Ok(()) };
        Err(LabError::usage(format!("`farmctl store {verb}` is for a store in a file: this lab's is on a server"))
            .with_hint("`farmctl store copy` takes a store there; a backup is put back by PostgreSQL's own programs"))
    }

    /// Makes sure that nobody works with the store, and that no daemon begins to.
    fn only_user(&self) -> Result<DaemonLock, LabError> {
        let lock = self.lock_daemon()?;
        if self.store_file().exists() {
            // A store that can't be opened is used by nobody.
            if let Ok(store) = self.store() {
                let holders = store.lease_holders(self.now())?;
                if let Some(holder) = holders.iter().find(|holder| !is_holder_gone(holder)) {
                    return Err(in_use(holder));
                }
            }
            self.close_store();
        }
        Ok(lock)
    }

    /// Why what is written into the store that is open is lost: its file is gone, or replaced.
    pub fn store_lost(&self) -> Option<String> {
        self.store().ok()?.lost()
    }

    /// Why this program may not work with the store any more: another one has brought its schema further than this one
    /// can follow. `None` also where the store can't be asked now.
    pub fn store_outgrown(&self) -> Option<LabError> {
        let looked = self.store().and_then(|store| Ok(store.may_work()?));
        looked.err().filter(|error| error.kind() == ErrorKind::Invalid)
    }

    /// The version of the store's schema where that has more than this program knows, which may work with it.
    ///
    /// # Errors
    /// When the store can't be asked, or is too new.
    pub fn newer_schema(&self) -> Result<Option<u32>, LabError> {
        Ok(self.store()?.may_work()?)
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

fn in_use(holder: &str) -> LabError {
    LabError::internal(format!("the store is in use by {}", holder_in_words(holder)))
        .with_hint("wait until its sweep has ended (`farmctl sweeps list`), then try again")
}
