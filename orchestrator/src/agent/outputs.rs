use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::domain::Record;

/// Output tensors of runs, kept by their hash: equal outputs are one file.
#[derive(Debug, Clone)]
pub struct OutputFiles {
    folder: PathBuf,
}

impl OutputFiles {
    /// Outputs kept in this folder, which is made on first use.
    pub fn new(folder: PathBuf) -> OutputFiles {
        OutputFiles { folder }
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
        let values = read_values(&self.path(sha256), sha256);
        values.inspect_err(|error| tracing::error!(output = %sha256, %error, "an output can't be read")).ok()
    }

    /// What is wrong with the files of the outputs that these records name.
    pub fn faults(&self, records: &[Record]) -> Vec<String> {
        let named: BTreeSet<&str> = records
            .iter()
            .flat_map(|record| &record.measurement.outputs)
            .map(|output| output.sha256.as_str())
            .collect();
        let fault = |sha256: &str| {
            let path = self.path(sha256);
            let error = read_values(&path, sha256).err()?;
            Some(format!("output file {}: {error}", path.display()))
        };
        named.into_iter().filter_map(fault).collect()
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.f32"))
    }
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
