//! Tests of the configuration files.
#![allow(clippy::unwrap_used)]

mod backends;
mod committed;
mod daemon;
mod datasets;
mod faults;
mod hostile;
mod lab;
mod meaning;
mod presets;

use std::path::Path;

use crate::domain::{Backend, Catalog, CatalogModel, Inventory, Precision, Sweep};

use super::fault::ConfigErrors;
use super::source::Source;

/// An environment with `HOME` and two variables more.
fn environment(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/lab".to_owned()),
        "BOARD" => Some("board7".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn source(file: &str, text: &str) -> Result<Source, ConfigErrors> {
    Source::from_bytes(Path::new(file), text.as_bytes().to_vec()).map_err(|fault| ConfigErrors { faults: vec![fault] })
}

fn farm(text: &str) -> Result<Inventory, ConfigErrors> {
    super::inventory::load(vec![source("farms/lab.yaml", text)?], Vec::new(), &environment)
}

fn models(text: &str) -> Result<Vec<CatalogModel>, ConfigErrors> {
    super::catalog::load(source("configs/models.yaml", text)?, &|name| (name == "HOME").then(|| "/home/me".to_owned()))
}

fn sweep(text: &str) -> Result<Sweep, ConfigErrors> {
    super::sweep::load(source("configs/night.yaml", text)?, &boards(), &catalog())
}

fn tract() -> Backend {
    Backend {
        name: "tract".to_owned(),
        version: "0.23.9".to_owned(),
        formats: vec!["onnx".to_owned()],
        precisions: vec![Precision::Float32],
        converts_to: Vec::new(),
        operator_domains: Vec::new(),
        multi_threaded: true,
        program: None,
    }
}

/// A catalogue of three models.
fn catalog() -> Catalog {
    let text = "models:
  - { name: resnet50, weights: { synthetic: { path: a.onnx } } }
  - { name: mobilenet_v2, weights: { synthetic: { path: b.onnx } } }
  - { name: squeezenet1_0, weights: { trained: { path: c.onnx } } }
";
    Catalog { models: models(text).unwrap(), backends: vec![tract()], datasets: super::load_datasets(None).unwrap() }
}

/// A farm of three boards.
fn boards() -> Inventory {
    farm(
        "devices:
  - { name: this-host, tags: [host, arch=x86_64], transport: local }
  - { name: pi4, tags: [arch=arm64], transport: { ssh: { host: pi4 } } }
  - { name: pi5, tags: [arch=arm64], transport: { ssh: { host: pi5 } }, disabled: broken }
",
    )
    .unwrap()
}

/// What each text gets to hear, one after the other, with what was written above it.
fn said<T: std::fmt::Debug>(read: impl Fn(&str) -> Result<T, ConfigErrors>, cases: &[(&str, &str)]) -> String {
    let one = |(title, text): &(&str, &str)| {
        let said = match read(text) {
            Ok(value) => format!("accepted: {value:?}"),
            Err(errors) => errors.to_string(),
        };
        format!("## {title}\n{said}\n")
    };
    cases.iter().map(one).collect::<Vec<_>>().join("\n")
}
