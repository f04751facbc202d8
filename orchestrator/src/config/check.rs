//! A tree against the JSON Schema of its file kind: every fault of structure at once, each with its place.
//!
//! Knows the part of JSON Schema that schemars writes for the file types. What is faulty is left out of the tree that
//! comes back, so that the rest can be looked at further.

use serde_json::Value as Json;

use super::fault::{Fault, any_of, code, did_you_mean, nearest, quoted};
use super::source::{Source, Span, names_secret};
use super::tree::{Entry, Node, Value};

/// The usable part of `root`, `None` when what the schema requires is missing; and every fault found.
pub(super) fn check(source: &Source, root: &Node, schema: &Json) -> (Option<Node>, Vec<Fault>) {
    let mut checker = Checker { source, schema, faults: Vec::new() };
    let usable = checker.node(root, schema, THE_FILE, root.span);
    (usable, checker.faults)
}

/// What stands for the name of the whole.
const THE_FILE: &str = "the file";

struct Checker<'a> {
    source: &'a Source,
    schema: &'a Json,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    fn fault(&mut self, span: Span, message: String, hint: Option<String>) {
        self.faults.push(self.source.fault(span, message).maybe_hint(hint));
    }

    /// Checks a value. `name` is the field it belongs to, and `parent` the place to blame for what is missing in it.
    fn node(&mut self, node: &Node, schema: &'a Json, name: &str, parent: Span) -> Option<Node> {
        let mut choices = Vec::new();
        self.flatten(schema, &mut choices);
        if let Value::Text(text) = &node.value
            && choices
                .iter()
                .any(|choice| accepts_kind(choice, &Value::Map(Vec::new())) && only_property(choice) == Some(text))
        {
            let hint = format!("write `{text}: {{ … }}`");
            self.fault(node.span, format!("{}: {} needs fields", title(name), code(text)), Some(hint));
            return None;
        }
        let fitting: Vec<&'a Json> =
            choices.iter().copied().filter(|choice| accepts_kind(choice, &node.value)).collect();
        match fitting.as_slice() {
            [] => {
                self.wrong_kind(node, &choices, name);
                None
            }
            [only] => match &node.value {
                Value::Text(text) if !words_of(only).is_empty() => {
                    self.word(node, text, &words_of(only), &choices, name)
                }
                _ => self.plain(node, only, name, parent),
            },
            several => self.several(node, several, name, parent),
        }
    }

    /// The alternatives that a schema allows, without references.
    fn flatten(&self, schema: &'a Json, choices: &mut Vec<&'a Json>) {
        let pointer = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
        if let Some(target) = pointer.and_then(|pointer| self.schema.pointer(pointer)) {
            return self.flatten(target, choices);
        }
        // Draft 7 wraps a reference that has a description into an `allOf` of one.
        match ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(key)).and_then(Json::as_array) {
            Some(alternatives) => alternatives.iter().for_each(|one| self.flatten(one, choices)),
            None => choices.push(schema),
        }
    }

    /// A value that several alternatives of its kind may fit.
    fn several(&mut self, node: &Node, choices: &[&'a Json], name: &str, parent: Span) -> Option<Node> {
        if let Value::Text(text) = &node.value {
            let words: Vec<&str> = choices.iter().flat_map(|choice| words(choice)).collect();
            if choices.iter().all(|choice| !words_of(choice).is_empty()) {
                return self.word(node, text, &words, choices, name);
            }
        }
        if let Value::Map(entries) = &node.value {
            let keys: Option<Vec<&'a str>> = choices.iter().map(|choice| only_property(choice)).collect();
            if let Some(keys) = keys {
                return self.tagged(node, entries, choices, &keys, name, parent);
            }
        }
        let mut first = None;
        for choice in choices {
            let mut trial = Checker { source: self.source, schema: self.schema, faults: Vec::new() };
            let usable = trial.plain(node, choice, name, parent);
            if trial.faults.is_empty() {
                return usable;
            }
            first.get_or_insert((usable, trial.faults));
        }
        let (usable, faults) = first?;
        self.faults.extend(faults);
        usable
    }

    /// A mapping with exactly one of several fields, for example `{ file: … }` or `{ environment: … }`.
    fn tagged(
        &mut self,
        node: &Node,
        entries: &[Entry],
        choices: &[&'a Json],
        keys: &[&'a str],
        name: &str,
        parent: Span,
    ) -> Option<Node> {
        let [entry] = entries else {
            let message = format!("{} needs exactly one of {}", code(name), any_of(keys.iter().copied()));
            self.fault(parent, message, None);
            return None;
        };
        match keys.iter().position(|key| *key == entry.key) {
            Some(index) => self.plain(node, choices[index], name, parent),
            None => {
                self.unknown_field(entry, keys);
                None
            }
        }
    }

    /// A value against one alternative of its kind.
    fn plain(&mut self, node: &Node, schema: &'a Json, name: &str, parent: Span) -> Option<Node> {
        match &node.value {
            Value::Null | Value::Bool(_) => Some(node.clone()),
            Value::Text(text) => match words_of(schema).as_slice() {
                [] if text.is_empty() && schema.get("minLength").is_some() => {
                    self.fault(node.span, format!("{} is empty", code(name)), None);
                    None
                }
                [] => Some(node.clone()),
                words => self.word(node, text, words, &[schema], name),
            },
            Value::Integer(number, written) => self.number(node, *number as f64, written, schema, name),
            Value::Number(number, written) => self.number(node, *number, written, schema, name),
            Value::List(items) => self.list(node, items, schema, name),
            Value::Map(entries) => self.map(node, entries, schema, name, parent),
        }
    }

    /// A text where certain words are allowed; `choices` are those words with whatever else might stand there.
    fn word(&mut self, node: &Node, text: &str, words: &[&str], choices: &[&'a Json], name: &str) -> Option<Node> {
        if words.contains(&text) {
            return Some(node.clone());
        }
        let message = format!("{}: expected {}, found {}", title(name), expected(choices), quoted(text));
        let near = nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.fault(node.span, message, near.or_else(|| of_another_field(name, text)));
        None
    }

    fn number(&mut self, node: &Node, number: f64, written: &str, schema: &'a Json, name: &str) -> Option<Node> {
        let name = title(name);
        if !number.is_finite() {
            self.fault(node.span, format!("{name}: expected a finite number, found {}", code(written)), None);
            return None;
        }
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let largest = match schema.get("format").and_then(Json::as_str) {
            Some("uint32") => Some(f64::from(u32::MAX)),
            // The largest number below 2⁶⁴ that the comparison can tell from it.
            Some("uint64") => Some(u64::MAX as f64 - 2048.0),
            _ => None,
        };
        let (minimum, above, maximum) = (bound("minimum"), bound("exclusiveMinimum"), bound("maximum").or(largest));
        let broken = match (minimum, above, maximum) {
            (Some(minimum), _, _) if number < minimum => Some(format!("at least {minimum}")),
            (_, Some(above), _) if number <= above => Some(format!("more than {above}")),
            (_, _, Some(maximum)) if number > maximum => Some(format!("at most {maximum}")),
            _ => None,
        };
        match broken {
            Some(broken) => {
                self.fault(node.span, format!("{name} must be {broken}, found {}", code(written)), None);
                None
            }
            None => Some(node.clone()),
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'a Json, name: &str) -> Option<Node> {
        let length = |key: &str| schema.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
        let (least, most) = (length("minItems").unwrap_or(0), length("maxItems").unwrap_or(usize::MAX));
        if items.len() < least || items.len() > most {
            let message = match (items.len(), least == most) {
                (0, false) => format!("the list {} is empty", code(name)),
                (found, true) => format!("the list {} must have {least} values, found {found}", code(name)),
                (found, false) => format!("the list {} must have {least} to {most} values, found {found}", code(name)),
            };
            self.fault(node.span, message, None);
            return None;
        }
        let Some(schema) = schema.get("items") else { return Some(node.clone()) };
        let item = |(index, item): (usize, &Node)| self.node(item, schema, &format!("{name}[{index}]"), item.span);
        let usable: Vec<Node> = items.iter().enumerate().filter_map(item).collect();
        let lost = usable.len() < items.len();
        if lost && (usable.is_empty() || least > 1) {
            return None;
        }
        Some(Node { value: Value::List(usable), span: node.span })
    }

    fn map(&mut self, node: &Node, entries: &[Entry], schema: &'a Json, name: &str, parent: Span) -> Option<Node> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        let (mut usable, mut unknown) = (Vec::new(), Vec::new());
        for entry in entries {
            let expected = properties.and_then(|properties| properties.get(&entry.key));
            let expected = expected.or(others.filter(|others| !matches!(others, Json::Bool(false))));
            let Some(expected) = expected else {
                let known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                self.unknown_field(entry, &known);
                unknown.push(entry.key.clone());
                continue;
            };
            if self.plain_secret(entry) {
                continue;
            }
            if let Some(value) = self.node(&entry.value, expected, &entry.key, entry.key_span) {
                usable.push(Entry { value, ..entry.clone() });
            }
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        let mut complete = true;
        for field in required {
            if !entries.iter().any(|entry| entry.key == field) {
                // A slip of the pen is one fault, not two.
                let meant = |key: &String| nearest(key, [field]).is_some();
                if !unknown.iter().any(meant) {
                    self.fault(parent, format!("the field `{field}` is missing in {}", title(name)), None);
                }
            }
            complete &= usable.iter().any(|entry| entry.key == field);
        }
        complete.then_some(Node { value: Value::Map(usable), span: node.span })
    }

    fn unknown_field(&mut self, entry: &Entry, known: &[&str]) {
        let message = format!("unknown field {}", code(&entry.key));
        self.fault(entry.key_span, message, did_you_mean(&entry.key, known.iter().copied()));
    }

    /// Refuses a secret that is written out; its value is never repeated.
    fn plain_secret(&mut self, entry: &Entry) -> bool {
        let plain = !matches!(entry.value.value, Value::Map(_) | Value::Null);
        if plain && names_secret(&entry.key) {
            let name = code(&entry.key);
            let hint = format!(
                "write where it is found: `{0}: {{ file: PATH }}` or `{0}: {{ environment: NAME }}`; \
                 and change it if this file was shared",
                entry.key
            );
            self.fault(
                entry.key_span,
                format!("{name} is written out; secrets never stand in a file like this"),
                Some(hint),
            );
            return true;
        }
        false
    }

    fn wrong_kind(&mut self, node: &Node, choices: &[&'a Json], name: &str) {
        let free_text = choices.iter().any(|choice| types(choice).contains(&"string") && words_of(choice).is_empty());
        let (found, hint) = match &node.value {
            Value::Null => ("nothing".to_owned(), Some("give it a value, or remove the line".to_owned())),
            Value::Bool(value) => (format!("`{value}`"), free_text.then(|| format!("quote it: \"{value}\""))),
            Value::Integer(_, written) | Value::Number(_, written) => {
                (format!("the number {}", code(written)), free_text.then(|| format!("quote it: \"{written}\"")))
            }
            Value::Text(text) => (format!("the text {}", quoted(text)), self.hint_for_text(text, choices)),
            Value::List(_) => ("a list".to_owned(), None),
            Value::Map(_) => ("a mapping".to_owned(), None),
        };
        let message = format!("{}: expected {}, found {found}", title(name), expected(choices));
        self.fault(node.span, message, hint);
    }

    fn hint_for_text(&self, text: &str, choices: &[&'a Json]) -> Option<String> {
        let accepts = |kind: &str| choices.iter().any(|choice| types(choice).contains(&kind));
        if (accepts("integer") || accepts("number")) && text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Some("remove the quotes".to_owned());
        }
        (accepts("array") && !text.contains('`') && text.len() < 40).then(|| format!("write a list: [{text}]"))
    }
}

/// What a field is called in a message; the file itself has no name there.
fn title(name: &str) -> String {
    if name == THE_FILE { name.to_owned() } else { code(name) }
}

/// What several alternatives want, in words. That a list may stand there too is left out.
fn expected(choices: &[&Json]) -> String {
    let mut expected: Vec<String> = Vec::new();
    for description in choices.iter().map(|choice| describe(choice)) {
        if !expected.contains(&description) && description != "nothing" {
            expected.push(description);
        }
    }
    if expected.len() > 1 {
        expected.retain(|description| description != "a list");
    }
    expected.join(" or ")
}

/// The words that a schema allows, when it allows only certain ones.
fn words_of(schema: &Json) -> Vec<&str> {
    words(schema).collect()
}

fn words(schema: &Json) -> impl Iterator<Item = &str> {
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Json::as_str)
}

/// The one property of an object that allows no other.
fn only_property(schema: &Json) -> Option<&str> {
    let properties = schema.get("properties")?.as_object()?;
    match (properties.len(), properties.keys().next()) {
        (1, key) => key.map(String::as_str),
        _ => None,
    }
}

/// The kinds of value that a schema without alternatives allows; none means any.
fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ if words(schema).next().is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

fn accepts_kind(schema: &Json, value: &Value) -> bool {
    let types = types(schema);
    let kinds: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Integer(..) => &["integer", "number"],
        Value::Number(..) => &["number"],
        Value::Text(_) => &["string"],
        Value::List(_) => &["array"],
        Value::Map(_) => &["object"],
    };
    types.is_empty() || types.iter().any(|kind| kinds.contains(kind))
}

/// What a schema without alternatives wants, in words.
fn describe(schema: &Json) -> String {
    if words(schema).next().is_some() {
        return any_of(words(schema));
    }
    let name = |kind: &&str| match *kind {
        "string" => Some("text".to_owned()),
        "integer" => Some("a whole number".to_owned()),
        "number" => Some("a number".to_owned()),
        "boolean" => Some("`true` or `false`".to_owned()),
        "array" => Some("a list".to_owned()),
        "object" => Some(match only_property(schema) {
            Some(property) => format!("`{property}: …`"),
            None => "a mapping".to_owned(),
        }),
        _ => None,
    };
    let names: Vec<String> = types(schema).iter().filter_map(name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") }
}

/// The field that people mean by a value that this one never has.
fn of_another_field(name: &str, text: &str) -> Option<String> {
    let percent = text.strip_suffix('%').filter(|_| name == "precision")?.trim();
    Some(format!("how well the median is to be known: `limits: {{ measure: {{ interval_percent: {percent} }} }}`"))
}
