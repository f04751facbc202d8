//! The files that the hosts of a lab share, where its lab.yaml names a place for them.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::OutputFiles;
use crate::artifacts::{ArtifactStore, Call, FolderStore, Kind, S3Store, S3Surroundings, S3Timeouts, SharedFiles};
use crate::domain::{PreparedImages, SharedFilesConfig, SharedPlace};
use crate::lab::{ErrorKind, Lab, LabError};

/// How long a probe of the place may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a dataset's images may take on their way: ImageNet's have seven gigabytes.
const IMAGES_TIMEOUT: Duration = Duration::from_secs(3600);

/// The place that is open, and what lab.yaml said of it then.
pub(in crate::lab) struct OpenShared {
    config: SharedFilesConfig,
    files: SharedFiles,
}

impl Lab {
    /// The files that hosts share; `None` where this host has its own alone. Nobody is asked yet.
    ///
    /// # Errors
    /// When lab.yaml is faulty, or names what can't be used.
    pub fn shared_files(&self) -> Result<Option<SharedFiles>, LabError> {
        let wanted = self.lab_config()?.artifacts;
        let mut open = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(config) = wanted else {
            *open = None;
            return Ok(None);
        };
        if let Some(known) = open.as_ref().filter(|known| known.config == config) {
            return Ok(Some(known.files.clone()));
        }
        let files = SharedFiles::new(self.open_place(&config.place)?, Arc::clone(&self.remarks));
        *open = Some(OpenShared { config, files: files.clone() });
        Ok(Some(files))
    }

    /// The same where a fault of lab.yaml must not keep what is asked for: it is told.
    pub(in crate::lab) fn shared_files_if_any(&self) -> Option<SharedFiles> {
        self.shared_files().unwrap_or_else(|error| {
            self.remark(&format!("without the files that hosts share: {}", error.in_short()));
            None
        })
    }

    fn open_place(&self, place: &SharedPlace) -> Result<Arc<dyn ArtifactStore>, LabError> {
        match place {
            SharedPlace::Folder(folder) => Ok(Arc::new(FolderStore::new(folder.clone()))),
            SharedPlace::S3(s3) => {
                let around = S3Surroundings {
                    variable: Arc::clone(&self.environment.variable),
                    home: self.home(),
                    proxy: self.environment.proxy.clone(),
                    trust: self.environment.trust.clone(),
                    timeouts: S3Timeouts::default(),
                };
                let store = S3Store::open(s3.clone(), &around).map_err(|error| {
                    let remedy = error.remedy();
                    let failed = LabError::failed(ErrorKind::Invalid, error);
                    match remedy {
                        Some(remedy) => failed.with_hint(remedy),
                        None => failed,
                    }
                })?;
                Ok(Arc::new(store))
            }
        }
    }

    /// Has the images of a dataset here that another host has made, as far as they are to be had.
    pub(super) async fn fetch_images(&self, prepared: &PreparedImages) {
        let Some(shared) = self.shared_files_if_any() else { return };
        let (folder, names) = (self.artifacts(), files_of(prepared));
        let fetch = move || {
            for name in names.iter().filter(|name| !folder.join(name).is_file()) {
                let mut call = Call { deadline: Instant::now() + IMAGES_TIMEOUT, progress: &mut |_| {} };
                if std::fs::create_dir_all(&folder).is_ok() {
                    shared.fetch(Kind::Artifact, name, &folder.join(name), &mut call);
                }
            }
        };
        // Where they are not to be had, they are made.
        let _ = tokio::task::spawn_blocking(fetch).await;
    }

    /// Lets other hosts have the images of a dataset.
    pub(super) async fn share_images(&self, prepared: &PreparedImages) {
        let Some(shared) = self.shared_files_if_any() else { return };
        let (folder, names) = (self.artifacts(), files_of(prepared));
        let share = move || {
            for name in &names {
                let mut call = Call { deadline: Instant::now() + IMAGES_TIMEOUT, progress: &mut |_| {} };
                shared.share(Kind::Artifact, name, &folder.join(name), &mut call);
            }
        };
        let _ = tokio::task::spawn_blocking(share).await;
    }

    /// Where outputs are kept.
    pub(in crate::lab) fn output_files(&self) -> OutputFiles {
        OutputFiles::new(self.outputs()).sharing(self.shared_files_if_any())
    }

    /// Tries the place where hosts share files: a small file is put there, had and taken out again. Gives what to say
    /// of it; `None` where this host has its own files alone.
    pub(in crate::lab) async fn probe_shared_files(&self) -> Option<Result<String, String>> {
        let files = match self.shared_files() {
            Ok(files) => files?,
            Err(error) => return Some(Err(error.text())),
        };
        let content =
            format!("farmctl doctor {} {} {}", self.person(), self.root.display(), self.now().as_nanosecond());
        let begun = Instant::now();
        let probing = files.clone();
        let probe = move || probing.probe(content.as_bytes(), Instant::now() + PROBE_TIMEOUT);
        Some(match tokio::task::spawn_blocking(probe).await {
            Ok(Ok(())) => {
                let millis = begun.elapsed().as_millis();
                Ok(format!("{}: a file was put there, had and taken out in {millis} ms", files.place()))
            }
            Ok(Err(error)) => Err(format!("failed to {error}")),
            Err(error) => Err(error.to_string()),
        })
    }
}

/// The files of a dataset's images, by their hash.
fn files_of(prepared: &PreparedImages) -> [String; 2] {
    [prepared.images.sha256.clone(), prepared.labels_sha256.clone()]
}
