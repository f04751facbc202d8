//! Which cells measure accuracy, and on what.

use crate::domain::{
    Backend, Catalog, CatalogDataset, CatalogModel, DatasetList, Dialect, Job, JobDataset, Sweep, WeightsKind,
    image_shape,
};

/// The images that a job shows its network: those of the sweep's dataset, if the network was trained and its engine
/// answers. Synthetic weights have no accuracy, and what a benchmark program's network answers is not told: such jobs
/// have none.
///
/// # Errors
/// Why accuracy can't be measured, though the network could have one. Its time is measured all the same.
pub(super) fn of(job: &Job, sweep: &Sweep, catalog: &Catalog) -> Result<Option<JobDataset>, String> {
    let Some(name) = sweep.dataset.as_deref() else { return Ok(None) };
    let Some(model) = catalog.model(&job.model.name) else { return Ok(None) };
    if !can_answer(job.model.weights, catalog.backend(&job.backend)) {
        return Ok(None);
    }
    let dataset = catalog.dataset(name).ok_or_else(|| format!("the catalogue has no dataset {name}"))?;
    let list = match &dataset.list {
        Some(Ok(list)) => list,
        Some(Err(why)) => return Err(format!("the dataset {name} can't be had: {why}")),
        None => return Err(format!("nobody has looked what is in the dataset {name}")),
    };
    fitting(model, dataset, list).map(Some)
}

/// The images as a network takes them.
fn fitting(model: &CatalogModel, dataset: &CatalogDataset, list: &DatasetList) -> Result<JobDataset, String> {
    let name = &model.name;
    let unsaid = |what: &str| format!("the catalogue does not say {what} {name}");
    let shape = model.input_shape.as_deref().and_then(image_shape);
    let shape = shape.ok_or_else(|| format!("{}, one image of [1, C, H, W]", unsaid("the `input_shape` of")))?;
    let preprocessing = model.preprocessing.clone().ok_or_else(|| unsaid("the `preprocessing` of"))?;
    if preprocessing.mean.len() != shape[2] as usize {
        return Err(format!("the `preprocessing` of {name} is not for {} channels", shape[2]));
    }
    let classes = model.classes.ok_or_else(|| format!("{} tells apart", unsaid("how many `classes`")))?;
    let (there, offset) = (list.classes, model.label_offset);
    // `classes` may count what stands before the first.
    if classes != there && classes != there.saturating_add(offset) {
        let apart = format!("{name} tells {classes} classes apart, the dataset {} has {there}", dataset.name);
        let background = offset == 0 && classes == there.saturating_add(1);
        let hint = if background { "; if its first answer is «background», write `label_offset: 1`" } else { "" };
        return Err(format!("{apart}{hint}"));
    }
    Ok(JobDataset {
        name: dataset.name.clone(),
        list_sha256: list.sha256.clone(),
        images: list.images,
        classes: there,
        label_offset: offset,
        scores: model.scores.clone(),
        shape,
        preprocessing,
        prepared: None,
    })
}

fn can_answer(weights: WeightsKind, backend: Option<&Backend>) -> bool {
    let is_engine =
        backend.is_none_or(|backend| backend.program.as_ref().is_none_or(|program| program.dialect == Dialect::Engine));
    weights == WeightsKind::Trained && is_engine
}
