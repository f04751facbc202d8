//! YAML text to a tree of values, each with its place.
//!
//! One parser gives both the values and their places, so the two can never disagree. Scalars are read by YAML 1.2's
//! core schema: `no`, `on` and `12:30` are text. Aliases are copied in, within a budget; what has no use in a
//! configuration (several documents, merge keys, tags, keys that are no words) is refused.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::fault::{Fault, code};
use super::source::{Source, Span};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most values, with the names of fields and with what aliases stand for.
const MAX_VALUES: usize = 100_000;
/// Most bytes of text that aliases may stand for.
const MAX_ALIASED_BYTES: usize = 4 << 20;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number, with what was written.
    Integer(i128, String),
    /// Any other number, with what was written.
    Number(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A field of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// What a tree takes.
#[derive(Debug, Clone, Copy)]
struct Weight {
    values: usize,
    text_bytes: usize,
    depth: usize,
}

impl Weight {
    fn of_leaf(text_bytes: usize) -> Weight {
        Weight { values: 1, text_bytes, depth: 1 }
    }
}

impl Node {
    /// What the tree below and with this node takes.
    fn weight(&self) -> Weight {
        let below: Vec<Weight> = match &self.value {
            Value::Text(text) => return Weight::of_leaf(text.len()),
            Value::Integer(_, written) | Value::Number(_, written) => return Weight::of_leaf(written.len()),
            Value::Null | Value::Bool(_) => return Weight::of_leaf(0),
            Value::List(items) => items.iter().map(Node::weight).collect(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.weight()).collect(),
        };
        let add = |sum: Weight, one: &Weight| Weight {
            values: sum.values + one.values,
            text_bytes: sum.text_bytes + one.text_bytes,
            depth: sum.depth.max(one.depth + 1),
        };
        below.iter().fold(Weight::of_leaf(0), add)
    }
}

/// Reads the one document of a file. What can be read past is added to `faults`, and the tree is still returned; after
/// a fault of syntax or a broken bound there is none.
pub(super) fn parse(source: &Source, faults: &mut Vec<Fault>) -> Option<Node> {
    let mut builder = Builder::new(source);
    let mut parser = Parser::new_from_str(&source.text);
    let outcome = loop {
        match parser.next_event() {
            None => break Ok(()),
            Some(Err(error)) => break Err(syntax_fault(source, &error)),
            Some(Ok((event, span))) => {
                if let Err(fault) = builder.event(event, span_of(span)) {
                    break Err(fault);
                }
            }
        }
    };
    faults.append(&mut builder.faults);
    match (outcome, builder.root) {
        (Err(fault), _) => {
            faults.push(fault);
            None
        }
        (Ok(()), Some(root)) if !matches!(root.value, Value::Null) => Some(root),
        (Ok(()), _) => {
            faults.push(source.fault(Span::START, "the file is empty"));
            None
        }
    }
}

fn syntax_fault(source: &Source, error: &saphyr_parser::ScanError) -> Fault {
    let marker = error.marker();
    let span = Span { line: marker.line(), column: marker.col() + 1, length: 1 };
    let fault = source.fault(span, format!("invalid YAML: {}", error.info()));
    let line = fault.place.as_ref().map(|place| place.source_line.to_string()).unwrap_or_default();
    let tab = line.chars().take(span.column).any(|c| c == '\t');
    if tab { fault.hint("use spaces; this line has a tab") } else { fault }
}

fn span_of(span: saphyr_parser::Span) -> Span {
    let (start, end) = (span.start, span.end);
    let length = if end.line() == start.line() { end.col().saturating_sub(start.col()).max(1) } else { 1 };
    Span { line: start.line().max(1), column: start.col() + 1, length }
}

/// A list or mapping that isn't complete yet.
enum Open {
    List { span: Span, anchor: usize, items: Vec<Node> },
    Map { span: Span, anchor: usize, entries: Vec<Entry>, seen: HashMap<String, Span>, key: Option<Key> },
}

/// A key whose value comes next.
struct Key {
    name: String,
    span: Span,
    /// Its value is read and left out, after a fault.
    ignored: bool,
}

struct Builder<'s> {
    source: &'s Source,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    values: usize,
    aliased_bytes: usize,
    documents: usize,
    faults: Vec<Fault>,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Source) -> Self {
        Builder {
            source,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            values: 0,
            aliased_bytes: 0,
            documents: 0,
            faults: Vec::new(),
        }
    }

    /// Takes the next event; an error ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here; a file has one";
                    return Err(self.source.fault(span, message).hint("remove the `---`, or write two files"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span);
                self.complete(Node { value, span }, anchor)?;
            }
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                self.begin(Open::List { span, anchor, items: Vec::new() }, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                let (entries, seen) = (Vec::new(), HashMap::new());
                self.begin(Open::Map { span, anchor, entries, seen, key: None }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { span, anchor, items }) => {
                    self.complete(Node { value: Value::List(items), span }, anchor)?;
                }
                Some(Open::Map { span, anchor, entries, .. }) => {
                    self.complete(Node { value: Value::Map(entries), span }, anchor)?;
                }
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open, span: Span) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.source.fault(Span { length: 1, ..span }, message));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Value::Text(text.to_owned()),
            tag => self.refuse_tag(tag, span),
        }
        if style == ScalarStyle::Plain { plain_scalar(text) } else { Value::Text(text.to_owned()) }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let message = format!("the YAML tag {} has no meaning here", code(&tag.to_string()));
            self.faults
                .push(self.source.fault(span, message).hint("remove it, or quote the value if it begins with `!`"));
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.source.fault(span, "the alias stands inside of what it stands for"));
        };
        let Weight { values, text_bytes: bytes, depth } = node.weight();
        self.values += values;
        self.aliased_bytes += bytes;
        if self.values > MAX_VALUES || self.aliased_bytes > MAX_ALIASED_BYTES {
            let message =
                format!("the aliases up to here stand for more than {MAX_VALUES} values or {MAX_ALIASED_BYTES} bytes");
            return Err(self.source.fault(span, message).hint("write out what is meant"));
        }
        if self.open.len() + depth > MAX_DEPTH {
            return Err(self.source.fault(span, format!("with this alias, nested deeper than {MAX_DEPTH} levels")));
        }
        let node = node.clone();
        self.complete(node, 0)
    }

    /// Puts a complete value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.source.fault(node.span, format!("more than {MAX_VALUES} values up to here")));
        }
        if anchor != 0 {
            // The copy counts like any other: anchors inside anchors are copied once a level.
            self.values += node.weight().values;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { key: key @ None, seen, .. }) => {
                let (found, fault) = new_key(self.source, &node, seen);
                *key = Some(found);
                self.faults.extend(fault);
            }
            Some(Open::Map { key, entries, .. }) => {
                if let Some(Key { name, span, .. }) = key.take().filter(|key| !key.ignored) {
                    // An empty value has no place of its own.
                    let span_of_value = if matches!(node.value, Value::Null) { span } else { node.span };
                    entries.push(Entry { key: name, key_span: span, value: Node { span: span_of_value, ..node } });
                }
            }
        }
        Ok(())
    }
}

/// A key, with what is wrong with it.
fn new_key(source: &Source, node: &Node, seen: &mut HashMap<String, Span>) -> (Key, Option<Fault>) {
    let (span, ignored) =
        (node.span, |fault| (Key { name: String::new(), span: node.span, ignored: true }, Some(fault)));
    let name = match &node.value {
        Value::Text(text) | Value::Integer(_, text) | Value::Number(_, text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Null => return ignored(source.fault(span, "the name of a field is missing before the `:`")),
        Value::List(_) | Value::Map(_) => {
            let fault = source.fault(span, "the name of a field must be a word, not a list or mapping");
            return ignored(fault.hint("a value that begins with `{` or `[` must be quoted"));
        }
    };
    if name == "<<" {
        let fault = source.fault(span, "merge keys (`<<`) are not supported");
        return ignored(fault.hint("write the fields out; in a farm file, put what devices share under `defaults:`"));
    }
    if let Some(first) = seen.get(&name) {
        let fault = source.fault(span, format!("the field {} is there twice", code(&name)));
        let note = format!("first at {}:{}", source.at(*first), first.column);
        return ignored(fault.note(note).hint("keep one of them"));
    }
    seen.insert(name.clone(), span);
    (Key { name, span, ignored: false }, None)
}

/// What an unquoted scalar means by YAML 1.2's core schema.
fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let written = || text.to_owned();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(number) => Value::Integer(number, written()),
            Err(_) => Value::Number(text.parse().unwrap_or(f64::INFINITY), written()),
        };
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let digits = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-']));
        if let Some(number) = digits.and_then(|digits| i128::from_str_radix(digits, radix).ok()) {
            return Value::Integer(number, written());
        }
    }
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Value::Number(sign * f64::INFINITY, written());
        }
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Value::Number(f64::NAN, written()),
        _ => {}
    }
    // Rust's parser also takes `inf`, `nan` and `infinity`, which are text in YAML.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse() {
        Ok(number) if numeric => Value::Number(number, written()),
        _ => Value::Text(written()),
    }
}
