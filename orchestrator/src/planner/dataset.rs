//! Which cells measure accuracy, and on what.

use crate::domain::{Backend, Catalog, CatalogModel, Dialect, Job, JobDataset, Sweep, WeightsKind, image_shape};

use super::matrix::Cell;

/// The images that a cell shows its network: those of the sweep's dataset, if the network was trained and its engine
/// answers. Synthetic weights have no accuracy, and what a benchmark program's network answers is not told: such cells
/// are measured without.
pub(super) fn of(sweep: &Sweep, catalog: &Catalog, cell: &Cell<'_>) -> Option<JobDataset> {
    let dataset = catalog.dataset(sweep.dataset.as_deref()?)?;
    if !can_answer(cell.weights, catalog.backend(cell.backend)) {
        return None;
    }
    let model = catalog.model(cell.model)?;
    let list = dataset.list.as_ref()?.as_ref().ok()?;
    Some(JobDataset {
        name: dataset.name.clone(),
        list_sha256: list.sha256.clone(),
        images: list.images,
        classes: list.classes,
        shape: shape(model)?,
        preprocessing: model.preprocessing.clone()?,
        prepared: None,
    })
}

/// Why a job can't measure the accuracy that its sweep asks for, though its network could have one.
pub(super) fn reason(job: &Job, sweep: &Sweep, catalog: &Catalog) -> Option<String> {
    let name = sweep.dataset.as_deref()?;
    if !can_answer(job.model.weights, catalog.backend(&job.backend)) {
        return None;
    }
    let Some(dataset) = catalog.dataset(name) else { return Some(format!("the catalogue has no dataset {name}")) };
    let list = match &dataset.list {
        Some(Ok(list)) => list,
        Some(Err(why)) => return Some(format!("the dataset {name} can't be had: {why}")),
        None => return Some(format!("nobody has looked what is in the dataset {name}")),
    };
    let (model, model_name) = (catalog.model(&job.model.name)?, &job.model.name);
    let Some(shape) = shape(model) else {
        return Some(format!(
            "the catalogue does not say the `input_shape` of {model_name}, one image of [1, C, H, W]"
        ));
    };
    let Some(preprocessing) = &model.preprocessing else {
        return Some(format!("the catalogue does not say the `preprocessing` of {model_name}"));
    };
    if preprocessing.mean.len() != shape[2] as usize {
        return Some(format!("the `preprocessing` of {model_name} is not for {} channels", shape[2]));
    }
    match model.classes {
        None => Some(format!("the catalogue does not say how many `classes` {model_name} tells apart")),
        Some(classes) if classes != list.classes => {
            Some(format!("{model_name} tells {classes} classes apart, the dataset {name} has {}", list.classes))
        }
        Some(_) => None,
    }
}

fn can_answer(weights: WeightsKind, backend: Option<&Backend>) -> bool {
    let is_engine =
        backend.is_none_or(|backend| backend.program.as_ref().is_none_or(|program| program.dialect == Dialect::Engine));
    weights == WeightsKind::Trained && is_engine
}

fn shape(model: &CatalogModel) -> Option<[u32; 3]> {
    image_shape(model.input_shape.as_deref()?)
}
