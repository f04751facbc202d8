#![allow(clippy::unwrap_used)]

use super::*;
use crate::compare::{CONDITIONS, DeviceName, Gate, Options, RunFacts, Runs, Unclear, compare, compare_across, judge};
use crate::domain::{Record, RunStatus, sample};
use crate::score::ScoredRun;

const STEADY: [f64; 10] = [1.000, 1.004, 0.997, 1.008, 0.994, 1.001, 1.006, 0.999, 0.996, 1.003];

fn facts(record: &Record, name: &str, number: usize, median_s: f64) -> RunFacts {
    let mut scored = ScoredRun::of(record);
    let id = format!("{name}-{}-{}-{number}", record.job.device, record.job.model.name);
    (scored.run_id, scored.latency_s) = (Some(id), Some(median_s));
    let (started_at, counts, temp_start_c) = (None, true, None);
    let conditions = CONDITIONS.iter().map(|condition| match condition.column {
        "kernel" => format!("6.1 of {}", if record.job.device == "rpi5" { name } else { "both" }),
        "backend_version" => format!("0.{}", name.len()),
        _ => String::new(),
    });
    RunFacts { scored, median_s: Some(median_s), started_at, counts, temp_start_c, conditions: conditions.collect() }
}

fn cell(runs: &mut Runs, device: &str, model: &str, times_s: &[f64]) {
    let name = runs.name.clone();
    let record = sample::record(device, model);
    times_s.iter().enumerate().for_each(|(number, time_s)| runs.push(facts(&record, &name, number, *time_s)));
}

fn times(base_s: f64, factor: f64) -> Vec<f64> {
    STEADY.iter().map(|noise| base_s * noise * factor).collect()
}

/// One cell of each answer, two devices, and texts that mean something in each form.
fn both() -> Comparison {
    let (mut a, mut b) = (Runs::new("a", DeviceName::Name), Runs::new("b <new>", DeviceName::Name));
    for (runs, factors) in [(&mut a, [1.0, 1.0, 1.0]), (&mut b, [1.1, 0.828, 1.01])] {
        for (model, factor) in ["resnet50", "=evil|<b>", "mobilenet_v2"].into_iter().zip(factors) {
            cell(runs, "pixel-6", model, &times(0.001_718, factor));
        }
        cell(runs, "pixel-6", "too_few", &[0.0216; 2]);
        cell(runs, "rpi5", "resnet50", &times(1.2, 1.0));
    }
    let mut failed = facts(&sample::failed("pixel-6", "crashes", "signal\n9"), "b", 0, 1.0);
    failed.median_s = None;
    assert_eq!(failed.scored.status, RunStatus::Failed);
    b.push(failed);
    cell(&mut a, "pixel-6", "crashes", &[0.5]);
    compare(&a, &b, &Options::default()).unwrap()
}

fn gates(comparison: &Comparison) -> Vec<GateOutcome> {
    ["slower > 3%", "geomean > 50%", "top1 < -0.5"]
        .map(|gate| judge(&gate.parse::<Gate>().unwrap(), comparison, Unclear::Pass))
        .into()
}

#[test]
fn the_table_fits_the_terminal() {
    let comparison = both();
    let gates = gates(&comparison);
    for width in [80, 120] {
        let text = comparison_text(&comparison, &gates, width);
        let longest = text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(longest <= usize::from(width), "{longest}:\n{text}");
        insta::assert_snapshot!(format!("text_{width}"), text);
    }
}

#[test]
fn the_other_forms() {
    let comparison = both();
    let gates = gates(&comparison);
    insta::assert_snapshot!("markdown", comparison_markdown(&comparison, &gates));
    insta::assert_snapshot!("csv", String::from_utf8(comparison_csv(&comparison).unwrap()).unwrap());
    insta::assert_snapshot!("junit", comparison_junit(&comparison, &gates));
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&comparison_json(&comparison, &gates)).unwrap());
}

#[test]
fn the_page_has_the_columns_of_the_table_and_nothing_from_elsewhere() {
    let comparison = both();
    let page = String::from_utf8(comparison_html(&comparison, &gates(&comparison)).unwrap()).unwrap();
    let page = page.replace("&#60;", "&lt;").replace("&#62;", "&gt;");
    for heading in ["device", "cell", "A", "B", "change", "95 %", "verdict"] {
        assert!(page.contains(&format!(">{heading}</th>")), "{heading}");
    }
    assert!(page.contains("b &lt;new&gt;"), "escaped");
    assert!(!page.contains("<new>") && !page.contains("<b>"), "nothing that a device says is markup");
    let rows = page.matches("<tr class=").count();
    assert_eq!(rows, comparison.cells.len() + 1, "each cell, and the geometric mean of the device with several");
    for class in ["slower", "faster", "same", "unclear", "passed", "geomean"] {
        assert!(page.contains(&format!("<tr class=\"{class}\">")), "{class}");
    }
    assert!(page.contains("<section class=\"failed\"><h2>Gate FAILED: slower &gt; 3%"), "{page}");
    for fetched in ["http:", "https:", "src=", "<link", "<script", "url(", "@import"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

#[test]
fn what_a_gate_did_not_judge_is_no_pass_in_any_form() {
    let mut runs = [Runs::new("a", DeviceName::Name), Runs::new("b", DeviceName::Name)];
    runs.iter_mut().for_each(|runs| cell(runs, "pixel-6", "resnet50", &times(0.04, 1.0)));
    let comparison = compare(&runs[0], &runs[1], &Options::default()).unwrap();
    let outcome = |unclear| vec![judge(&"top1 < -0.5".parse::<Gate>().unwrap(), &comparison, unclear)];
    let none = outcome(Unclear::Pass);
    let said = "nothing to judge: top1 < -0.5: no cell has top1";
    assert!(comparison_text(&comparison, &none, 120).contains(&format!("gate {said}\n")));
    assert!(
        comparison_markdown(&comparison, &none).contains("**Gate nothing to judge: top1 &lt; -0.5: no cell has top1**")
    );
    let page = String::from_utf8(comparison_html(&comparison, &none).unwrap()).unwrap();
    assert!(page.contains("<h2>Gate nothing to judge: top1"), "{page}");
    let junit = comparison_junit(&comparison, &none);
    assert!(junit.contains("tests=\"2\" failures=\"0\" skipped=\"2\""), "{junit}");
    let junit = comparison_junit(&comparison, &outcome(Unclear::Fail));
    assert!(junit.contains("failures=\"1\" skipped=\"1\"") && junit.contains("<failure message=\"nothing to judge"));
    assert_eq!(comparison_json(&comparison, &none)["gates"][0]["judged"], 0);
}

#[test]
fn lost_runs_and_other_datasets_are_told_in_each_form() {
    let with = |name: &str, dataset: &str, failed: usize| {
        let mut runs = Runs::new(name, DeviceName::Name);
        let record = sample::record("pixel-6", "resnet50");
        for (number, time_s) in times(0.04, 1.0).into_iter().enumerate() {
            let mut facts = facts(&record, name, number, time_s);
            facts.scored.dataset = dataset.into();
            facts.scored.accuracy = Some(crate::score::RunAccuracy { top1: Some(0.9), top5: None, n_images: None });
            if number < failed {
                (facts.scored.status, facts.median_s) = (RunStatus::Failed, None);
                facts.scored.failure = Some("timeout: 60 s".into());
            }
            runs.push(facts);
        }
        runs
    };
    let comparison = compare(&with("a", "digits", 0), &with("b", "flowers", 3), &Options::default()).unwrap();
    let gates =
        ["slower > 3%", "top1 < 0"].map(|gate| judge(&gate.parse::<Gate>().unwrap(), &comparison, Unclear::Pass));
    let lost = "3 of 10 runs in B have no time: failed: timeout: 60 s";
    let other = "can't be told: top1 is of digits in A, and of flowers in B";
    let text = comparison_text(&comparison, &gates, 120);
    assert!(text.contains(&format!("same\n      {lost}\n")), "{text}");
    assert!(text.contains("gate judged nothing: slower > 3%, 1 can't be told\n"), "{text}");
    assert_eq!(text.matches(lost).count(), 1, "the table has it already");
    assert!(text.replace("\n  ", " ").contains(other), "{text}");
    let markdown = comparison_markdown(&comparison, &gates);
    assert!(markdown.contains(&format!("| same: {lost} |")) && markdown.contains(other), "{markdown}");
    let page = String::from_utf8(comparison_html(&comparison, &gates).unwrap()).unwrap();
    assert!(page.contains(lost) && page.contains("is of digits in A"), "{page}");
    assert!(String::from_utf8(comparison_csv(&comparison).unwrap()).unwrap().contains(lost));
}

#[test]
fn along_an_axis_the_values_are_named() {
    let mut runs = Runs::new("sweep", DeviceName::Name);
    cell(&mut runs, "pixel-6", "resnet50", &times(0.04, 1.0));
    cell(&mut runs, "rpi5", "resnet50", &times(0.06, 1.0));
    let across = compare_across(&runs, crate::compare::Axis::Devices, Some("rpi5"), &Options::default()).unwrap();
    let text = comparison_text(&across, &[], 120);
    assert!(text.contains("across devices\n  resnet50 rpi5 → pixel-6"), "{text}");
    assert!(text.contains("−33.3 % (p=0.000, n=10)"), "{text}");
}

#[test]
fn times_have_four_figures_that_count() {
    assert_eq!(time((1.422e-6 + 1.423e-6) / 2.0), "1.423 µs");
    let said = [1.718e-3, 9.9999e-3, 21.6e-6, 0.6913, 12.34, 5e-9, 999.96e-6, 123.4].map(time);
    assert_eq!(said, ["1.718 ms", "10.00 ms", "21.60 µs", "691.3 ms", "12.34 s", "5.000 ns", "1000 µs", "123.4 s"]);
    assert_eq!([0.04, -0.04, -17.2, 3.0].map(signed_percent), ["0.0 %", "0.0 %", "−17.2 %", "+3.0 %"]);
}
