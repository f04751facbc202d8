//! A table in CSV: a row for each image, its bytes and its class.

use std::io::Read as _;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::listing::{Entry, Listing, MAX_TEXT_BYTES, Place, class_of};
use super::{DatasetError, doubts, io};
use crate::domain::LabelColumn;

/// What a file packed by gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Columns from which on a first row of 0, 1, 2 … is no image.
const TELLING_COLUMNS: usize = 9;
/// Names that a header gives the column of classes.
const LABEL_NAMES: [&str; 5] = ["label", "class", "target", "y", "digit"];

/// How a table is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    /// Height, width and channels of an image.
    pub(super) shape: [u32; 3],
    /// Lines before the first image.
    pub(super) skip: u32,
    /// Where the class stands; the last column where nobody says.
    pub(super) label: Option<&'a LabelColumn>,
    /// Classes there are.
    pub(super) classes: u32,
}

/// The images of a table.
///
/// # Errors
/// When a row is none of an image, or the column of classes is hardly one.
pub(super) fn read(path: &Path, bytes: Vec<u8>, form: Form<'_>) -> Result<Listing, DatasetError> {
    let bytes = unpacked(path, bytes)?;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice());
    let unusable = |what: String| DatasetError::Unusable { path: path.to_owned(), what };
    let mut rows = reader.records();
    let mut header = None;
    // A column's name stands in the first line.
    let form = Form { skip: form.skip.max(u32::from(matches!(form.label, Some(LabelColumn::Named(_))))), ..form };
    for _ in 0..form.skip {
        let row = rows.next().transpose().map_err(|error| unusable(error.to_string()))?;
        header = header.or(row);
    }
    let label = label_index(form, header.as_ref()).map_err(|what| wrong(path, 1, what))?;
    let mut entries = Vec::new();
    for row in rows {
        let row = row.map_err(|error| unusable(error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let entry = entry(&row, line, label, form);
        // Columns that are called by numbers look like an image.
        if entries.is_empty()
            && (entry.is_err() || is_numbered(&row))
            && let Some(words) = header_words(&row, form)
        {
            return Err(wrong(path, line, words));
        }
        entries.push(entry.map_err(|what| wrong(path, line, what))?);
    }
    let (root, classes) = (path.to_owned(), form.classes);
    let listing = Listing { root, entries, classes, left_out: Vec::new(), doubts: Vec::new() };
    match doubts::of_one_class(&listing).filter(|_| form.label.is_none()) {
        Some(what) => Err(unusable(format!(
            "{what}: the class is taken from the last column, which is hardly it; write `label: first` or the name of \
             its column, or `label: last` if this is right"
        ))),
        None => Ok(listing),
    }
}

fn wrong(path: &Path, line: u64, what: String) -> DatasetError {
    DatasetError::Line { path: path.to_owned(), line, what }
}

fn unpacked(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, DatasetError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let packed = flate2::read::MultiGzDecoder::new(bytes.as_slice());
    packed.take(MAX_TEXT_BYTES + 1).read_to_end(&mut unpacked).map_err(io("unpack", path))?;
    if unpacked.len() as u64 > MAX_TEXT_BYTES {
        return Err(io("unpack", path)(std::io::Error::other(format!("it is larger than {MAX_TEXT_BYTES} bytes"))));
    }
    Ok(unpacked)
}

/// Values of an image.
fn values(form: Form<'_>) -> usize {
    form.shape.iter().map(|side| *side as usize).product()
}

/// Which column has the classes.
fn label_index(form: Form<'_>, header: Option<&StringRecord>) -> Result<usize, String> {
    match form.label {
        None | Some(LabelColumn::Last) => Ok(values(form)),
        Some(LabelColumn::First) => Ok(0),
        Some(LabelColumn::Named(name)) => {
            let names: Vec<&str> = header.into_iter().flatten().map(str::trim).collect();
            names.iter().position(|other| other == name).ok_or_else(|| {
                let known = shortened(&names);
                format!("the first line has no column {name:?}; its columns are {known}")
            })
        }
    }
}

/// The image of a row; in words, why it is none.
fn entry(row: &StringRecord, line: u64, label: usize, form: Form<'_>) -> Result<Entry, String> {
    let values = values(form);
    if row.len() != values + 1 {
        let separated = |by: &&char| row.len() == 1 && row[0].matches(**by).count() == values;
        if let Some(by) = [';', '\t', '|', ' '].iter().find(separated) {
            return Err(format!(
                "its values stand apart by {by:?}, and commas are needed: `tr {by:?} ','` makes them so"
            ));
        }
        return Err(format!("{} columns; {values} bytes of an image and its class are needed", row.len()));
    }
    let pixels = row.iter().enumerate().filter(|(index, _)| *index != label).map(|(_, word)| byte(word));
    let bytes = pixels.collect::<Result<Vec<u8>, String>>()?;
    let class = class_of(row.get(label).unwrap_or_default().trim(), form.classes);
    let class = class.map_err(|what| match form.label {
        None => format!("{what}; the class is taken from the last column, `label:` names another one"),
        Some(_) => what,
    })?;
    Ok(Entry { place: Place::Row { line, shape: form.shape, bytes }, class })
}

fn byte(word: &str) -> Result<u8, String> {
    let number = word.trim().parse::<f64>().ok().filter(|number| (0.0..=255.0).contains(number));
    let whole = number.filter(|number| number.fract() == 0.0);
    whole.map(|number| number as u8).ok_or_else(|| format!("{word:?} is no byte"))
}

/// What to do about a row that has names where images have numbers; `None` when it has not.
fn header_words(row: &StringRecord, form: Form<'_>) -> Option<String> {
    let names: Vec<&str> = row.iter().map(str::trim).collect();
    let is_name =
        |word: &&&str| word.parse::<f64>().is_err() && word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let label = names.iter().find(|name| LABEL_NAMES.contains(&name.to_lowercase().as_str()));
    // A table whose pixels are called 0, 1, 2 … has one name.
    if names.iter().filter(is_name).count() * 2 < names.len() && label.is_none() && !is_numbered(row) {
        return None;
    }
    let skip = format!("this is a header ({}), no image: write `skip: {}`", shortened(&names), form.skip + 1);
    Some(match label {
        Some(label) if form.label.is_none() && names.last() != Some(label) => {
            format!("{skip}, and `label: {label}`, since the class does not stand in the last column")
        }
        _ => skip,
    })
}

/// Whether a row counts its columns, from 0 or from 1, as a program's names for columns without one do. The column of
/// an index before them has no name.
fn is_numbered(row: &StringRecord) -> bool {
    let names = row.iter().skip(usize::from(row.get(0).is_some_and(str::is_empty)));
    let numbers = names.map(|name| name.trim().parse().ok()).collect::<Option<Vec<u32>>>();
    numbers.is_some_and(|numbers| {
        let from = |first: u32| (first..).zip(&numbers).all(|(expected, number)| expected == *number);
        numbers.len() >= TELLING_COLUMNS && (from(0) || from(1))
    })
}

/// The first few of some names.
pub(super) fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| name.chars().take(20).collect()).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
