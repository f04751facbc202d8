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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn labels_are_what_their_name_says_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let labels = LabelFiles::new(folder.path().to_owned());
        let bytes: Vec<u8> = [7u32, 0, 999].iter().flat_map(|class| class.to_le_bytes()).collect();
        let sha256 = crate::domain::sha256_hex(&bytes);
        assert!(labels.load(&sha256).is_err());
        std::fs::write(folder.path().join(&sha256), &bytes).unwrap();
        assert_eq!(labels.load(&sha256).unwrap(), [7, 0, 999]);
        std::fs::write(folder.path().join(&sha256), b"else").unwrap();
        assert!(labels.load(&sha256).unwrap_err().to_string().contains("does not fit its name"));
    }
}
