use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::artifacts::{Asked, Call, Kind, SharedFiles};
use crate::domain::Record;

/// How long an output may take on its way from or to the files that hosts share: a few kilobytes mostly.
const SHARE_TIMEOUT: Duration = Duration::from_secs(15);

/// Output tensors of runs, kept by their hash: equal outputs are one file.
#[derive(Debug, Clone)]
pub struct OutputFiles {
    folder: PathBuf,
    shared: Option<SharedFiles>,
}

impl OutputFiles {
    /// Outputs kept in this folder, which is made on first use.
    pub fn new(folder: PathBuf) -> OutputFiles {
        OutputFiles { folder, shared: None }
    }

    /// The same; what is kept goes to these files of all hosts, too, and what is not here is had from there.
    #[must_use]
    pub fn sharing(self, shared: Option<SharedFiles>) -> OutputFiles {
        OutputFiles { shared, ..self }
    }

    /// Keeps one output.
    ///
    /// # Errors
    /// When it can't be written; nothing is there under its name then.
    pub fn keep(&self, sha256: &str, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path(sha256);
        if path.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Lets other hosts have outputs that are kept here. What can't be put there now is told, and put there with the
    /// sweep's reports.
    pub async fn share(&self, sha256s: Vec<String>) {
        if self.shared.is_none() || sha256s.is_empty() {
            return;
        }
        let outputs = self.clone();
        let sharing = move || sha256s.iter().filter(|sha256| !outputs.share_one(sha256)).count();
        // What went wrong was told by the files themselves.
        let _ = tokio::task::spawn_blocking(sharing).await;
    }

    /// Lets other hosts have the outputs of these records that are here; gives how many of them could not be put there.
    pub fn share_all(&self, records: &[Record]) -> usize {
        if self.shared.is_none() {
            return 0;
        }
        named(records).into_iter().filter(|sha256| self.path(sha256).is_file() && !self.share_one(sha256)).count()
    }

    fn share_one(&self, sha256: &str) -> bool {
        let mut call = Call { deadline: Instant::now() + SHARE_TIMEOUT, progress: &mut |_| {} };
        let share = |shared: &SharedFiles| shared.share(Kind::Output, sha256, &self.path(sha256), &mut call);
        self.shared.as_ref().is_none_or(share)
    }

    /// The outputs that these records name, as numbers, by hash. One that is missing or is not what its name says is
    /// logged and left out: the report then has no `output_error` for it.
    pub fn load(&self, records: &[Record]) -> HashMap<String, Vec<f32>> {
        let mut values = HashMap::new();
        let named = records.iter().flat_map(|record| &record.measurement.outputs);
        self.load_into(&mut values, named.map(|output| output.sha256.as_str()));
        values
    }

    /// Adds the outputs of these hashes to those that are there, in the same way.
    pub fn load_into<'a>(&self, values: &mut HashMap<String, Vec<f32>>, hashes: impl Iterator<Item = &'a str>) {
        for sha256 in hashes {
            if values.contains_key(sha256) {
                continue;
            }
            if let Some(numbers) = self.read(sha256) {
                values.insert(sha256.to_owned(), numbers);
            }
        }
    }

    /// Whether all values of an output are finite; of one that can't be read it is supposed.
    pub fn is_finite(&self, sha256: &str) -> bool {
        self.read(sha256).is_none_or(|values| values.iter().all(|value| value.is_finite()))
    }

    fn read(&self, sha256: &str) -> Option<Vec<f32>> {
        self.values(sha256)
            .inspect_err(|error| tracing::error!(output = %sha256, %error, "an output can't be read"))
            .ok()
    }

    /// What is wrong with the files of the outputs that these records name.
    pub fn faults(&self, records: &[Record]) -> Vec<String> {
        let fault = |sha256: &str| {
            let path = self.path(sha256);
            let error = self.values(sha256).err()?;
            Some(format!("output file {}: {error}", path.display()))
        };
        named(records).into_iter().filter_map(fault).collect()
    }

    /// An output as numbers, from this host, else from the files that hosts share.
    fn values(&self, sha256: &str) -> std::io::Result<Vec<f32>> {
        let path = self.path(sha256);
        let read = read_values(&path, sha256);
        match (&read, &self.shared) {
            (Err(_), Some(shared)) => {
                std::fs::create_dir_all(&self.folder)?;
                let mut call = Call { deadline: Instant::now() + SHARE_TIMEOUT, progress: &mut |_| {} };
                let asked = shared.fetch(Kind::Output, sha256, &path, &mut call);
                if asked == Asked::Done { read_values(&path, sha256) } else { read }
            }
            _ => read,
        }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.f32"))
    }
}

/// The outputs that records name.
fn named(records: &[Record]) -> BTreeSet<&str> {
    let outputs = records.iter().flat_map(|record| &record.measurement.outputs);
    outputs.map(|output| output.sha256.as_str()).collect()
}

fn read_values(path: &Path, sha256: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    if crate::domain::sha256_hex(&bytes) != sha256 {
        return Err(std::io::Error::other("its content does not fit its name"));
    }
    Ok(bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_kept_output_is_read_back_and_a_damaged_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = OutputFiles::new(folder.path().join("outputs"));
        let bytes = 1.5f32.to_le_bytes();
        let sha256 = crate::domain::sha256_hex(&bytes);
        outputs.keep(&sha256, &bytes).unwrap();
        outputs.keep(&sha256, &bytes).unwrap();
        assert_eq!(read_values(&outputs.path(&sha256), &sha256).unwrap(), [1.5]);
        std::fs::write(outputs.path(&sha256), b"else").unwrap();
        assert!(read_values(&outputs.path(&sha256), &sha256).is_err());
        let mut record = crate::domain::sample::record("board-1", "tiny");
        record.measurement.outputs = vec![crate::domain::sample::output("logits", &sha256)];
        let faults = outputs.faults(&[record]);
        assert!(faults.len() == 1 && faults[0].contains("does not fit its name"), "{faults:?}");
    }
}
