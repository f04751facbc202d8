use clap::Subcommand;
use serde::Serialize;

use crate::catalog::{self, analysis};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{print_text, say};
use crate::cli::table::{Table, text_table};
use crate::cli::words::one_of;
use crate::domain::{
    ArtifactRef, Catalog, CatalogModel, PublishedNetwork, WeightsFile, WeightsKind, WeightsSource, image_shape,
};
use crate::lab::LabError;

#[derive(Debug, Subcommand)]
pub(super) enum ModelsVerb {
    /// List the models and whether their files are here
    List,
    /// Show a model: facts, files, inputs, outputs, operators, multiply-adds by operator
    Show {
        /// Its name
        name: String,
        /// Kind of weights
        #[arg(long, value_parser = one_of(WeightsKind::ALL, WeightsKind::as_str, no_help))]
        weights: Option<WeightsKind>,
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
    #[arg(long, value_parser = one_of(WeightsKind::ALL, WeightsKind::as_str, no_help))]
    weights: Option<WeightsKind>,
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
        Chosen { names: which.names, weights: which.weights, file_format: which.file_format }
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

/// Kinds of weights need no explanation.
fn no_help(_: WeightsKind) -> &'static str {
    ""
}

pub(super) async fn run(context: &Context, verb: ModelsVerb) -> Result<u8, LabError> {
    let catalog = context.lab.catalog()?;
    match verb {
        ModelsVerb::List => list(context, &catalog),
        ModelsVerb::Show { name, weights, file_format } => {
            let chosen = Chosen { names: vec![name], weights, file_format };
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

fn select<'a>(catalog: &'a Catalog, names: &[String]) -> Result<Vec<&'a CatalogModel>, LabError> {
    if names.is_empty() {
        return Ok(catalog.models.iter().collect());
    }
    names.iter().map(|name| find(catalog, name)).collect()
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a CatalogModel, LabError> {
    catalog.model(name).ok_or_else(|| {
        let names: Vec<&str> = catalog.models.iter().map(|model| model.name.as_str()).collect();
        LabError::usage(format!("there is no model {name:?}")).with_hint(format!("models: {}", names.join(", ")))
    })
}

async fn each(context: &Context, catalog: &Catalog, chosen: &Chosen, verify: bool) -> Result<u8, LabError> {
    let progress = context.open_progress();
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
            match context.lab.get_model(&model.name, file, verify, &progress).await? {
                Ok(local) => {
                    rows.push(row("", "ok", context.lab.short_path(&local.file.path)));
                    let parts = file.parts.iter().zip(&local.parts);
                    rows.extend(parts.map(|(part, local)| row(&part.name, "ok", context.lab.short_path(&local.path))));
                }
                Err(error) => {
                    failed += 1;
                    rows.push(row("", "failed", format!("failed to {error}")));
                }
            }
        }
    }
    context.close_progress(&progress);
    if tried == 0 {
        return Err(LabError::nothing("no model has such a file"));
    }
    let header = ["model", "weights", "format", "precision", "part", "status", "file"];
    let line = |row: &Vec<String>| {
        let [model, weights, format, precision, part, status, file] = &row[..] else { return String::new() };
        let part = if part.is_empty() { String::new() } else { format!(", {part}") };
        format!("{status:<6} {model} ({weights}, {format} {precision}{part}): {file}\n")
    };
    let text = rows.iter().map(line).collect();
    Table::new(&header, rows).text(text).print(context.format)?;
    Ok(if failed > 0 { exit::SOME_FAILED } else { exit::OK })
}

fn list(context: &Context, catalog: &Catalog) -> Result<u8, LabError> {
    let cache = context.lab.model_cache();
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
    let text = text_table(&header[..9], rows.clone().map(|row| row[..9].to_vec()));
    Table::new(&header, rows).text(text).json(&catalog.models).print(context.format)?;
    Ok(exit::OK)
}

fn published(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let networks: Vec<&PublishedNetwork> = if names.is_empty() {
        catalog::published_networks().iter().collect()
    } else {
        let find = |name: &String| {
            let unknown = || LabError::usage(format!("nothing published is known of a network {name:?}"));
            catalog::published_network(name).ok_or_else(unknown)
        };
        let hint = |error: LabError| error.with_hint("`farmctl models published` lists those it is known of");
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
    Table::new(&header, rows).json(&networks).print(context.format)?;
    Ok(exit::OK)
}

/// What a model's graph says, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    model: &'a CatalogModel,
    graph: Option<analysis::GraphSummary>,
}

async fn show(context: &Context, catalog: &Catalog, chosen: &Chosen) -> Result<u8, LabError> {
    let name = &chosen.names[0];
    let model = find(catalog, name)?;
    let file = chosen.files(model).into_iter().next();
    let file = file.ok_or_else(|| LabError::usage(format!("{name} has no such file")))?;
    let progress = context.open_progress();
    let got = context.lab.get_model(name, file, false, &progress).await?;
    context.close_progress(&progress);
    if let Err(error) = got {
        say(&format!("the graph can't be shown: failed to {error}"));
    }
    let graph = context.lab.model_cache().summary(model, file)?;
    let text = text(model, graph.as_ref());
    print_text(context.format, &text, &Shown { model, graph })?;
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
