//! What a catalogue tells otherwise now than when a job was planned.

use super::{inputs, skip};
use crate::domain::{Catalog, CatalogModel, Job, JobDataset, WeightsFile, image_shape};

/// Says what the catalogue tells otherwise now of a job's model: the job stays what it was, and whoever has corrected
/// models.yaml since then would wait for it in vain. `None` where nothing is otherwise, and of a file that is another,
/// which is [`super::replaced_file`]'s.
pub fn changed_facts(job: &Job, catalog: &Catalog) -> Option<String> {
    let name = &job.model.name;
    let Some(model) = catalog.model(name) else {
        return Some(format!("models.yaml has no {name} any more: it is measured as when the sweep began"));
    };
    let file = model.files.iter().find(|file| skip::is_of_job(file, job))?;
    let mut changed = of_file(model, file, job);
    changed.extend(job.dataset.iter().flat_map(|dataset| of_images(model, dataset)));
    if changed.is_empty() {
        return None;
    }
    let what = changed.join(", ");
    Some(format!(
        "models.yaml says something else of {name} now ({what}): it is measured as when the sweep began; begin a new \
         sweep to have what it says now"
    ))
}

fn of_file(model: &CatalogModel, file: &WeightsFile, job: &Job) -> Vec<&'static str> {
    // Where they can't be fixed any more, that is another answer, too; where nobody has looked there is none.
    let now = inputs(model, file, job.batch);
    let has_other_inputs = now.as_ref().map_or(true, |now| !now.is_empty() && *now != job.model.inputs);
    let told = [("inputs", has_other_inputs), ("layout", file.layout != job.model.layout)];
    told.into_iter().filter(|(_, is_other)| *is_other).map(|(what, _)| what).collect()
}

fn of_images(model: &CatalogModel, dataset: &JobDataset) -> Vec<&'static str> {
    let shape = model.input_shape.as_deref().and_then(image_shape);
    let told = [
        ("label_offset", model.label_offset != dataset.label_offset),
        ("scores", model.scores.is_some() && model.scores != dataset.scores),
        ("preprocessing", model.preprocessing.as_ref() != Some(&dataset.preprocessing)),
        ("input_shape", shape != Some(dataset.shape)),
    ];
    told.into_iter().filter(|(_, is_other)| *is_other).map(|(what, _)| what).collect()
}
