//! Each block of YAML is taken by our own reader, as the kind of file that it says it is.

use std::path::Path;

use farmctl::config::{self, ConfigErrors};
use farmctl::domain::{Catalog, Inventory};
use farmctl::{catalog, config::FileKind};

use super::markdown::Page;
use super::{assert_none, pages, root};

/// What a block that is no whole file says instead of its kind.
const FRAGMENT: &str = "fragment";

/// The devices of all examples and of the repository's own example, for what names one.
fn inventory(folder: &Path, pages: &[Page]) -> Inventory {
    let mut files = vec![root().join("farms/boards.yaml.example"), root().join("farms/local.yaml")];
    for (at, text) in blocks(pages, FileKind::Inventory).into_iter().enumerate() {
        // A device that several examples have is one here.
        let path = folder.join(format!("farm-{at}.yaml"));
        std::fs::write(&path, text).unwrap();
        let mut with = files.clone();
        with.push(path);
        if config::load_inventory(&with, &|name| Some(name.to_owned())).is_ok() {
            files = with;
        }
    }
    config::load_inventory(&files, &|name| Some(name.to_owned())).unwrap()
}

fn blocks(pages: &[Page], kind: FileKind) -> Vec<&str> {
    let all = pages.iter().flat_map(|page| &page.blocks);
    all.filter(|block| block.info.split(' ').eq(["yaml", kind.as_str()])).map(|block| block.text.as_str()).collect()
}

fn load(kind: FileKind, path: &Path, inventory: &Inventory, catalog: &Catalog) -> Result<(), ConfigErrors> {
    match kind {
        FileKind::Inventory => config::load_inventory(&[path.to_owned()], &|name| Some(name.to_owned())).map(drop),
        FileKind::Sweep => config::load_sweep(path, inventory, catalog).map(drop),
        FileKind::Models => config::load_catalog(Some(path), catalog.backends.clone(), &|_| None).map(drop),
        FileKind::Backends => config::load_backends(Some(path), catalog::builtin_backends()).map(drop),
        FileKind::Datasets => config::load_datasets(Some(path)).map(drop),
        FileKind::Daemon => config::load_daemon(path, inventory, catalog).map(drop),
        FileKind::Lab => config::load_lab(path).map(drop),
    }
}

#[test]
fn every_block_of_yaml_is_taken_by_our_reader() {
    let pages = pages();
    let folder = tempfile::tempdir().unwrap();
    for name in ["all.yaml", "smoke.yaml"] {
        std::fs::copy(root().join("configs").join(name), folder.path().join(name)).unwrap();
    }
    let inventory = inventory(folder.path(), &pages);
    let backends = config::load_backends(None, catalog::builtin_backends()).unwrap();
    let datasets = config::load_datasets(None).unwrap();
    let catalog = Catalog { datasets, ..config::load_catalog(None, backends, &|_| None).unwrap() };
    let mut faults = Vec::new();
    for page in &pages {
        for block in page.blocks.iter().filter(|block| block.info.split(' ').next() == Some("yaml")) {
            let word = block.info.strip_prefix("yaml").unwrap_or_default().trim();
            let Some(kind) = FileKind::ALL.iter().find(|kind| kind.as_str() == word) else {
                if word != FRAGMENT {
                    let kinds = FileKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
                    faults.push(format!("{}: say behind `yaml` what it is: {kinds}, {FRAGMENT}", page.at(block.line)));
                }
                continue;
            };
            let path = folder.path().join("block.yaml");
            std::fs::write(&path, &block.text).unwrap();
            if let Err(error) = load(*kind, &path, &inventory, &catalog) {
                faults.push(format!("{}: {error}", page.at(block.line)));
            }
        }
    }
    assert_none(&faults);
}
