//! Has models' files ready for a plan.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::catalog::{ArtifactCache, CatalogError, LocalModel, Progress as Step};
use crate::domain::{ArtifactRef, Catalog, CatalogModel, FailureKind, Job, Plan, Skipped, WeightsFile, WeightsSource};
use crate::lab::{Lab, LabError};
use crate::progress::Progress;

use super::task::shown;

/// Longest time that getting one file may take.
const TIMEOUT: Duration = Duration::from_secs(3600);

impl Lab {
    /// The host's cache of model files.
    pub fn model_cache(&self) -> ArtifactCache {
        ArtifactCache::new(self.artifacts(), self.downloads())
    }

    /// The catalogue with hash and size of the user's own files that are there; a plan is made from these.
    pub(in crate::lab) fn catalog_with_found_files(&self) -> Result<Catalog, LabError> {
        let (mut catalog, cache) = (self.catalog()?, self.model_cache());
        let find = |artifact: &mut Option<ArtifactRef>, source: &WeightsSource| {
            if let WeightsSource::Path(path) = source
                && artifact.is_none()
                && path.is_file()
            {
                *artifact = Some(cache.hash_of(path, Instant::now() + TIMEOUT)?);
            }
            Ok::<(), LabError>(())
        };
        for file in catalog.models.iter_mut().flat_map(|model| &mut model.files) {
            find(&mut file.artifact, &file.source)?;
            file.parts.iter_mut().try_for_each(|part| find(&mut part.artifact, &part.source))?;
        }
        Ok(catalog)
    }

    /// Has every file that a plan needs on this host. Jobs whose file can't be had become skipped cells with the reason.
    pub(in crate::lab) async fn provide_files(
        &self,
        catalog: &Catalog,
        plan: &mut Plan,
        progress: &Progress,
    ) -> Result<HashMap<String, PathBuf>, LabError> {
        // By all files: two models of one network may differ in their weights' file alone.
        let key = |job: &Job| {
            let artifacts = job.model.artifact.iter().chain(job.model.parts.iter().map(|part| &part.artifact));
            (job.model.name.clone(), artifacts.map(|artifact| artifact.sha256.clone()).collect::<Vec<_>>())
        };
        let wanted: BTreeSet<(String, Vec<String>)> = plan.jobs.iter().map(key).collect();
        let (mut files, mut missing) = (HashMap::new(), HashMap::new());
        for (name, hashes) in wanted {
            let Some(model) = catalog.model(&name) else { continue };
            let is_it = |file: &&WeightsFile| {
                let artifacts = std::iter::once(&file.artifact).chain(file.parts.iter().map(|part| &part.artifact));
                artifacts.map(|artifact| artifact.as_ref().map(|it| &it.sha256)).eq(hashes.iter().map(Some))
            };
            let Some(file) = model.files.iter().find(is_it) else { continue };
            match self.get_model(&name, file, false, progress).await? {
                Ok(local) => {
                    let macs = self.macs_of(model, file);
                    let is_of_it = |job: &&mut Job| key(job) == (name.clone(), hashes.clone());
                    plan.jobs.iter_mut().filter(is_of_it).for_each(|job| job.model.macs = macs);
                    let all = std::iter::once(local.file).chain(local.parts);
                    files.extend(all.map(|file| (file.artifact.sha256, file.path)));
                }
                Err(error) => drop(missing.insert((name, hashes), format!("failed to {error}"))),
            }
        }
        let jobs = std::mem::take(&mut plan.jobs);
        for job in jobs {
            match missing.get(&key(&job)) {
                Some(reason) => {
                    let kind = FailureKind::ArtifactUnavailable;
                    plan.skipped.push(Skipped { job, kind, reason: reason.clone() });
                }
                None => plan.jobs.push(job),
            }
        }
        files.extend(self.provide_images(catalog, plan, progress).await?);
        Ok(files)
    }

    /// Multiply-adds of the very file that is measured: another training of a network may have another graph than the
    /// catalogue's entry. `None` where they can't be counted whole; the entry's number for a format that isn't read.
    fn macs_of(&self, model: &CatalogModel, file: &WeightsFile) -> Option<u64> {
        match self.model_cache().summary(model, file) {
            Ok(Some(summary)) => summary.is_complete().then(|| summary.macs()),
            Ok(None) => model.macs,
            Err(error) => {
                tracing::warn!(model = %model.name, %error, "its multiply-adds can't be counted");
                None
            }
        }
    }

    /// Gets or verifies one model's files, where it may block, and shows it.
    ///
    /// # Errors
    /// Inside: when the file can't be had. Outside: when the work broke off.
    pub async fn get_model(
        &self,
        name: &str,
        file: &WeightsFile,
        verify: bool,
        progress: &Progress,
    ) -> Result<Result<LocalModel, CatalogError>, LabError> {
        let (cache, model, file) = (self.model_cache(), name.to_owned(), file.clone());
        let get = move |show: &mut dyn FnMut(Step)| {
            let deadline = Instant::now() + TIMEOUT;
            if verify {
                cache.verify(&model, &file, deadline, show)
            } else {
                cache.ensure(&model, &file, deadline, show)
            }
        };
        shown(progress, name.to_owned(), get).await
    }
}
