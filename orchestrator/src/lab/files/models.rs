//! Has models' files ready for a plan.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::agent::HostFiles;
use crate::catalog::{ArtifactCache, CatalogError, LocalModel, Progress as Step};
use crate::domain::{Catalog, FailureKind, Job, Plan, Skipped, WeightsFile, WeightsKind};
use crate::lab::Lab;
use crate::progress::Progress;

use super::task::shown;

/// Longest time that getting one file may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);

impl Lab {
    /// The host's cache of model files.
    pub fn model_cache(&self) -> ArtifactCache {
        ArtifactCache::new(self.artifacts(), self.downloads()).sharing(self.shared_files_if_any())
    }

    /// The catalogue with what is found out of the wanted files that are here; a plan is made from this. No other file
    /// is touched.
    pub(in crate::lab) fn with_found_files(&self, mut catalog: Catalog, is_wanted: IsWanted<'_>) -> Catalog {
        for model in &mut catalog.models {
            let name = model.name.clone();
            self.look_at_model(model, &|file| is_wanted(&name, file.weights));
        }
        catalog
    }

    /// Has every file that a plan needs on this host. Jobs whose file can't be had become skipped cells with the
    /// reason. What a file says of itself is known once it is here: a plan that is new is then made anew, by `renew`.
    pub(in crate::lab) async fn provide_files(
        &self,
        catalog: &mut Catalog,
        plan: &mut Plan,
        renew: Option<Renew<'_>>,
        progress: &Progress,
    ) -> HostFiles {
        let (mut files, mut missing) = (HostFiles::default(), HashMap::new());
        let mut tried: BTreeSet<Key> = BTreeSet::new();
        loop {
            let wanted: BTreeSet<Key> = plan.jobs.iter().map(Key::of).filter(|key| !tried.contains(key)).collect();
            let mut is_more_known = false;
            for key in &wanted {
                let Some(model) = catalog.models.iter_mut().find(|model| model.name == key.model) else { continue };
                let Some(index) = model.files.iter().position(|file| key.is_of(file)) else { continue };
                match self.get_model(&key.model, &model.files[index], false, progress).await {
                    Ok(local) => {
                        let all = std::iter::once(local.file).chain(local.parts);
                        all.for_each(|file| files.add_of_model(&key.model, file.artifact.sha256, file.path));
                        if model.files[index].signature.is_none() {
                            self.look_at_model(model, &|file| key.is_of(file));
                            is_more_known |= model.files[index].signature.is_some();
                        }
                    }
                    Err(error) => drop(missing.insert(key.clone(), format!("failed to {error}"))),
                }
            }
            tried.extend(wanted);
            match renew {
                Some(renew) if is_more_known => *plan = renew(catalog),
                _ => break,
            }
        }
        let jobs = std::mem::take(&mut plan.jobs);
        for job in jobs {
            match missing.get(&Key::of(&job)) {
                Some(reason) => {
                    let kind = FailureKind::ArtifactUnavailable;
                    plan.skipped.push(Skipped { job, kind, reason: reason.clone() });
                }
                None => plan.jobs.push(job),
            }
        }
        let besides = self.given_values(plan).into_iter();
        besides
            .chain(self.provide_images(catalog, plan, progress).await)
            .for_each(|(sha256, path)| files.add(sha256, path));
        files
    }

    /// The values that jobs' inputs are given, as far as they are here: whoever looked at the catalogue has put them
    /// there.
    fn given_values(&self, plan: &Plan) -> Vec<(String, PathBuf)> {
        let cache = self.model_cache();
        let given = plan.jobs.iter().flat_map(|job| job.model.inputs.iter().filter_map(|input| input.values.as_ref()));
        let here = given.map(|artifact| (artifact.sha256.clone(), cache.path(artifact)));
        here.filter(|(_, path)| path.is_file()).collect()
    }

    /// Gets or verifies one model's files, where it may block, and shows it.
    ///
    /// # Errors
    /// When the file can't be had.
    pub async fn get_model(
        &self,
        name: &str,
        file: &WeightsFile,
        verify: bool,
        progress: &Progress,
    ) -> Result<LocalModel, CatalogError> {
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

/// Whether a plan needs to know the files of a model, by its name and the kind of its weights.
pub(in crate::lab) type IsWanted<'a> = &'a dyn Fn(&str, WeightsKind) -> bool;

/// Makes a plan anew when more is known of the catalogue's files.
pub(in crate::lab) type Renew<'a> = &'a (dyn Fn(&Catalog) -> Plan + Sync);

/// Whether jobs are of a model with such weights.
pub(in crate::lab) fn files_of(jobs: &[Job]) -> impl Fn(&str, WeightsKind) -> bool + use<> {
    let named: BTreeSet<(String, WeightsKind)> =
        jobs.iter().map(|job| (job.model.name.clone(), job.model.weights)).collect();
    move |name, kind| named.contains(&(name.to_owned(), kind))
}

/// A model's files, by all of their content: two models of one network may differ in their weights' file alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    model: String,
    hashes: Vec<String>,
}

impl Key {
    fn of(job: &Job) -> Key {
        let artifacts = job.model.artifact.iter().chain(job.model.parts.iter().map(|part| &part.artifact));
        Key { model: job.model.name.clone(), hashes: artifacts.map(|artifact| artifact.sha256.clone()).collect() }
    }

    fn is_of(&self, file: &WeightsFile) -> bool {
        let artifacts = std::iter::once(&file.artifact).chain(file.parts.iter().map(|part| &part.artifact));
        artifacts.map(|artifact| artifact.as_ref().map(|it| &it.sha256)).eq(self.hashes.iter().map(Some))
    }
}
