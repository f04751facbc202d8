//! Has datasets ready for a plan.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::catalog::{DatasetError, Datasets, Progress as Step};
use crate::domain::{Catalog, CatalogDataset, FailureKind, Job, JobDataset, Plan, PreparedImages, Skipped};
use crate::progress::{Progress, Unit};

use super::{CliError, Context};

/// How long a dataset may take: ImageNet's 50,000 photographs take a quarter of an hour on a slow host.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// Images that take so long to read that a person wants to know.
const MANY: u64 = 2000;

/// Looks what is in the dataset that a sweep names. One that can't be read makes its cells skipped ones.
pub(super) fn with_found_images(context: &Context, catalog: &mut Catalog, name: Option<&str>) {
    let Some(dataset) = catalog.datasets.iter_mut().find(|dataset| Some(dataset.name.as_str()) == name) else { return };
    let datasets = Datasets::new(context.lab.artifacts());
    let mut is_told = false;
    let found = datasets.list(dataset, Instant::now() + PATIENCE, &mut |step| {
        if step.total_bytes >= MANY && !std::mem::replace(&mut is_told, true) {
            super::say(&format!("reading the {} images of {} for the first time", step.total_bytes, dataset.name));
        }
    });
    dataset.list = Some(found.map_err(|error| format!("failed to {error}")));
}

/// Has the images of a plan ready on this host; gives their files by hash. Jobs whose images can't be had become skipped
/// cells with the reason.
pub(super) async fn provide(
    context: &Context,
    catalog: &Catalog,
    plan: &mut Plan,
    progress: &Progress,
) -> Result<HashMap<String, PathBuf>, CliError> {
    let mut done: Vec<(JobDataset, Result<PreparedImages, String>)> = Vec::new();
    let mut files = HashMap::new();
    for job in std::mem::take(&mut plan.jobs) {
        let Some(wanted) = job.dataset.clone() else {
            plan.jobs.push(job);
            continue;
        };
        let plain = JobDataset { prepared: None, ..wanted };
        let known = done.iter().find(|(dataset, _)| *dataset == plain).map(|(_, made)| made.clone());
        let made = match known {
            Some(made) => made,
            None => {
                let made = prepare(context, catalog, &plain, progress).await?;
                done.push((plain.clone(), made.clone()));
                made
            }
        };
        match made {
            Ok(prepared) => {
                let path = Datasets::new(context.lab.artifacts()).path(&prepared.images);
                files.insert(prepared.images.sha256.clone(), path);
                plan.jobs.push(Job { dataset: Some(JobDataset { prepared: Some(prepared), ..plain }), ..job });
            }
            Err(reason) => plan.skipped.push(Skipped { job, kind: FailureKind::ArtifactUnavailable, reason }),
        }
    }
    for (dataset, made) in &done {
        if let Ok(prepared) = made {
            mention(dataset, prepared);
        }
    }
    Ok(files)
}

/// Says what is not as one would expect, before anything is measured.
fn mention(dataset: &JobDataset, prepared: &PreparedImages) {
    let name = &dataset.name;
    for remark in &prepared.left_out {
        super::say(&format!(
            "dataset {name}: {} of {} images left out: {}, for example {}",
            remark.count, dataset.images, remark.what, remark.example
        ));
    }
    for remark in &prepared.changed {
        super::say(&format!(
            "dataset {name}: {} images: {}, for example {}",
            remark.count, remark.what, remark.example
        ));
    }
    if prepared.empty_classes > 0 {
        let (empty, all) = (prepared.empty_classes, dataset.classes);
        super::say(&format!("dataset {name}: {empty} of {all} classes have no image"));
    }
}

async fn prepare(
    context: &Context,
    catalog: &Catalog,
    wanted: &JobDataset,
    progress: &Progress,
) -> Result<Result<PreparedImages, String>, CliError> {
    let Some(dataset) = catalog.dataset(&wanted.name) else {
        return Ok(Err(format!("the catalogue has no dataset {} any more", wanted.name)));
    };
    let mut task = progress.start_task(&format!("images of {}", wanted.name), Some(wanted.images.into()), Unit::Images);
    let (dataset, wanted): (CatalogDataset, JobDataset) = (dataset.clone(), wanted.clone());
    let datasets = Datasets::new(context.lab.artifacts());
    let work = move || -> Result<PreparedImages, DatasetError> {
        let made = datasets.prepare(&dataset, &wanted, Instant::now() + PATIENCE, &mut |step: Step| {
            task.advance_to(step.done_bytes);
        });
        task.finish(if made.is_ok() { "done" } else { "failed" });
        made
    };
    let made = tokio::task::spawn_blocking(work).await;
    let made = made.map_err(|error| CliError::internal(format!("failed to prepare images: {error}")))?;
    Ok(made.map_err(|error| format!("failed to {error}")))
}
