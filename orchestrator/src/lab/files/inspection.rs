//! Finds out what models' files are.

use std::time::Instant;

use crate::catalog::LocalModel;
use crate::catalog::analysis::GraphSummary;
use crate::domain::{CatalogModel, InputSpec, WeightsFile};
use crate::lab::{Lab, LabError};
use crate::planner;
use crate::progress::Progress;

use super::models::TIMEOUT;

/// A model's files on this host, with what was found out of them.
pub struct ReadyModel {
    /// The file, with the further ones that it names.
    pub file: WeightsFile,
    /// Where they are.
    pub local: LocalModel,
}

/// What there is to know of a model before it is measured.
pub struct InspectedModel {
    /// The model, with what was found out of the file.
    pub model: CatalogModel,
    /// The file.
    pub file: WeightsFile,
    /// The inputs that are measured, or why they can't be.
    pub measured: Result<Vec<InputSpec>, String>,
    /// Its graph with these inputs; `None` where it isn't read.
    pub graph: Option<GraphSummary>,
}

impl Lab {
    /// Has a model's files on this host: a file that is no model is none that is ready.
    ///
    /// # Errors
    /// Why there is no model.
    pub async fn ready_model(
        &self,
        name: &str,
        file: &WeightsFile,
        verify: bool,
        progress: &Progress,
    ) -> Result<ReadyModel, String> {
        let failed = |error| format!("failed to {error}");
        let local = self.get_model(name, file, verify, progress).await.map_err(failed)?;
        let mut found = file.clone();
        self.model_cache().look_at(name, &mut found, Instant::now() + TIMEOUT);
        if let Some(Err(why)) = &found.signature {
            return Err(why.clone());
        }
        if found.parts.len() == file.parts.len() {
            return Ok(ReadyModel { file: found, local });
        }
        // Its weights lie in other files, which are to be had, too.
        let local = self.get_model(name, &found, verify, progress).await.map_err(failed)?;
        Ok(ReadyModel { file: found, local })
    }

    /// Finds out all that can be known of a model's file, which is here or isn't.
    ///
    /// # Errors
    /// When its graph is at odds with itself.
    pub fn inspect_model(&self, model: &CatalogModel, file: &WeightsFile) -> Result<InspectedModel, LabError> {
        let mut model = model.clone();
        let index = model.files.iter().position(|other| other == file);
        self.look_at_model(&mut model, &|other| other == file);
        let file = index.and_then(|index| model.files.get(index)).unwrap_or(file).clone();
        let measured = planner::inputs(&model, &file, planner::least_batch(&model, &file));
        // What can't be measured as its entry says is shown as the file has it.
        let inputs = measured.as_deref().unwrap_or_default();
        let graph = match &file.signature {
            Some(Err(_)) => None,
            _ => self.model_cache().summary(&model, &file, inputs)?,
        };
        Ok(InspectedModel { model, file, measured, graph })
    }

    /// Finds out what the chosen files of a model are, as far as they are here.
    pub(super) fn look_at_model(&self, model: &mut CatalogModel, is_chosen: &dyn Fn(&WeightsFile) -> bool) {
        let cache = self.model_cache();
        if model.files.iter().any(is_chosen) {
            cache.look_at_values(&mut model.inputs);
        }
        for index in 0..model.files.len() {
            if !is_chosen(&model.files[index]) {
                continue;
            }
            let mut file = model.files[index].clone();
            cache.look_at(&model.name, &mut file, Instant::now() + TIMEOUT);
            let images = planner::least_batch(model, &file);
            // What can't be measured is not counted: the plan says why.
            if let Ok(inputs) = planner::inputs(model, &file, images) {
                let counted = cache.count(model, &file, &inputs, images);
                let too_large = counted.as_ref().and_then(|counted| counted.too_large.as_ref());
                match (too_large, counted.as_ref().and_then(|counted| counted.contradiction.clone())) {
                    (Some(found), _) if found.is_certain => file.signature = Some(Err(found.consequence())),
                    (_, Some(contradiction)) => file.signature = Some(Err(contradiction)),
                    (Some(found), None) => match &mut file.signature {
                        Some(Ok(signature)) => signature.doubt = Some(found.consequence()),
                        _ => file.signature = Some(Err(found.consequence())),
                    },
                    (None, None) => {}
                }
                file.macs = counted.map(|counted| counted.macs);
            }
            model.files[index] = file;
        }
    }
}
