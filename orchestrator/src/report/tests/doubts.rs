//! How sure rows are.

use super::*;

/// The columns of how sure a row is.
fn trust_columns() -> &'static [Column] {
    let first = COLUMNS.iter().position(|column| column.name == "p50_low_ms").unwrap();
    &COLUMNS[first..first + 7]
}

/// A row's cells of how sure it is.
fn trust_cells(record: &Record) -> Vec<Cell> {
    let (sweep, outputs, records) = (sample::sweep(), HashMap::new(), [record.clone()]);
    let input = ReportInput::new(&sweep, &records, &outputs);
    trust_columns().iter().map(|column| (column.value)(&input.rows()[0])).collect()
}

#[test]
fn rows_say_how_sure_they_are() {
    let names: Vec<_> = trust_columns().iter().map(|column| column.name).collect();
    assert_eq!(names[..3], ["p50_low_ms", "p50_high_ms", "effective_samples"]);
    assert_eq!(names[3..], ["drift_percent_per_minute", "outliers", "verdict", "verdict_reason"]);
    let mut record = sample::record("board-1", "tiny");
    record.measurement.samples_ns = steps(100);
    let steady = trust_cells(&record);
    let [Cell::Number(low), Cell::Number(high), Cell::Number(effective), Cell::Number(drift), ..] = steady[..] else {
        panic!("{steady:?}")
    };
    assert!((20.0..20.1).contains(&low) && (20.1..20.2).contains(&high), "{low} {high}");
    assert!((50.0..=100.0).contains(&effective) && drift.abs() < 20.0, "{effective} {drift}");
    assert_eq!(steady[4..], [Cell::Integer(0), Cell::Text("ok".into()), Cell::Empty]);
    record.measurement.samples_ns = steps(60);
    let unsteady = trust_cells(&record);
    assert_eq!(unsteady[5], Cell::Text("unsteady".into()));
    let Cell::Text(reason) = &unsteady[6] else { panic!("{unsteady:?}") };
    assert!(reason.starts_with("24.9 % slower from sample 61 on, "), "{reason}");
}

#[test]
fn what_has_no_samples_is_not_judged() {
    let mut record = sample::record("board-1", "tiny");
    let few = trust_cells(&record);
    assert_eq!((&few[0], &few[5]), (&Cell::Empty, &Cell::Text("too_few".into())));
    assert_eq!(few[6], Cell::Text("4 samples, fewer than 10".into()));
    record.measurement.samples_ns.clear();
    let none = vec![Cell::Empty; 7];
    assert_eq!(trust_cells(&record), none, "averages only");
    let mut failed = sample::failed("board-1", "tiny", "it broke");
    failed.measurement.samples_ns = steps(60);
    assert_eq!(trust_cells(&failed), none, "the samples of a broken-off loop are no result");
}

#[test]
fn tables_show_doubts() {
    let mut records = records();
    records[0].measurement.samples_ns = steps(100);
    records[1].measurement.samples_ns = steps(60);
    let (sweep, outputs) = (sample::sweep(), outputs());
    let input = ReportInput::new(&sweep, &records, &outputs);
    let text = result_table(&input, 80, false);
    let line = |device: &str| text.lines().find(|line| line.starts_with(device) && line.contains("resnet50")).unwrap();
    assert!(line("board-1").ends_with("  ok") && line("board-2").ends_with("  unsteady"), "{text}");
    assert!(text.lines().next().unwrap().contains("±%  p90 ms"), "{text}");
    assert!(line("board-1").contains("  0.1  "), "{text}");
    assert!(
        text.contains("\n1 result is doubtful: 1 unsteady. The column verdict_reason of results.csv says"),
        "{text}"
    );
    assert!(text.lines().all(|line| console::measure_text_width(line) <= 80), "{text}");
    assert!(result_table(&input, 80, true).contains("\u{1b}[33munsteady"));
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert!(page.contains("<tr class=\"doubtful\"><th scope=\"row\">board-2</th>"), "{page}");
    assert!(page.contains(">± %</th>") && page.contains("\">unsteady</a></td>"), "{page}");
}
