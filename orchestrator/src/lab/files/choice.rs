//! Which models, files and engines a person means, and all of them made ready.

use std::path::PathBuf;

use crate::domain::{Backend, Catalog, CatalogModel, PublishedNetwork, WeightsFile, WeightsKind};
use crate::lab::{Lab, LabError};
use crate::progress::Progress;

use super::ReadyModel;

/// Some of the models' files.
#[derive(Debug, Clone, Default)]
pub struct FileChoice {
    /// Names of models; all models without any.
    pub names: Vec<String>,
    /// Kind of weights; all kinds without it.
    pub weights: Option<WeightsKind>,
    /// Their format, or `all`; without it, the first of each kind of weights.
    pub format: Option<String>,
}

impl FileChoice {
    /// A model's files that are meant.
    pub fn files<'a>(&self, model: &'a CatalogModel) -> Vec<&'a WeightsFile> {
        let mut files: Vec<&WeightsFile> = Vec::new();
        for file in model.files.iter().filter(|file| self.weights.is_none_or(|kind| file.weights == kind)) {
            let meant = match self.format.as_deref() {
                None => files.iter().all(|other| other.weights != file.weights),
                Some("all") => true,
                Some(format) => file.format == format,
            };
            if meant {
                files.push(file);
            }
        }
        files
    }
}

/// What became of making a model's file ready.
pub struct FileOutcome {
    /// The model's name.
    pub model: String,
    /// The file, with the further ones that it names, where it could be read.
    pub file: WeightsFile,
    /// Where it is, or why it isn't to be had.
    pub got: Result<ReadyModel, String>,
}

/// What became of getting an engine's file.
pub struct EngineFileOutcome {
    /// The engine's name.
    pub backend: String,
    /// The machine that it is for.
    pub target: String,
    /// The file's name.
    pub name: String,
    /// Where it is, or why it isn't to be had.
    pub got: Result<PathBuf, String>,
}

/// The model of this name.
///
/// # Errors
/// When there is none.
pub fn find_model<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a CatalogModel, LabError> {
    catalog.model(name).ok_or_else(|| {
        let names: Vec<&str> = catalog.models.iter().map(|model| model.name.as_str()).collect();
        LabError::usage(format!("there is no model {name:?}")).with_hint(format!("models: {}", names.join(", ")))
    })
}

/// The engine of this name.
///
/// # Errors
/// When there is none.
pub fn find_backend<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Backend, LabError> {
    catalog.backend(name).ok_or_else(|| {
        let names: Vec<&str> = catalog.backends.iter().map(|backend| backend.name.as_str()).collect();
        LabError::usage(format!("there is no backend {name:?}")).with_hint(format!("backends: {}", names.join(", ")))
    })
}

/// What was published of these networks; of all without a name.
///
/// # Errors
/// When nothing is known of one.
pub fn find_published(names: &[String]) -> Result<Vec<&'static PublishedNetwork>, LabError> {
    if names.is_empty() {
        return Ok(crate::catalog::published_networks().iter().collect());
    }
    let find = |name: &String| {
        crate::catalog::published_network(name).ok_or_else(|| {
            LabError::usage(format!("nothing published is known of a network {name:?}"))
                .with_hint("`farmctl models published` lists those it is known of")
        })
    };
    names.iter().map(find).collect()
}

impl Lab {
    /// Has files on this host; with `verify`, reads them again and compares them with their hashes.
    ///
    /// # Errors
    /// When a name is no model's, or no model has such a file. What became of each file is in its outcome.
    pub async fn ready_files(
        &self,
        catalog: &Catalog,
        choice: &FileChoice,
        verify: bool,
        progress: &Progress,
    ) -> Result<Vec<FileOutcome>, LabError> {
        let named = choice.names.iter().map(|name| find_model(catalog, name)).collect::<Result<Vec<_>, _>>()?;
        let models = if choice.names.is_empty() { catalog.models.iter().collect() } else { named };
        let mut outcomes = Vec::new();
        for model in models {
            for file in choice.files(model) {
                let got = self.ready_model(&model.name, file, verify, progress).await;
                let file = got.as_ref().map_or(file, |ready| &ready.file).clone();
                outcomes.push(FileOutcome { model: model.name.clone(), file, got });
            }
        }
        match outcomes.is_empty() {
            true => Err(LabError::nothing("no model has such a file")),
            false => Ok(outcomes),
        }
    }

    /// Gets the files of engines for these machines; of all engines without a name.
    ///
    /// # Errors
    /// When a name is no engine's. What became of each file is in its outcome.
    pub async fn get_engine_files(
        &self,
        catalog: &Catalog,
        names: &[String],
        targets: &[String],
        progress: &Progress,
    ) -> Result<Vec<EngineFileOutcome>, LabError> {
        let named = names.iter().map(|name| find_backend(catalog, name)).collect::<Result<Vec<_>, LabError>>()?;
        let backends = if names.is_empty() { catalog.backends.iter().collect() } else { named };
        let mut outcomes = Vec::new();
        for backend in backends {
            let all = backend.program.iter().flat_map(|program| &program.targets);
            for target in all.filter(|target| targets.contains(&target.target)) {
                for file in &target.files {
                    let got = self.get_engine_file(target, file, progress).await;
                    outcomes.push(EngineFileOutcome {
                        backend: backend.name.clone(),
                        target: target.target.clone(),
                        name: file.name.clone(),
                        got: got.map(|local| local.path).map_err(|error| format!("failed to {error}")),
                    });
                }
            }
        }
        Ok(outcomes)
    }
}
