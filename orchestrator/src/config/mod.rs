//! What people write: farm, sweep, models and daemon files in YAML, and tables of results in CSV, to checked types.
//!
//! Main functions: [`load_inventory`], [`load_catalog`], [`load_backends`], [`load_datasets`], [`load_sweep`],
//! [`load_daemon`], [`load_lab`], [`load_results`], [`load_compared`], [`append_devices`], [`edit_device`],
//! [`schema`]. Main type: [`ConfigErrors`], every fault of the files at once, each with its place. The way of a YAML
//! file: `source` reads it with a bound, `tree` parses it to values with places, `check` holds it against the JSON
//! Schema of the file's type, `document` makes it that type by serde_yaml (which knows no places), and `inventory`,
//! `catalog`, `sweep` and `daemon` check what it means. YAML is known nowhere else. A table goes from `source` to
//! `results_table`.
//!
//! Never touches a device, never prints, and reads environment variables only through the function it is given.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::compare::Runs;
use crate::domain::{Backend, Catalog, CatalogDataset, Inventory, Sweep};
use crate::score::ScoredRun;

mod append;
mod artifacts_entry;
mod backends;
mod backends_file;
mod block;
mod catalog;
mod check;
mod connection;
mod daemon;
mod daemon_file;
mod datasets;
mod datasets_file;
mod document;
mod edit;
mod expand;
mod farm_file;
mod fault;
mod inventory;
mod lab;
mod lab_file;
mod models_file;
mod presets;
mod results_table;
mod selector;
mod shared_files;
mod source;
mod sweep;
mod sweep_file;
#[cfg(test)]
mod tests;
mod tree;
mod weights;
mod words;

pub use append::{NewDevice, append_devices};
pub use daemon::{Access, DaemonConfig};
pub use edit::{FieldChange, add_device, device_text, edit_device, remove_device, replace_device};
pub use fault::{ConfigErrors, Fault, Place};
pub use lab::LabConfig;
pub(crate) use sweep::MAX_JOBS;
pub(crate) use words::MAX_THREADS;

use document::{Document, place};
use source::Source;

/// The models file that is used where a lab has none.
const EMBEDDED_MODELS: &str = include_str!("../../../configs/models.yaml");
/// The backends file that is used where a lab has none.
const EMBEDDED_BACKENDS: &str = include_str!("../../../configs/backends.yaml");
/// The datasets file that is used where a lab has none.
const EMBEDDED_DATASETS: &str = include_str!("../../../configs/datasets.yaml");
/// The farm file that is used where a lab has none.
const EMBEDDED_FARM: &str = include_str!("../../../farms/local.yaml");

/// A kind of file that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `farms/*.yaml`.
    Inventory,
    /// `configs/*.yaml`.
    Sweep,
    /// `configs/models.yaml`.
    Models,
    /// `configs/backends.yaml`.
    Backends,
    /// `configs/datasets.yaml`.
    Datasets,
    /// `configs/daemon.yaml`.
    Daemon,
    /// `lab.yaml`.
    Lab,
}

impl FileKind {
    /// Every kind.
    pub const ALL: &'static [FileKind] = &[
        FileKind::Inventory,
        FileKind::Sweep,
        FileKind::Models,
        FileKind::Backends,
        FileKind::Datasets,
        FileKind::Daemon,
        FileKind::Lab,
    ];

    /// The word for it, which is also the stem of its schema's file.
    pub fn as_str(self) -> &'static str {
        match self {
            FileKind::Inventory => "inventory",
            FileKind::Sweep => "sweep",
            FileKind::Models => "models",
            FileKind::Backends => "backends",
            FileKind::Datasets => "datasets",
            FileKind::Daemon => "daemon",
            FileKind::Lab => "lab",
        }
    }

    /// Where such files are in a lab.
    pub fn files(self) -> &'static str {
        match self {
            FileKind::Inventory => "farms/*.yaml",
            FileKind::Sweep => "configs/*.yaml",
            FileKind::Models => "configs/models.yaml",
            FileKind::Backends => "configs/backends.yaml",
            FileKind::Datasets => "configs/datasets.yaml",
            FileKind::Daemon => "configs/daemon.yaml",
            FileKind::Lab => "lab.yaml",
        }
    }
}

/// The JSON Schema (draft 7, which editors know best) of a kind of file.
pub fn schema(kind: FileKind) -> serde_json::Value {
    match kind {
        FileKind::Inventory => schema_of::<farm_file::FarmFile>(),
        FileKind::Sweep => schema_of::<sweep_file::SweepFile>(),
        FileKind::Models => schema_of::<models_file::ModelsFile>(),
        FileKind::Backends => schema_of::<backends_file::BackendsFile>(),
        FileKind::Datasets => schema_of::<datasets_file::DatasetsFile>(),
        FileKind::Daemon => schema_of::<daemon_file::DaemonFile>(),
        FileKind::Lab => schema_of::<lab_file::LabFile>(),
    }
}

fn schema_of<T: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value()
}

/// Reads all devices of farm files and of folders of them (`*.yaml` and `*.yml`, sorted by name). `environment` looks
/// up the variables that expand in some fields, and `HOME` for `~/`.
///
/// # Errors
/// Every fault of all the files.
pub fn load_inventory(
    paths: &[PathBuf],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Inventory, ConfigErrors> {
    let mut faults = Vec::new();
    let files = inventory::files(paths, &mut faults);
    let mut sources = Vec::new();
    for file in files {
        match Source::read(&file) {
            Ok(source) => sources.push(source),
            Err(fault) => faults.push(fault),
        }
    }
    inventory::load(sources, faults, environment)
}

/// The devices of the embedded farm file: this host alone.
///
/// # Errors
/// None in a build that passed its tests.
pub fn load_embedded_inventory(environment: &dyn Fn(&str) -> Option<String>) -> Result<Inventory, ConfigErrors> {
    let source = embedded("farms/local.yaml", EMBEDDED_FARM)?;
    inventory::load(vec![source], Vec::new(), environment)
}

/// The text of the embedded farm file.
pub fn embedded_local_farm() -> &'static str {
    EMBEDDED_FARM
}

/// Reads a models file, or the embedded one, and puts it beside the engines that this build knows. `environment` looks
/// up the variables that expand in paths, and `HOME` for `~/`.
///
/// # Errors
/// Every fault of the file.
pub fn load_catalog(
    path: Option<&Path>,
    backends: Vec<Backend>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Catalog, ConfigErrors> {
    let source = match path {
        Some(path) => read(path)?,
        None => embedded("configs/models.yaml", EMBEDDED_MODELS)?,
    };
    Ok(Catalog { models: catalog::load(source, environment)?, backends, datasets: Vec::new() })
}

/// Reads a datasets file, or the embedded one.
///
/// # Errors
/// Every fault of the file.
pub fn load_datasets(path: Option<&Path>) -> Result<Vec<CatalogDataset>, ConfigErrors> {
    let source = match path {
        Some(path) => read(path)?,
        None => embedded("configs/datasets.yaml", EMBEDDED_DATASETS)?,
    };
    datasets::load(source)
}

/// Reads a backends file, or the embedded one, and puts its engines after those that are compiled into the runner.
///
/// # Errors
/// Every fault of the file.
pub fn load_backends(path: Option<&Path>, mut builtin: Vec<Backend>) -> Result<Vec<Backend>, ConfigErrors> {
    let source = match path {
        Some(path) => read(path)?,
        None => embedded("configs/backends.yaml", EMBEDDED_BACKENDS)?,
    };
    let programs = backends::load(source, &builtin)?;
    builtin.extend(programs);
    Ok(builtin)
}

/// Reads a sweep file, and checks it against the devices, models and engines there are.
///
/// # Errors
/// Every fault of the file.
pub fn load_sweep(path: &Path, inventory: &Inventory, catalog: &Catalog) -> Result<Sweep, ConfigErrors> {
    sweep::load(read(path)?, inventory, catalog)
}

/// Reads a daemon file, and the sweeps that it names, and checks them against the devices, models and engines there
/// are.
///
/// # Errors
/// Every fault of the file, and of the sweeps.
pub fn load_daemon(path: &Path, inventory: &Inventory, catalog: &Catalog) -> Result<DaemonConfig, ConfigErrors> {
    daemon::load(read(path)?, inventory, catalog)
}

/// Reads a lab file: what belongs to the lab as a whole.
///
/// # Errors
/// Every fault of the file.
pub fn load_lab(path: &Path) -> Result<LabConfig, ConfigErrors> {
    lab::load(read(path)?)
}

/// What can be said of a sweep file where what it refers to is faulty: its own structure.
///
/// # Errors
/// Every fault of the file.
pub fn check_sweep(path: &Path) -> Result<(), ConfigErrors> {
    let document = Document::<sweep_file::SweepFile>::new(read(path)?);
    ConfigErrors::unless_clean(Some(()), document.faults)
}

/// The same of a daemon file, and of the sweeps that it names.
///
/// # Errors
/// Every fault of the files.
pub fn check_daemon(path: &Path) -> Result<(), ConfigErrors> {
    let document = Document::<daemon_file::DaemonFile>::new(read(path)?);
    let schedules = document.content.map(|content| content.schedules).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let sweeps: BTreeSet<PathBuf> = schedules.iter().map(|schedule| folder.join(&schedule.sweep)).collect();
    let own = ConfigErrors::unless_clean(Some(()), document.faults);
    sweeps.iter().fold(own, |found, sweep| both(found, check_sweep(sweep)).map(drop))
}

/// The file of tokens that a daemon file names, whatever else is wrong with that file; `None` where it names none.
///
/// # Errors
/// Its faults, where they keep that from being known.
pub fn tokens_file(path: &Path) -> Result<Option<PathBuf>, ConfigErrors> {
    let document = Document::<daemon_file::DaemonFile>::new(read(path)?);
    let folder = path.parent().unwrap_or(Path::new(""));
    let named = document.text(place!["tokens", "file"]).map(|file| folder.join(file));
    if named.is_some() { Ok(named) } else { ConfigErrors::unless_clean(Some(None), document.faults) }
}

/// The zone whose clocks a daemon file has people read, whatever else is wrong with that file; UTC where it names none
/// that is known.
pub fn time_zone(path: &Path) -> TimeZone {
    let named = read(path).ok().and_then(|source| {
        Document::<daemon_file::DaemonFile>::new(source).text(place!["timezone"]).map(str::to_owned)
    });
    named.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
}

/// Both, or every fault of the two.
///
/// # Errors
/// When there is one.
pub fn both<A, B>(one: Result<A, ConfigErrors>, other: Result<B, ConfigErrors>) -> Result<(A, B), ConfigErrors> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err(ConfigErrors { faults: [one.faults, other.faults].concat() }),
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

/// Reads a table of results in CSV: ours (`results.csv`), or another's with the columns device, model, backend, status
/// and mean_ms. `needed` names more columns that must be there.
///
/// # Errors
/// Every fault of the file.
pub fn load_results(path: &Path, needed: &[&str]) -> Result<Vec<ScoredRun>, ConfigErrors> {
    let source = Source::read_up_to(path, results_table::MAX_BYTES);
    results_table::load(&source.map_err(|fault| ConfigErrors { faults: vec![fault] })?, needed)
}

/// Adds the runs of such a table to those of a comparison: with medians and conditions, as far as it has them.
///
/// # Errors
/// Every fault of the file.
pub fn load_compared(path: &Path, runs: &mut Runs) -> Result<(), ConfigErrors> {
    let source = Source::read_up_to(path, results_table::MAX_BYTES);
    results_table::load_compared(&source.map_err(|fault| ConfigErrors { faults: vec![fault] })?, runs)
}

fn read(path: &Path) -> Result<Source, ConfigErrors> {
    Source::read(path).map_err(|fault| ConfigErrors { faults: vec![fault] })
}

fn embedded(name: &str, text: &str) -> Result<Source, ConfigErrors> {
    let source = Source::from_bytes(Path::new(name), text.as_bytes().to_vec());
    source.map_err(|fault| ConfigErrors { faults: vec![fault] })
}
