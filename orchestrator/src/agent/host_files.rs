//! Where files are that runs take.

use std::collections::HashMap;
use std::path::PathBuf;

/// The files of a sweep's jobs on this host. Two models may have the same content in files of their own: a job takes
/// its own model's, so that what is wrong with one costs no job of the other.
#[derive(Debug, Clone, Default)]
pub struct HostFiles {
    of_models: HashMap<String, HashMap<String, PathBuf>>,
    others: HashMap<String, PathBuf>,
}

impl HostFiles {
    /// A file of a model, by its hash.
    pub fn add_of_model(&mut self, model: &str, sha256: String, path: PathBuf) {
        self.of_models.entry(model.to_owned()).or_default().insert(sha256, path);
    }

    /// A file that is nobody's own, by its hash: images, values of inputs.
    pub fn add(&mut self, sha256: String, path: PathBuf) {
        self.others.insert(sha256, path);
    }

    /// Where a job of that model finds a file.
    pub fn of(&self, model: &str, sha256: &str) -> Option<&PathBuf> {
        self.of_models.get(model).and_then(|files| files.get(sha256)).or_else(|| self.others.get(sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_one_content_have_files_of_their_own() {
        let mut files = HostFiles::default();
        files.add_of_model("a", "1".to_owned(), "a.onnx".into());
        files.add_of_model("b", "1".to_owned(), "b.onnx".into());
        files.add("2".to_owned(), "images".into());
        let of = |model: &str, sha256: &str| files.of(model, sha256).map(|path| path.display().to_string());
        assert_eq!([of("a", "1"), of("b", "1")], [Some("a.onnx".to_owned()), Some("b.onnx".to_owned())]);
        assert_eq!([of("c", "1"), of("c", "2")], [None, Some("images".to_owned())]);
    }
}
