use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use farmctl_protocol::EngineSpec;
use tokio::sync::{Mutex, OnceCell};

use crate::catalog::{EngineFileError, EngineFiles, LocalArtifact, Progress as Step};
use crate::device::{EngineProgram, EngineProvider};
use crate::domain::{
    Backend, BackendFile, BackendProgram, BackendTarget, Catalog, Failure, FailureKind, Job, NamedArtifact,
};
use crate::lab::Lab;
use crate::progress::Progress;

use super::task::shown;

/// Longest time that getting one file may take; an engine's build is far shorter.
const TIMEOUT: Duration = Duration::from_secs(3600);

impl Lab {
    /// Where the files of engines are on this host, and come from.
    pub fn engine_files(&self) -> EngineFiles {
        EngineFiles {
            folder: self.artifacts(),
            workspace: self.workspace(),
            downloads: self.downloads(),
            shared: self.shared_files_if_any(),
        }
    }

    /// Gets one file of an engine, where it may block, and shows it.
    ///
    /// # Errors
    /// When the file can't be had.
    pub async fn get_engine_file(
        &self,
        target: &BackendTarget,
        file: &BackendFile,
        progress: &Progress,
    ) -> Result<LocalArtifact, EngineFileError> {
        get(&self.engine_files(), target, file, progress).await
    }
}

/// What became of getting an engine; told to whoever asks again.
type Provided = Arc<OnceCell<Result<EngineProgram, Failure>>>;

/// The engine programs of this process: each is looked for, fetched or built once a target, however many devices want
/// it.
pub struct EngineSource {
    backends: Vec<Backend>,
    files: EngineFiles,
    progress: Progress,
    found: Mutex<HashMap<(String, String), Provided>>,
}

impl EngineSource {
    /// The engines of this catalogue.
    pub fn new(lab: &Lab, catalog: &Catalog, progress: Progress) -> EngineSource {
        let (backends, files) = (catalog.backends.clone(), lab.engine_files());
        EngineSource { backends, files, progress, found: Mutex::default() }
    }

    /// All files of an engine on this host.
    async fn provide(
        &self,
        name: &str,
        program: &BackendProgram,
        target: &BackendTarget,
    ) -> Result<EngineProgram, Failure> {
        let (mut named, mut paths) = (Vec::new(), HashMap::new());
        for file in &target.files {
            let unavailable = |error: EngineFileError| {
                let (file, target) = (&file.name, &target.target);
                let message = format!("the file {file} of {name} for {target} is not to be had: failed to {error}");
                Failure::new(FailureKind::ArtifactUnavailable, message)
            };
            let got = get(&self.files, target, file, &self.progress).await;
            let local = got.map_err(unavailable)?;
            paths.insert(local.artifact.sha256.clone(), local.path);
            named.push(NamedArtifact { name: file.name.clone(), artifact: local.artifact });
        }
        let BackendProgram { command, dialect, options, .. } = program.clone();
        Ok(EngineProgram { spec: EngineSpec { files: named, command, dialect, options }, paths })
    }
}

#[async_trait]
impl EngineProvider for EngineSource {
    async fn engine(&self, job: &Job, target: &str) -> Result<Option<EngineProgram>, Failure> {
        let name = &job.backend;
        let unsupported = |message: String| Failure::new(FailureKind::BackendUnsupported, message);
        let backend = self.backends.iter().find(|backend| backend.name == *name);
        let backend = backend.ok_or_else(|| unsupported(format!("the catalogue has no backend {name}")))?;
        let Some(program) = &backend.program else { return Ok(None) };
        if backend.version != job.backend_version {
            let (now, then) = (&backend.version, &job.backend_version);
            return Err(unsupported(format!("the catalogue has {name} {now}, the plan is for {then}")));
        }
        let found = program.target(target);
        let found = found.ok_or_else(|| unsupported(program.no_target(name, target)))?;
        let key = (name.clone(), found.target.clone());
        let cell = Arc::clone(self.found.lock().await.entry(key).or_default());
        let mut provided = cell.get_or_init(|| self.provide(name, program, found)).await.clone()?;
        provided.spec.options.clone_from(&job.options);
        Ok(Some(provided))
    }
}

/// Gets one file, where it may block, and shows it.
async fn get(
    files: &EngineFiles,
    target: &BackendTarget,
    file: &BackendFile,
    progress: &Progress,
) -> Result<LocalArtifact, EngineFileError> {
    let (files, target, file, name) = (files.clone(), target.clone(), file.clone(), file.name.clone());
    let ensure = move |show: &mut dyn FnMut(Step)| files.ensure(&target, &file, Instant::now() + TIMEOUT, show);
    shown(progress, name, ensure).await
}
