use clap::Subcommand;
use serde::Serialize;

use crate::catalog::{self, analysis};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{print_text, say};
use crate::cli::table::{Table, field_line, text_table};
use crate::cli::words::one_of;
use crate::domain::{
    ArtifactRef, Catalog, CatalogModel, InputRange, InputSpec, Precision, PublishedNetwork, WeightsFile, WeightsKind,
    WeightsSource, image_shape,
};
use crate::lab::{InspectedModel, LabError};

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
            let got = context.lab.ready_model(&model.name, file, verify, &progress).await;
            let file = got.as_ref().map_or(file, |ready| &ready.file);
            let row = |part: &str, state: &str, detail: String| {
                let precision = precision_word(file).to_owned();
                let words = [precision, part.to_owned(), state.to_owned(), detail];
                [model.name.clone(), file.weights.to_string(), file.format.clone()]
                    .into_iter()
                    .chain(words)
                    .collect::<Vec<_>>()
            };
            match &got {
                Ok(ready) => {
                    let local = &ready.local;
                    rows.push(row("", "ok", context.lab.short_path(&local.file.path)));
                    let parts = file.parts.iter().zip(&local.parts);
                    rows.extend(parts.map(|(part, local)| row(&part.name, "ok", context.lab.short_path(&local.path))));
                }
                Err(why) => {
                    failed += 1;
                    rows.push(row("", "failed", why.clone()));
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
        field_line(status, 6, &format!("{model} ({weights}, {format} {precision}{part}): {file}"))
    };
    let text = rows.iter().map(line).collect();
    Table::new(&header, rows).text(text).print(context.format)?;
    Ok(if failed > 0 { exit::SOME_FAILED } else { exit::OK })
}

/// The precision of a file, as far as it is known.
fn precision_word(file: &WeightsFile) -> &'static str {
    match (&file.signature, file.declared_precision) {
        (None, None) => "",
        (None, Some(declared)) => declared.as_str(),
        (Some(_), _) => file.precision().map_or("other", Precision::as_str),
    }
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
                precision_word(file).to_owned(),
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

/// What a model's file and its graph say, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    model: &'a CatalogModel,
    graph: Option<&'a analysis::GraphSummary>,
    /// The inputs that are measured, or why they can't be.
    measured: &'a Result<Vec<InputSpec>, String>,
}

async fn show(context: &Context, catalog: &Catalog, chosen: &Chosen) -> Result<u8, LabError> {
    let name = &chosen.names[0];
    let model = find(catalog, name)?;
    let file = chosen.files(model).into_iter().next();
    let file = file.ok_or_else(|| LabError::usage(format!("{name} has no such file")))?;
    let progress = context.open_progress();
    let got = context.lab.get_model(name, file, false, &progress).await;
    context.close_progress(&progress);
    if let Err(error) = got {
        say(&format!("the graph can't be shown: failed to {error}"));
    }
    let InspectedModel { model, file, measured, graph } = context.lab.inspect_model(model, file)?;
    let text = text(&model) + &file_text(&file, &measured) + &graph.as_ref().map(graph_text).unwrap_or_default();
    print_text(context.format, &text, &Shown { model: &model, graph: graph.as_ref(), measured: &measured })?;
    Ok(exit::OK)
}

fn line(what: &str, value: &str) -> String {
    field_line(what, 14, value)
}

fn text(model: &CatalogModel) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text.push_str(&line(what, &value));
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
            WeightsSource::Archive { archive, member } => format!("{member} of {}", archive.origin()),
            WeightsSource::Urls(urls) => format!("from {}", urls.join(" or ")),
            WeightsSource::Path(path) => format!("at {}", path.display()),
        };
        let sha256 = |artifact: &Option<ArtifactRef>| {
            artifact.as_ref().map_or_else(|| "not pinned".to_owned(), |artifact| artifact.sha256.clone())
        };
        let (weights, format, own) = (file.weights, &file.format, sha256(&file.artifact));
        let precision = match precision_word(file) {
            "" => String::new(),
            precision => format!(" in {precision}"),
        };
        line("file", format!("{weights} weights, {format}{precision}, sha256 {own}, {from}"));
        for part in &file.parts {
            line("", format!("with {}, sha256 {}", part.name, sha256(&part.artifact)));
        }
    }
    text
}

/// What the chosen file says of itself, and what is measured of it.
fn file_text(file: &WeightsFile, measured: &Result<Vec<InputSpec>, String>) -> String {
    let mut text = String::new();
    match &file.signature {
        Some(Ok(signature)) => {
            signature.inputs.iter().for_each(|tensor| text.push_str(&line("input", &tensor.to_string())));
            signature.outputs.iter().for_each(|tensor| text.push_str(&line("output", &tensor.to_string())));
            text.push_str(&line("computes in", &signature.arithmetic.words));
            for data in &signature.data_files {
                text.push_str(&line("weights in", &data.location));
            }
            if !signature.foreign_operators.is_empty() {
                text.push_str(&line("not standard", &signature.foreign_operators.join(", ")));
            }
        }
        Some(Err(why)) => return line("no model", why),
        None => {}
    }
    match measured {
        Ok(inputs) if inputs.is_empty() => {}
        Ok(inputs) => {
            let shown = inputs.iter().map(|input| {
                let InputRange { low, high } = input.range;
                format!("{} {} {:?} from [{low}, {high})", input.name, input.element, input.shape)
            });
            text.push_str(&line("measured with", &shown.collect::<Vec<_>>().join("; ")));
        }
        Err(why) => text.push_str(&line("not measured", why)),
    }
    match &file.macs {
        Some(Ok(macs)) => text.push_str(&line("macs of one", &format!("{macs}, counted in the graph"))),
        Some(Err(why)) => text.push_str(&line("macs of one", why)),
        None => {}
    }
    text
}

fn graph_text(graph: &analysis::GraphSummary) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text.push_str(&line(what, &value));
    line("graph", format!("opset {}, by {}", graph.opset, graph.producer));
    line("graph params", graph.params.to_string());
    let at_least = if graph.is_complete() { "" } else { "at least " };
    line("graph macs", format!("{at_least}{} of one inference", graph.macs()));
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
