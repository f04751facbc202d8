//! A file as its type, together with the places of what it says.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_yaml::Value as Yaml;

use super::check::check;
use super::fault::{Fault, code};
use super::source::{Source, Span};
use super::tree::{Node, Value, parse};

/// A step from a value to one inside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(field: &'a str) -> Self {
        Step::Field(field)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Step::Item(index)
    }
}

/// A path into a file: `place!["devices", 0, "name"]`.
macro_rules! place {
    ($($step:expr),* $(,)?) => { &[$($crate::config::document::Step::from($step)),*] };
}
pub(super) use place;

/// A file whose structure is known, with its places and the faults found so far.
#[derive(Debug)]
pub(super) struct Document<T> {
    pub(super) source: Source,
    pub(super) faults: Vec<Fault>,
    /// What the file says, without what is faulty; `None` when too little is left.
    pub(super) content: Option<T>,
    root: Option<Node>,
}

impl<T: DeserializeOwned + JsonSchema> Document<T> {
    /// Reads text as a file of type `T`.
    pub(super) fn new(source: Source) -> Self {
        let mut faults = Vec::new();
        let Some(tree) = parse(&source, &mut faults) else {
            return Document { source, faults, content: None, root: None };
        };
        let (root, found) = check(&source, &tree, &super::schema_of::<T>());
        faults.extend(found);
        let mut document = Document { source, faults, content: None, root };
        if let Some(root) = &document.root {
            match typed(root) {
                Ok(content) => document.content = Some(content),
                Err((path, error)) => {
                    let fault = document.untyped(&path, &error);
                    document.faults.push(fault);
                }
            }
        }
        document
    }

    /// What the schema let pass and the type does not, at its place.
    fn untyped(&self, path: &serde_path_to_error::Path, error: &serde_yaml::Error) -> Fault {
        use serde_path_to_error::Segment;
        let known = path.iter().map_while(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        let steps: Vec<Step<'_>> = known.collect();
        self.fault(&steps, format!("{}: {error}", code(&path.to_string())))
    }
}

impl<T> Document<T> {
    /// Whether nothing is wrong so far. What compares several values is only asked of a clean file: a value that was
    /// left out as faulty would make a second fault of the first.
    pub(super) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// The place of a value; of the nearest one around it, when the file doesn't say it.
    pub(super) fn span(&self, path: &[Step<'_>]) -> Span {
        self.find(path).1
    }

    /// The place of a field's name.
    pub(super) fn key_span(&self, path: &[Step<'_>]) -> Span {
        self.find(path).0
    }

    /// The text that stands there, if one does.
    pub(super) fn text(&self, path: &[Step<'_>]) -> Option<&str> {
        let mut node = self.root.as_ref()?;
        for step in path {
            node = match (step, &node.value) {
                (Step::Field(field), Value::Map(entries)) => &entries.iter().find(|entry| entry.key == *field)?.value,
                (Step::Item(index), Value::List(items)) => items.get(*index)?,
                _ => return None,
            };
        }
        match &node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn find(&self, path: &[Step<'_>]) -> (Span, Span) {
        let Some(mut node) = self.root.as_ref() else { return (Span::START, Span::START) };
        let mut spans = (node.span, node.span);
        for step in path {
            match (step, &node.value) {
                (Step::Field(field), Value::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *field) else { return spans };
                    spans = (entry.key_span, entry.value.span);
                    node = &entry.value;
                }
                (Step::Item(index), Value::List(items)) => {
                    let Some(item) = items.get(*index) else { return spans };
                    spans = (item.span, item.span);
                    node = item;
                }
                // A scalar where a list may stand is the list's one item.
                _ => {}
            }
        }
        spans
    }

    /// A fault at the place of a value.
    pub(super) fn fault(&self, path: &[Step<'_>], message: impl Into<String>) -> Fault {
        self.source.fault(self.span(path), message)
    }

    /// Adds a fault at the place of a value.
    pub(super) fn refuse(&mut self, path: &[Step<'_>], message: impl Into<String>, hint: Option<String>) {
        let fault = self.fault(path, message).maybe_hint(hint);
        self.faults.push(fault);
    }

    /// Refuses words of a list that are there twice.
    pub(super) fn refuse_repeats<W: std::fmt::Display>(&mut self, path: &[Step<'_>], words: &[W]) {
        let mut seen = BTreeSet::new();
        for (index, word) in words.iter().map(W::to_string).enumerate() {
            if !seen.insert(word.clone()) {
                let place = [path, &[Step::Item(index)]].concat();
                self.refuse(&place, format!("{} is listed twice", code(&word)), None);
            }
        }
    }
}

/// A tree as its type. An enum's variant is a map of one field (`ssh: {…}`), not one of YAML's tags.
fn typed<T: DeserializeOwned>(root: &Node) -> Result<T, (serde_path_to_error::Path, serde_yaml::Error)> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(to_yaml(root), &mut track);
    serde_yaml::with::singleton_map_recursive::deserialize(tracked).map_err(|error| (track.path(), error))
}

/// The values of a tree, as serde_yaml reads types from them.
pub(super) fn to_yaml(node: &Node) -> Yaml {
    match &node.value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::from(*value),
        Value::Integer(number, _) => match (u64::try_from(*number), i64::try_from(*number)) {
            (Ok(number), _) => Yaml::from(number),
            (_, Ok(number)) => Yaml::from(number),
            _ => Yaml::from(*number as f64),
        },
        Value::Number(number, _) => Yaml::from(*number),
        Value::Text(text) => Yaml::from(text.as_str()),
        Value::List(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Map(entries) => {
            Yaml::Mapping(entries.iter().map(|entry| (Yaml::from(entry.key.as_str()), to_yaml(&entry.value))).collect())
        }
    }
}
