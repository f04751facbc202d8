//! Every field of a kind of file, from its JSON Schema.

use std::collections::VecDeque;

use farmctl::config::{self, FileKind};
use serde_json::Value;

use super::table::table;

/// What an author of pages adds to what the schema says.
fn title(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Inventory => "Farm files: farms/*.yaml",
        FileKind::Sweep => "Sweeps: configs/*.yaml",
        FileKind::Models => "Models: configs/models.yaml",
        FileKind::Backends => "Engines: configs/backends.yaml",
        FileKind::Datasets => "Datasets: configs/datasets.yaml",
        FileKind::Daemon => "The daemon: configs/daemon.yaml",
        FileKind::Lab => "The lab: lab.yaml",
    }
}

/// The page of a kind of file: a table of fields for the file, then one for each kind of entry in it.
pub(super) fn page(kind: FileKind) -> String {
    let schema = config::schema(kind);
    let name = kind.as_str();
    let mut text = format!(
        "# {}\n\n{}\n\n`farmctl schema {name}` prints the JSON Schema of it, \
         and `configs/schemas/{name}.json` has it for editors. A field in **bold** is needed.\n\n",
        title(kind),
        words(&schema)
    );
    let pages = Pages { schema: &schema };
    let mut waiting = VecDeque::new();
    text.push_str(&pages.fields(&schema, &mut waiting));
    let mut seen: Vec<String> = Vec::new();
    while let Some(name) = waiting.pop_front() {
        if seen.contains(&name) {
            continue;
        }
        let entry = &schema["definitions"][&name];
        let fields = pages.fields(entry, &mut waiting);
        text.push_str(&format!("\n## {}\n\n{}\n\n{fields}", heading(&name), words(entry)));
        seen.push(name);
    }
    text
}

/// What a kind of entry is called on the page.
fn heading(name: &str) -> &str {
    name.strip_suffix("Entry").or_else(|| name.strip_suffix("Word")).unwrap_or(name)
}

fn words(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Pages<'a> {
    schema: &'a Value,
}

impl Pages<'_> {
    /// The table of an object's fields, or the list of what else an entry may be. Kinds of entries that it names are
    /// added to `waiting`.
    fn fields(&self, entry: &Value, waiting: &mut VecDeque<String>) -> String {
        let Some(properties) = entry["properties"].as_object() else {
            return self.choices(entry, waiting);
        };
        let is_needed = |name: &str| entry["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
        let rows = properties.iter().map(|(name, field)| {
            let shown = if is_needed(name) { format!("**`{name}`**") } else { format!("`{name}`") };
            let described = if words(field).is_empty() { words(self.followed(field)) } else { words(field) };
            vec![shown, self.kind(field, waiting), described]
        });
        table(&["field", "value", "meaning"], rows)
    }

    fn choices(&self, entry: &Value, waiting: &mut VecDeque<String>) -> String {
        let all = ["anyOf", "oneOf"].iter().find_map(|word| entry[word].as_array());
        let Some(all) = all else { return format!("{}\n", self.kind(entry, waiting)) };
        let mut text = String::from("One of:\n\n");
        for choice in all {
            // A field alone: `ssh: { … }`.
            let alone = choice["properties"].as_object().filter(|fields| fields.len() == 1);
            let line = match alone.and_then(|fields| fields.iter().next()) {
                Some((name, field)) => format!("`{name}:` {}. {}", self.kind(field, waiting), words(choice)),
                None => format!("{}. {}", self.kind(choice, waiting), words(choice)),
            };
            text.push_str(&format!("- {}\n", line.trim()));
        }
        text
    }

    fn followed<'a>(&'a self, field: &'a Value) -> &'a Value {
        let only = |list: &'a Value| list.as_array().filter(|list| list.len() == 1).map(|list| &list[0]);
        let reference = field["$ref"].as_str().or_else(|| only(&field["allOf"])?["$ref"].as_str());
        reference.map_or(field, |path| &self.schema["definitions"][path.rsplit('/').next().unwrap_or_default()])
    }

    /// What a value may be, in words; another kind of entry as a link to its table.
    fn kind(&self, field: &Value, waiting: &mut VecDeque<String>) -> String {
        if let Some(path) = field["$ref"].as_str() {
            return self.named(path.rsplit('/').next().unwrap_or_default(), waiting);
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            if let Some(all) = field[word].as_array() {
                let all = all.iter().filter(|it| it["type"] != "null");
                let mut kinds: Vec<String> = Vec::new();
                for kind in all.map(|it| self.kind(it, waiting)) {
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                return kinds.join(" or ");
            }
        }
        if let Some(value) = field.get("const") {
            return format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        if let Some(values) = field["enum"].as_array() {
            let values = values.iter().filter_map(Value::as_str);
            return values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
        }
        self.plain(field, waiting)
    }

    /// An entry with fields of its own has its table; a word or a number is told here.
    fn named(&self, name: &str, waiting: &mut VecDeque<String>) -> String {
        let entry = &self.schema["definitions"][name];
        let has_fields = |it: &Value| it["properties"].is_object();
        let has_table = has_fields(entry)
            || ["anyOf", "oneOf"]
                .iter()
                .any(|word| entry[word].as_array().is_some_and(|all| all.iter().any(has_fields)));
        if !has_table {
            return self.kind(entry, waiting);
        }
        waiting.push_back(name.to_owned());
        let heading = heading(name);
        format!("[{heading}](#{})", heading.to_lowercase())
    }

    fn plain(&self, field: &Value, waiting: &mut VecDeque<String>) -> String {
        let types = match &field["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect(),
            _ => Vec::new(),
        };
        let kinds = types.iter().map(|word| match *word {
            "string" => "text".to_owned(),
            "boolean" => "`true`, `false`".to_owned(),
            "integer" => format!("whole number{}", range(field)),
            "number" => format!("number{}", range(field)),
            "array" => format!("list of {}", self.items(field, waiting)),
            "object" if field["additionalProperties"].is_object() => {
                format!("names, each with {}", self.kind(&field["additionalProperties"], waiting))
            }
            _ => "fields".to_owned(),
        });
        let kinds: Vec<String> = kinds.collect();
        if kinds.is_empty() { "any value".to_owned() } else { kinds.join(" or ") }
    }

    fn items(&self, field: &Value, waiting: &mut VecDeque<String>) -> String {
        if field["items"].is_object() { self.kind(&field["items"], waiting) } else { "values".to_owned() }
    }
}

/// The bounds of a number, where it has some.
fn range(field: &Value) -> String {
    let number = |word: &str| field[word].as_f64().map(|number| number.to_string());
    let above = number("exclusiveMinimum").map(|number| format!("above {number}"));
    match (number("minimum"), number("maximum"), above) {
        (_, Some(most), Some(above)) => format!(", {above}, at most {most}"),
        (_, None, Some(above)) => format!(", {above}"),
        (Some(least), Some(most), None) => format!(" from {least} to {most}"),
        (Some(least), None, None) => format!(", at least {least}"),
        (None, Some(most), None) => format!(", at most {most}"),
        (None, None, None) => String::new(),
    }
}
