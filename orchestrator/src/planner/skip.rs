//! Why a cell can't run, as far as that is known before any device is asked.

use crate::domain::{
    Backend, BackendProgram, BackendTarget, Catalog, CatalogModel, DELEGATE, Device, Dialect, FailureKind, Inventory,
    Job, TransportConfig, WeightsFile, WeightsSource,
};

use super::{inputs, operators};

/// The first reason why a job can't run, if there is one, and what kind of failure it is.
pub(super) fn reason(
    job: &Job,
    device: &Device,
    inventory: &Inventory,
    catalog: &Catalog,
) -> Option<(FailureKind, String)> {
    if let Some(why) = &device.disabled {
        return Some((FailureKind::Disabled, format!("taken out of service: {why}")));
    }
    let host_target = inventory.host_target.as_deref();
    let found = match Found::new(job, catalog) {
        Ok(found) => found,
        Err(reason) => return Some((FailureKind::ArtifactUnavailable, reason)),
    };
    let unavailable = |reason| (FailureKind::ArtifactUnavailable, reason);
    found
        .file_reason()
        .map(unavailable)
        .or_else(|| Some((FailureKind::ModelLoad, found.content_reason()?)))
        .or_else(|| Some((FailureKind::BackendUnsupported, backend_reason(job, device, host_target, catalog)?)))
        .or_else(|| Some((FailureKind::BackendUnsupported, found.operator_reason()?)))
        .or_else(|| Some((FailureKind::ModelLoad, inputs(found.model, found.file, job.batch).err()?)))
        .or_else(|| Some((FailureKind::BackendUnsupported, found.feeding_reason(job)?)))
        .or_else(|| found.precision_reason(job).map(unavailable))
}

/// Says that a job's model has another file now than when the job was planned: what would be measured is another
/// network.
pub fn replaced_file(job: &Job, catalog: &Catalog) -> Option<String> {
    let model = catalog.model(&job.model.name)?;
    if model.files.iter().any(|file| is_of_job(file, job)) {
        return None;
    }
    let is_like = |file: &&WeightsFile| (file.weights, &file.format) == (job.model.weights, &job.model.format);
    let place = model.files.iter().find(is_like).and_then(|file| match &file.source {
        WeightsSource::Path(path) => Some(path.display().to_string()),
        _ => None,
    });
    let what = place.unwrap_or_else(|| format!("what the catalogue has of {}", model.name));
    Some(format!("{what} is another file than in that sweep: start the sweep anew"))
}

/// Whether a file has the content that a job was planned with.
pub(super) fn is_of_job(file: &WeightsFile, job: &Job) -> bool {
    let parts = job.model.parts.iter().map(|part| Some(&part.artifact));
    file.artifact == job.model.artifact && file.parts.iter().map(|part| part.artifact.as_ref()).eq(parts)
}

/// What a job's names stand for in the catalogue.
struct Found<'a> {
    model: &'a CatalogModel,
    file: &'a WeightsFile,
    backend: Option<&'a Backend>,
}

impl<'a> Found<'a> {
    fn new(job: &Job, catalog: &'a Catalog) -> Result<Self, String> {
        let (name, weights) = (&job.model.name, job.model.weights);
        let model = catalog.model(name).ok_or_else(|| format!("the catalogue has no model {name}"))?;
        let backend = catalog.backend(&job.backend);
        let file = model.file(weights, backend, job.precision);
        let file = file.ok_or_else(|| format!("the catalogue has no {weights} weights of {name}"))?;
        Ok(Self { model, file, backend })
    }

    /// The file is not there.
    fn file_reason(&self) -> Option<String> {
        let Self { model, file, .. } = self;
        let of_file = std::iter::once((&file.artifact, &file.source));
        let mut files = of_file.chain(file.parts.iter().map(|part| (&part.artifact, &part.source)));
        let (_, source) = files.find(|(artifact, _)| artifact.is_none())?;
        Some(match (source, &file.signature) {
            // Whoever looked at it knows more.
            (_, Some(Err(why))) => why.clone(),
            (WeightsSource::Path(path), _) => format!("the model file {} could not be read", path.display()),
            (
                WeightsSource::Urls(_)
                | WeightsSource::Builtin(_)
                | WeightsSource::Checkpoint { .. }
                | WeightsSource::Archive { .. },
                _,
            ) => {
                format!("the hash of the {} weights of {} is not known", file.weights, model.name)
            }
        })
    }

    /// The file holds no model, or another one than its entry says.
    fn content_reason(&self) -> Option<String> {
        let signature = match self.file.signature.as_ref()? {
            Ok(signature) => signature,
            Err(why) => return Some(why.clone()),
        };
        let (held, words) = (signature.arithmetic.precision, &signature.arithmetic.words);
        let declared = self.file.declared_precision.filter(|declared| held != Some(*declared))?;
        let remedy = match held {
            Some(held) => format!("leave its `precision` out, or say `precision: {held}`"),
            None => "leave its `precision` out".to_owned(),
        };
        Some(format!("models.yaml calls the file of {} {declared}, and it holds {words}: {remedy}", self.model.name))
    }

    /// The file has operators that the engine can't have.
    fn operator_reason(&self) -> Option<String> {
        operators::reason(&self.model.name, self.file, self.backend?)
    }

    /// The entry gives values to an engine that draws its own.
    fn feeding_reason(&self, job: &Job) -> Option<String> {
        let program = self.backend?.program.as_ref()?;
        let given = self.model.inputs.iter().find(|input| input.values.is_some())?;
        (program.dialect != Dialect::Engine).then(|| {
            format!("{} feeds a network by itself, and models.yaml gives the values of {}", job.backend, given.name)
        })
    }

    /// No file of the model can be run in the job's precision, though the engine can; or more than one.
    fn precision_reason(&self, job: &Job) -> Option<String> {
        let Self { model, file, backend } = self;
        let (weights, precision) = (file.weights, job.precision);
        let like = |other: &&WeightsFile| {
            other.weights == weights && other.format == file.format && other.precision() == file.precision()
        };
        if backend.is_some_and(|backend| backend.computes_in(file, precision)) {
            let files = model.files.iter().filter(like).count();
            return (files > 1).then(|| {
                format!(
                    "{files} files of the {weights} weights of {} hold {} in {}: leave one",
                    model.name,
                    held(file),
                    file.format
                )
            });
        }
        let loaded = |other: &&WeightsFile| {
            other.weights == weights && backend.is_none_or(|backend| backend.formats.contains(&other.format))
        };
        let mut held: Vec<String> = model.files.iter().filter(loaded).map(held).collect();
        held.sort();
        held.dedup();
        let held = held.join(", ");
        Some(format!("the catalogue has no {precision} file of the {weights} weights for {}, only {held}", job.backend))
    }
}

/// What a file holds, in words.
fn held(file: &WeightsFile) -> String {
    match (&file.signature, file.precision()) {
        (Some(Ok(signature)), _) => signature.arithmetic.words.clone(),
        (_, Some(precision)) => precision.to_string(),
        (_, None) => "unknown".to_owned(),
    }
}

fn backend_reason(job: &Job, device: &Device, host_target: Option<&str>, catalog: &Catalog) -> Option<String> {
    let name = &job.backend;
    let Some(backend) = catalog.backend(name) else {
        return Some(format!("there is no backend {name}"));
    };
    if !backend.formats.contains(&job.model.format) {
        return Some(format!("{name} loads no {} files", formats(job, catalog)));
    }
    if !backend.precisions.contains(&job.precision) {
        return Some(format!("{name} does not run in {}", job.precision));
    }
    if let Some(delegate) = job.options.get(DELEGATE).filter(|delegate| !device.delegates.contains(*delegate)) {
        return Some(format!(
            "{name} hands its work to the delegate {delegate}, which {} does not have: where it has, its farm file \
             says so by `delegates: [{delegate}]`",
            device.name
        ));
    }
    let no_program = |program| program_reason(name, program, device, host_target);
    if let Some(reason) = backend.program.as_ref().and_then(no_program) {
        return Some(reason);
    }
    let is_possible = backend.multi_threaded || job.threads.is_one();
    (!is_possible).then(|| format!("{name} runs on one thread only, and threads are {}", job.threads))
}

/// Android's C library is bionic: programs that are linked for glibc don't start there. Which processor another
/// device than this host has is known only once it is reached; its cells are skipped then.
fn program_reason(name: &str, program: &BackendProgram, device: &Device, host_target: Option<&str>) -> Option<String> {
    let runs_there = |target: &BackendTarget| target.is_android() || target.is_static();
    if matches!(device.transport, TransportConfig::Adb(_)) && !program.targets.iter().any(runs_there) {
        return Some(format!(
            "{name} has no program for Android: its library is linked for glibc, Android has bionic; tract runs there, \
             and benchmark programs of your own that are built with the NDK"
        ));
    }
    let host = host_target.filter(|_| device.transport == TransportConfig::Local);
    host.filter(|target| program.target(target).is_none()).map(|target| program.no_target(name, target))
}

/// The formats that a job's model comes in.
fn formats(job: &Job, catalog: &Catalog) -> String {
    let files = catalog.model(&job.model.name).map(|model| model.files.as_slice()).unwrap_or_default();
    let mut formats: Vec<&str> = Vec::new();
    for file in files.iter().filter(|file| file.weights == job.model.weights) {
        if !formats.contains(&file.format.as_str()) {
            formats.push(&file.format);
        }
    }
    match formats.as_slice() {
        [] => String::new(),
        [format] => (*format).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
