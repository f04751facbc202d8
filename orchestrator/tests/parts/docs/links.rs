//! Links lead somewhere: files, folders and anchors are there.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::markdown::Page;
use super::{assert_none, book, pages, root};

/// Folders of the repository whose paths pages name in code.
const FOLDERS: [&str; 10] = [
    "bench/",
    "configs/",
    "device-runner/",
    "docs/",
    "farms/",
    "orchestrator/",
    "protocol/",
    "scripts/",
    "testlab/",
    ".ci/",
];

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            _ => plain.push(part),
        }
    }
    plain
}

fn faults(page: &Page, anchors: &HashMap<PathBuf, Vec<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for link in page.links.iter().filter(|link| !link.text.contains("://")) {
        let mut fault = |what: &str| faults.push(format!("{}: the link {:?} {what}", page.at(link.line), link.text));
        let (file, anchor) = link.text.split_once('#').unwrap_or((&link.text, ""));
        let target = if file.is_empty() { page.path.clone() } else { plain(&page.path.parent().unwrap().join(file)) };
        if !target.exists() {
            fault("leads to no file");
        } else if !anchor.is_empty() && !anchors.get(&target).is_some_and(|known| known.iter().any(|it| it == anchor)) {
            fault("names no heading there");
        } else if page.path.starts_with(book()) && !target.starts_with(book()) {
            fault("leads out of the book, where mdBook has no page");
        }
    }
    faults
}

fn anchors(pages: &[Page]) -> HashMap<PathBuf, Vec<String>> {
    pages.iter().map(|page| (page.path.clone(), page.anchors.clone())).collect()
}

#[test]
fn every_link_and_anchor_is_there() {
    let pages = pages();
    let anchors = anchors(&pages);
    assert_none(&pages.iter().flat_map(|page| faults(page, &anchors)).collect::<Vec<_>>());
}

#[test]
fn a_link_to_nowhere_is_found() {
    let text = "[a](no-such.md) [b](sweeps.md#no-such) [c](../../README.md) [d](sweeps.md#your-own-network) [e](#x)";
    let pages = pages();
    let faults = faults(&Page::parse(&book().join("x.md"), text), &anchors(&pages));
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn every_path_that_pages_name_is_there() {
    let mut faults = Vec::new();
    for page in pages().iter().filter(|page| !page.path.ends_with("CHANGELOG.md")) {
        for word in &page.code {
            let path = word.text.split([' ', ':']).next().unwrap_or_default();
            let is_pattern = path.contains(['<', '{', '*', '…', '$']) || path.contains("NNN") || path.contains("NAME");
            let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
            if is_path && !is_pattern && !root().join(path).exists() && !is_a_persons(path) {
                faults.push(format!("{}: there is no {path}", page.at(word.line)));
            }
        }
    }
    assert_none(&faults);
}

/// What examples call files that a person has.
fn is_a_persons(path: &str) -> bool {
    path.starts_with("farms/") || path.starts_with("configs/mine")
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = Page::read(&book().join("SUMMARY.md"));
    let mut listed: Vec<PathBuf> = summary.links.iter().map(|link| book().join(&link.text)).collect();
    listed.push(summary.path.clone());
    listed.sort();
    let there: Vec<PathBuf> =
        pages().into_iter().map(|page| page.path).filter(|path| path.starts_with(book())).collect();
    assert_eq!(listed, there);
}
