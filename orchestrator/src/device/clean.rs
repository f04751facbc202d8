use farmctl_protocol::{ArtifactRef, StoreStatus, StoreTrim};

use crate::domain::{DeviceLimits, Failure, FailureKind, RunId};

use super::bring_up::Session;
use super::lines;

/// Most that models and runners may take on a device whose farm file says nothing.
const MAX_STORE_BYTES: u64 = 8_000_000_000;

/// Runs named in one command: a device's shell takes no command line of any length.
const RUNS_AT_ONCE: usize = 100;

/// What left a device's store, the least recently used first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// How many files.
    pub files: usize,
    /// Their size together.
    pub freed_bytes: u64,
}

impl Session {
    /// Removes the folders of ended runs.
    ///
    /// # Errors
    /// When the device does not do it.
    pub async fn remove_runs(&mut self, runs: &[RunId]) -> Result<(), Failure> {
        for some in runs.chunks(RUNS_AT_ONCE) {
            let mut words = vec!["runs", "remove"];
            words.extend(some.iter().map(RunId::as_str));
            self.ask("remove ended runs", &words).await?;
        }
        self.hello.runs.retain(|known| !runs.iter().any(|run| run.0 == known.run_id));
        Ok(())
    }

    /// Lets files leave the device's store where this one would not fit: into what the device may hold, or into what is
    /// free there. Those in `keep` stay.
    pub(super) async fn make_room(
        &mut self,
        artifact: &ArtifactRef,
        keep: &[&ArtifactRef],
        wanted_bytes: u64,
    ) -> Result<Option<Trimmed>, Failure> {
        let store = &self.hello.store;
        let limits = &self.device.limits;
        let part_bytes = self.partial.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size_bytes));
        let free_bytes = bytes_to_free(store, part_bytes, limits, wanted_bytes);
        if free_bytes == 0 {
            return Ok(None);
        }
        let free = free_bytes.to_string();
        let mut words = vec!["store", "trim", "--free-bytes", &free, &artifact.sha256];
        words.extend(keep.iter().map(|artifact| artifact.sha256.as_str()));
        let answer = self.ask("make room in the store", &words).await?;
        let trim: StoreTrim = serde_json::from_slice(&answer).map_err(|error| {
            let said = lines::excerpt(&answer);
            let message = format!("{} answered to store trim with {said} ({error})", self.device.name);
            Failure::new(FailureKind::RunnerProtocol, message)
        })?;
        let store = &mut self.hello.store;
        store.files.retain(|file| !trim.removed.contains(&file.sha256));
        self.partial.retain(|file| !trim.removed.iter().any(|name| file.path.ends_with(name.as_str())));
        store.free_bytes = store.free_bytes.saturating_add(trim.freed_bytes);
        let files = trim.removed.len();
        Ok((files > 0).then_some(Trimmed { files, freed_bytes: trim.freed_bytes }))
    }
}

/// Bytes that must leave a store for a file of this size. What the device says of itself may be any number.
fn bytes_to_free(store: &StoreStatus, part_bytes: u64, limits: &DeviceLimits, wanted_bytes: u64) -> u64 {
    let models = store.files.iter().map(|file| file.size_bytes);
    let held_bytes = models.fold(store.program_bytes.saturating_add(part_bytes), u64::saturating_add);
    let over_bytes = held_bytes.saturating_add(wanted_bytes);
    let over_bytes = over_bytes.saturating_sub(limits.max_store_bytes.unwrap_or(MAX_STORE_BYTES));
    let short_bytes = wanted_bytes.saturating_add(limits.min_free_bytes.unwrap_or(0)).saturating_sub(store.free_bytes);
    over_bytes.max(short_bytes)
}

#[cfg(test)]
mod tests {
    use farmctl_protocol::StoreFile;

    use super::*;

    #[test]
    fn what_must_leave_is_known_whatever_the_device_says() {
        let file = |size_bytes| StoreFile { sha256: "ab".to_owned(), size_bytes };
        let limits = DeviceLimits { max_store_bytes: Some(100), min_free_bytes: Some(5), ..DeviceLimits::default() };
        let held = StoreStatus { files: vec![file(60), file(30)], free_bytes: 1000, ..StoreStatus::default() };
        assert_eq!(bytes_to_free(&held, 0, &limits, 10), 0);
        assert_eq!(bytes_to_free(&held, 0, &limits, 25), 15);
        assert_eq!(bytes_to_free(&StoreStatus { free_bytes: 20, ..held.clone() }, 0, &limits, 40), 30);
        let boasting = StoreStatus { files: vec![file(u64::MAX), file(1)], program_bytes: u64::MAX, ..held };
        assert_eq!(bytes_to_free(&boasting, 1, &limits, 10), u64::MAX - 100);
    }
}
