//! The datasets file to the datasets of a [`Catalog`](crate::domain::Catalog): what it means, checked.

use std::path::{Path, PathBuf};

use crate::catalog;
use crate::domain::{CatalogDataset, DatasetOrigin, LabelColumn};

use super::catalog::{NAME_HINT, is_name, refuse_key};
use super::datasets_file::{DatasetEntry, DatasetsFile};
use super::document::{Document, Step, place};
use super::fault::{ConfigErrors, any_of, code, did_you_mean};
use super::source::Source;

/// The datasets of a file.
pub(super) fn load(source: Source) -> Result<Vec<CatalogDataset>, ConfigErrors> {
    let mut document = Document::<DatasetsFile>::new(source);
    let Some(content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    let mut datasets: Vec<CatalogDataset> = Vec::new();
    for (index, entry) in content.datasets.into_iter().enumerate() {
        let place = place!["datasets", index];
        let name = &[place.as_slice(), &[Step::Field("name")]].concat();
        if !is_name(&entry.name) {
            document.refuse(name, format!("{} is no good name", code(&entry.name)), Some(NAME_HINT.to_owned()));
        }
        if datasets.iter().any(|other| other.name == entry.name) {
            let hint = Some("rename one of them".to_owned());
            document.refuse(name, format!("the dataset {} is there twice", code(&entry.name)), hint);
        }
        datasets.extend(dataset(&mut document, entry, place));
    }
    ConfigErrors::unless_clean(Some(datasets), document.faults)
}

fn dataset(document: &mut Document<DatasetsFile>, entry: DatasetEntry, place: &[Step<'_>]) -> Option<CatalogDataset> {
    let folder = document.source.file.parent().unwrap_or(Path::new("")).to_owned();
    let at = |path: PathBuf| folder.join(path);
    let mut origins = Vec::new();
    let mut needs_classes = true;
    if let Some(name) = entry.builtin {
        if !catalog::BUILTIN_DATASETS.contains(&name.as_str()) {
            let hint = did_you_mean(&name, catalog::BUILTIN_DATASETS.iter().copied());
            let message = format!("farmctl comes with no dataset {}", code(&name));
            document.refuse(&[place, &[Step::Field("builtin")]].concat(), message, hint);
        }
        origins.push(DatasetOrigin::Builtin(name));
    }
    if let Some(folders) = entry.folders {
        needs_classes = folders.numbered;
        origins.push(DatasetOrigin::Folders { path: at(folders.path), numbered: folders.numbered });
    }
    if let Some(list) = entry.list {
        let path = at(list.path);
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        origins.push(DatasetOrigin::List { folder: list.folder.map_or(beside, at), path });
    }
    if let Some(table) = entry.csv {
        let label = table.label.map(|word| match word.as_str() {
            "first" => LabelColumn::First,
            "last" => LabelColumn::Last,
            _ => LabelColumn::Named(word),
        });
        origins.push(DatasetOrigin::Csv { path: at(table.path), shape: table.shape, skip: table.skip, label });
    }
    let one = origins.pop().filter(|_| origins.is_empty());
    if one.is_none() && document.is_clean() {
        refuse_key(document, place, format!("needs exactly one of {}", any_of(["builtin", "folders", "list", "csv"])));
    }
    if needs_classes && entry.classes.is_none() && document.is_clean() {
        refuse_key(document, place, "`classes` is needed: how many there are".to_owned());
    }
    Some(CatalogDataset {
        title: entry.title.unwrap_or_else(|| entry.name.clone()),
        name: entry.name,
        source: entry.source,
        licence: entry.licence,
        classes: entry.classes,
        origin: one?,
        list: None,
    })
}
