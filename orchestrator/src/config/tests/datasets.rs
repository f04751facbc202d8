//! Datasets in `configs/datasets.yaml`, and what a model says of its pictures.

use crate::domain::{
    CatalogDataset, CatalogModel, DatasetOrigin, LabelColumn, Preprocessing, ResizeFilter, ResizeRule, WeightsKind,
};

use super::{models, said, source, sweep, tract};
use crate::config::{ConfigErrors, load_catalog, load_datasets};

fn datasets(text: &str) -> Result<Vec<CatalogDataset>, ConfigErrors> {
    crate::config::datasets::load(source("configs/datasets.yaml", text)?)
}

#[test]
fn the_committed_datasets_load_and_the_networks_say_how_they_see() {
    let names: Vec<String> = load_datasets(None).unwrap().into_iter().map(|dataset| dataset.name).collect();
    assert_eq!(names, ["digits", "imagenet-val"]);
    // Those that farmctl writes; what comes in packages tells no classes of pictures.
    let is_own = |model: &CatalogModel| model.files.iter().any(|file| file.weights == WeightsKind::Synthetic);
    let models = load_catalog(None, vec![tract()], &|_| None).unwrap().models;
    for model in models.into_iter().filter(|model| is_own(model) || model.name == "digits") {
        let preprocessing = model.preprocessing.expect(&model.name);
        assert!(model.classes == Some(if model.name == "digits" { 10 } else { 1000 }), "{}", model.name);
        // The seeded input's range is about that of pictures.
        let darkest = (0.0 - preprocessing.mean[0]) / preprocessing.std[0];
        assert!((darkest - f64::from(model.input_range.unwrap().low)).abs() < 0.3, "{}: {darkest}", model.name);
    }
}

#[test]
fn where_images_are() {
    let text = "datasets:
  - { name: a, folders: { path: ../pictures } }
  - { name: b, classes: 3, list: { path: lists/val.txt } }
  - { name: c, classes: 2, csv: { path: /data/c.csv.gz, shape: [8, 9, 1], skip: 4 } }
  - { name: d, classes: 2, csv: { path: d.csv, shape: [8, 9, 1], label: first } }
  - { name: e, classes: 2, csv: { path: d.csv, shape: [8, 9, 1], label: digit } }
";
    let origins: Vec<DatasetOrigin> = datasets(text).unwrap().into_iter().map(|dataset| dataset.origin).collect();
    let folders = DatasetOrigin::Folders { path: "configs/../pictures".into(), numbered: false };
    let list = DatasetOrigin::List { path: "configs/lists/val.txt".into(), folder: "configs/lists".into() };
    let csv = DatasetOrigin::Csv { path: "/data/c.csv.gz".into(), shape: [8, 9, 1], skip: 4, label: None };
    let labelled =
        |label| DatasetOrigin::Csv { path: "configs/d.csv".into(), shape: [8, 9, 1], skip: 0, label: Some(label) };
    let named = LabelColumn::Named("digit".to_owned());
    assert_eq!(origins, [folders, list, csv, labelled(LabelColumn::First), labelled(named)]);
}

#[test]
fn faults_of_datasets() {
    let cases = [
        ("no place", "datasets:\n  - { name: a, classes: 3 }\n"),
        ("two places", "datasets:\n  - { name: a, classes: 3, builtin: digits, folders: { path: x } }\n"),
        ("no such one", "datasets:\n  - { name: a, classes: 10, builtin: digit }\n"),
        ("unknown classes", "datasets:\n  - { name: a, list: { path: x } }\n"),
        ("twice", "datasets:\n  - { name: a, folders: { path: x } }\n  - { name: a, folders: { path: y } }\n"),
        ("a name that is a path", "datasets:\n  - { name: ../a, folders: { path: x } }\n"),
        ("shape", "datasets:\n  - { name: a, classes: 2, csv: { path: x, shape: [0, 8] } }\n"),
        ("a slip", "datasets:\n  - { name: a, folder: { path: x } }\n"),
    ];
    insta::assert_snapshot!("faults_of_datasets", said(datasets, &cases));
}

#[test]
fn faults_of_a_sweeps_dataset() {
    let cases = [
        ("unknown", "models: squeezenet1_0\nweights: trained\ndataset: digit\n"),
        ("synthetic weights", "models: squeezenet1_0\ndataset: digits\n"),
        ("right", "models: squeezenet1_0\ndataset: digits\ninclude: { weights: trained }\n"),
    ];
    let said = said(|text| sweep(text).map(|sweep| sweep.dataset), &cases);
    insta::assert_snapshot!("faults_of_a_sweeps_dataset", said);
}

/// A model of that shape, with what it says of its pictures.
fn model(shape: &str, preprocessing: &str) -> String {
    let weights = "weights: { trained: { path: a } }";
    format!("models:\n  - {{ name: a, input_shape: {shape}, preprocessing: {preprocessing}, {weights} }}\n")
}

#[test]
fn how_pictures_become_input() {
    let of = |shape: &str, text: &str| models(&model(shape, text)).unwrap().remove(0).preprocessing.unwrap();
    let plain = Preprocessing {
        resize: ResizeRule::None,
        filter: ResizeFilter::Bilinear,
        exif_orientation: false,
        mean: vec![0.0; 3],
        std: vec![255.0; 3],
    };
    assert_eq!(of("[1, 3, 32, 32]", "{}"), plain);
    let each = of("[1, 3, 32, 32]", "{ shorter_side: 40, mean: [1, 2, 3], std: 2 }");
    assert_eq!((each.resize, each.mean, each.std), (ResizeRule::ShorterSide(40), vec![1.0, 2.0, 3.0], vec![2.0; 3]));
    assert_eq!(
        of("[1, 3, 20, 30]", "{ crop: 0.5, filter: bicubic, mean: 127 }").text([20, 30, 3]),
        "RGB, EXIF orientation ignored, centre crop of 0.5, to 30×20 (bicubic); (x - 127) / 255; farmctl 3"
    );
}

#[test]
fn faults_of_preprocessing() {
    let three = "[1, 3, 32, 32]";
    let texts = [
        ("two ways", model(three, "{ crop: 0.5, shorter_side: 40 }")),
        ("too small", model(three, "{ shorter_side: 30 }")),
        ("too many numbers", model(three, "{ mean: [1, 2] }")),
        ("a division by nothing", model(three, "{ std: [1, 0, 1] }")),
        ("no shape of an image", model("[1, 10]", "{}")),
        ("a share above all", model(three, "{ crop: 1.5 }")),
        ("words", model(three, "resize to 224")),
        ("a filter that is none", model(three, "{ filter: lanczos }")),
    ];
    let cases: Vec<(&str, &str)> = texts.iter().map(|(title, text)| (*title, text.as_str())).collect();
    insta::assert_snapshot!("faults_of_preprocessing", said(models, &cases));
}
