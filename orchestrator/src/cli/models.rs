use clap::Subcommand;
use serde::Serialize;

use crate::catalog::analysis;
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::words::one_of;
use crate::domain::{Catalog, CatalogModel, InputSpec, WeightsFile, WeightsKind};
use crate::lab::{FileChoice, FileOutcome, InspectedModel, LabError, find_model, find_published};
use crate::report::{model_file_text, model_text};
use crate::terminal::print::{print_text, say};
use crate::terminal::table::{Table, field_line};

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

impl From<Which> for FileChoice {
    fn from(Which { names, weights, file_format }: Which) -> FileChoice {
        FileChoice { names, weights, format: file_format }
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
        ModelsVerb::Show { name, weights, file_format: format } => {
            let choice = FileChoice { names: Vec::new(), weights, format };
            show(context, find_model(&catalog, &name)?, &choice).await
        }
        ModelsVerb::Fetch(which) => each(context, &catalog, &which.into(), false).await,
        ModelsVerb::Verify(which) => each(context, &catalog, &which.into(), true).await,
        ModelsVerb::Build { names, file_format: format } => {
            let choice = FileChoice { names, weights: Some(WeightsKind::Synthetic), format };
            each(context, &catalog, &choice, false).await
        }
        ModelsVerb::Published { names } => published(context, &names),
    }
}

async fn each(context: &Context, catalog: &Catalog, choice: &FileChoice, verify: bool) -> Result<u8, LabError> {
    let progress = context.open_progress();
    let outcomes = context.lab.ready_files(catalog, choice, verify, &progress).await;
    context.close_progress(&progress);
    let outcomes = outcomes?;
    let rows: Vec<Vec<String>> = outcomes.iter().flat_map(|outcome| rows_of(context, outcome)).collect();
    let header = ["model", "weights", "format", "precision", "part", "status", "file"];
    let line = |row: &Vec<String>| {
        let [model, weights, format, precision, part, status, file] = &row[..] else { return String::new() };
        let part = if part.is_empty() { String::new() } else { format!(", {part}") };
        field_line(status, 6, &format!("{model} ({weights}, {format} {precision}{part}): {file}"))
    };
    let text = rows.iter().map(line).collect();
    Table::new(&header, rows).text(text).print(context.format)?;
    let has_failed = outcomes.iter().any(|outcome| outcome.got.is_err());
    Ok(if has_failed { exit::SOME_FAILED } else { exit::OK })
}

/// A row for a file, and for each further one that it names.
fn rows_of(context: &Context, FileOutcome { model, file, got }: &FileOutcome) -> Vec<Vec<String>> {
    let row = |part: &str, status: &str, detail: String| {
        let precision = file.precision_word();
        let facts = [model, file.weights.as_str(), &file.format, precision, part, status, &detail];
        facts.map(str::to_owned).to_vec()
    };
    match got {
        Err(why) => vec![row("", "failed", why.clone())],
        Ok(ready) => {
            let parts = file.parts.iter().zip(&ready.local.parts).map(|(part, local)| (&*part.name, local));
            let all = std::iter::once(("", &ready.local.file)).chain(parts);
            all.map(|(part, local)| row(part, "ok", context.lab.short_path(&local.path))).collect()
        }
    }
}

fn list(context: &Context, catalog: &Catalog) -> Result<u8, LabError> {
    let cache = context.lab.model_cache();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let files = catalog.models.iter().flat_map(|model| model.files.iter().map(move |file| (model, file)));
    let files: Vec<(&CatalogModel, &WeightsFile)> = files.collect();
    let table = Table::of(&files)
        .column("model", |(model, _)| model.name.clone())
        .column("weights", |(_, file)| file.weights.to_string())
        .column("format", |(_, file)| file.format.clone())
        .column("precision", |(_, file)| file.precision_word().to_owned())
        .column("size_mb", |(_, file)| {
            file.size_bytes().map(|bytes| format!("{:.1}", bytes as f64 / 1e6)).unwrap_or_default()
        })
        .column("here", |(_, file)| if cache.has(file) { "yes" } else { "no" }.to_owned())
        .column("params", |(model, _)| number(model.params))
        .column("macs", |(model, _)| number(model.macs))
        .column("top1_percent", |(model, file)| {
            let published = model.accuracy.as_ref().filter(|_| file.weights == WeightsKind::Trained);
            published.map(|accuracy| accuracy.top1_percent.to_string()).unwrap_or_default()
        });
    // A licence may be long: people see it by `models show`.
    let table = match context.format.is_for_people() {
        true => table,
        false => table.column("licence", |(model, _)| model.licence.clone().unwrap_or_default()),
    };
    table.done().json(&catalog.models).print(context.format)?;
    Ok(exit::OK)
}

fn published(context: &Context, names: &[String]) -> Result<u8, LabError> {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let networks = find_published(names)?;
    Table::of(&networks)
        .column("network", |network| network.name.clone())
        .column("input_px", |network| network.input_px.to_string())
        .column("params", |network| text(network.params))
        .column("macs", |network| network.macs.to_string())
        .column("top1_percent", |network| network.top1_percent.to_string())
        .column("top5_percent", |network| text(network.top5_percent))
        .column("source", |network| network.source.clone())
        .done()
        .json(&networks)
        .print(context.format)?;
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

async fn show(context: &Context, model: &CatalogModel, choice: &FileChoice) -> Result<u8, LabError> {
    let name = &model.name;
    let file: Option<&WeightsFile> = choice.files(model).into_iter().next();
    let file = file.ok_or_else(|| LabError::usage(format!("{name} has no such file")))?;
    let progress = context.open_progress();
    let got = context.lab.get_model(name, file, false, &progress).await;
    context.close_progress(&progress);
    if let Err(error) = got {
        say(&format!("the graph can't be shown: failed to {error}"));
    }
    let InspectedModel { model, file, measured, graph } = context.lab.inspect_model(model, file)?;
    let graph_text = graph.as_ref().map(graph_text).unwrap_or_default();
    let text = model_text(&model) + &model_file_text(&file, &measured) + &graph_text;
    print_text(context.format, &text, &Shown { model: &model, graph: graph.as_ref(), measured: &measured })?;
    Ok(exit::OK)
}

fn graph_text(graph: &analysis::GraphSummary) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text.push_str(&field_line(what, 14, &value));
    let by = if graph.producer.is_empty() { String::new() } else { format!(", by {}", graph.producer) };
    line("graph", format!("opset {}{by}", graph.opset));
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
