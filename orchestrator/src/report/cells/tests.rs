#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;
use crate::domain::{RunId, sample};
use crate::report::tests::rendered;
use crate::report::{Cell, ReportInput};

/// A run of a cell whose samples are all this long.
fn run(device: &str, model: &str, repeat: u32, latency_ns: u64) -> Record {
    let mut record = sample::record(device, model);
    record.job.repeat = repeat;
    record.run_id = Some(RunId(format!("{device}-{model}-{repeat}")));
    record.measurement.samples_ns = (0..60).map(|index| latency_ns + index * 23 % 60 * 1_000).collect();
    record
}

/// The cells of these records by one column of summary.csv.
fn column(name: &str, records: &[Record]) -> Vec<Cell> {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let input = ReportInput::new(&sweep, records, &outputs);
    let column = SUMMARY_COLUMNS.iter().find(|column| column.name == name).unwrap();
    input.cells().iter().map(|cell| (column.value)(cell)).collect()
}

#[test]
fn the_median_of_a_cell_is_that_of_its_runs_and_the_interval_says_what_it_is_made_of() {
    let runs = |count: u32| -> Vec<Record> {
        (1..=count).map(|repeat| run("a", "tiny", repeat, 10_000_000 + u64::from(repeat) * 100_000)).collect()
    };
    for (count, basis, p50_ms) in [(1, "samples", 10.129), (3, "few_runs", 10.229), (7, "runs", 10.429)] {
        let records = runs(count);
        assert_eq!(column("interval_of", &records), [Cell::Text(basis.into())], "{count}");
        assert_eq!(column("p50_ms", &records), [Cell::Number(p50_ms)]);
        assert_eq!(column("n", &records), [Cell::Integer(count.into())]);
        let end = |name| match column(name, &records)[..] {
            [Cell::Number(end)] => end,
            ref other => panic!("{other:?}"),
        };
        assert!(end("p50_low_ms") <= p50_ms && p50_ms <= end("p50_high_ms"), "{count}");
    }
    // Three runs a tenth of a millisecond apart: mean 10.229, sd 0.1, Student's quantile of two degrees 4.303.
    let low = column("p50_low_ms", &runs(3));
    let [Cell::Number(low)] = low[..] else { panic!("{low:?}") };
    assert!((low - (10.229 - 4.303 * 0.1 / 3f64.sqrt())).abs() < 1e-3, "{low}");
    assert_eq!(column("spread_percent", &runs(1)), [Cell::Empty]);
    let spread = column("spread_percent", &runs(3));
    let [Cell::Number(spread)] = spread[..] else { panic!("{spread:?}") };
    assert!((spread - 0.1 / 10.229 * 100.0).abs() < 1e-6, "{spread}");
}

#[test]
fn a_cell_of_which_a_run_failed_is_ok_and_says_so() {
    let mut failed = sample::failed("a", "tiny", "measure: signal 11");
    failed.job.repeat = 2;
    let records = [run("a", "tiny", 1, 5_000_000), failed, sample::skipped("b", "tiny", "no")];
    assert_eq!(column("status", &records), ["ok", "skipped"].map(Cell::from));
    assert_eq!(column("failed", &records), [1u64, 0].map(Cell::from));
    assert_eq!(column("repeats", &records), [2u64, 1].map(Cell::from));
    assert_eq!(column("failure", &records), ["measure: signal 11", "no"].map(Cell::from));
    assert_eq!(column("p50_ms", &records)[1], Cell::Empty);
    let case = String::from_utf8(rendered("junit.xml", &records)).unwrap();
    assert!(case.contains("1 of 2 runs failed: crashed: measure: signal 11"), "{case}");
    insta::assert_snapshot!(case);
}

#[test]
fn what_was_measured_again_is_one_run_of_its_cell() {
    let first = run("a", "tiny", 1, 5_000_000);
    let mut again = run("a", "tiny", 1, 6_000_000);
    again.job.id = JobId("again".into());
    again.job.rerun = Some(crate::domain::Rerun { of: first.job.id.clone(), number: 1, verdict: Verdict::Noisy });
    let records = [first, again];
    assert_eq!(column("repeats", &records), [Cell::Integer(1)]);
    assert_eq!(column("run_ids", &records), [Cell::Text("a-tiny-1".into())]);
}

#[test]
fn the_worst_verdict_of_its_runs_is_the_cells() {
    let mut few = run("a", "tiny", 2, 5_000_000);
    few.measurement.samples_ns.truncate(4);
    let records = [run("a", "tiny", 1, 5_000_000), few];
    assert_eq!(column("verdict", &records), [Cell::Text("too_few".into())]);
    assert_eq!(column("doubtful", &records), [Cell::Integer(1)]);
    assert_eq!(column("verdict_reason", &records), [Cell::Text("4 samples, fewer than 10".into())]);
}

#[test]
fn the_summary_fits_a_comment_whatever_the_sweep() {
    let mut records: Vec<Record> = (0..5_000)
        .map(|index| run(&format!("board-{}", index % 250), &format!("net|{}", index / 250), 1, 5_000_000))
        .collect();
    for (index, record) in records.iter_mut().enumerate().filter(|(index, _)| index % 3 == 0) {
        *record = sample::failed(&record.job.device, &record.job.model.name, &"x\u{1F4A5}<".repeat(index % 2_000));
    }
    let text = String::from_utf8(rendered("summary.md", &records)).unwrap();
    assert!(text.chars().count() < 65_536 && text.len() < 200_000, "{} characters", text.chars().count());
    assert!(text.contains("4900 more cells in summary.csv") && text.contains("net\\|"), "{text}");
    let few = [run("a", "tiny", 1, 5_000_000), run("b", "tiny", 1, 7_000_000), sample::failed("c", "tiny", "it broke")];
    insta::assert_snapshot!(String::from_utf8(rendered("summary.md", &few)).unwrap());
}

#[test]
fn the_columns_of_a_file_are_its_header() {
    for (name, header) in [
        ("summary.csv", SUMMARY_COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>()),
        ("ranking.csv", crate::report::RANKING_COLUMNS.iter().map(|column| column.name).collect()),
    ] {
        let text = String::from_utf8(rendered(name, &[run("a", "tiny", 1, 5_000_000)])).unwrap();
        assert_eq!(text.lines().next(), Some(header.join(",").as_str()), "{name}");
        assert!(text.lines().count() >= 2, "{text}");
        let unique: std::collections::BTreeSet<_> = header.iter().collect();
        assert_eq!(unique.len(), header.len());
        let told = crate::report::columns_text();
        let (_, told) = told.split_once(&format!("Columns of {name}:\n")).unwrap();
        assert!(header.iter().all(|column| told.contains(&format!("\n{column} "))), "{told}");
    }
}
