//! Why a cell can't run, as far as that is known before any device is asked.

use crate::domain::{
    BackendProgram, BackendTarget, Catalog, DELEGATE, Device, FailureKind, Inventory, Job, ThreadCount,
    TransportConfig, WeightsFile, WeightsSource,
};

/// The first reason why a job can't run, if there is one, and what kind of failure it is.
pub(super) fn reason(
    job: &Job,
    device: &Device,
    inventory: &Inventory,
    catalog: &Catalog,
) -> Option<(FailureKind, String)> {
    if let Some(why) = &device.disabled {
        return Some((FailureKind::Disabled, format!("disabled: {why}")));
    }
    let file = file_reason(job, catalog).map(|reason| (FailureKind::ArtifactUnavailable, reason));
    let host_target = inventory.host_target.as_deref();
    file.or_else(|| {
        backend_reason(job, device, host_target, catalog).map(|reason| (FailureKind::BackendUnsupported, reason))
    })
    .or_else(|| precision_reason(job, catalog).map(|reason| (FailureKind::ArtifactUnavailable, reason)))
}

/// Says that a job's model has another file now than when the job was planned: what would be measured is another network.
pub fn replaced_file(job: &Job, catalog: &Catalog) -> Option<String> {
    let model = catalog.model(&job.model.name)?;
    let is_it = |file: &&WeightsFile| {
        let parts = job.model.parts.iter().map(|part| Some(&part.artifact));
        file.artifact == job.model.artifact && file.parts.iter().map(|part| part.artifact.as_ref()).eq(parts)
    };
    if model.files.iter().any(|file| is_it(&file)) {
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

fn file_reason(job: &Job, catalog: &Catalog) -> Option<String> {
    let (name, weights) = (&job.model.name, job.model.weights);
    let Some(model) = catalog.model(name) else {
        return Some(format!("the catalogue has no model {name}"));
    };
    let backend = catalog.backend(&job.backend);
    let Some(file) = model.file(weights, backend, job.precision) else {
        return Some(format!("the catalogue has no {weights} weights of {name}"));
    };
    let of_file = std::iter::once((&file.artifact, &file.source));
    let mut files = of_file.chain(file.parts.iter().map(|part| (&part.artifact, &part.source)));
    let (_, source) = files.find(|(artifact, _)| artifact.is_none())?;
    Some(match source {
        WeightsSource::Path(path) => format!("the model file {} could not be read", path.display()),
        WeightsSource::Urls(_) | WeightsSource::Builtin(_) | WeightsSource::Checkpoint { .. } => {
            format!("the hash of the {weights} weights of {name} is not known")
        }
    })
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
            "{name} hands its work to the delegate {delegate}, which {} does not have: where it has, its farm file says so by \
             `delegates: [{delegate}]`",
            device.name
        ));
    }
    let no_program = |program| program_reason(name, program, device, host_target);
    if let Some(reason) = backend.program.as_ref().and_then(no_program) {
        return Some(reason);
    }
    match job.threads {
        ThreadCount::Count(1) => None,
        _ if backend.multi_threaded => None,
        threads => Some(format!("{name} runs on one thread only, and threads are {threads}")),
    }
}

/// Android's C library is bionic: programs that are linked for glibc don't start there. Which processor another
/// device than this host has is known only once it is reached; its cells are skipped then.
fn program_reason(name: &str, program: &BackendProgram, device: &Device, host_target: Option<&str>) -> Option<String> {
    let runs_there = |target: &BackendTarget| target.is_android() || target.is_static();
    if matches!(device.transport, TransportConfig::Adb(_)) && !program.targets.iter().any(runs_there) {
        return Some(format!(
            "{name} has no program for Android: its library is linked for glibc, Android has bionic; tract runs there, and \
             benchmark programs of your own that are built with the NDK"
        ));
    }
    let host = host_target.filter(|_| device.transport == TransportConfig::Local);
    host.filter(|target| program.target(target).is_none()).map(|target| program.no_target(name, target))
}

/// No file of the model can be run in the job's precision, though the engine can.
fn precision_reason(job: &Job, catalog: &Catalog) -> Option<String> {
    let model = catalog.model(&job.model.name)?;
    let file = model.file(job.model.weights, catalog.backend(&job.backend), job.precision)?;
    let (weights, precision) = (job.model.weights, job.precision);
    (!file.serves(precision))
        .then(|| format!("the catalogue has no {precision} file of the {weights} weights for {}", job.backend))
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
