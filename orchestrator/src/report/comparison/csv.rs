use super::key_columns;
use crate::compare::{ComparedCell, Comparison, Verdict};
use crate::report::ReportError;
use crate::wording::csv_text;

/// Columns behind those of the cell.
const FIGURES: [&str; 19] = [
    "a_value",
    "b_value",
    "verdict",
    "a_ms",
    "a_plus_minus_percent",
    "a_runs",
    "b_ms",
    "b_plus_minus_percent",
    "b_runs",
    "change_percent",
    "change_low_percent",
    "change_high_percent",
    "p",
    "p_adjusted",
    "method",
    "more_runs",
    "a_top1",
    "b_top1",
    "why",
];

/// A comparison as CSV: a row a cell.
///
/// # Errors
/// When the encoder refuses.
pub fn comparison_csv(comparison: &Comparison) -> Result<Vec<u8>, ReportError> {
    let names: Vec<&str> = match comparison.cells.first() {
        Some(cell) => key_columns(&cell.key).iter().map(|(name, _)| *name).chain(FIGURES).collect(),
        None => FIGURES.to_vec(),
    };
    table(&names, comparison).map_err(|error| ReportError::new("comparison", error))
}

/// A row at a time: there may be a hundred thousand.
fn table(names: &[&str], comparison: &Comparison) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(names)?;
    comparison.cells.iter().try_for_each(|cell| writer.write_record(row(cell)))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn row(cell: &ComparedCell) -> Vec<String> {
    let number = |value: Option<f64>| value.map(rounded).unwrap_or_default();
    let milliseconds = |time_s: Option<f64>| number(time_s.map(|time_s| time_s * 1e3));
    let key = key_columns(&cell.key).map(|(name, value)| match name {
        "batch" | "threads" => value,
        _ => csv_text(&value),
    });
    let mut row = Vec::from(key);
    let value = |pick: fn(&(String, String)) -> &String| cell.across.as_ref().map(|it| csv_text(pick(it)));
    row.push(value(|it| &it.0).unwrap_or_default());
    row.push(value(|it| &it.1).unwrap_or_default());
    row.push(cell.verdict.as_str().to_owned());
    for side in [&cell.a, &cell.b] {
        row.push(milliseconds(side.median_s()));
        row.push(number(side.plus_minus_percent()));
        row.push(side.times_s.len().to_string());
    }
    let change = cell.change.filter(|_| cell.verdict != Verdict::NotComparable);
    let ends = change.and_then(|change| change.interval_percent);
    row.push(number(change.map(|change| change.percent)));
    row.push(number(ends.map(|(low, _)| low)));
    row.push(number(ends.map(|(_, high)| high)));
    row.push(number(change.and_then(|change| change.p)));
    row.push(number(cell.p_adjusted));
    row.push(change.map_or_else(String::new, |change| change.method.as_str().to_owned()));
    row.push(cell.more_runs.map(|more| more.to_string()).unwrap_or_default());
    row.push(number(cell.a.top1));
    row.push(number(cell.b.top1));
    row.push(csv_text(&cell.remark().unwrap_or_default()));
    row
}

/// Nine digits: more than any clock has, and the same on every machine.
pub(super) fn rounded(number: f64) -> String {
    format!("{number:.8e}").parse::<f64>().unwrap_or(number).to_string()
}
