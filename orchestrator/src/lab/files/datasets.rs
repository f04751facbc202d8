//! Has datasets ready for a plan.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::catalog::{DatasetError, Datasets, Progress as Step};
use crate::domain::{Catalog, CatalogDataset, FailureKind, Job, JobDataset, Plan, PreparedImages, Skipped};
use crate::lab::Lab;
use crate::progress::{Progress, Unit};
use crate::wording::many;

/// How long a dataset may take: ImageNet's 50,000 photographs take a quarter of an hour on a slow host.
const TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// Images that take so long to read that a person wants to know.
const MANY: u64 = 2000;

impl Lab {
    /// Looks what is in the dataset that a sweep names. One that can't be read makes its cells skipped ones.
    pub(in crate::lab) fn find_images(&self, catalog: &mut Catalog, name: Option<&str>) {
        let Some(dataset) = catalog.datasets.iter_mut().find(|dataset| Some(dataset.name.as_str()) == name) else {
            return;
        };
        let datasets = Datasets::new(self.artifacts());
        let mut is_told = false;
        let found = datasets.list(dataset, Instant::now() + TIMEOUT, &mut |step| {
            if step.total_bytes >= MANY && !std::mem::replace(&mut is_told, true) {
                self.remark(&format!("reading the {} images of {} for the first time", step.total_bytes, dataset.name));
            }
        });
        dataset.list = Some(found.map_err(|error| format!("failed to {error}")));
    }

    /// Has the images of a plan ready on this host; gives their files by hash. Jobs whose images can't be had are
    /// measured without accuracy, with the reason; those that began with images, and can't have them again, become
    /// skipped cells.
    pub(super) async fn provide_images(
        &self,
        catalog: &Catalog,
        plan: &mut Plan,
        progress: &Progress,
    ) -> HashMap<String, PathBuf> {
        let mut done: Vec<(JobDataset, Result<PreparedImages, String>)> = Vec::new();
        let mut files = HashMap::new();
        let datasets = Datasets::new(self.artifacts());
        for job in std::mem::take(&mut plan.jobs) {
            let Some(wanted) = job.dataset.clone() else {
                plan.jobs.push(job);
                continue;
            };
            let has_begun = wanted.prepared.is_some();
            if let Some(prepared) = wanted.prepared.as_ref().filter(|prepared| !datasets.has(prepared)) {
                self.fetch_images(prepared).await;
            }
            // What it began with is still here, whatever the dataset is by now.
            if let Some(prepared) = wanted.prepared.as_ref().filter(|prepared| datasets.has(prepared)) {
                files.insert(prepared.images.sha256.clone(), datasets.path(&prepared.images));
                plan.jobs.push(job);
                continue;
            }
            let plain = JobDataset { prepared: None, ..wanted };
            let known = done.iter().find(|(dataset, _)| *dataset == plain).map(|(_, made)| made.clone());
            let made = match known {
                Some(made) => made,
                None => {
                    let made = self.prepare_images(catalog, &plain, progress).await;
                    done.push((plain.clone(), made.clone()));
                    made
                }
            };
            match made {
                Ok(prepared) => {
                    files.insert(prepared.images.sha256.clone(), datasets.path(&prepared.images));
                    plan.jobs.push(Job { dataset: Some(JobDataset { prepared: Some(prepared), ..plain }), ..job });
                }
                // What a sweep was begun with is what its rows are of.
                Err(reason) if has_begun => {
                    plan.skipped.push(Skipped { job, kind: FailureKind::ArtifactUnavailable, reason });
                }
                Err(reason) => plan.jobs.push(without_images(job, &reason)),
            }
        }
        for (dataset, made) in &done {
            match made {
                Ok(prepared) => {
                    self.mention(dataset, prepared);
                    self.share_images(prepared).await;
                }
                Err(reason) => self.remark(&format!("dataset {}: {reason}", dataset.name)),
            }
        }
        let names: BTreeSet<&str> = done.iter().map(|(dataset, _)| dataset.name.as_str()).collect();
        let lists =
            names.into_iter().filter_map(|name| Some((name, catalog.dataset(name)?.list.as_ref()?.as_ref().ok()?)));
        for (name, doubt) in lists.flat_map(|(name, list)| list.doubts.iter().map(move |doubt| (name, doubt))) {
            self.remark(&format!("dataset {name}: {doubt}"));
        }
        files
    }

    /// Says what is not as one would expect, before anything is measured.
    fn mention(&self, dataset: &JobDataset, prepared: &PreparedImages) {
        let name = &dataset.name;
        for remark in &prepared.left_out {
            self.remark(&format!(
                "dataset {name}: {} of {} images left out: {}, for example {}",
                remark.count, dataset.images, remark.what, remark.example
            ));
        }
        for remark in &prepared.changed {
            self.remark(&format!(
                "dataset {name}: {}: {}, for example {}",
                many(u64::from(remark.count), "image"),
                remark.what,
                remark.example
            ));
        }
        if prepared.empty_classes > 0 {
            let (empty, all) = (prepared.empty_classes, dataset.classes);
            self.remark(&format!("dataset {name}: {empty} of {all} classes have no image"));
        }
    }

    async fn prepare_images(
        &self,
        catalog: &Catalog,
        wanted: &JobDataset,
        progress: &Progress,
    ) -> Result<PreparedImages, String> {
        let Some(dataset) = catalog.dataset(&wanted.name) else {
            return Err(format!("the catalogue has no dataset {} any more", wanted.name));
        };
        let mut task =
            progress.start_task(&format!("images of {}", wanted.name), Some(wanted.images.into()), Unit::Images);
        let (dataset, wanted): (CatalogDataset, JobDataset) = (dataset.clone(), wanted.clone());
        let datasets = Datasets::new(self.artifacts());
        let work = move || -> Result<PreparedImages, DatasetError> {
            let made = datasets.prepare(&dataset, &wanted, Instant::now() + TIMEOUT, &mut |step: Step| {
                task.advance_to(step.done_bytes);
            });
            task.finish(if made.is_ok() { "done" } else { "failed" });
            made
        };
        let made = tokio::task::spawn_blocking(work).await;
        let made = made.map_err(|error| format!("failed to prepare images: {error}"))?;
        made.map_err(|error| format!("failed to {error}"))
    }
}

/// The same cell, known by the same identifier, whose time alone is measured.
fn without_images(mut job: Job, reason: &str) -> Job {
    job.dataset = None;
    job.remarks.push(format!("accuracy is not measured: {reason}"));
    job
}
