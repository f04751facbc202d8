//! What a model's files are, found out before anything is measured: content, signature, other files, multiply-adds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::analysis::{self, GraphSummary, TooLarge};
use super::artifacts::{ArtifactCache, definition};
use super::error::CatalogError;
use super::hashing::{Stamp, remember};
use super::onnx::ModelProto;
use super::{formats, onnx, signature};
use crate::domain::{
    ArtifactRef, CatalogModel, DataFile, FilePart, InputSpec, ModelSignature, Precision, WeightsFile, WeightsSource,
    sha256_hex,
};

/// Version of what is found out here: what an older one remembered is found out anew.
const READER_VERSION: u32 = 9;
/// Most files that hold weights of a model.
const MAX_DATA_FILES: usize = 4096;
/// Longest path of one.
const MAX_LOCATION_BYTES: usize = 1024;

impl ArtifactCache {
    /// Looks at a model's files as far as they are on this host: sets hashes and sizes that are not pinned and the
    /// signature, and adds the files in which the model's file says that its weights are. What is wrong with them
    /// becomes the signature's error, in words that a person can act on. Nothing large is read twice: what was found is
    /// remembered.
    pub fn look_at(&self, model: &str, file: &mut WeightsFile, deadline: Instant) {
        if let Err(why) = self.find(&mut file.artifact, &file.source, deadline) {
            file.signature = Some(Err(why));
            return;
        }
        file.signature = self.signature(model, file).transpose();
        if let Some(Ok(signature)) = &file.signature {
            let data_files = signature.data_files.clone();
            if let Err(why) = self.add_data_files(file, &data_files, deadline) {
                file.signature = Some(Err(why));
                return;
            }
        }
        for part in &mut file.parts {
            let found = self.find(&mut part.artifact, &part.source, deadline);
            let fault = || self.part_fault(part, &file.format).map(|why| format!("its file {}: {why}", part.name));
            if let Some(why) = found.err().or_else(fault) {
                file.signature = Some(Err(why));
                return;
            }
        }
    }

    /// What a model's network costs with these inputs. A network of our own is known without its file; `None` when the
    /// file isn't here, or its format is one that isn't read.
    ///
    /// # Errors
    /// When the file isn't of its format, or is at odds with itself or with the inputs.
    pub fn summary(
        &self,
        model: &CatalogModel,
        file: &WeightsFile,
        inputs: &[InputSpec],
    ) -> Result<Option<GraphSummary>, CatalogError> {
        self.graph(model, file)?.map(|graph| summary_of(&graph, model, graph_inputs(file, inputs))).transpose()
    }

    /// A model's graph; `None` when it isn't here, or its format has none that is read.
    fn graph(&self, model: &CatalogModel, file: &WeightsFile) -> Result<Option<ModelProto>, CatalogError> {
        match &file.source {
            // The same network in every format: its image has one size, in whatever order a format has it.
            WeightsSource::Builtin(network) | WeightsSource::Checkpoint { network, .. } => {
                Ok(Some(formats::outline(&definition(&model.name, network)?)))
            }
            WeightsSource::Path(_) | WeightsSource::Urls(_) | WeightsSource::Archive { .. } => match self.local(file) {
                Some(path) if file.format == "onnx" => Ok(Some(onnx::read(&path)?)),
                _ => Ok(None),
            },
        }
    }

    /// What is counted in a model's graph with these inputs, which hold so many images. `None` for a file whose graph
    /// isn't read.
    pub fn count(
        &self,
        model: &CatalogModel,
        file: &WeightsFile,
        inputs: &[InputSpec],
        images: u32,
    ) -> Option<Counted> {
        let key = file.artifact.as_ref().map(|artifact| {
            let shapes = inputs.iter().map(|input| format!("{:?} {:?}", input.name, input.shape));
            let text = std::iter::once(artifact.sha256.clone()).chain(shapes).collect::<Vec<_>>().join("\n");
            sha256_hex(text.as_bytes())
        });
        let memory = key.map(|key| self.memory("macs", &key));
        // Of the whole inference: what is remembered does not hang on who asks.
        let of_one =
            |counted: Counted| Counted { macs: counted.macs.map(|macs| macs / u64::from(images.max(1))), ..counted };
        if let Some(known) = memory.as_deref().and_then(recalled) {
            return Some(of_one(known));
        }
        let (counted, is_kept) = self.counted_anew(model, file, inputs)?;
        memory.iter().filter(|_| is_kept).for_each(|memory| note(memory, &counted));
        Some(of_one(counted))
    }

    /// What is counted of a whole inference, and whether that is worth remembering: what can't be read now may be read
    /// the next time.
    fn counted_anew(&self, model: &CatalogModel, file: &WeightsFile, inputs: &[InputSpec]) -> Option<(Counted, bool)> {
        let of = |macs| Counted { macs, too_large: None, contradiction: None };
        let failed = |why: String| of(Err(format!("not counted: {why}")));
        let graph = match self.graph(model, file) {
            Ok(Some(graph)) => graph,
            Ok(None) if file.format == "tflite" => {
                return Some(match signature::tflite_macs(&self.local(file)?, inputs) {
                    Ok(Ok(macs)) => (of(Ok(macs)), true),
                    Ok(Err(why)) => (failed(why), true),
                    Err(why) => (failed(why), false),
                });
            }
            Ok(None) => return None,
            Err(error) => return Some((failed(error.to_string()), false)),
        };
        let inputs = graph_inputs(file, inputs);
        let too_large = analysis::too_large(&graph, &shapes_of(inputs));
        let (counted, is_kept) = match analysis::analyse(&graph, &shapes_of(inputs)) {
            Ok(summary) if summary.is_complete() => (of(Ok(summary.macs())), true),
            Ok(summary) => (failed(summary.not_understood.join(", ")), true),
            Err(cause) => {
                let contradiction = analysis::contradiction(&graph, &cause);
                let error = CatalogError::Analysis { model: model.name.clone(), cause };
                (Counted { contradiction, ..failed(error.to_string()) }, false)
            }
        };
        Some((Counted { too_large, ..counted }, is_kept))
    }

    /// What a model's file says of itself; `None` for one that isn't here, or isn't read.
    fn signature(&self, model: &str, file: &WeightsFile) -> Result<Option<ModelSignature>, String> {
        if let WeightsSource::Builtin(network) | WeightsSource::Checkpoint { network, .. } = &file.source {
            let network = definition(model, network).map_err(|error| error.to_string())?;
            let precision = file.declared_precision.unwrap_or(Precision::Float32);
            return Ok(Some(signature::of_network(&network, precision, file.layout)));
        }
        let Some(path) = self.local(file) else { return Ok(None) };
        let memory = file.artifact.as_ref().map(|artifact| self.memory(&file.format, &artifact.sha256));
        let memory = memory.filter(|_| signature::is_read(&file.format));
        if let Some(known) = memory.as_deref().and_then(recalled) {
            return Ok(Some(known));
        }
        let before = Stamp::of(&path).ok();
        let found = signature::read(&path, &file.format).map_err(|error| format!("failed to {error}"))?;
        let is_same = before.is_some_and(|before| before.is_settled() && Stamp::of(&path).is_ok_and(|it| it == before));
        if let (Some(memory), Some(signature), true) = (memory, &found, is_same) {
            note(&memory, signature);
        }
        Ok(found)
    }

    /// Where a model's file is on this host, if it is.
    fn local(&self, file: &WeightsFile) -> Option<PathBuf> {
        self.place(&file.source, file.artifact.as_ref())
    }

    /// What is wrong with the content of a further file of a model, as far as it is here.
    fn part_fault(&self, part: &FilePart, format: &str) -> Option<String> {
        signature::part_fault(&self.place(&part.source, part.artifact.as_ref())?, format)
    }

    fn place(&self, source: &WeightsSource, artifact: Option<&ArtifactRef>) -> Option<PathBuf> {
        match (source, artifact) {
            (WeightsSource::Path(path), _) => Some(path.clone()),
            (_, Some(artifact)) if self.is_cached(artifact) => Some(self.path(artifact)),
            _ => None,
        }
    }

    /// Hash and size of a file of the user's, where they are not pinned.
    fn find(
        &self,
        artifact: &mut Option<ArtifactRef>,
        source: &WeightsSource,
        deadline: Instant,
    ) -> Result<(), String> {
        if let (None, WeightsSource::Path(path)) = (&artifact, source) {
            let found = self.hash_of(path, deadline).map_err(|error| unreadable(path, &error))?;
            *artifact = Some(found);
        }
        Ok(())
    }

    /// Makes the files that hold a model's weights parts of it: those that its entry doesn't name lie beside it.
    fn add_data_files(&self, file: &mut WeightsFile, data_files: &[DataFile], deadline: Instant) -> Result<(), String> {
        if data_files.len() > MAX_DATA_FILES {
            let count = data_files.len();
            return Err(format!(
                "its weights lie in {count} other files, and farmctl takes {MAX_DATA_FILES}: save it with its weights \
                 in one (`onnx.save(model, path, save_as_external_data=True, location=\"weights.data\")`)"
            ));
        }
        for DataFile { location, least_bytes } in data_files {
            check_location(location)?;
            let index = match file.parts.iter().position(|part| part.name == *location) {
                Some(index) => index,
                None => {
                    let WeightsSource::Path(path) = &file.source else {
                        return Err(format!(
                            "its weights lie in another file, {location}: add it to models.yaml, as \
                             `parts: {{ name: {location}, urls: … }}`"
                        ));
                    };
                    let source = WeightsSource::Path(path.parent().unwrap_or(Path::new("")).join(location));
                    file.parts.push(FilePart { name: location.clone(), artifact: None, source });
                    file.parts.len() - 1
                }
            };
            let FilePart { artifact, source, .. } = &mut file.parts[index];
            if matches!(source, WeightsSource::Path(_)) && file.source == *source {
                return Err(format!(
                    "its weights lie, as it says, in {location}, which is the model's own file: save it anew with \
                     `location=\"weights.data\"`"
                ));
            }
            self.find(artifact, source, deadline).map_err(|why| {
                format!("its weights lie in another file, {location}, which must be beside it: {why}")
            })?;
            if let Some(why) = self.part_fault(&file.parts[index], &file.format) {
                return Err(format!("its weights lie in another file, {location}: {why}"));
            }
            let size_bytes = file.parts[index].artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
            if size_bytes < *least_bytes {
                return Err(format!(
                    "its weights lie in {location}, which has {size_bytes} bytes of the {least_bytes} that there \
                     should be: it is cut off, or another model's"
                ));
            }
        }
        Ok(())
    }

    fn memory(&self, kind: &str, key: &str) -> PathBuf {
        self.folder.join("found").join(kind).join(key)
    }
}

/// What was counted in a model's graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Multiply-adds of one image; an error says why they can't be counted.
    pub macs: Result<u64, String>,
    /// Which tensor is larger than engines count.
    pub too_large: Option<TooLarge>,
    /// What of it can't be with these inputs.
    pub contradiction: Option<String>,
}

/// The inputs that a graph is counted with: a network of our own has one size, in whatever order a format has it.
fn graph_inputs<'a>(file: &WeightsFile, inputs: &'a [InputSpec]) -> &'a [InputSpec] {
    match &file.source {
        WeightsSource::Builtin(_) | WeightsSource::Checkpoint { .. } => &[],
        WeightsSource::Path(_) | WeightsSource::Urls(_) | WeightsSource::Archive { .. } => inputs,
    }
}

fn shapes_of(inputs: &[InputSpec]) -> Vec<(&str, &[u64])> {
    inputs.iter().map(|input| (&*input.name, &*input.shape)).collect()
}

fn summary_of(graph: &ModelProto, model: &CatalogModel, inputs: &[InputSpec]) -> Result<GraphSummary, CatalogError> {
    let summary = analysis::analyse(graph, &shapes_of(inputs));
    summary.map_err(|cause| CatalogError::Analysis { model: model.name.clone(), cause })
}

/// Says why a file of the user's can't be used.
fn unreadable(path: &Path, error: &CatalogError) -> String {
    let why = match error {
        CatalogError::Io { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    format!("the model file {} could not be read: {why}", path.display())
}

/// Where weights are stands in the model's file, which comes from anywhere: only a way down from the model is followed.
fn check_location(location: &str) -> Result<(), String> {
    let is_plain = |name: &str| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control);
    if location.len() <= MAX_LOCATION_BYTES && !location.contains('\\') && location.split('/').all(is_plain) {
        return Ok(());
    }
    let shown: String = location.chars().take(100).collect();
    Err(format!(
        "its weights lie in another file, {shown:?}, and only a path below the model's folder is followed: save it \
         anew with `location=\"weights.data\"`"
    ))
}

/// Something that was found out before.
#[derive(Serialize, Deserialize)]
struct Found<T> {
    reader_version: u32,
    found: T,
}

fn recalled<T: DeserializeOwned>(memory: &Path) -> Option<T> {
    let text = fs::read(memory).ok()?;
    let known = serde_json::from_slice::<Found<T>>(&text).ok()?;
    (known.reader_version == READER_VERSION).then_some(known.found)
}

/// Only a memory: a cache that can't be written costs the next reading, and nothing else.
fn note<T: Serialize>(memory: &Path, found: &T) {
    if let Err(cause) = remember(memory, &Found { reader_version: READER_VERSION, found }) {
        tracing::debug!(path = %memory.display(), %cause, "what was found in a model's file is not remembered");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
