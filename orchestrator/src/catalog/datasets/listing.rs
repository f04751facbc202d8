//! Which images a dataset has, each with its class.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use super::table::{self, Form};
use super::{DatasetError, doubts, io};
use crate::domain::{CatalogDataset, DatasetOrigin, LabelColumn, Remark, many};
use crate::regular_file;

/// Most images of a dataset: ImageNet's training set has 1.3 million.
const MAX_IMAGES: usize = 10_000_000;
/// Largest list or table, unpacked.
pub(super) const MAX_TEXT_BYTES: u64 = 1 << 30;
/// Largest file of a picture.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// What some programs write before the first line of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Names of the datasets that come with farmctl.
pub const BUILTIN_DATASETS: &[&str] = &["digits"];
/// The last 360 of scikit-learn's 1,797 handwritten digits, which `digits` was not trained on: UCI, Optical Recognition
/// of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0.
const DIGITS: &[u8] = include_bytes!("digits.csv.gz");

/// A dataset's images, in their order.
#[derive(Debug)]
pub(super) struct Listing {
    /// What the paths are relative to.
    pub(super) root: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// Classes there are.
    pub(super) classes: u32,
    /// What was found there that is no image of the dataset.
    pub(super) left_out: Vec<Remark>,
    /// What lets one doubt that the classes are right, in words.
    pub(super) doubts: Vec<String>,
}

/// An image with its class.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) class: u32,
}

/// Where an image is.
#[derive(Debug)]
pub(super) enum Place {
    /// In a file below the root.
    File(PathBuf),
    /// In an archive, which is the root: where its content begins there, and how long it is.
    Member { name: PathBuf, offset: u64, size_bytes: u64 },
    /// In a row of a table: its bytes are known.
    Row { line: u64, shape: [u32; 3], bytes: Vec<u8> },
}

impl Entry {
    /// What it is called in its dataset.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::File(path) | Place::Member { name: path, .. } => path.to_string_lossy().into_owned(),
            Place::Row { line, .. } => format!("line {line}"),
        }
    }
}

impl Listing {
    /// The content of an image's file, or of its row; in words, why it can't be had.
    pub(super) fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let path = match &entry.place {
            Place::Row { bytes, .. } => return Ok(bytes.clone()),
            Place::Member { offset, size_bytes, .. } => return member(&self.root, *offset, *size_bytes),
            Place::File(path) => self.root.join(path),
        };
        // Where a link leads is looked at, not where it says.
        let found = path.canonicalize().map_err(|_| "not there".to_owned())?;
        if !found.starts_with(&self.root) {
            return Err("leads out of the dataset's folder".to_owned());
        }
        let about = found.metadata().map_err(|_| "not there".to_owned())?;
        if !about.is_file() {
            return Err("no file".to_owned());
        }
        if about.len() > MAX_FILE_BYTES {
            return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
        }
        regular_file::read(&found, MAX_FILE_BYTES).map_err(|error| format!("not readable ({})", error.kind()))
    }

    /// Classes without an image.
    pub(super) fn empty_classes(&self) -> u32 {
        self.images_of_classes().into_iter().filter(|images| *images == 0).count() as u32
    }

    /// The class with the most images, and how many these are.
    pub(super) fn largest_class(&self) -> Option<(usize, usize)> {
        self.images_of_classes().into_iter().enumerate().max_by_key(|(_, images)| *images)
    }

    /// How many images each class has.
    pub(super) fn images_of_classes(&self) -> Vec<usize> {
        let mut images = vec![0; self.classes as usize];
        self.entries.iter().for_each(|entry| images[entry.class as usize] += 1);
        images
    }
}

/// Finds all images of a dataset.
///
/// # Errors
/// When there are none, or the dataset is at odds with itself.
pub(super) fn read(dataset: &CatalogDataset) -> Result<Listing, DatasetError> {
    let classes = dataset.classes.unwrap_or(0);
    let (path, listing) = match &dataset.origin {
        DatasetOrigin::Builtin(name) => {
            let path = Path::new(name);
            let form = Form { shape: [8, 8, 1], skip: 0, label: Some(&LabelColumn::Last), classes };
            (path, table::read(path, DIGITS.to_vec(), form)?)
        }
        DatasetOrigin::Csv { path, shape, skip, label } => {
            let form = Form { shape: *shape, skip: *skip, label: label.as_ref(), classes };
            (path.as_path(), table::read(path, read_text(path)?, form)?)
        }
        DatasetOrigin::List { path, folder } => (path.as_path(), list(path, folder, classes)?),
        DatasetOrigin::Folders { path, numbered } => (path.as_path(), folders(path, *numbered, dataset.classes)?),
    };
    let unusable = |what: String| Err(DatasetError::Unusable { path: path.to_owned(), what });
    match listing.entries.len() {
        0 => unusable("there is no image in it".to_owned()),
        images if images > MAX_IMAGES => unusable(format!("it has {images} images, {MAX_IMAGES} are the most")),
        _ => Ok(listing),
    }
}

fn read_text(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io("read", path))?;
    if !file.metadata().map_err(io("read", path))?.is_file() {
        return Err(io("read", path)(std::io::Error::other("it is no regular file")));
    }
    file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Err(io("read", path)(std::io::Error::other(format!("it is larger than {MAX_TEXT_BYTES} bytes"))));
    }
    Ok(bytes)
}

/// One folder for each class.
fn folders(root: &Path, numbered: bool, classes: Option<u32>) -> Result<Listing, DatasetError> {
    let root = root.canonicalize().map_err(io("find", root))?;
    let (names, mut left_out) = (sorted(&root)?, Vec::new());
    let (folders, beside): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| root.join(name).is_dir());
    note(&mut left_out, "beside the folders of classes", beside);
    check_folders(&root, &folders, numbered, classes)?;
    let mut entries = Vec::new();
    for (index, name) in folders.iter().enumerate() {
        let class = if numbered { name.parse().ok() } else { u32::try_from(index).ok() };
        let class = class.filter(|class| classes.is_none_or(|classes| *class < classes)).ok_or_else(|| {
            let known = classes.map_or("of a class".to_owned(), |classes| format!("of {classes} classes"));
            DatasetError::Unusable { path: root.join(name), what: format!("the folder is none {known}") }
        })?;
        let (files, inside): (Vec<String>, Vec<String>) =
            sorted(&root.join(name))?.into_iter().partition(|file| !root.join(name).join(file).is_dir());
        note(&mut left_out, "a folder inside a class's folder", inside);
        entries.extend(files.into_iter().map(|file| Entry { place: Place::File(Path::new(name).join(file)), class }));
    }
    let classes = classes.unwrap_or(folders.len() as u32);
    let doubts = doubts::of_folder_names(&folders).into_iter().filter(|_| !numbered).collect();
    Ok(Listing { root, entries, classes, left_out, doubts })
}

/// Refuses folders that can't be those of the classes: of which nobody knows which is missing, or two of one number.
fn check_folders(root: &Path, folders: &[String], numbered: bool, classes: Option<u32>) -> Result<(), DatasetError> {
    let unusable = |what: String| Err(DatasetError::Unusable { path: root.to_owned(), what });
    if numbered {
        let mut seen = HashMap::new();
        let number = |name: &String| name.parse::<u32>().ok();
        let twin = folders.iter().find_map(|name| Some((seen.insert(number(name)?, name)?, name)));
        return match twin {
            Some((first, second)) => unusable(format!("the folders {first} and {second} are of one class")),
            None => Ok(()),
        };
    }
    match classes {
        Some(classes) if (folders.len() as u64) < u64::from(classes) => unusable(format!(
            "it has {}, the dataset {classes} classes: which of them are missing can't be known; write \
             `numbered: true` if the names are the classes' numbers, else make an empty folder for each class without \
             images",
            many(folders.len() as u64, "folder")
        )),
        _ => Ok(()),
    }
}

/// The names in a folder that are not hidden, sorted by their bytes.
fn sorted(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io("read", folder))? {
        let name = entry.map_err(io("read", folder))?.file_name().into_string().map_err(|name| {
            DatasetError::Unusable { path: folder.join(name), what: "its name is not UTF-8".to_owned() }
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn note(remarks: &mut Vec<Remark>, what: &str, names: Vec<String>) {
    for name in names {
        super::prepare::count(remarks, what, &name);
    }
}

/// A line for each image: its path, and the number of its class.
fn list(path: &Path, folder: &Path, classes: u32) -> Result<Listing, DatasetError> {
    let bytes = read_text(path)?;
    let root = folder.canonicalize().map_err(io("find", folder))?;
    let members = if root.is_file() { Some(members(&root)?) } else { None };
    let (mut entries, mut left_out, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |what: String| DatasetError::Line { path: path.to_owned(), line: index as u64 + 1, what };
        let line = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8".to_owned()))?.trim();
        if line.is_empty() {
            continue;
        }
        let words = line.rsplit_once(char::is_whitespace);
        let (file, class) = words.ok_or_else(|| wrong("a path and the number of a class are needed".to_owned()))?;
        let class = class_of(class, classes).map_err(&wrong)?;
        let file = Path::new(file.trim_end());
        let file: PathBuf = file.components().filter(|part| *part != Component::CurDir).collect();
        if !file.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(wrong(format!("{file:?} does not stay in the dataset's folder")));
        }
        if let Some((first, other)) = seen.insert(file.clone(), (index + 1, class)).filter(|(_, it)| *it != class) {
            return Err(wrong(format!(
                "{} is of class {class} here and of class {other} in line {first}",
                file.display()
            )));
        }
        let place = match &members {
            None => Place::File(file),
            Some(members) => match members.get(&file) {
                Some(&(offset, size_bytes)) => Place::Member { name: file, offset, size_bytes },
                None => {
                    super::prepare::count(&mut left_out, "not in the archive", &file.to_string_lossy());
                    continue;
                }
            },
        };
        entries.push(Entry { place, class });
    }
    Ok(Listing { root, entries, classes, left_out, doubts: Vec::new() })
}

/// Where each file of a tar archive begins in it, and how long it is. Nothing is unpacked, so that no name leads
/// anywhere. Of several with one name the last counts, as it would be unpacked.
fn members(archive: &Path) -> Result<HashMap<PathBuf, (u64, u64)>, DatasetError> {
    let unreadable = || io("read the archive", archive);
    let file = File::open(archive).map_err(unreadable())?;
    let archive_bytes = file.metadata().map_err(unreadable())?.len();
    let mut tar = tar::Archive::new(file);
    let mut members = HashMap::new();
    for entry in tar.entries_with_seek().map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(unreadable())?;
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let (offset, size_bytes) = (entry.raw_file_position(), entry.size());
        // What is skipped by a seek is not missed.
        if offset.checked_add(size_bytes).is_none_or(|end| end > archive_bytes) {
            return Err(unreadable()(std::io::Error::other(format!("it is cut off in {}", path.display()))));
        }
        members.insert(path, (offset, size_bytes));
        if members.len() > MAX_IMAGES {
            return Err(unreadable()(std::io::Error::other(format!("it has more than {MAX_IMAGES} files"))));
        }
    }
    Ok(members)
}

/// The content of a file in an archive.
fn member(archive: &Path, offset: u64, size_bytes: u64) -> Result<Vec<u8>, String> {
    if size_bytes > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
    }
    let unreadable = |error: std::io::Error| format!("not readable ({})", error.kind());
    let mut bytes = vec![0; size_bytes as usize];
    File::open(archive).and_then(|file| file.read_exact_at(&mut bytes, offset)).map_err(unreadable)?;
    Ok(bytes)
}

/// The number of a class. Programs that know only floating-point columns write `3.0`.
pub(super) fn class_of(word: &str, classes: u32) -> Result<u32, String> {
    let word = word.strip_suffix(".0").unwrap_or(word);
    let class: u32 = word.parse().map_err(|_| format!("{word:?} is no number of a class"))?;
    if class < classes { Ok(class) } else { Err(format!("{class} is none of {classes} classes, which begin with 0")) }
}
