//! The book and the other pages for people say what is so: generated pages are current, links lead somewhere, YAML is
//! taken by our own reader, `farmctl …` lines by our own command line, and the dashboard asks for figures that there
//! are.

mod commands;
mod dashboard;
mod links;
mod markdown;
mod reference;
mod yaml;

use std::path::{Path, PathBuf};

use markdown::Page;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Pages of the book, and those beside the source that people read first.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG", "bench/README"]
        .iter()
        .map(|name| root().join(format!("{name}.md")))
        .collect();
    collect(&book(), &mut paths);
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

/// Where the book's pages are.
fn book() -> PathBuf {
    root().join("docs/src")
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|end| end == "md") {
            paths.push(path);
        }
    }
}

/// Fails with all faults at once.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
