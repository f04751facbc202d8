#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::domain::{FailureKind, MeasuredAccuracy, PublishedNetwork, RunStatus, sample};

mod properties;

fn run(device: &str, model: &str, seconds: f64, top1: f64) -> ScoredRun {
    let mut run = ScoredRun::of(&sample::record(device, model));
    run.latency_s = Some(seconds);
    run.accuracy = Some(RunAccuracy { top1: Some(top1), top5: Some(top1 + (1.0 - top1) / 2.0), n_images: Some(1000) });
    run.macs = Some(300_000_000);
    run.run_id = Some(format!("{device}-{model}-{seconds}"));
    run
}

fn failed(device: &str, model: &str) -> ScoredRun {
    let mut run = run(device, model, 1.0, 0.5);
    run.status = RunStatus::Failed;
    run.failure = Some(format!("{}: signal 11", FailureKind::Crashed));
    (run.latency_s, run.accuracy) = (None, None);
    run
}

fn ranked(name: &str, runs: &[ScoredRun], options: &Options<'_>) -> Ranking {
    rank(score(name).unwrap(), &ResultMatrix::new(runs).unwrap(), options).unwrap()
}

fn published() -> Vec<PublishedNetwork> {
    let network = |name: &str, top1_percent, top5_percent, params| PublishedNetwork {
        name: name.into(),
        input_px: 224,
        params: Some(params),
        macs: 1_000_000_000,
        top1_percent,
        top5_percent,
        source: "a paper".into(),
    };
    vec![network("resnet50", 76.0, Some(93.5), 25_000_000), network("mobilenet_v2", 72.0, None, 4_000_000)]
}

/// Device, rank and values of a row.
type Place<'a> = (&'a str, Option<usize>, &'a [Option<f64>]);

fn places(ranking: &Ranking) -> Vec<Place<'_>> {
    ranking.result.rows.iter().map(|row| (row.device.as_str(), row.rank, row.values.as_slice())).collect()
}

#[test]
fn vips_and_vops_are_sums_by_hand() {
    let runs = [
        run("a", "resnet50", 0.5, 0.75),
        run("a", "mobilenet_v2", 0.1, 0.5),
        run("b", "resnet50", 0.25, 0.75),
        run("b", "mobilenet_v2", 0.2, 0.5),
    ];
    let ranking = ranked("aiotbench", &runs, &Options::default());
    // a: 0.75/0.5 + 0.5/0.1 = 6.5; b: 0.75/0.25 + 0.5/0.2 = 5.5. F is 0.3e9.
    let expected = [("a", Some(1), [6.5, 1.95, 12.0, 3.6].map(Some)), ("b", Some(2), [5.5, 1.65, 9.0, 2.7].map(Some))];
    for ((device, rank, values), (expected_device, expected_rank, expected_values)) in
        places(&ranking).into_iter().zip(expected)
    {
        assert_eq!((device, rank), (expected_device, expected_rank));
        for (value, expected) in values.iter().zip(expected_values) {
            assert!((value.unwrap() - expected.unwrap()).abs() < 1e-12, "{device}: {values:?}");
        }
    }
    let term = &ranking.result.rows[0].terms[1];
    assert_eq!((term.workload.model.as_str(), term.run_id.as_deref()), ("resnet50", Some("a-resnet50-0.5")));
    let flops = ranked("aiotbench", &runs, &Options { flops: true, ..Options::default() });
    assert_eq!(flops.result.rows[0].values[1], ranking.result.rows[0].values[1].map(|vops| vops * 2.0));
    assert_eq!(flops.result.rows[0].values[0], ranking.result.rows[0].values[0]);
    assert!(flops.result.figures[1].unit.contains("FLOP") && ranking.result.figures[1].unit.contains("MAC"));
}

#[test]
fn a_batch_is_many_images() {
    let mut runs = [run("a", "resnet50", 0.8, 0.5)];
    runs[0].settings.batch = 8;
    assert_eq!(ranked("aiotbench", &runs, &Options::default()).result.rows[0].values[2], Some(10.0));
}

#[test]
fn incomplete_sets_have_no_rank_and_say_why() {
    let runs = [
        run("a", "resnet50", 0.5, 0.75),
        run("quick", "resnet50", 0.001, 0.75),
        run("a", "mobilenet_v2", 0.1, 0.5),
        failed("quick", "mobilenet_v2"),
        run("c", "resnet50", 0.7, 0.75),
    ];
    let ranking = ranked("aiotbench", &runs, &Options::default());
    let rows: Vec<_> =
        ranking.result.rows.iter().map(|row| (row.device.as_str(), row.rank, row.unranked.as_deref())).collect();
    let incomplete = Some("incomplete: 1 of 2 workloads");
    assert_eq!(rows, [("a", Some(1), None), ("c", None, incomplete), ("quick", None, incomplete)]);
    assert_eq!(ranking.result.rows[1].terms[0].not_counted.as_deref(), Some("not measured here"));
    assert_eq!(ranking.result.rows[2].terms[0].not_counted.as_deref(), Some("failed: crashed: signal 11"));
    assert_eq!(ranking.result.rows[2].values[0], Some(750.0), "what failed counts 0");
}

#[test]
fn what_was_skipped_everywhere_is_in_no_set_but_told() {
    let mut skipped = failed("a", "mobilenet_v2");
    skipped.status = RunStatus::Skipped;
    let runs = [run("a", "resnet50", 0.5, 0.75), skipped.clone(), run("b", "resnet50", 0.4, 0.75)];
    let ranking = ranked("aiotbench", &runs, &Options::default());
    assert!(ranking.result.rows.iter().all(|row| row.rank.is_some()));
    assert!(
        ranking.result.notes.iter().any(|note| note.contains("mobilenet_v2 tract fp32")),
        "{:?}",
        ranking.result.notes
    );
    let tried = [runs[0].clone(), skipped, run("b", "mobilenet_v2", 0.1, 0.5), run("b", "resnet50", 0.4, 0.75)];
    let ranking = ranked("aiotbench", &tried, &Options::default());
    assert_eq!((ranking.result.rows[0].device.as_str(), ranking.result.rows[1].rank), ("b", None));
}

#[test]
fn of_repeats_the_median_run_counts() {
    let mut runs: Vec<ScoredRun> = [0.5, 0.1, 0.4, 0.2].map(|seconds| run("a", "resnet50", seconds, seconds)).into();
    runs.push(failed("a", "resnet50"));
    let ranking = ranked("aiotbench", &runs, &Options::default());
    let term = &ranking.result.rows[0].terms[0];
    assert_eq!((term.run_id.as_deref(), term.runs, term.runs_ok), (Some("a-resnet50-0.2"), 5, 4));
    assert_eq!((term.values[0], term.values[1]), (Some(200.0), Some(0.2)), "accuracy and time are of one run");
    assert!(ranking.result.notes.iter().any(|note| note.contains("median")));
    assert!(ranking.result.notes.iter().any(|note| note.contains("not ok")));
}

#[test]
fn a_run_that_is_read_twice_counts_once() {
    let one = run("a", "resnet50", 0.5, 0.75);
    let mut rounded = one.clone();
    (rounded.latency_s, rounded.source) = (Some(0.500_000_001), "results.csv:2".into());
    let runs = [one.clone(), rounded.clone()];
    let ranking = ranked("aiotbench", &runs, &Options::default());
    assert_eq!((ranking.result.rows[0].terms[0].runs, ranking.result.rows[0].values[0]), (1, Some(1.5)));
    rounded.latency_s = Some(0.6);
    let error = ResultMatrix::new(&[one, rounded]).unwrap_err();
    assert!(error.to_string().contains("results.csv:2"), "{error}");
    assert_eq!(ResultMatrix::new(&[]).unwrap_err(), ScoreError::NoRuns);
}

#[test]
fn settings_are_entrants_of_their_own() {
    let mut runs = [run("a", "resnet50", 0.5, 0.75), run("a", "resnet50", 0.3, 0.75)];
    runs[1].settings.threads = "4".into();
    let ranking = ranked("aiotbench", &runs, &Options::default());
    assert_eq!(ranking.result.rows.len(), 2);
    assert_eq!((ranking.result.rows[0].settings.threads.as_str(), ranking.result.rows[0].values[0]), ("4", Some(2.5)));
}

#[test]
fn published_accuracy_only_where_asked() {
    let published = published();
    let mut runs = [run("a", "resnet50", 0.5, 0.1), run("a", "unknown", 0.5, 0.1)];
    runs[0].macs = None;
    let asked = Options { accuracy: AccuracySource::Published, published: &published, ..Options::default() };
    let ranking = ranked("aiotbench", &runs, &asked);
    assert_eq!(ranking.accuracy, Some(AccuracySource::Published));
    assert_eq!(ranking.result.rows[0].values, [Some(1.52), Some(1.52), Some(4.0), Some(2.6)]);
    assert_eq!(ranking.result.rows[0].unranked.as_deref(), Some("incomplete: 1 of 2 workloads"));
    assert!(
        ranking.result.notes.iter().any(|note| note.starts_with("MACs as published")),
        "{:?}",
        ranking.result.notes
    );
    assert!(
        ranking.result.notes.contains(&"Accuracy of resnet50 by: a paper.".to_owned()),
        "{:?}",
        ranking.result.notes
    );
    let measured = ranked("aiotbench", &runs, &Options { published: &published, ..Options::default() });
    assert_eq!(measured.result.rows[0].values[0], Some(0.4));
    runs.iter_mut().for_each(|run| run.accuracy = None);
    let error = rank(score("aiotbench").unwrap(), &ResultMatrix::new(&runs).unwrap(), &Options::default()).unwrap_err();
    assert_eq!(error, ScoreError::NoAccuracy);
}

#[test]
fn unknown_operations_are_no_zero() {
    let mut runs = [run("a", "resnet50", 0.5, 0.5), run("a", "mine", 0.5, 0.5)];
    runs[1].macs = None;
    let row = &ranked("aiotbench", &runs, &Options::default()).result.rows[0];
    assert_eq!((row.values[0], row.values[1], row.values[3]), (Some(2.0), None, None));
}

#[test]
fn geometric_mean_against_the_reference() {
    let runs = [
        run("ref", "resnet50", 0.4, 0.5),
        run("ref", "mobilenet_v2", 0.1, 0.5),
        run("a", "resnet50", 0.1, 0.5),
        run("a", "mobilenet_v2", 0.1, 0.5),
        run("b", "resnet50", 0.1, 0.5),
    ];
    let options = Options { reference: Some("ref"), ..Options::default() };
    let ranking = ranked("geomean", &runs, &options);
    let rows: Vec<_> = ranking.result.rows.iter().map(|row| (row.device.as_str(), row.rank)).collect();
    assert_eq!(rows, [("a", Some(1)), ("ref", Some(2)), ("b", None)]);
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-12;
    assert!(near(ranking.result.rows[0].values[0], 2.0) && near(ranking.result.rows[1].values[0], 1.0));
    assert!(near(ranking.result.rows[2].values[0], 4.0), "over those it has");
    let refusal = |reference| {
        let options = Options { reference, ..Options::default() };
        rank(score("geomean").unwrap(), &ResultMatrix::new(&runs).unwrap(), &options).unwrap_err().to_string()
    };
    assert!(refusal(Some("nobody")).contains("nobody") && refusal(None).contains("reference"));
}

#[test]
fn the_reference_is_compared_in_the_same_settings() {
    let mut runs = [
        run("ref", "resnet50", 0.4, 0.5),
        run("ref", "resnet50", 0.2, 0.5),
        run("a", "resnet50", 0.1, 0.5),
        run("b", "resnet50", 0.1, 0.5),
    ];
    runs[1].settings.threads = "8".into();
    runs[2].settings.threads = "8".into();
    runs[3].settings.threads = "3".into();
    let ranking = ranked("geomean", &runs, &Options { reference: Some("ref"), ..Options::default() });
    let of = |device| ranking.result.rows.iter().find(|row| row.device == device).unwrap();
    assert_eq!(of("a").values[0], Some(2.0));
    assert_eq!((of("b").rank, of("b").values[0]), (None, None), "no run of the reference has 3 threads");
    let one = ranked(
        "geomean",
        &[runs[0].clone(), runs[2].clone()],
        &Options { reference: Some("ref"), ..Options::default() },
    );
    assert_eq!(one.result.rows[0].values[0], Some(4.0), "the reference has one setting only, so that is taken");
}

#[test]
fn dawnbench_by_latency_and_cost() {
    let mut runs = [
        run("quick", "resnet50", 0.018, 0.9),
        run("cheap", "resnet50", 0.36, 0.9),
        run("wrong", "squeezenet1_0", 0.001, 0.6),
        failed("broken", "resnet50"),
    ];
    runs[0].price_per_hour = Some(10.0);
    runs[1].price_per_hour = Some(0.1);
    runs[1].settings.batch = 2;
    let ranking = ranked("dawnbench", &runs, &Options::default());
    let cost = |seconds: f64, price: f64| Some(price * seconds * 10_000.0 / 3600.0);
    assert_eq!(
        places(&ranking)[..2],
        [
            ("quick", Some(1), [Some(18.0), cost(0.018, 10.0), Some(2.0), Some(0.95)].as_slice()),
            ("cheap", Some(2), [Some(360.0), cost(0.18, 0.1), Some(1.0), Some(0.95)].as_slice()),
        ]
    );
    let reasons: Vec<_> = ranking.result.rows[2..].iter().map(|row| row.unranked.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["failed: crashed: signal 11", "top-5 is 80.00 %, below 93 %"]);
    assert!(!ranking.result.notes.iter().any(|note| note.contains("too few")), "{:?}", ranking.result.notes);
    runs[0].accuracy = Some(RunAccuracy { top1: None, top5: Some(0.94), n_images: Some(100) });
    let ranking = ranked("dawnbench", &runs, &Options::default());
    assert!(ranking.result.notes.iter().any(|note| note.starts_with("1 of those") && note.contains("too few")));
}

#[test]
fn bianco_by_density() {
    let published = published();
    let options = Options { accuracy: AccuracySource::Published, published: &published, ..Options::default() };
    let runs = [run("a", "resnet50", 0.5, 0.1), run("a", "mobilenet_v2", 0.25, 0.1), run("a", "unknown", 0.25, 0.1)];
    let ranking = ranked("bianco", &runs, &options);
    assert_eq!(places(&ranking)[0], ("a", Some(1), [18.0, 72.0, 4.0, 4.0, 2.88].map(Some).as_slice()));
    assert_eq!(ranking.result.rows[1].workload.as_ref().unwrap().model, "resnet50");
    assert_eq!(ranking.result.rows[2].unranked.as_deref(), Some("no accuracy is published for it"));
}

#[test]
fn equals_share_a_place() {
    let runs = ["d10", "d9", "d1"].map(|device| run(device, "resnet50", 0.5, 0.5));
    let mut runs = Vec::from(runs);
    runs.push(run("slow", "resnet50", 1.0, 0.5));
    let ranking = ranked("aiotbench", &runs, &Options::default());
    let places: Vec<_> = ranking.result.rows.iter().map(|row| (row.device.as_str(), row.rank.unwrap())).collect();
    assert_eq!(places, [("d1", 1), ("d9", 1), ("d10", 1), ("slow", 4)]);
}

#[test]
fn a_record_is_taken_as_it_is() {
    let mut record = sample::record("a", "resnet50");
    record.measurement.accuracy = Some(MeasuredAccuracy { n_images: 8, top1_correct: 2, top5_correct: 4 });
    record.price_per_hour = Some(0.5);
    let run = ScoredRun::of(&record);
    assert_eq!(run.seconds_per_image(), Some(0.020_125_000_25));
    assert_eq!(run.accuracy, Some(RunAccuracy { top1: Some(0.25), top5: Some(0.5), n_images: Some(8) }));
    assert_eq!((run.workload.to_string().as_str(), run.price_per_hour), ("resnet50 tract fp32", Some(0.5)));
    let failed = ScoredRun::of(&sample::failed("a", "resnet50", "signal 11"));
    assert_eq!((failed.latency_s, failed.accuracy), (None, None), "samples of a broken-off run are no time");
}

#[test]
fn a_ranking_says_what_images_its_accuracies_are_of() {
    let on = |dataset: &str, run: ScoredRun| ScoredRun { dataset: dataset.to_owned(), ..run };
    let options = Options { accuracy: AccuracySource::Measured, reference: None, published: &[], flops: false };
    let note = |runs: &[ScoredRun]| ranked("aiotbench", runs, &options).result.notes.join("\n");
    let runs = [on("digits", run("a", "digits", 1.0, 0.5)), on("imagenet-val", run("a", "resnet50", 1.0, 0.5))];
    assert!(note(&runs).contains("Accuracy is of 1000 images of digits, and of 1000 images of imagenet-val."));
    assert!(!note(&[run("a", "digits", 1.0, 0.5)]).contains("Accuracy is of"));
}
