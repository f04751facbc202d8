//! What lets one doubt that images have the classes that a dataset gives them.
//!
//! Purpose: say what most likely is a mistake, and may be none. All is measured the same; the doubt is told with the
//! accuracy. What can't be right is refused where it is read.

use std::collections::HashMap;

use super::listing::{Entry, Listing};
use super::table::shortened;
use crate::domain::{CatalogDataset, DatasetOrigin, LabelColumn};

/// Images from which on it is told by the classes whether they were read from the right place.
const TELLING_IMAGES: usize = 20;
/// Share of the images of one class, in per cent, above which what was read is hardly a class.
const ONE_CLASS_PERCENT: usize = 95;
/// Share of the images, in per cent, from which on images that are there twice are told.
const TWICE_PERCENT: usize = 5;
/// Hexadecimal digits of a hash that tell contents apart.
const TELLING_DIGITS: usize = 32;

/// Says so when nearly all images are of one class.
pub(super) fn of_one_class(listing: &Listing) -> Option<String> {
    let images = listing.entries.len();
    let (class, count) = listing.largest_class().filter(|_| listing.classes > 1 && images >= TELLING_IMAGES)?;
    (count * 100 > images * ONE_CLASS_PERCENT).then(|| format!("{count} of {images} images are of class {class}"))
}

/// What the classes of a dataset's images let one doubt.
pub(super) fn of_classes(dataset: &CatalogDataset, listing: &Listing) -> Vec<String> {
    let one_class = of_one_class(listing).map(|what| match &dataset.origin {
        DatasetOrigin::Csv { label: Some(label), .. } => {
            let place = match label {
                LabelColumn::First => "first column".to_owned(),
                LabelColumn::Last => "last column".to_owned(),
                LabelColumn::Named(name) => format!("column {name:?}"),
            };
            format!("{what}: does the class really stand in the {place}, as `label` says?")
        }
        _ => format!("{what}: are their classes right?"),
    });
    let are_numbers = match &dataset.origin {
        DatasetOrigin::Builtin(_) => false,
        DatasetOrigin::Folders { numbered, .. } => *numbered,
        DatasetOrigin::List { .. } | DatasetOrigin::Csv { .. } => true,
    };
    let from_one = of_first_class(listing).filter(|_| are_numbers);
    one_class.into_iter().chain(from_one).collect()
}

/// Says so when class 0 has no image, and hardly another one has none: then the first class may be called 1.
fn of_first_class(listing: &Listing) -> Option<String> {
    let images = listing.images_of_classes();
    let (classes, empty) = (images.len(), listing.empty_classes() as usize);
    let is_filled = listing.entries.len() >= 2 * classes && (empty == 1 || empty * 5 <= classes);
    (classes > 1 && images[0] == 0 && is_filled).then(|| {
        let filled = classes - empty;
        format!(
            "class 0 has no image, and {filled} others have: do the numbers of the classes begin with 1? They have to \
             begin with 0"
        )
    })
}

/// Says so when names of folders, in the order in which they become classes, are numbers in another order, or those of
/// other classes. Names that were sorted by their letters are what some programs train on: it need be no mistake.
pub(super) fn of_folder_names(names: &[String]) -> Option<String> {
    let shown = || shortened(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let numbers = names.iter().map(|name| name.parse().ok()).collect::<Option<Vec<u32>>>();
    let begins_with_0 = numbers.as_ref().is_some_and(|numbers| numbers.contains(&0));
    let hint = if begins_with_0 {
        "if they are the classes' numbers, write `numbered: true`"
    } else {
        "if the numbers are the order, write them with zeros before (01, 02)"
    };
    if names.windows(2).any(|pair| numeric_sort::cmp(&pair[0], &pair[1]).is_gt()) {
        return Some(format!("the folders are taken in the order of their letters, {}; {hint}", shown()));
    }
    let numbers = numbers?;
    let first = numbers.first().copied().filter(|first| *first <= 1).unwrap_or_default();
    let (index, number) = (0..).zip(&numbers).find(|(index, number)| **number != index + first)?;
    Some(format!(
        "the folder {number} is taken for class {index}, since not all numbers are there ({}); {hint}",
        shown()
    ))
}

/// Images whose content is there more than once.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// The class of each content.
    seen: HashMap<String, u32>,
    same: Vec<String>,
    contradicting: Vec<String>,
}

impl Twins {
    /// Takes in the next image.
    pub(super) fn add(&mut self, entry: &Entry, sha256: &str) {
        let content = sha256.chars().take(TELLING_DIGITS).collect();
        match self.seen.insert(content, entry.class) {
            None => {}
            Some(class) if class == entry.class => self.same.push(entry.name()),
            Some(_) => self.contradicting.push(entry.name()),
        }
    }

    /// What they let one doubt, of so many images.
    pub(super) fn doubts(&self, images: usize) -> Vec<String> {
        let told = |names: &[String], what: &str| {
            names.first().map(|name| format!("{} of {images} images {what}, for example {name}", names.len()))
        };
        let is_much = self.same.len() * 100 >= images * TWICE_PERCENT && images >= TELLING_IMAGES;
        let same = told(&self.same, "are the same as one before, of the same class, and count again");
        let contradicting = told(&self.contradicting, "are the same as one before, of another class");
        contradicting.into_iter().chain(same.filter(|_| is_much)).collect()
    }
}
