//! Changes devices of farm files, and leaves everything else that a person wrote as it is: comments, order, spaces.
//!
//! Main functions: [`add_device`], [`edit_device`], [`remove_device`] and, for an editor, [`device_text`] and
//! [`replace_device`]. The new text is read again before it replaces the file, at once and as a whole; a file that
//! would be faulty, or would say something else of any other device, is never written.

use std::path::Path;

use crate::domain::Device;

use super::append::{self, NewDevice};
use super::block::{changed, with_field};
use super::document::{Document, place, to_yaml};
use super::expand::Environment;
use super::farm_file::FarmFile;
use super::fault::{ConfigErrors, Fault, code};
use super::inventory;
use super::source::{Source, Span};
use super::tree::{Node, Value, parse};

/// A change of a device's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldChange {
    /// A field becomes this text: `notes`.
    Text(String, String),
    /// A field becomes this value, in YAML: `limits.max_run_seconds`, `60`.
    Set(String, String),
    /// A field is taken out.
    Unset(String),
    /// A label is added; one of the same key is replaced.
    Tag(String),
    /// The label of this key is taken out.
    Untag(String),
}

/// Adds a device to a farm file, which is made when it isn't there, and makes these changes to its entry.
///
/// # Errors
/// Every fault that the file would have; it is then as it was.
pub fn add_device(
    path: &Path,
    new: &NewDevice,
    changes: &[FieldChange],
    environment: Environment<'_>,
) -> Result<(), ConfigErrors> {
    let before = devices_of(path, environment)?;
    let mut text = append::with_devices(path, std::slice::from_ref(new))?;
    for change in changes {
        text = with_change(path, text, &new.name, change)?;
    }
    let after = read_again(path, &text, environment)?;
    let is_new = after.last().is_some_and(|device| device.name == new.name);
    if !is_new || !are_equal(&before, after.get(..after.len() - 1).unwrap_or_default()) {
        return Err(refused(path));
    }
    append::write(path, &text)
}

/// Makes changes to the entry of a device.
///
/// # Errors
/// Every fault that the file would have, or why its text can't be changed so; it is then as it was.
pub fn edit_device(
    path: &Path,
    name: &str,
    changes: &[FieldChange],
    environment: Environment<'_>,
) -> Result<(), ConfigErrors> {
    let before = devices_of(path, environment)?;
    let mut text = Source::read(path)?.text;
    for change in changes {
        text = with_change(path, text, name, change)?;
    }
    write_changed(path, &text, name, &before, environment)
}

/// Takes a device out of its farm file.
///
/// # Errors
/// When it is the file's only one, or the file can't be written; it is then as it was.
pub fn remove_device(path: &Path, name: &str, environment: Environment<'_>) -> Result<(), ConfigErrors> {
    let mut expected = devices_of(path, environment)?;
    let (document, index) = find(Source::read(path)?, name)?;
    if expected.len() == 1 {
        let fault = document.fault(place!["devices", index], format!("{} is the only device of this file", code(name)));
        return Err(fault.hint("remove the file instead").into());
    }
    let (start, end) = lines_of(&document, index)?;
    let lines: Vec<&str> = document.source.text.split_inclusive('\n').collect();
    let text = [&lines[..start], &lines[end..]].concat().concat();
    expected.retain(|device| device.name != name);
    if !are_equal(&expected, &read_again(path, &text, environment)?) {
        return Err(refused(path));
    }
    append::write(path, &text)
}

/// The lines of a device's entry.
///
/// # Errors
/// When the file is faulty, or the entry does not stand on lines of its own.
pub fn device_text(path: &Path, name: &str) -> Result<String, ConfigErrors> {
    let (document, index) = find(Source::read(path)?, name)?;
    let (start, end) = lines_of(&document, index)?;
    Ok(document.source.text.split_inclusive('\n').skip(start).take(end - start).collect())
}

/// Puts these lines in the place of a device's entry.
///
/// # Errors
/// Every fault that the file would have; it is then as it was.
pub fn replace_device(path: &Path, name: &str, with: &str, environment: Environment<'_>) -> Result<(), ConfigErrors> {
    let before = devices_of(path, environment)?;
    let (document, index) = find(Source::read(path)?, name)?;
    let (start, end) = lines_of(&document, index)?;
    let lines: Vec<&str> = document.source.text.split_inclusive('\n').collect();
    let line_end = if with.ends_with('\n') { "" } else { "\n" };
    let text = format!("{}{with}{line_end}{}", lines[..start].concat(), lines[end..].concat());
    write_changed(path, &text, name, &before, environment)
}

fn devices_of(path: &Path, environment: Environment<'_>) -> Result<Vec<Device>, ConfigErrors> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(inventory::load(vec![Source::read(path)?], Vec::new(), environment)?.devices)
}

fn read_again(path: &Path, text: &str, environment: Environment<'_>) -> Result<Vec<Device>, ConfigErrors> {
    let source = Source::from_bytes(path, text.as_bytes().to_vec())?;
    Ok(inventory::load(vec![source], Vec::new(), environment)?.devices)
}

/// Writes a text in which only this device may be another.
fn write_changed(
    path: &Path,
    text: &str,
    name: &str,
    before: &[Device],
    environment: Environment<'_>,
) -> Result<(), ConfigErrors> {
    let after = read_again(path, text, environment)?;
    let others =
        |devices: &[Device]| -> Vec<Device> { devices.iter().filter(|device| device.name != name).cloned().collect() };
    if !after.iter().any(|device| device.name == name) {
        let fault = Fault::whole_file(path, format!("the device {} would be gone; nothing was written", code(name)));
        return Err(fault.hint("its history goes by its name: to rename it, remove it and add it").into());
    }
    if !are_equal(&others(before), &others(&after)) {
        return Err(refused(path));
    }
    append::write(path, text)
}

/// Whether these devices are the same, wherever they are declared.
fn are_equal(one: &[Device], other: &[Device]) -> bool {
    let undeclared = |device: &Device| Device { declared_at: String::new(), ..device.clone() };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| undeclared(one) == undeclared(other))
}

fn refused(path: &Path) -> ConfigErrors {
    let message = "this can't be done without changing what the file says of something else; nothing was written";
    Fault::whole_file(path, message).hint("change the file by hand").into()
}

/// The file, and which of its devices it is.
fn find(source: Source, name: &str) -> Result<(Document<FarmFile>, usize), ConfigErrors> {
    let document = Document::<FarmFile>::new(source);
    let Some(content) = document.content.as_ref().filter(|_| document.is_clean()) else {
        return Err(ConfigErrors { faults: document.faults });
    };
    match content.devices.iter().position(|device| device.name == name) {
        Some(index) => Ok((document, index)),
        None => Err(document.fault(place!["devices"], format!("there is no device {} here", code(name))).into()),
    }
}

/// The lines of a device, from 0, with the one that begins by its dash.
fn lines_of(document: &Document<FarmFile>, index: usize) -> Result<(usize, usize), ConfigErrors> {
    let (list, item) = (document.span(place!["devices"]), document.span(place!["devices", index]));
    let lines: Vec<&str> = document.source.text.split_inclusive('\n').collect();
    let first = lines.get(list.line.saturating_sub(1)).copied().unwrap_or_default();
    let indent = append::indentation(first);
    let begins = |line: &&str| append::indentation(line) == indent && line[indent..].starts_with('-');
    let start = (0..item.line.min(lines.len())).rev().find(|at| begins(&lines[*at]));
    let Some(start) = start.filter(|_| begins(&first)) else {
        let fault = document.fault(place!["devices"], "these devices do not stand on lines of their own");
        return Err(fault.hint("write each device on lines of its own, beginning with `- name:`").into());
    };
    Ok((start, append::end_of_item(&lines, item.line, indent)))
}

/// The text with one change, which is read again: it must say what was meant, and nothing else.
fn with_change(path: &Path, text: String, name: &str, change: &FieldChange) -> Result<String, ConfigErrors> {
    let source = Source::from_bytes(path, text.into_bytes())?;
    let (document, index) = find(source, name)?;
    let (_, end) = lines_of(&document, index)?;
    let tree = parsed(&document.source)?;
    let Some(device) = item(&tree, index) else { return Err(refused(path)) };
    let (field, value) = meant(device, change)?;
    let field: Vec<&str> = field.split('.').collect();
    if field == ["name"] {
        let fault = document.fault(place!["devices", index, "name"], "the name of a device is not changed here");
        return Err(fault.hint("its history goes by its name: to rename it, remove it and add it").into());
    }
    let text = with_field(&document.source, (device, end), &field, value.as_ref()).map_err(|why| {
        document.fault(place!["devices", index], why).hint("change the file by hand, or with `--editor`")
    })?;
    let source = Source::from_bytes(path, text.into_bytes())?;
    let again = parsed(&source)?;
    let expected = changed(device, &field, value.as_ref()).ok().flatten().map(|device| to_yaml(&device));
    if item(&again, index).map(to_yaml) != expected {
        return Err(refused(path));
    }
    Ok(source.text)
}

/// The field that a change is about, and its value from then on.
fn meant(device: &Node, change: &FieldChange) -> Result<(String, Option<Node>), ConfigErrors> {
    let text = |text: &str| Node { value: Value::Text(text.to_owned()), span: Span::START };
    Ok(match change {
        FieldChange::Text(field, value) => (field.clone(), Some(text(value))),
        FieldChange::Set(field, value) if value.trim().is_empty() => (field.clone(), Some(text(value))),
        FieldChange::Set(field, value) => {
            let shown = format!("--set {field}");
            let source = Source::from_bytes(Path::new(&shown), value.clone().into_bytes())?;
            (field.clone(), Some(parsed(&source)?))
        }
        FieldChange::Unset(field) => (field.clone(), None),
        FieldChange::Tag(tag) => {
            let mut tags = tags_of(device);
            let key = key_of(tag).to_owned();
            tags.retain(|tag| key_of(tag) != key);
            tags.push(tag.clone());
            ("tags".to_owned(), Some(list(&tags)))
        }
        FieldChange::Untag(key) => {
            let tags: Vec<String> = tags_of(device).into_iter().filter(|tag| key_of(tag) != key_of(key)).collect();
            ("tags".to_owned(), (!tags.is_empty()).then(|| list(&tags)))
        }
    })
}

fn key_of(tag: &str) -> &str {
    tag.split_once('=').map_or(tag, |(key, _)| key)
}

fn list(words: &[String]) -> Node {
    let items = words.iter().map(|word| Node { value: Value::Text(word.clone()), span: Span::START });
    Node { value: Value::List(items.collect()), span: Span::START }
}

/// The labels that the entry itself has.
fn tags_of(device: &Node) -> Vec<String> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) | Value::Integer(_, text) | Value::Number(_, text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    match field_of(device, "tags").map(|node| (&node.value, node)) {
        Some((Value::List(items), _)) => items.iter().filter_map(text).collect(),
        Some((_, node)) => text(node).into_iter().collect(),
        None => Vec::new(),
    }
}

fn field_of<'a>(node: &'a Node, field: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == field).map(|entry| &entry.value)
}

/// A device of the tree of a file.
fn item(tree: &Node, index: usize) -> Option<&Node> {
    match &field_of(tree, "devices")?.value {
        Value::List(items) => items.get(index),
        _ => None,
    }
}

fn parsed(source: &Source) -> Result<Node, ConfigErrors> {
    let mut faults = Vec::new();
    let tree = parse(source, &mut faults);
    ConfigErrors::unless_clean(tree, faults)
}

#[cfg(test)]
mod tests;
