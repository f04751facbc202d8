//! What the command line says of a side: values of fields, and files that stand beside the lab's.

use std::collections::BTreeSet;
use std::path::Path;

use crate::catalog;
use crate::config::{self, MAX_THREADS};
use crate::domain::{
    Backend, Catalog, CatalogModel, PairSide, Precision, Scenario, SideRunner, Sweep, ThreadCount, WeightsFile,
    WeightsKind, WeightsSource,
};
use crate::lab::LabError;
use crate::runners;
use crate::wording::did_you_mean;

use super::FIELDS;

/// Format of a network's file without an ending.
const FORMAT: &str = "onnx";

/// What sides were given beside what the lab's files have.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) models: Vec<CatalogModel>,
    pub(super) backends: Vec<Backend>,
    pub(super) a_runners: Vec<SideRunner>,
    pub(super) b_runners: Vec<SideRunner>,
}

/// A side whose values are set.
pub(super) struct Side<'a> {
    pub(super) name: PairSide,
    pub(super) catalog: &'a Catalog,
    /// The only network of its sweep file: a file that is given in its place is that network by another file.
    pub(super) network: Option<CatalogModel>,
}

impl<'a> Side<'a> {
    pub(super) fn of(name: PairSide, sweep: &Sweep, catalog: &'a Catalog) -> Side<'a> {
        let network = match sweep.models.as_slice() {
            [only] => catalog.model(only).cloned(),
            _ => None,
        };
        Side { name, catalog, network }
    }

    /// Gives fields of the side's sweep a value each: `backend=tract`.
    pub(super) fn set(&self, sweep: &mut Sweep, values: &[String], given: &mut Given) -> Result<(), LabError> {
        let mut fields = BTreeSet::new();
        for field in values.iter().filter_map(|text| Some(text.split_once('=')?.0)) {
            if !fields.insert(field) {
                let side = self.name.as_str();
                return Err(LabError::usage(format!("--{side} gives {field} several values"))
                    .with_hint("give it one: each further value is a comparison of its own"));
            }
        }
        // The weights that a network's file is taken for are known then.
        let (models, others): (Vec<&String>, Vec<&String>) = values.iter().partition(|text| text.starts_with("model="));
        others.into_iter().chain(models).try_for_each(|text| self.set_field(sweep, text, given))
    }

    fn set_field(&self, sweep: &mut Sweep, text: &str, given: &mut Given) -> Result<(), LabError> {
        let wrong = |message: String, hint: String| Err(LabError::usage(message).with_hint(hint));
        let Some((field, value)) = text.split_once('=') else {
            return wrong(format!("{text:?} gives no field a value"), format!("write FIELD=VALUE; fields: {FIELDS}"));
        };
        match field {
            "model" => sweep.models = vec![self.model(sweep, value, given)?],
            "backend" => sweep.backends = vec![self.backend(value, given)?],
            "weights" => sweep.weights = vec![word(field, value, WeightsKind::ALL, WeightsKind::as_str)?],
            "precision" => sweep.precisions = vec![word(field, value, Precision::ALL, Precision::as_str)?],
            "scenario" => sweep.scenarios = vec![word(field, value, Scenario::ALL, Scenario::as_str)?],
            "threads" => sweep.threads = vec![threads(value)?],
            "batch" => match value.parse() {
                Ok(batch) if batch > 0 => sweep.batches = vec![batch],
                _ => return wrong(format!("{value:?} is no batch"), "write a number from 1 on".to_owned()),
            },
            "runner" => {
                let found = runners::given(Path::new(value)).map_err(|error| {
                    LabError::usage(format!("failed to {error}"))
                        .with_hint("name a runner's file, or a folder that has TARGET/device-runner")
                })?;
                match self.name {
                    PairSide::A => given.a_runners = found,
                    PairSide::B => given.b_runners = found,
                }
            }
            _ => {
                return wrong(
                    format!("{field:?} is nothing that two sides may differ in"),
                    format!("fields: {FIELDS}"),
                );
            }
        }
        Ok(())
    }

    /// The name of a network of the catalogue, or of one that a file is.
    fn model(&self, sweep: &Sweep, value: &str, given: &mut Given) -> Result<String, LabError> {
        let path = Path::new(value);
        if self.catalog.model(value).is_some() || !path.is_file() {
            let error = known(value, self.catalog.models.iter().map(|model| model.name.as_str()), "model");
            return error
                .map_err(|error| error.with_hint("a network's file is named by its path, as `model=new.onnx`"));
        }
        let [weights] = sweep.weights.as_slice() else {
            return Err(LabError::usage(format!("{value} has one kind of weights, and the sweep has several"))
                .with_hint("say what it has: `--a weights=trained`"));
        };
        let extension = path.extension().and_then(|it| it.to_str()).map(str::to_lowercase);
        let format = extension.unwrap_or_else(|| FORMAT.to_owned());
        let path = absolute(path)?;
        let file = WeightsFile {
            weights: *weights,
            layout: WeightsFile::usual_layout(&format),
            format,
            declared_precision: None,
            artifact: None,
            source: WeightsSource::Path(path.clone()),
            parts: Vec::new(),
            signature: None,
            macs: None,
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let entry = self.network.clone().unwrap_or_else(|| CatalogModel::unknown("", &stem));
        // What is published of a network is not of this file.
        let model = CatalogModel { params: None, macs: None, accuracy: None, files: vec![file], ..entry };
        let is_same = |known: &&CatalogModel| CatalogModel { name: model.name.clone(), ..(*known).clone() } == model;
        if let Some(known) = given.models.iter().find(is_same) {
            return Ok(known.name.clone());
        }
        let taken =
            |name: &str| self.catalog.model(name).is_some() || given.models.iter().any(|model| model.name == name);
        let name = self.free_name(&plain(&stem), taken)?;
        given.models.push(CatalogModel { name: name.clone(), ..model });
        Ok(name)
    }

    /// The name of an engine of the catalogue, or that of another file's: `onnxruntime@configs/new.yaml`.
    fn backend(&self, value: &str, given: &mut Given) -> Result<String, LabError> {
        let names = |backends: &[Backend]| backends.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let Some((name, file)) = value.split_once('@') else {
            let names = names(&self.catalog.backends);
            return known(value, names.iter().map(String::as_str), "backend");
        };
        let carried = catalog::builtin_backends();
        if carried.iter().any(|it| it.name == name) {
            return Err(LabError::usage(format!("{name} is compiled into the runner, and in no file of engines"))
                .with_hint("name a runner that has the other version: `runner=PATH`"));
        }
        let file = absolute(Path::new(file))?;
        let of_file = config::load_backends(Some(&file), carried)?;
        let all = names(&of_file);
        let name = known(name, all.iter().map(String::as_str), "backend")?;
        let Some(engine) = of_file.into_iter().find(|it| it.name == name) else {
            return Err(LabError::internal(format!("{name} of {} is gone", file.display())));
        };
        let is_same = |known: &&Backend| Backend { name: engine.name.clone(), ..(*known).clone() } == engine;
        if let Some(same) = given.backends.iter().find(is_same) {
            return Ok(same.name.clone());
        }
        let taken =
            |name: &str| self.catalog.backend(name).is_some() || given.backends.iter().any(|it| it.name == name);
        let name = self.free_name(&plain(&format!("{name}-{}", engine.version)), taken)?;
        given.backends.push(Backend { name: name.clone(), ..engine });
        Ok(name)
    }

    /// A name that is not taken: it gets the side's letter where it is.
    fn free_name(&self, name: &str, taken: impl Fn(&str) -> bool) -> Result<String, LabError> {
        let of_side = format!("{name}-{}", self.name.as_str());
        let free = [name.to_owned(), of_side].into_iter().find(|name| !taken(name));
        free.ok_or_else(|| {
            LabError::usage(format!("the name {name} is taken by another network or engine"))
                .with_hint("call the file otherwise")
        })
    }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, LabError> {
    std::path::absolute(path)
        .map_err(|error| LabError::usage(format!("failed to find {}: {error}", path.display())).caused_by(error))
}

/// A text as a name: what no name has becomes `-`.
fn plain(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = text.chars().map(allowed).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "net".to_owned() } else { name.to_owned() }
}

fn known<'a>(value: &str, names: impl Iterator<Item = &'a str>, field: &str) -> Result<String, LabError> {
    let names: Vec<&str> = names.collect();
    if names.contains(&value) {
        return Ok(value.to_owned());
    }
    let error = LabError::usage(format!("there is no {field} {value:?}"));
    Err(did_you_mean(value, names).into_iter().fold(error, LabError::with_hint))
}

/// The value that a word names.
fn word<T: Copy>(field: &str, value: &str, all: &[T], as_str: fn(T) -> &'static str) -> Result<T, LabError> {
    all.iter().copied().find(|known| as_str(*known) == value).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|known| as_str(*known)).collect();
        LabError::usage(format!("there is no {field} {value:?}")).with_hint(format!("there are: {}", words.join(", ")))
    })
}

fn threads(value: &str) -> Result<ThreadCount, LabError> {
    let kinds = [ThreadCount::Little, ThreadCount::Mid, ThreadCount::Big, ThreadCount::Prime, ThreadCount::All];
    let count = value.parse().ok().filter(|count| (1..=MAX_THREADS).contains(count)).map(ThreadCount::Count);
    count.or_else(|| kinds.into_iter().find(|kind| kind.to_string() == value)).ok_or_else(|| {
        LabError::usage(format!("{value:?} are no threads")).with_hint(
            "write a number, `little`, `mid`, `big`, `prime` or `all`; a list of cores needs a file of its own",
        )
    })
}

#[cfg(test)]
mod tests;
