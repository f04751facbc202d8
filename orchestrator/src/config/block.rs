//! Changes one field of a mapping in the text of a YAML file, and leaves every other line as it is.
//!
//! Main function: [`with_field`]. What it writes is read again by its caller, who compares it with what was meant: a
//! form that this does not know is refused, never written wrongly.

use super::source::Source;
use super::tree::{Entry, Node, Value};

/// Why a text can't be changed, for a person.
pub(super) type Refusal = String;

/// The lines of `source` with a field of `map` set to a value, or without it. `end` is the number of the last line of
/// the mapping.
pub(super) fn with_field(
    source: &Source,
    (map, end): (&Node, usize),
    field: &[&str],
    value: Option<&Node>,
) -> Result<String, Refusal> {
    let mut lines: Vec<String> = source.text.split_inclusive('\n').map(str::to_owned).collect();
    if is_flow(&lines, map) {
        let changed = changed(map, field, value)?.ok_or_else(|| "nothing would be left of it".to_owned())?;
        let (start, stop) = flow_range(&lines, map)?;
        let line = &mut lines[map.span.line - 1];
        line.replace_range(start..stop, &render(&changed));
        return Ok(lines.concat());
    }
    change(&mut lines, (map, end), field, value)?;
    Ok(lines.concat())
}

/// A mapping with a field set to a value, or without it; `None` when nothing is left of it.
pub(super) fn changed(node: &Node, field: &[&str], value: Option<&Node>) -> Result<Option<Node>, Refusal> {
    let Some((first, rest)) = field.split_first() else { return Ok(value.cloned()) };
    let mut entries = match &node.value {
        Value::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    match entries.iter().position(|entry| entry.key == *first) {
        Some(index) => match changed(&entries[index].value, rest, value)? {
            Some(inner) => entries[index].value = inner,
            None => drop(entries.remove(index)),
        },
        None => {
            let value = nested(rest, value.ok_or_else(|| missing(first))?);
            entries.push(Entry { key: (*first).to_owned(), key_span: node.span, value });
        }
    }
    let is_left = !entries.is_empty();
    Ok(is_left.then_some(Node { value: Value::Map(entries), span: node.span }))
}

/// A value inside of mappings of one field each.
fn nested(field: &[&str], value: &Node) -> Node {
    field.iter().rev().fold(value.clone(), |value, key| {
        let span = value.span;
        Node { value: Value::Map(vec![Entry { key: (*key).to_owned(), key_span: span, value }]), span }
    })
}

fn missing(field: &str) -> Refusal {
    format!("there is no field `{field}` to take out")
}

/// Changes a mapping of `key: value` lines.
fn change(
    lines: &mut Vec<String>,
    (map, end): (&Node, usize),
    field: &[&str],
    value: Option<&Node>,
) -> Result<(), Refusal> {
    let (Value::Map(entries), Some((first, rest))) = (&map.value, field.split_first()) else {
        return Err("it is no mapping".to_owned());
    };
    let Some(index) = entries.iter().position(|entry| entry.key == *first) else {
        let value = nested(rest, value.ok_or_else(|| missing(first))?);
        let last = entries.last().ok_or_else(|| "it is empty".to_owned())?;
        let (_, stop) = extent(lines, entries, entries.len() - 1, end);
        let line_end = if lines.iter().any(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
        if let Some(before) = lines[..stop].last_mut().filter(|line| !line.ends_with('\n')) {
            before.push_str(line_end);
        }
        let pad = " ".repeat(last.key_span.column - 1);
        lines.insert(stop, format!("{pad}{first}: {}{line_end}", render(&value)));
        return Ok(());
    };
    let (start, stop) = extent(lines, entries, index, end);
    let Entry { key_span, value: old, .. } = &entries[index];
    let new = changed(old, rest, value)?;
    let is_block = matches!(&old.value, Value::Map(_)) && !is_flow(lines, old) && old.span.line > key_span.line;
    if is_block && !rest.is_empty() && new.is_some() {
        return change(lines, (old, stop), rest, value);
    }
    replace(lines, (start, stop), &entries[index], new.as_ref())
}

/// Writes a field anew on one line, or takes its lines out. A remark behind a value of one line stays.
fn replace(
    lines: &mut Vec<String>,
    (start, stop): (usize, usize),
    entry: &Entry,
    value: Option<&Node>,
) -> Result<(), Refusal> {
    let before = byte_of(&lines[start], entry.key_span.column);
    let prefix = lines[start][..before].to_owned();
    let Some(value) = value else {
        if !prefix.trim().is_empty() {
            return Err(format!("`{}` stands on the line that begins the device", entry.key));
        }
        lines.drain(start..stop);
        return Ok(());
    };
    let remark = if stop == start + 1 { remark(lines, entry) } else { String::new() };
    let line_end = if lines[start].ends_with("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{prefix}{}: {}{remark}{line_end}", entry.key, render(value));
    lines.splice(start..stop, [line]);
    Ok(())
}

/// What stands behind a value of one line, if it is a remark.
fn remark(lines: &[String], entry: &Entry) -> String {
    let line = lines[entry.key_span.line - 1].trim_end();
    let behind = match &entry.value.value {
        Value::Null => byte_of(line, entry.key_span.column + entry.key_span.length) + 1,
        _ if is_flow(lines, &entry.value) => match flow_range(lines, &entry.value) {
            Ok((_, stop)) => stop,
            Err(_) => return String::new(),
        },
        _ => byte_of(line, entry.value.span.column + entry.value.span.length),
    };
    let rest = line.get(behind..).unwrap_or_default();
    if rest.trim_start().starts_with('#') { rest.to_owned() } else { String::new() }
}

/// The lines of a field, from 0, without remarks and empty lines behind it.
fn extent(lines: &[String], entries: &[Entry], index: usize, end: usize) -> (usize, usize) {
    let start = entries[index].key_span.line - 1;
    let mut stop = entries.get(index + 1).map_or(end, |next| next.key_span.line - 1).min(lines.len());
    let column = entries[index].key_span.column;
    while stop > start + 1 {
        let text = lines[stop - 1].trim();
        let indent = lines[stop - 1].len() - lines[stop - 1].trim_start_matches(' ').len();
        if !text.is_empty() && (!text.starts_with('#') || indent >= column) {
            break;
        }
        stop -= 1;
    }
    (start, stop)
}

/// The byte of a column (from 1, in characters) of a line.
fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(byte, _)| byte)
}

fn is_flow(lines: &[String], node: &Node) -> bool {
    let line = lines.get(node.span.line - 1).map(String::as_str).unwrap_or_default();
    let is_open = line[byte_of(line, node.span.column)..].starts_with(['{', '[']);
    is_open && matches!(node.value, Value::Map(_) | Value::List(_))
}

/// The bytes of a `{…}` or `[…]` in its line.
fn flow_range(lines: &[String], node: &Node) -> Result<(usize, usize), Refusal> {
    let line = &lines[node.span.line - 1];
    let start = byte_of(line, node.span.column);
    let (mut depth, mut quote, mut escaped) = (0u32, None, false);
    for (at, c) in line[start..].char_indices() {
        match (quote, c) {
            (Some('"'), '\\') => escaped = !escaped,
            (Some(open), c) if c == open && !escaped => quote = None,
            (Some(_), _) => escaped = false,
            // Inside of a plain word it is an apostrophe.
            (None, '"' | '\'') if !line[..start + at].ends_with(char::is_alphanumeric) => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok((start, start + at + 1));
                }
            }
            (None, _) => {}
        }
    }
    Err("it is written in braces over several lines".to_owned())
}

/// A value on one line.
pub(super) fn render(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(_, written) | Value::Number(_, written) => written.clone(),
        Value::Text(text) => text_of(text),
        Value::List(items) => format!("[{}]", items.iter().map(render).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let fields: Vec<String> =
                entries.iter().map(|entry| format!("{}: {}", text_of(&entry.key), render(&entry.value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// A text: as it is where nothing else can be read into it, else in quotes. JSON's quoting is part of YAML's.
fn text_of(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./=@".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
