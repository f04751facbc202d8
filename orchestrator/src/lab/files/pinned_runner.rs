//! One runner a sweep and target, whoever built it: the store has its hash, and the files that hosts share have it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artifacts::{Asked, Call, Kind, SharedFiles};
use crate::device::RunnerFile;
use crate::domain::SweepId;
use crate::runners::{self, Runners, equivalent};
use crate::store::Store;

/// How long a runner may take on its way from or to the files that hosts share: it has a dozen megabytes.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The runners that a sweep has begun with, at whichever host.
pub(super) struct PinnedRunners {
    pub(super) store: Arc<dyn Store>,
    pub(super) sweep: SweepId,
    pub(super) shared: SharedFiles,
    /// Where those of other hosts are put.
    pub(super) folder: PathBuf,
}

impl PinnedRunners {
    /// The runner that the sweep has for a target; `None` where it has none yet, or it is not to be had.
    pub(super) async fn known(&self, runners: &Runners, target: &str) -> Option<RunnerFile> {
        // Where it can't be read, the agent meets with the same, and says so.
        let pins = self.store.pinned_runners(&self.sweep).unwrap_or_default();
        let of = |wanted: &str| pins.iter().find(|(target, _)| target == wanted);
        let (target, sha256) = of(target).or_else(|| equivalent(target).and_then(of))?;
        self.with_hash(runners, target, sha256).await
    }

    /// Lets other hosts have a runner of this one, and says that it is the sweep's. Where another was sooner, gives
    /// that one, if it is to be had.
    pub(super) async fn settle(&self, runners: &Runners, own: RunnerFile) -> RunnerFile {
        // It is there before the pin says so: whoever reads that finds it.
        if !self.share(&own).await {
            return own;
        }
        match self.store.pin_runner(&self.sweep, &own.target, &own.artifact.sha256) {
            Ok(pinned) if pinned != own.artifact.sha256 => {
                self.with_hash(runners, &own.target, &pinned).await.unwrap_or(own)
            }
            _ => own,
        }
    }

    /// The runner with that hash: as one of this host's own, or from the files that hosts share.
    async fn with_hash(&self, runners: &Runners, target: &str, sha256: &str) -> Option<RunnerFile> {
        let path = self.folder.join(sha256);
        let places = runners.places(target).into_iter().map(|place| place.path);
        for path in places.chain([path.clone()]).filter(|path| path.is_file()) {
            let found = runners::read(&path, target).await.ok().map(|read| read.file);
            if let Some(file) = found.filter(|file| file.artifact.sha256 == sha256) {
                return Some(file);
            }
        }
        let (shared, folder, name, into) = (self.shared.clone(), self.folder.clone(), sha256.to_owned(), path.clone());
        let fetch = move || {
            let mut call = Call { deadline: Instant::now() + TIMEOUT, progress: &mut |_| {} };
            std::fs::create_dir_all(folder).is_ok()
                && shared.fetch(Kind::Runner, &name, &into, &mut call) == Asked::Done
        };
        let is_there = tokio::task::spawn_blocking(fetch).await.unwrap_or(false);
        if is_there { runners::read(&path, target).await.ok().map(|read| read.file) } else { None }
    }

    async fn share(&self, own: &RunnerFile) -> bool {
        let (shared, sha256, path) = (self.shared.clone(), own.artifact.sha256.clone(), own.path.clone());
        let share = move || {
            let mut call = Call { deadline: Instant::now() + TIMEOUT, progress: &mut |_| {} };
            shared.share(Kind::Runner, &sha256, &path, &mut call)
        };
        tokio::task::spawn_blocking(share).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use crate::artifacts::FolderStore;
    use crate::domain::{Plan, sample, sha256_hex};
    use crate::runners::{FILE_NAME, HOST_TARGET};
    use crate::store::conformance::definition;
    use crate::store::{self, NewSweep};

    use super::*;

    /// A host with a runner of that content of its own; all hosts share files and store.
    fn host(root: &Path, name: &str) -> (PinnedRunners, Runners) {
        let folder = root.join(name);
        let own = folder.join("runners").join(HOST_TARGET);
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join(FILE_NAME), name).unwrap();
        let shared = SharedFiles::new(Arc::new(FolderStore::new(root.join("shared"))), Arc::new(|_| {}));
        let store = store::open(root.join("state.db").to_str().unwrap()).unwrap();
        let pinned = PinnedRunners { store, sweep: sample::sweep().id, shared, folder: folder.join("artifacts") };
        (pinned, Runners { explicit: Some(folder.join("runners")), ..Runners::default() })
    }

    async fn own(runners: &Runners) -> RunnerFile {
        runners.get(HOST_TARGET, &mut |_| {}).await.unwrap()
    }

    #[tokio::test]
    async fn all_hosts_have_the_runner_of_whoever_was_sooner() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("shared")).unwrap();
        let (one, of_one) = host(root.path(), "one");
        let definition = definition();
        let row = sample::sweep();
        let plan = Plan { sweep: row.name.clone(), jobs: Vec::new(), skipped: Vec::new() };
        one.store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
        assert!(one.known(&of_one, HOST_TARGET).await.is_none(), "the sweep has none yet");
        let first = one.settle(&of_one, own(&of_one).await).await;
        assert_eq!(first.artifact.sha256, sha256_hex(b"one"));

        // Two built at the same time: the later one goes by what the sooner one has settled.
        let (two, of_two) = host(root.path(), "two");
        let second = two.settle(&of_two, own(&of_two).await).await;
        assert_eq!(second.artifact, first.artifact);
        assert_eq!(std::fs::read(&second.path).unwrap(), b"one");

        // A third builds none, also where its devices have the other libc.
        let (three, of_three) = host(root.path(), "three");
        let target = equivalent(HOST_TARGET).unwrap();
        let third = three.known(&of_three, target).await.unwrap();
        assert_eq!((third.artifact, third.target.as_str()), (first.artifact, HOST_TARGET));

        // Where the files can't be had any more, each has its own: the agent meets with that, and says so.
        std::fs::remove_dir_all(root.path().join("shared")).unwrap();
        let (four, of_four) = host(root.path(), "four");
        assert!(four.known(&of_four, HOST_TARGET).await.is_none());
        let fourth = four.settle(&of_four, own(&of_four).await).await;
        assert_eq!(fourth.artifact.sha256, sha256_hex(b"four"));
    }
}
