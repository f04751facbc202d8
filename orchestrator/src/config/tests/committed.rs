//! The files of the repository itself.

use std::path::{Path, PathBuf};

use super::{environment, tract};
use crate::config::{
    FileKind, load_backends, load_catalog, load_daemon, load_datasets, load_embedded_inventory, load_inventory,
    load_sweep, schema,
};
use crate::domain::Catalog;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_committed_schemas_are_current() {
    for kind in FileKind::ALL {
        let name = kind.as_str();
        let file = root().join(format!("configs/schemas/{name}.json"));
        let current = format!("{}\n", serde_json::to_string_pretty(&schema(*kind)).unwrap());
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == current,
            "run `farmctl schema {name} > configs/schemas/{name}.json`; it must be:\n{current}"
        );
    }
}

#[test]
fn the_committed_sweeps_load_with_the_embedded_farm_and_models() {
    let inventory = load_embedded_inventory(&environment).unwrap();
    let catalog =
        Catalog { datasets: load_datasets(None).unwrap(), ..load_catalog(None, vec![tract()], &|_| None).unwrap() };
    let all = load_sweep(&root().join("configs/all.yaml"), &inventory, &catalog).unwrap();
    assert_eq!((all.name.as_str(), all.models.len()), ("all", 6));
    let smoke = load_sweep(&root().join("configs/smoke.yaml"), &inventory, &catalog).unwrap();
    assert_eq!((smoke.name.as_str(), smoke.models.len()), ("smoke", 2));
    let digits = load_sweep(&root().join("configs/digits.yaml"), &inventory, &catalog).unwrap();
    assert_eq!((digits.name.as_str(), digits.dataset.as_deref()), ("digits", Some("digits")));
    for sweep in [all, smoke] {
        let plan = crate::planner::plan(&sweep, &inventory, &catalog);
        assert_eq!((plan.jobs.len(), plan.skipped.len()), (sweep.models.len(), 0));
    }
    let catalog = load_catalog(None, load_backends(None, vec![tract()]).unwrap(), &|_| None).unwrap();
    let aiotbench = load_sweep(&root().join("configs/aiotbench.yaml"), &inventory, &catalog).unwrap();
    let plan = crate::planner::plan(&aiotbench, &inventory, &catalog);
    assert_eq!((plan.jobs.len(), plan.skipped.len()), (6 * 5, 0));
    let packages = load_sweep(&root().join("configs/packages.yaml"), &inventory, &catalog).unwrap();
    let plan = crate::planner::plan(&packages, &inventory, &catalog);
    let cells: Vec<String> = plan.jobs.iter().map(|job| format!("{} {}", job.model.name, job.backend)).collect();
    let expected = [
        "rapidocr_detection tract",
        "rapidocr_detection onnxruntime",
        "rapidocr_classification tract",
        "rapidocr_classification onnxruntime",
        "rapidocr_recognition tract",
        "rapidocr_recognition onnxruntime",
        "silero_vad tract",
        "silero_vad onnxruntime",
        "basic_pitch tract",
        "basic_pitch onnxruntime",
        "magika tract",
        "magika onnxruntime",
        "hey_jarvis litert",
        "wakeword_embedding litert",
    ];
    assert_eq!((cells, plan.skipped.len()), (expected.map(str::to_owned).to_vec(), 0));
    // Each file comes out of a package of the index, by its hash.
    assert!(plan.jobs.iter().all(|job| job.model.artifact.is_some()));
}

#[test]
fn the_committed_schedules_load_with_the_embedded_farm_and_models() {
    let inventory = load_embedded_inventory(&environment).unwrap();
    let catalog = load_catalog(None, vec![tract()], &|_| None).unwrap();
    let config = load_daemon(&root().join("configs/daemon.yaml"), &inventory, &catalog).unwrap();
    assert_eq!(config.schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["nightly"]);
}

#[test]
fn the_folder_of_farms_loads_without_the_example() {
    let inventory = load_inventory(&[root().join("farms")], &environment).unwrap();
    assert!(inventory.devices.iter().any(|device| device.name == "this-host"));
    assert!(!inventory.devices.iter().any(|device| device.name == "old-board"));
}

#[test]
fn the_example_farm_is_right() {
    let inventory = load_inventory(&[root().join("farms/boards.yaml.example")], &environment).unwrap();
    let text = serde_json::to_string_pretty(&inventory).unwrap();
    insta::assert_snapshot!("example_farm", text.replace(&*root().to_string_lossy(), "ROOT"));
}
