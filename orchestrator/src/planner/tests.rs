//! Tests of the planner.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::{cell_id, changed_facts, estimate, job_seconds, measured_again, on_device, plan, replaced_file};
use crate::domain::{
    AdbEndpoint, Arithmetic, ArtifactRef, Backend, BackendProgram, BackendTarget, Catalog, CatalogDataset,
    CatalogModel, CellPattern, Cooldown, DEFAULT_SUSTAINED_SECONDS, DELEGATE, DatasetList, DatasetOrigin, Device,
    DeviceSelector, Dialect, FailureKind, FilePart, InputRange, Inventory, Job, Limits, ModelSignature, OnFailure,
    Order, Plan, Precision, Preprocessing, ResizeFilter, ResizeRule, RetryPolicy, Scenario, Skipped, Sweep, Tag,
    ThreadCount, Timeouts, TransportConfig, TrustPolicy, Verdict, WeightsFile, WeightsKind, WeightsSource, sample,
};

mod accuracy;
mod estimates;
mod files;
mod formats;
mod skips;

use formats::catalog_of_formats;

fn device(name: &str, tags: &[&str]) -> Device {
    let tag = |tag: &&str| match tag.split_once('=') {
        Some((key, value)) => Tag { key: key.to_owned(), value: Some(value.to_owned()) },
        None => Tag { key: (*tag).to_owned(), value: None },
    };
    Device { tags: tags.iter().map(tag).collect(), ..sample::device(name) }
}

fn artifact(digit: char) -> ArtifactRef {
    ArtifactRef { sha256: digit.to_string().repeat(64), size_bytes: 1 }
}

fn file(weights: WeightsKind, format: &str, digit: Option<char>) -> WeightsFile {
    WeightsFile {
        weights,
        format: format.to_owned(),
        declared_precision: Some(Precision::Float32),
        layout: WeightsFile::usual_layout(format),
        artifact: digit.map(artifact),
        source: WeightsSource::Path(PathBuf::from("models/x.onnx")),
        parts: Vec::new(),
        signature: None,
        macs: None,
    }
}

fn model(name: &str, files: Vec<WeightsFile>) -> CatalogModel {
    CatalogModel {
        input_range: Some(InputRange { low: -1.0, high: 1.0 }),
        macs: Some(1_000_000_000),
        files,
        ..sample::model(name)
    }
}

fn catalog() -> Catalog {
    let backend = |name: &str, multi_threaded| Backend {
        name: name.to_owned(),
        version: "1.2".to_owned(),
        formats: vec!["onnx".to_owned()],
        precisions: vec![Precision::Float32],
        converts_to: Vec::new(),
        operator_domains: Vec::new(),
        multi_threaded,
        program: None,
    };
    Catalog {
        models: vec![
            model(
                "big",
                vec![file(WeightsKind::Synthetic, "onnx", Some('a')), file(WeightsKind::Trained, "onnx", None)],
            ),
            model("small", vec![file(WeightsKind::Synthetic, "onnx", Some('b'))]),
            model("odd", vec![file(WeightsKind::Synthetic, "tflite", Some('c'))]),
        ],
        backends: vec![backend("tract", true), backend("single", false)],
        datasets: Vec::new(),
    }
}

fn inventory() -> Inventory {
    let mut slow = device("slow", &["arch=arm64"]);
    slow.limits.max_run_seconds = Some(30.0);
    let mut broken = device("broken", &["arch=arm64"]);
    broken.disabled = Some("battery swollen".to_owned());
    Inventory { devices: vec![device("host", &["arch=x86_64"]), slow, broken], host_target: None }
}

fn sweep() -> Sweep {
    Sweep {
        name: "test".to_owned(),
        devices: vec![DeviceSelector::Name("*".to_owned())],
        models: vec!["big".to_owned(), "small".to_owned()],
        weights: vec![WeightsKind::Synthetic],
        backends: vec!["tract".to_owned()],
        precisions: vec![Precision::Float32],
        threads: vec![ThreadCount::Count(1)],
        batches: vec![1],
        scenarios: vec![Scenario::SingleStream],
        repeats: 1,
        order: Order::Listed,
        include: Vec::new(),
        exclude: Vec::new(),
        limits: Limits {
            warmup_min_runs: 3,
            warmup_min_seconds: 1.0,
            warmup_max_seconds: 10.0,
            min_runs: 10,
            max_runs: 1000,
            min_seconds: 3.0,
            max_seconds: 60.0,
            steady_percent: None,
            interval_percent: None,
        },
        sustained_seconds: DEFAULT_SUSTAINED_SECONDS,
        timeouts: Timeouts::default(),
        cooldown: None,
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Continue,
        seed: 1,
        dataset: None,
        trust: TrustPolicy::default(),
        side_by_side: None,
    }
}

fn line(job: &Job) -> String {
    let Job { id, device, model, backend, precision, threads, batch, scenario, repeat, .. } = job;
    let (name, weights) = (&model.name, model.weights);
    format!("{id} {device} {name} {weights} {backend} {precision} {threads} {batch} {scenario} #{repeat}")
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for job in &plan.jobs {
        writeln!(text, "run  {} ({} s)", line(job), job.run_seconds).unwrap();
    }
    for skipped in &plan.skipped {
        writeln!(text, "skip {}: {}", line(&skipped.job), skipped.reason).unwrap();
    }
    text
}

fn models(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_matrix_with_include_and_exclude() {
    let arm = DeviceSelector::Tag(Tag { key: "arch".to_owned(), value: Some("arm64".to_owned()) });
    let sweep = Sweep {
        threads: vec![ThreadCount::Count(1), ThreadCount::Big],
        repeats: 2,
        exclude: vec![
            CellPattern { models: models(&["big"]), threads: vec![ThreadCount::Big], ..CellPattern::default() },
            CellPattern { devices: vec![arm.clone()], models: models(&["big"]), ..CellPattern::default() },
        ],
        include: vec![
            CellPattern {
                models: models(&["small"]),
                batches: vec![4],
                threads: vec![ThreadCount::All],
                ..CellPattern::default()
            },
            // What is there already is not there twice; what was excluded comes back.
            CellPattern { devices: vec![arm], models: models(&["small", "big"]), ..CellPattern::default() },
        ],
        ..sweep()
    };
    insta::assert_snapshot!("include_and_exclude", text(&plan(&sweep, &inventory(), &catalog())));
}

#[test]
fn every_cell_that_cannot_run_says_why() {
    let sweep = Sweep {
        devices: vec![DeviceSelector::Name("h*".to_owned())],
        models: models(&["big", "small", "odd", "gone"]),
        weights: vec![WeightsKind::Synthetic, WeightsKind::Trained],
        backends: models(&["tract", "single", "none"]),
        precisions: vec![Precision::Float32, Precision::Int8],
        threads: vec![ThreadCount::Count(1), ThreadCount::Count(2), ThreadCount::All],
        ..sweep()
    };
    let plan = plan(&sweep, &inventory(), &catalog());
    assert_eq!(plan.jobs.len() + plan.skipped.len(), 4 * 2 * 3 * 2 * 3);
    let mut reasons: Vec<&str> = plan.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    insta::assert_snapshot!("reasons", reasons.join("\n"));
}

/// A plan's only job on the host.
fn only(sweep: &Sweep, inventory: &Inventory, catalog: &Catalog) -> Job {
    let sweep =
        Sweep { devices: vec![DeviceSelector::Name("host".to_owned())], models: models(&["small"]), ..sweep.clone() };
    let mut plan = plan(&sweep, inventory, catalog);
    assert_eq!((plan.jobs.len(), plan.skipped.len()), (1, 0));
    plan.jobs.remove(0)
}

#[test]
fn the_identifier_stands_for_all_that_changes_the_number_and_nothing_else() {
    let (base_sweep, base_inventory, base_catalog) = (sweep(), inventory(), catalog());
    let base = only(&base_sweep, &base_inventory, &base_catalog).id;
    // Pinned: the same cell is the same job tomorrow, on every machine.
    insta::assert_snapshot!("identifier", base.to_string());

    let with_sweep = |change: &dyn Fn(&mut Sweep)| {
        let mut sweep = sweep();
        change(&mut sweep);
        only(&sweep, &base_inventory, &base_catalog).id
    };
    let with_catalog = |change: &dyn Fn(&mut Catalog)| {
        let mut catalog = catalog();
        change(&mut catalog);
        only(&base_sweep, &base_inventory, &catalog).id
    };
    let different = [
        with_sweep(&|sweep| sweep.threads = vec![ThreadCount::Count(2)]),
        with_sweep(&|sweep| sweep.batches = vec![2]),
        with_sweep(&|sweep| sweep.scenarios = vec![Scenario::Offline]),
        with_sweep(&|sweep| sweep.seed = 2),
        with_sweep(&|sweep| sweep.limits.min_seconds = 4.0),
        with_sweep(&|sweep| sweep.limits.warmup_min_runs = 4),
        with_catalog(&|catalog| catalog.models[1].files[0] = file(WeightsKind::Synthetic, "onnx", Some('d'))),
        with_catalog(&|catalog| catalog.models[1].input_range = Some(InputRange { low: -1.0, high: 2.0 })),
        with_catalog(&|catalog| catalog.backends[0].version = "1.3".to_owned()),
    ];
    let distinct: HashSet<_> = different.iter().chain([&base]).collect();
    assert_eq!(distinct.len(), different.len() + 1);

    let same = [
        with_sweep(&|sweep| sweep.name = "other".to_owned()),
        with_sweep(&|sweep| sweep.timeouts.run_seconds = 5.0),
        with_sweep(&|sweep| sweep.on_failure = OnFailure::StopSweep),
        with_catalog(&|catalog| catalog.models[1].macs = None),
        with_catalog(&|catalog| catalog.models.reverse()),
    ];
    assert!(same.iter().all(|id| *id == base));
}

fn any_pattern() -> impl Strategy<Value = CellPattern> {
    let devices = proptest::sample::subsequence(vec!["host", "s*", "broken"], 0..3);
    let names = proptest::sample::subsequence(vec!["big", "small", "odd", "gone"], 0..3);
    let threads =
        proptest::sample::subsequence(vec![ThreadCount::Count(1), ThreadCount::Count(2), ThreadCount::Big], 0..3);
    (devices, names, threads).prop_map(|(devices, names, threads)| CellPattern {
        devices: devices.into_iter().map(|name| DeviceSelector::Name(name.to_owned())).collect(),
        models: models(&names),
        threads,
        ..CellPattern::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_has_each_cell_once_in_the_order_of_devices_whatever_the_order_of_the_catalogue(
        include in proptest::collection::vec(any_pattern(), 0..3),
        exclude in proptest::collection::vec(any_pattern(), 0..3),
        repeats in 1_u32..4,
    ) {
        let threads = vec![ThreadCount::Count(1), ThreadCount::Big];
        let sweep = Sweep { include, exclude, repeats, threads, ..sweep() };
        let (inventory, mut catalog) = (inventory(), catalog());
        let first = plan(&sweep, &inventory, &catalog);
        catalog.models.reverse();
        catalog.backends.reverse();
        prop_assert_eq!(&first, &plan(&sweep, &inventory, &catalog));

        let jobs: Vec<&Job> = first.jobs.iter().chain(first.skipped.iter().map(|skipped| &skipped.job)).collect();
        let ids: HashSet<_> = jobs.iter().map(|job| &job.id).collect();
        prop_assert_eq!(ids.len(), jobs.len());
        prop_assert!(jobs.len() as u64 <= super::most_jobs(&sweep, &inventory));
        prop_assert_eq!(jobs.is_empty(), super::is_empty(&sweep, &inventory));
        let rank = |job: &Job| inventory.devices.iter().position(|device| device.name == job.device);
        prop_assert!(first.jobs.is_sorted_by_key(rank));
    }
}

/// A catalogue with a network of ten classes and a dataset of as many.
fn catalog_of_digits() -> Catalog {
    let mut catalog = catalog();
    let mut digits = model(
        "digits",
        vec![file(WeightsKind::Trained, "onnx", Some('a')), file(WeightsKind::Synthetic, "onnx", Some('b'))],
    );
    digits.input_shape = Some(vec![1, 1, 8, 8]);
    digits.classes = Some(10);
    digits.preprocessing = Some(Preprocessing {
        resize: ResizeRule::None,
        filter: ResizeFilter::Bilinear,
        exif_orientation: false,
        mean: vec![0.0],
        std: vec![16.0],
    });
    catalog.models.push(digits);
    catalog.datasets = vec![CatalogDataset {
        name: "digits".to_owned(),
        title: "Digits".to_owned(),
        source: None,
        licence: None,
        classes: Some(10),
        origin: DatasetOrigin::Builtin("digits".to_owned()),
        list: Some(Ok(DatasetList {
            sha256: "c".repeat(64),
            images: 360,
            classes: 10,
            empty_classes: 0,
            doubts: Vec::new(),
        })),
    }];
    catalog
}

fn sweep_of_digits() -> Sweep {
    let weights = vec![WeightsKind::Trained];
    Sweep { models: vec!["digits".to_owned()], weights, dataset: Some("digits".to_owned()), ..sweep() }
}

#[test]
fn what_is_measured_again_is_a_job_of_its_own_and_of_the_same_cell() {
    let mut first = sample::job("a", "tiny");
    first.id = super::id::of(&first);
    let second = measured_again(&first, Verdict::Noisy);
    let third = measured_again(&second, Verdict::Disturbed);
    assert!(first.id != second.id && second.id != third.id);
    let rerun = third.rerun.as_ref().unwrap();
    assert_eq!((&rerun.of, rerun.number, rerun.verdict), (&first.id, 2, Verdict::Disturbed));
    // Why it is done changes nothing of what is done: whoever adds it twice adds it once.
    assert_eq!(measured_again(&first, Verdict::Unsteady).id, second.id);
    let repeat = Job { repeat: 2, ..first.clone() };
    for other in [&second, &third, &repeat] {
        assert_eq!(cell_id(other), cell_id(&first));
    }
    let elsewhere = on_device(&first, &device("b", &[]));
    assert_ne!(cell_id(&elsewhere), cell_id(&first));
    assert_ne!(cell_id(&Job { batch: 2, ..first.clone() }), cell_id(&first));
}
