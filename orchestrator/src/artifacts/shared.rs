use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ArtifactError, ArtifactStore, Call, Kind, StoredName, Trouble};

/// For how long a store that failed is left alone: each file would meet with the same. Twice as long each time.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// How often that is doubled at most: a device waits for each try.
const MAX_DOUBLINGS: u32 = 4;
/// Names that are remembered of files that the store has; beyond it, they are asked for anew.
const MAX_REMEMBERED: usize = 100_000;

/// Takes a remark for people.
type Remarks = Arc<dyn Fn(&str) + Send + Sync>;

/// The files that hosts of a lab share, asked with care: a store that can't be reached holds nobody up twice, and what
/// it has not is got or made as without one. Clones share what is known of it.
#[derive(Clone)]
pub struct SharedFiles {
    store: Arc<dyn ArtifactStore>,
    known: Arc<Mutex<Known>>,
    remarks: Remarks,
}

/// What this process knows of the store.
#[derive(Default)]
struct Known {
    /// Files that it has.
    there: HashSet<StoredName>,
    /// Until when it is left alone.
    left_alone_until: Option<Instant>,
    /// How often in a row it failed.
    failures: u32,
    /// What was told last.
    told: Option<String>,
}

/// What came of asking for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is where it was to be.
    Done,
    /// The store has no such file.
    Missing,
    /// What the store has is damaged; that was told. Whoever has the file right puts it there anew.
    Damaged,
    /// It could not be asked; that was told.
    Failed,
}

impl std::fmt::Debug for SharedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedFiles").field("store", &self.store).finish_non_exhaustive()
    }
}

impl SharedFiles {
    /// The files of that store; what goes wrong with it is told by remarks.
    pub fn new(store: Arc<dyn ArtifactStore>, remarks: Remarks) -> SharedFiles {
        SharedFiles { store, known: Arc::default(), remarks }
    }

    /// Where they are, for people.
    pub fn place(&self) -> &str {
        self.store.place()
    }

    /// Gets a file into `into`, whole and checked, in the place of any that is there.
    pub fn fetch(&self, kind: Kind, sha256: &str, into: &Path, call: &mut Call<'_>) -> Asked {
        let Some(name) = StoredName::new(kind, sha256).filter(|_| self.may_ask()) else { return Asked::Missing };
        match self.store.get(&name, into, call) {
            Ok(_) => {
                self.remember(name);
                Asked::Done
            }
            Err(error) => {
                let asked = match error.trouble() {
                    Trouble::Missing => return Asked::Missing,
                    Trouble::Corrupt { .. } => Asked::Damaged,
                    _ => Asked::Failed,
                };
                self.tell(&error);
                asked
            }
        }
    }

    /// Puts a file there, unless the store has it. Whether it has it then.
    pub fn share(&self, kind: Kind, sha256: &str, from: &Path, call: &mut Call<'_>) -> bool {
        let Some(name) = StoredName::new(kind, sha256) else { return false };
        if self.known().there.contains(&name) {
            return true;
        }
        if !self.may_ask() {
            return false;
        }
        let put = self.put_missing(&name, from, call);
        self.is_put(name, put)
    }

    /// Puts a file there, also where the store has one: that was found to be damaged.
    pub fn share_anew(&self, kind: Kind, sha256: &str, from: &Path, call: &mut Call<'_>) -> bool {
        let Some(name) = StoredName::new(kind, sha256).filter(|_| self.may_ask()) else { return false };
        let put = self.store.put(&name, from, call);
        self.is_put(name, put)
    }

    /// Whether a file was put there; what went wrong is told.
    fn is_put(&self, name: StoredName, put: Result<(), ArtifactError>) -> bool {
        if let Err(error) = &put {
            self.tell(error);
        } else {
            self.remember(name);
        }
        put.is_ok()
    }

    /// Puts a small file there, gets it and takes it out again.
    ///
    /// # Errors
    /// When one of these does not succeed.
    pub fn probe(&self, content: &[u8], deadline: Instant) -> Result<(), ProbeError> {
        let folder = tempfile::tempdir()?;
        let (from, into) = (folder.path().join("sent"), folder.path().join("come"));
        std::fs::write(&from, content)?;
        let Some(name) = StoredName::new(Kind::Artifact, &crate::domain::sha256_hex(content)) else { return Ok(()) };
        let call = &mut Call { deadline, progress: &mut |_| {} };
        self.store.put(&name, &from, call)?;
        self.store.get(&name, &into, call)?;
        self.store.remove(&name, call)?;
        Ok(())
    }

    fn put_missing(&self, name: &StoredName, from: &Path, call: &mut Call<'_>) -> Result<(), ArtifactError> {
        let size_bytes = std::fs::metadata(from).map(|about| about.len()).ok();
        let stored = self.store.size(name, call)?;
        // One of another size is damaged.
        if stored.is_some() && stored == size_bytes { Ok(()) } else { self.store.put(name, from, call) }
    }

    /// Whether the store is not left alone now.
    fn may_ask(&self) -> bool {
        self.known().left_alone_until.is_none_or(|until| Instant::now() >= until)
    }

    fn remember(&self, name: StoredName) {
        let mut known = self.known();
        if known.there.len() >= MAX_REMEMBERED {
            known.there.clear();
        }
        known.there.insert(name);
        (known.left_alone_until, known.failures, known.told) = (None, 0, None);
    }

    /// Tells what went wrong, once for all files that meet with the same.
    fn tell(&self, error: &ArtifactError) {
        let mut known = self.known();
        if error.trouble().is_of_the_store() {
            known.left_alone_until = Some(Instant::now() + LEFT_ALONE * 2u32.pow(known.failures.min(MAX_DOUBLINGS)));
            known.failures = known.failures.saturating_add(1);
            let what = error.trouble().to_string();
            if known.told.replace(what.clone()) == Some(what) {
                return;
            }
        }
        drop(known);
        let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        (self.remarks)(&format!("shared files: failed to {error}{remedy}"));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a probe did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The store.
    #[error("{0}{hint}", hint = .0.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default())]
    Store(#[from] ArtifactError),
    /// This host.
    #[error("write a file of this host: {0}")]
    Host(#[from] std::io::Error),
}
