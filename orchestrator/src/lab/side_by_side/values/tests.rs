#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::{Catalog, CatalogModel, InputRange, sample};

fn catalog() -> Catalog {
    let input_range = Some(InputRange { low: 0.0, high: 16.0 });
    let network = CatalogModel { input_range, macs: Some(7), ..sample::model("mobilenet_v2") };
    let models = vec![network, sample::model("other")];
    Catalog { models, backends: catalog::builtin_backends(), datasets: Vec::new() }
}

/// What the two sides are called after these values, and what they were given.
fn set(a: &[&str], b: &[&str]) -> Result<(Sweep, Sweep, Given), LabError> {
    let (catalog, mut given) = (catalog(), Given::default());
    let (mut of_a, mut of_b) = (sample::sweep_definition(), sample::sweep_definition());
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    Side::of(PairSide::A, &of_a, &catalog).set(&mut of_a, &texts(a), &mut given)?;
    Side::of(PairSide::B, &of_b, &catalog).set(&mut of_b, &texts(b), &mut given)?;
    Ok((of_a, of_b, given))
}

#[test]
fn a_networks_file_is_the_sweeps_network_by_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name).unwrap();
        format!("model={}", path.display())
    };
    let (a, b, given) = set(&[&path("old/net.TFLite"), "weights=trained"], &[&path("new/net.onnx")]).unwrap();
    assert_eq!((&*a.models[0], &*b.models[0]), ("net", "net-b"), "a name is there once");
    let [old, new] = given.models.as_slice() else { panic!("two") };
    assert_eq!(old.input_range, Some(InputRange { low: 0.0, high: 16.0 }), "as models.yaml tells it");
    assert_eq!((old.macs, &*old.files[0].format, &*new.files[0].format), (None, "tflite", "onnx"));
    assert_eq!((old.files[0].weights, new.files[0].weights), (WeightsKind::Trained, WeightsKind::Synthetic));
    assert_eq!(old.files[0].source, WeightsSource::Path(folder.path().join("old/net.TFLite")));

    let (a, b, given) = set(&[&path("net.onnx")], &[&path("net.onnx")]).unwrap();
    assert_eq!((a.models, given.models.len()), (b.models, 1), "the same file is the same network");
    let (a, ..) = set(&[&path("other.onnx")], &[]).unwrap();
    assert_eq!(a.models, ["other-a"], "another of that name is there already");
    let error = set(&["model=mobilenet_v3"], &[]).unwrap_err();
    assert!(error.hints().iter().any(|hint| hint.contains("mobilenet_v2")), "{:?}", error.hints());
}

#[test]
fn an_engine_of_another_file_has_its_version_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, version: &str| {
        let path = folder.path().join(name);
        let target = "[{ target: x86_64-unknown-linux-gnu, files: [{ path: x }] }]";
        let entry = format!("  - {{ name: ort, version: '{version}', formats: onnx, targets: {target} }}");
        std::fs::write(&path, format!("backends:\n{entry}\n")).unwrap();
        path.display().to_string()
    };
    let (old, new) = (file("old.yaml", "1.16"), file("new.yaml", "1.17 (nightly)"));
    let (a, b, given) = set(&[&format!("backend=ort@{old}")], &[&format!("backend=ort@{new}")]).unwrap();
    assert_eq!((&*a.backends[0], &*b.backends[0]), ("ort-1.16", "ort-1.17--nightly-"));
    let names: Vec<&str> = given.backends.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["ort-1.16", "ort-1.17--nightly-"]);
    let same = format!("backend=ort@{old}");
    let (a, b, given) = set(&[&same], &[&same]).unwrap();
    assert_eq!((a.backends, given.backends.len()), (b.backends, 1));
    let refused = |value: &str| {
        let error = set(&[value], &[]).unwrap_err();
        format!("{} {}", error.text(), error.hints().join(" "))
    };
    assert!(refused(&format!("backend=orf@{old}")).contains("did you mean `ort`?"));
    assert!(refused(&format!("backend=tract@{old}")).contains("runner=PATH"));
}

#[test]
fn a_field_has_one_value() {
    let error = set(&[], &["threads=2", "threads=4"]).unwrap_err();
    assert!(error.to_string().contains("--b gives threads several values"), "{error}");
    assert!(set(&["threads=2", "batch=1"], &["threads=4"]).is_ok());
}
