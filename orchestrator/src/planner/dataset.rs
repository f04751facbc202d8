//! Which cells measure accuracy, and on what.

use crate::domain::{
    Backend, Catalog, CatalogDataset, CatalogModel, DatasetList, Dialect, Dimension, Job, JobDataset, ModelSignature,
    Sweep, TensorSignature, WeightsKind, image_shape,
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
    let mut fitting = fitting(model, dataset, list)?;
    let file = model.file(job.model.weights, catalog.backend(&job.backend), job.precision);
    if let Some(Ok(signature)) = file.and_then(|file| file.signature.as_ref()) {
        fitting.scores = ranked(model, &signature.outputs, fitting.answers())?;
        let is_ranked = |output: &&TensorSignature| fitting.scores.as_ref().is_none_or(|name| output.name == *name);
        if let Some(output) =
            signature.outputs.iter().filter(is_ranked).find(|output| !may_begin_with_batch(output, signature))
        {
            let (output, shape) = (&output.name, output.shape_text());
            return Err(format!(
                "the output {output} {shape} of {} does not begin with the batch: export it with the images first",
                model.name
            ));
        }
    }
    Ok(Some(fitting))
}

/// What lets one doubt the accuracy that a job's images give.
pub(super) fn doubts(dataset: &JobDataset, catalog: &Catalog) -> Vec<String> {
    let name = &dataset.name;
    let list = catalog.dataset(name).and_then(|dataset| dataset.list.as_ref()?.as_ref().ok());
    let doubts = list.into_iter().flat_map(|list| &list.doubts);
    doubts.map(|doubt| format!("accuracy may be wrong: of the dataset {name}, {doubt}")).collect()
}

/// The name of the output that has so many answers for an image; `None` for the only one.
fn ranked(model: &CatalogModel, outputs: &[TensorSignature], answers: u32) -> Result<Option<String>, String> {
    let name = &model.name;
    let told = || outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let Some(scores) = &model.scores {
        let is_there = outputs.iter().any(|output| output.name == *scores);
        return if is_there {
            Ok(Some(scores.clone()))
        } else {
            Err(format!("{name} has no output {scores}; it has {}", told()))
        };
    }
    let with = |answers: u32| outputs.iter().filter(move |output| answers_of(output) == Some(answers.into()));
    let candidates: Vec<&TensorSignature> = with(answers).collect();
    match (candidates.as_slice(), outputs) {
        ([_], [_]) => Ok(None),
        ([one], _) => Ok(Some(one.name.clone())),
        // What a file does not tell, the run does.
        ([], [only]) if answers_of(only).is_none() => Ok(None),
        ([], _) => {
            let background = model.label_offset == 0 && with(answers.saturating_add(1)).next().is_some();
            let hint = if background { "; if its first answer is «background», write `label_offset: 1`" } else { "" };
            Err(format!("no output of {name} is known to have {answers} answers for an image; it has {}{hint}", told()))
        }
        ([first, second, ..], _) => Err(format!(
            "{} and {} of {name} both have {answers} answers for an image: say by `scores` which is ranked",
            first.name, second.name
        )),
    }
}

/// Whether an output's first dimension may be the batch of the inputs: it is none where the batch stands behind it.
fn may_begin_with_batch(output: &TensorSignature, signature: &ModelSignature) -> bool {
    let first_of_inputs = || signature.inputs.iter().filter_map(|input| input.dims.as_deref()?.first());
    let Some([first, rest @ ..]) = output.dims.as_deref() else { return true };
    let is_open = |dim: &Dimension| dim.size().is_none();
    match first {
        Dimension::Fixed(1) => true,
        Dimension::Fixed(_) => !rest.iter().any(is_open) || first_of_inputs().any(|dim| dim == first),
        Dimension::Open(_) => {
            let is_batch =
                |dim: &Dimension| matches!(dim, Dimension::Open(Some(_))) && first_of_inputs().any(|it| it == dim);
            is_batch(first) || !rest.iter().any(is_batch)
        }
    }
}

/// Values of an output for one image, where the file tells them: all but the first dimension, which is the batch.
fn answers_of(output: &TensorSignature) -> Option<u64> {
    let dims = output.dims.as_ref()?;
    let rest = if dims.len() > 1 { &dims[1..] } else { dims.as_slice() };
    match rest {
        [Dimension::Open(_)] if dims.len() == 1 => Some(1),
        _ => rest.iter().try_fold(1u64, |product, dimension| product.checked_mul(dimension.size()?)),
    }
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
