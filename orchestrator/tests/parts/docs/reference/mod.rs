//! The book's reference: written by this program from what farmctl itself says, and held to it.

mod api;
mod command_line;
mod failures;
mod files;
mod metrics;
mod table;

use std::path::PathBuf;

use farmctl::cli::exit;
use farmctl::config::FileKind;
use farmctl::report::{COLUMNS, ColumnOf, RANKING_COLUMNS, SUMMARY_COLUMNS};
use snapbox::{Assert, Data, IntoData as _};

use super::book;
use table::table;

/// What writes the pages anew.
const COMMAND: &str = "SNAPSHOTS=overwrite cargo test --package farmctl --test parts docs::reference";

/// What each page begins with.
const GENERATED: &str = "<!-- Generated. A change here is lost: `SNAPSHOTS=overwrite cargo test --package farmctl \
--test parts docs::reference` writes it anew. -->\n\n";

fn folder() -> PathBuf {
    book().join("reference")
}

/// Compares a page with what it must be; with `SNAPSHOTS=overwrite` writes it.
#[track_caller]
fn assert_current(name: &str, text: &str) {
    let path = folder().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Lines end without spaces, and the page with one line's end.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = format!("{GENERATED}{}\n", lines.join("\n").trim());
    let page = Data::read_from(&path, Some(snapbox::data::DataFormat::Text)).raw();
    let held = Assert::new().action_env("SNAPSHOTS").try_eq(Some(&"now"), text.into_data().raw(), page);
    if let Err(error) = held {
        panic!("docs/src/reference/{name} is stale; this writes all pages anew:\n  {COMMAND}\n{error}");
    }
}

#[test]
fn command_line() {
    assert_current("command-line.md", &command_line::page());
}

#[test]
fn files() {
    for kind in FileKind::ALL {
        assert_current(&format!("files/{}.md", kind.as_str()), &files::page(*kind));
    }
}

/// A table of what columns mean.
fn column_table<F>(columns: &[ColumnOf<F>]) -> String {
    let rows = columns.iter().map(|column| {
        let kind = format!("{:?}", column.kind).to_lowercase();
        vec![format!("`{}`", column.name), kind, column.unit.to_owned(), column.description.to_owned()]
    });
    table(&["column", "kind", "unit", "meaning"], rows)
}

#[test]
fn columns() {
    let text = format!(
        "# Columns\n\nThe columns of `results.csv`, in their order; `results.parquet`, `results.json` and the API have \
         the same names. `farmctl report --columns` prints them.\n\n\
         - An empty cell was not measured. It is never 0.\n\
         - A `word` is a text that may look like a number.\n\
         - In CSV, a text that a spreadsheet could take for a formula, a number, a date or nothing has an apostrophe \
         in front: `'007`. `results.parquet` has true types.\n\n{}\n\n## summary.csv\n\nA row a cell.\n\n{}\n\n\
         ## ranking.csv\n\nA row a device with its settings, for each score that the results allow.\n\n{}",
        column_table(COLUMNS),
        column_table(SUMMARY_COLUMNS),
        column_table(RANKING_COLUMNS)
    );
    assert_current("columns.md", &text);
}

#[test]
fn failures() {
    assert_current("failures.md", &failures::page());
}

#[test]
fn exit_codes() {
    let rows = exit::ALL.iter().map(|code| vec![code.number.to_string(), code.meaning.to_owned()]);
    let text = format!("# Exit codes\n\n{}", table(&["code", "meaning"], rows));
    assert_current("exit-codes.md", &text);
}

#[test]
fn metrics() {
    assert_current("metrics.md", &metrics::page());
}

#[test]
fn api() {
    assert_current("api.md", &api::page());
}
