use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde::Serialize;

use crate::catalog::{self, Activity, ArtifactCache, CatalogError, DownloadSettings, LocalModel, Proxy, analysis};
use crate::domain::{
    ArtifactRef, Catalog, CatalogModel, FailureKind, Job, Plan, PublishedNetwork, Skipped, WeightsFile, WeightsKind,
    WeightsSource, image_shape,
};
use crate::progress::{Progress, Task, Unit};

use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say, short_path};

/// Longest time that getting one file may take.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub(super) enum ModelsVerb {
    /// List the models and whether their files are here
    List,
    /// Show a model: facts, files, inputs, outputs, operators, multiply-adds by operator
    Show {
        /// Its name
        name: String,
        /// Kind of weights
        #[arg(long, value_enum)]
        weights: Option<Weights>,
        /// The file whose graph is shown, by its format
        #[arg(long, value_name = "FORMAT")]
        file_format: Option<String>,
    },
    /// Get files: build those that farmctl writes itself, download others
    Fetch(Which),
    /// Read files again and compare them with their hashes
    Verify(Which),
    /// Build the synthetic files
    Build {
        /// Names; all models without any
        names: Vec<String>,
        /// Format of the files (onnx, tflite, caffe2, torchscript_lite …), or `all`; without it, a model's first
        #[arg(long, value_name = "FORMAT")]
        file_format: Option<String>,
    },
    /// List what was published about networks: parameters, multiply-adds, accuracy
    Published {
        /// Names; all networks without any
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Names; all models without any
    names: Vec<String>,
    /// Kind of weights; all kinds without it
    #[arg(long, value_enum)]
    weights: Option<Weights>,
    /// Format of the files (onnx, tflite, caffe2, torchscript_lite …), or `all`; without it, a model's first
    #[arg(long, value_name = "FORMAT")]
    file_format: Option<String>,
}

/// Some of the models' files.
struct Chosen {
    names: Vec<String>,
    weights: Option<WeightsKind>,
    file_format: Option<String>,
}

impl From<Which> for Chosen {
    fn from(which: Which) -> Chosen {
        Chosen { names: which.names, weights: which.weights.map(Into::into), file_format: which.file_format }
    }
}

impl Chosen {
    /// A model's files that are meant: without a format the first of each kind of weights.
    fn files<'a>(&self, model: &'a CatalogModel) -> Vec<&'a WeightsFile> {
        let mut files: Vec<&WeightsFile> = Vec::new();
        for file in model.files.iter().filter(|file| self.weights.is_none_or(|kind| file.weights == kind)) {
            let meant = match self.file_format.as_deref() {
                None => files.iter().all(|other| other.weights != file.weights),
                Some("all") => true,
                Some(format) => file.format == format,
            };
            if meant {
                files.push(file);
            }
        }
        files
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Weights {
    Synthetic,
    Trained,
}

impl From<Weights> for WeightsKind {
    fn from(weights: Weights) -> WeightsKind {
        match weights {
            Weights::Synthetic => WeightsKind::Synthetic,
            Weights::Trained => WeightsKind::Trained,
        }
    }
}

pub(super) async fn run(context: &Context, verb: ModelsVerb) -> Result<u8, CliError> {
    let catalog = context.lab.catalog()?;
    match verb {
        ModelsVerb::List => list(context, &catalog),
        ModelsVerb::Show { name, weights, file_format } => {
            let chosen = Chosen { names: vec![name], weights: weights.map(Into::into), file_format };
            show(context, &catalog, &chosen).await
        }
        ModelsVerb::Fetch(which) => each(context, &catalog, &which.into(), false).await,
        ModelsVerb::Verify(which) => each(context, &catalog, &which.into(), true).await,
        ModelsVerb::Build { names, file_format } => {
            let chosen = Chosen { names, weights: Some(WeightsKind::Synthetic), file_format };
            each(context, &catalog, &chosen, false).await
        }
        ModelsVerb::Published { names } => published(context, &names),
    }
}

/// The host's cache of model files.
fn cache(context: &Context) -> ArtifactCache {
    ArtifactCache::new(
        context.lab.artifacts(),
        DownloadSettings { proxy: Proxy::try_from_env(), ..DownloadSettings::default() },
    )
}

/// The catalogue with hash and size of the user's own files that are there; a plan is made from these.
pub(super) fn with_found_files(context: &Context, mut catalog: Catalog) -> Result<Catalog, CliError> {
    let cache = cache(context);
    let find = |artifact: &mut Option<ArtifactRef>, source: &WeightsSource| {
        if let WeightsSource::Path(path) = source
            && artifact.is_none()
            && path.is_file()
        {
            *artifact = Some(cache.hash_of(path, Instant::now() + PATIENCE)?);
        }
        Ok::<(), CliError>(())
    };
    for file in catalog.models.iter_mut().flat_map(|model| &mut model.files) {
        find(&mut file.artifact, &file.source)?;
        file.parts.iter_mut().try_for_each(|part| find(&mut part.artifact, &part.source))?;
    }
    Ok(catalog)
}

/// Has every file that a plan needs on this host. Jobs whose file can't be had become skipped cells with the reason.
pub(super) async fn provide(
    context: &Context,
    catalog: &Catalog,
    plan: &mut Plan,
    progress: &Progress,
) -> Result<HashMap<String, PathBuf>, CliError> {
    // By all files: two models of one network may differ in their weights' file alone.
    let key = |job: &Job| {
        let artifacts = job.model.artifact.iter().chain(job.model.parts.iter().map(|part| &part.artifact));
        (job.model.name.clone(), artifacts.map(|artifact| artifact.sha256.clone()).collect::<Vec<_>>())
    };
    let wanted: BTreeSet<(String, Vec<String>)> = plan.jobs.iter().map(key).collect();
    let (mut files, mut missing) = (HashMap::new(), HashMap::new());
    for (name, hashes) in wanted {
        let Some(model) = catalog.model(&name) else { continue };
        let is_it = |file: &&WeightsFile| {
            let artifacts = std::iter::once(&file.artifact).chain(file.parts.iter().map(|part| &part.artifact));
            artifacts.map(|artifact| artifact.as_ref().map(|it| &it.sha256)).eq(hashes.iter().map(Some))
        };
        let Some(file) = model.files.iter().find(is_it) else { continue };
        match get(context, &name, file, false, progress).await? {
            Ok(local) => {
                let macs = macs_of(context, model, file);
                let is_of_it = |job: &&mut Job| key(job) == (name.clone(), hashes.clone());
                plan.jobs.iter_mut().filter(is_of_it).for_each(|job| job.model.macs = macs);
                let all = std::iter::once(local.file).chain(local.parts);
                files.extend(all.map(|file| (file.artifact.sha256, file.path)));
            }
            Err(error) => drop(missing.insert((name, hashes), format!("failed to {error}"))),
        }
    }
    let jobs = std::mem::take(&mut plan.jobs);
    for job in jobs {
        match missing.get(&key(&job)) {
            Some(reason) => {
                let kind = FailureKind::ArtifactUnavailable;
                plan.skipped.push(Skipped { job, kind, reason: reason.clone() });
            }
            None => plan.jobs.push(job),
        }
    }
    files.extend(super::datasets::provide(context, catalog, plan, progress).await?);
    Ok(files)
}

/// Multiply-adds of the very file that is measured: another training of a network may have another graph than the
/// catalogue's entry. `None` where they can't be counted whole; the entry's number for a format that isn't read.
fn macs_of(context: &Context, model: &CatalogModel, file: &WeightsFile) -> Option<u64> {
    match cache(context).summary(model, file) {
        Ok(Some(summary)) => summary.is_complete().then(|| summary.macs()),
        Ok(None) => model.macs,
        Err(error) => {
            tracing::warn!(model = %model.name, %error, "its multiply-adds can't be counted");
            None
        }
    }
}

/// Gets or verifies one file, where it may block, and shows it.
async fn get(
    context: &Context,
    name: &str,
    file: &WeightsFile,
    verify: bool,
    progress: &Progress,
) -> Result<Result<LocalModel, CatalogError>, CliError> {
    let (cache, name, file, progress) = (cache(context), name.to_owned(), file.clone(), progress.clone());
    tokio::task::spawn_blocking(move || {
        let shown: Mutex<Option<Task>> = Mutex::new(None);
        let mut show = |step: crate::catalog::Progress| {
            let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let label = || {
                let doing = match step.activity {
                    Activity::Building => "building",
                    Activity::Downloading => "downloading",
                    Activity::Hashing => "reading",
                };
                format!("{doing} {name}")
            };
            let task = shown.get_or_insert_with(|| {
                progress.start_task(&label(), Some(step.total_bytes).filter(|total| *total > 0), Unit::Bytes)
            });
            task.advance_to(step.done_bytes);
        };
        let deadline = Instant::now() + PATIENCE;
        let got = if verify {
            cache.verify(&name, &file, deadline, &mut show)
        } else {
            cache.ensure(&name, &file, deadline, &mut show)
        };
        if let Some(task) = shown.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            task.finish("done");
        }
        got
    })
    .await
    .map_err(|error| CliError::internal(format!("failed to get a model: {error}")))
}

fn select<'a>(catalog: &'a Catalog, names: &[String]) -> Result<Vec<&'a CatalogModel>, CliError> {
    if names.is_empty() {
        return Ok(catalog.models.iter().collect());
    }
    names.iter().map(|name| find(catalog, name)).collect()
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a CatalogModel, CliError> {
    catalog.model(name).ok_or_else(|| {
        let names: Vec<&str> = catalog.models.iter().map(|model| model.name.as_str()).collect();
        CliError::usage(format!("there is no model {name:?}")).with_hint(format!("models: {}", names.join(", ")))
    })
}

async fn each(context: &Context, catalog: &Catalog, chosen: &Chosen, verify: bool) -> Result<u8, CliError> {
    let progress = super::open_progress(context);
    let mut rows = Vec::new();
    let (mut tried, mut failed) = (0, 0);
    for model in select(catalog, &chosen.names)? {
        for file in chosen.files(model) {
            tried += 1;
            let row = |part: &str, state: &str, detail: String| {
                let (weights, format, precision) = (file.weights.to_string(), file.format.clone(), file.precision);
                let words = [precision.to_string(), part.to_owned(), state.to_owned(), detail];
                [model.name.clone(), weights, format].into_iter().chain(words).collect::<Vec<_>>()
            };
            match get(context, &model.name, file, verify, &progress).await? {
                Ok(local) => {
                    rows.push(row("", "ok", short_path(&local.file.path)));
                    let parts = file.parts.iter().zip(&local.parts);
                    rows.extend(parts.map(|(part, local)| row(&part.name, "ok", short_path(&local.path))));
                }
                Err(error) => {
                    failed += 1;
                    rows.push(row("", "failed", format!("failed to {error}")));
                }
            }
        }
    }
    super::close_progress(context, &progress);
    if tried == 0 {
        return Err(CliError::nothing("no model has such a file"));
    }
    let header = ["model", "weights", "format", "precision", "part", "status", "file"];
    match context.format {
        Format::Human => {
            for row in &rows {
                let [model, weights, format, precision, part, status, file] = &row[..] else { continue };
                let part = if part.is_empty() { String::new() } else { format!(", {part}") };
                let line = format!("{status:<6} {model} ({weights}, {format} {precision}{part}): {file}\n");
                print_data(line.as_bytes())?;
            }
        }
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
        Format::Json => {
            let objects: Vec<HashMap<&str, &String>> =
                rows.iter().map(|row| header.iter().copied().zip(row).collect()).collect();
            print_json(&objects)?;
        }
    }
    Ok(if failed > 0 { exit::SOME_FAILED } else { exit::OK })
}

fn list(context: &Context, catalog: &Catalog) -> Result<u8, CliError> {
    let cache = cache(context);
    let header =
        ["model", "weights", "format", "precision", "size_mb", "here", "params", "macs", "top1_percent", "licence"];
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let rows = catalog.models.iter().flat_map(|model| {
        let cache = &cache;
        model.files.iter().map(move |file| {
            let published = model.accuracy.as_ref().filter(|_| file.weights == WeightsKind::Trained);
            let parts = file.parts.iter().map(|part| part.artifact.as_ref());
            let sizes = std::iter::once(file.artifact.as_ref()).chain(parts).map(|it| it.map(|it| it.size_bytes));
            vec![
                model.name.clone(),
                file.weights.to_string(),
                file.format.clone(),
                file.precision.to_string(),
                sizes.sum::<Option<u64>>().map(|bytes| format!("{:.1}", bytes as f64 / 1e6)).unwrap_or_default(),
                if cache.has(file) { "yes" } else { "no" }.to_owned(),
                number(model.params),
                number(model.macs),
                published.map(|accuracy| accuracy.top1_percent.to_string()).unwrap_or_default(),
                model.licence.clone().unwrap_or_default(),
            ]
        })
    });
    match context.format {
        Format::Human => print_data(super::text_table(&header[..9], rows.map(|row| row[..9].to_vec())).as_bytes())?,
        Format::Json => print_json(&catalog.models)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    Ok(exit::OK)
}

fn published(context: &Context, names: &[String]) -> Result<u8, CliError> {
    let networks: Vec<&PublishedNetwork> = if names.is_empty() {
        catalog::published_networks().iter().collect()
    } else {
        let find = |name: &String| {
            let unknown = || CliError::usage(format!("nothing published is known of a network {name:?}"));
            catalog::published_network(name).ok_or_else(unknown)
        };
        let hint = |error: CliError| error.with_hint("`farmctl models published` lists those it is known of");
        names.iter().map(find).collect::<Result<_, _>>().map_err(hint)?
    };
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let header = ["network", "input_px", "params", "macs", "top1_percent", "top5_percent", "source"];
    let rows = networks.iter().map(|network| {
        vec![
            network.name.clone(),
            network.input_px.to_string(),
            text(network.params),
            network.macs.to_string(),
            network.top1_percent.to_string(),
            text(network.top5_percent),
            network.source.clone(),
        ]
    });
    match context.format {
        Format::Human => print_data(super::text_table(&header, rows).as_bytes())?,
        Format::Json => print_json(&networks)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    Ok(exit::OK)
}

/// What a model's graph says, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    model: &'a CatalogModel,
    graph: Option<analysis::GraphSummary>,
}

async fn show(context: &Context, catalog: &Catalog, chosen: &Chosen) -> Result<u8, CliError> {
    let name = &chosen.names[0];
    let model = find(catalog, name)?;
    let file = chosen.files(model).into_iter().next();
    let file = file.ok_or_else(|| CliError::usage(format!("{name} has no such file")))?;
    let progress = super::open_progress(context);
    let got = get(context, name, file, false, &progress).await?;
    super::close_progress(context, &progress);
    if let Err(error) = got {
        say(&format!("the graph can't be shown: failed to {error}"));
    }
    let graph = cache(context).summary(model, file)?;
    if context.format == Format::Json {
        print_json(&Shown { model, graph })?;
    } else {
        print_data(text(model, graph.as_ref()).as_bytes())?;
    }
    Ok(exit::OK)
}

fn text(model: &CatalogModel, graph: Option<&analysis::GraphSummary>) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text.push_str(&format!("{what:<14} {value}\n"));
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    line("model", format!("{} ({})", model.name, model.title));
    line("source", or_unknown(model.source.clone()));
    line("licence", or_unknown(model.licence.clone()));
    let shape = model.input_shape.as_deref().and_then(image_shape);
    let preprocessing = model.preprocessing.as_ref().zip(shape).map(|(rule, shape)| rule.text(shape));
    line("preprocessing", or_unknown(preprocessing));
    line("params", or_unknown(model.params.map(|params| format!("{params} as published"))));
    line("macs", or_unknown(model.macs.map(|macs| format!("{macs} multiply-adds an image (FLOPs are twice as many)"))));
    if let Some(accuracy) = &model.accuracy {
        line("top-1", format!("{} % as published, never measured here ({})", accuracy.top1_percent, accuracy.source));
    }
    for file in &model.files {
        let from = match &file.source {
            WeightsSource::Builtin(network) => format!("built by farmctl from its definition of {network}"),
            WeightsSource::Checkpoint { network, archive, .. } => {
                format!("built by farmctl from its definition of {network} and the weights in {}", archive.file_name())
            }
            WeightsSource::Urls(urls) => format!("from {}", urls.join(" or ")),
            WeightsSource::Path(path) => format!("at {}", path.display()),
        };
        let sha256 = |artifact: &Option<ArtifactRef>| {
            artifact.as_ref().map_or_else(|| "not pinned".to_owned(), |artifact| artifact.sha256.clone())
        };
        let (weights, format, precision) = (file.weights, &file.format, file.precision);
        let own = sha256(&file.artifact);
        line("file", format!("{weights} weights, {format} in {precision}, sha256 {own}, {from}"));
        for part in &file.parts {
            line("", format!("with {}, sha256 {}", part.name, sha256(&part.artifact)));
        }
    }
    let Some(graph) = graph else { return text };
    let shape = |tensor: &analysis::TensorSummary| {
        let shape = tensor.shape.as_ref().map_or_else(|| "?".to_owned(), |shape| format!("{shape:?}"));
        format!("{} {} {shape}", tensor.name, tensor.element)
    };
    line("graph", format!("opset {}, by {}", graph.opset, graph.producer));
    graph.inputs.iter().for_each(|tensor| line("input", shape(tensor)));
    graph.outputs.iter().for_each(|tensor| line("output", shape(tensor)));
    line("graph params", graph.params.to_string());
    let at_least = if graph.is_complete() { "" } else { "at least " };
    line("graph macs", format!("{at_least}{}", graph.macs()));
    for name in &graph.external_files {
        line("not whole", format!("weights lie in another file, {name}: such a model can't be measured"));
    }
    for gap in &graph.not_understood {
        line("not counted", gap.clone());
    }
    line("operators", format!("{:<24} {:>6} {:>16}", "", "nodes", "macs"));
    for (operator, nodes) in &graph.ops {
        let macs = graph.macs_by_op.get(operator).map(ToString::to_string).unwrap_or_default();
        line("", format!("{operator:<24} {nodes:>6} {macs:>16}"));
    }
    text
}
