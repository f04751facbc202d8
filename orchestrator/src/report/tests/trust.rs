//! What is measured again, and several runs of the same.

use super::*;
use crate::domain::{JobId, Rerun, Verdict};

/// A measurement of the same cell on a device, whose level is so high.
fn run(device: &str, repeat: u32, level: f64) -> Record {
    let mut record = sample::record(device, "tiny");
    record.job.id = JobId(format!("{device}{repeat}"));
    record.job.repeat = repeat;
    record.measurement.samples_ns = steps(100).iter().map(|sample| (*sample as f64 * level) as u64).collect();
    record
}

/// The same once more, after it was unsteady.
fn again(first: &Record, number: u32) -> Record {
    let mut record = first.clone();
    record.job.id = JobId(format!("{}-{number}", first.job.id));
    record.job.rerun = Some(Rerun { of: first.job.id.clone(), number, verdict: Verdict::Unsteady });
    record
}

fn cells(input: &ReportInput<'_>, name: &str) -> Vec<Cell> {
    let column = COLUMNS.iter().find(|column| column.name == name).unwrap();
    input.rows().iter().map(|row| (column.value)(row)).collect()
}

fn words(words: &[&str]) -> Vec<Cell> {
    words.iter().map(|word| Cell::from(*word)).collect()
}

#[test]
fn a_sweep_is_judged_by_its_own_rules() {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let mut record = run("board-1", 1, 1.0);
    record.measurement.samples_ns = steps(60);
    let records = [record];
    let input = ReportInput::new(&sweep, &records, &outputs);
    assert_eq!(cells(&input, "verdict"), words(&["unsteady"]));
    let lenient =
        TrustRules { change_percent: 50.0, modes_percent: 50.0, outlier_percent: 50.0, ..TrustRules::default() };
    let input = input.judged_by(TrustRules { interval_percent: 50.0, min_effective_samples: 0.0, ..lenient });
    assert_eq!((cells(&input, "verdict"), cells(&input, "verdict_reason")), (words(&["ok"]), words(&[""])));
    let input = ReportInput::new(&sweep, &records, &outputs).judged_by(TrustRules { min_samples: 101, ..lenient });
    assert_eq!(cells(&input, "verdict_reason"), words(&["100 samples, fewer than 101"]));
}

#[test]
fn of_what_was_measured_again_one_row_counts() {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let mut first = run("board-1", 1, 1.0);
    first.measurement.samples_ns = steps(60);
    let (mut second, other) = (again(&first, 1), run("board-2", 1, 1.1));
    second.measurement.samples_ns = steps(40);
    let mut third = again(&first, 2);
    third.measurement.samples_ns = steps(100);
    let records = [first, other, second, third];
    let input = ReportInput::new(&sweep, &records, &outputs);
    assert_eq!(cells(&input, "verdict"), words(&["unsteady", "ok", "unsteady", "ok"]));
    assert_eq!(cells(&input, "counts"), words(&["no", "yes", "no", "yes"]));
    let why = "measurement 3 counts";
    assert_eq!(cells(&input, "counts_reason"), words(&[why, "", why, "the first that is ok"]));
    assert_eq!(cells(&input, "rerun"), [0u64, 0, 1, 2].map(Cell::Integer));
    assert_eq!(cells(&input, "rerun_of"), words(&["", "", "board-11", "board-11"]));
    assert_eq!(cells(&input, "rerun_for"), words(&["", "", "unsteady", "unsteady"]));
    let text = result_table(&input, 80, false);
    assert_eq!(text.matches("board-1 ").count(), 1, "the table has one row of it: {text}");
    assert!(text.contains("again 2") && text.contains("\n2 ok\n") && !text.contains("doubtful:"), "{text}");
    assert!(text.contains("\n1 doubtful result was measured again, and 1 of them came out ok."), "{text}");
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert_eq!(page.matches("<tr class=\"passed\">").count(), 2, "{page}");
    let csv = String::from_utf8(rendered("results.csv", &records)).unwrap();
    assert_eq!(csv.lines().count(), 5, "all are in results.csv");
}

#[test]
fn the_page_lists_what_is_doubtful_with_why() {
    let mut doubtful = run("board-1", 1, 1.0);
    doubtful.measurement.samples_ns = steps(60);
    let page = String::from_utf8(rendered("index.html", &[doubtful, run("board-2", 1, 1.0)])).unwrap();
    let (_, list) = page.split_once("<h2>Doubtful results</h2>").unwrap();
    assert!(
        list.contains("<h3>unsteady (1)</h3>") && list.contains("board-1: tiny: 24.9 % slower from sample 61"),
        "{list}"
    );
    let page = String::from_utf8(rendered("index.html", &[run("board-2", 1, 1.0)])).unwrap();
    assert!(!page.contains("Doubtful"), "{page}");
}

#[test]
fn repeats_say_how_much_runs_differ() {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let records = [
        run("a", 1, 1.0),
        run("a", 2, 1.08),
        run("a", 3, 0.95),
        run("b", 1, 1.0),
        run("b", 2, 1.0001),
        run("c", 1, 1.0),
    ];
    let input = ReportInput::new(&sweep, &records, &outputs);
    assert_eq!(
        cells(&input, "cell_runs"),
        [Cell::Integer(3), Cell::Integer(3), Cell::Integer(3), Cell::Integer(2), Cell::Integer(2), Cell::Empty]
    );
    let between = cells(&input, "spread_between_percent");
    let Cell::Number(of_a) = between[0] else { panic!("{between:?}") };
    assert!((6.0..7.0).contains(&of_a) && between[3] == Cell::Number(0.0) && between[5] == Cell::Empty, "{between:?}");
    let Cell::Number(within) = cells(&input, "spread_within_percent")[0] else { panic!() };
    assert!((0.03..0.1).contains(&within), "{within}");
    let text = result_table(&input, 200, false);
    assert!(
        text.contains(
            "1 cell differs more from run to run than within runs, most a: tiny #1: 6.5 % between 3 runs, 0.1 % within"
        ),
        "{text}"
    );
}

fn as_json(row: &Row<'_>) -> String {
    serde_json::to_string(&RowCells(row)).unwrap()
}

#[test]
fn rows_that_are_read_part_by_part_are_those_of_the_whole() {
    let (sweep, outputs) = (sample::sweep(), outputs());
    let mut first = run("board-1", 1, 1.0);
    first.measurement.samples_ns = steps(60);
    let second = again(&first, 1);
    // What failed and was skipped, outputs that lie apart, repeats, and what was measured again.
    let mut records = records();
    records.extend([first, run("a", 1, 1.0), run("a", 2, 1.08), second, run("a", 3, 0.95)]);
    let whole = ReportInput::new(&sweep, &records, &outputs);
    let expected: Vec<String> = whole.rows().iter().map(as_json).collect();
    let mut reader = ContextReader::new(TrustRules::default());
    records.iter().for_each(|record| reader.take(record, |sha256| is_finite(&outputs, sha256)));
    let context = reader.finish();
    assert_eq!(context.len(), records.len());
    for size in [1, 2, 4, 100] {
        let mut found = Vec::new();
        for (number, part) in records.chunks(size).enumerate() {
            found.extend(context.rows(&sweep, part, number * size, &outputs).iter().map(as_json));
        }
        assert_eq!(found, expected, "{size} at a time");
    }
    let apart =
        |context: &RowContext| context.rows(&sweep, &records, 0, &outputs).iter().map(as_json).collect::<Vec<_>>();
    assert_ne!(apart(&RowContext::of_none(TrustRules::default())), expected, "they do know of each other");
}
