use std::path::PathBuf;

/// The classes that datasets' images really have, in files by their hash. No device gets them.
#[derive(Debug, Clone)]
pub struct LabelFiles {
    folder: PathBuf,
}

impl LabelFiles {
    /// Labels kept in this folder.
    pub fn new(folder: PathBuf) -> LabelFiles {
        LabelFiles { folder }
    }

    /// The classes of a dataset's images, in their order.
    ///
    /// # Errors
    /// When the file is not there, or is not what its name says.
    pub fn load(&self, sha256: &str) -> std::io::Result<Vec<u32>> {
        let path = self.folder.join(sha256);
        let named = |what: String| std::io::Error::other(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(&path).map_err(|error| named(error.to_string()))?;
        if crate::domain::sha256_hex(&bytes) != sha256 {
            return Err(named("its content does not fit its name".to_owned()));
        }
        Ok(bytes.as_chunks::<4>().0.iter().map(|class| u32::from_le_bytes(*class)).collect())
    }
}
