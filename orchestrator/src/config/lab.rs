//! A lab file to what it means, checked.

use crate::domain::SharedFilesConfig;

use super::document::Document;
use super::fault::ConfigErrors;
use super::lab_file::LabFile;
use super::shared_files::shared_files;
use super::source::Source;

/// What a lab file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabConfig {
    /// Where the files are that hosts share; `None`: each host has its own alone.
    pub artifacts: Option<SharedFilesConfig>,
}

/// What a file says.
pub(super) fn load(source: Source) -> Result<LabConfig, ConfigErrors> {
    let mut document = Document::<LabFile>::new(source);
    let Some(content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    let artifacts = content.artifacts.and_then(|entry| shared_files(&mut document, entry));
    ConfigErrors::unless_clean(Some(LabConfig { artifacts }), document.faults)
}
