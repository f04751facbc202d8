//! Every route, from the document that the API itself serves.

use serde_json::Value;

use super::table::{cell, table};

pub(super) fn page() -> String {
    let document = farmctl::api::document();
    let mut text = String::from(
        "# API routes\n\nFrom the document at `/api/v1/openapi.json`, which has the types of bodies and answers too. A \
         refusal is `{\"error\": {\"kind\": …, \"message\": …, \"hint\": …}}` with a status of 400 and more.\n\n\
         - With tokens: `Authorization: Bearer TOKEN`.\n\
         - A write needs the header `X-Farmctl: 1`, and a body of JSON (`{}` where nothing is to be said).\n\n",
    );
    let mut rows = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            let (summary, role) = summary.rsplit_once(" (role: ").unwrap_or((summary, "everybody)"));
            let role = role.trim_end_matches(')').to_owned();
            rows.push(vec![format!("`{} {path}`", method.to_uppercase()), role, summary.to_owned()]);
        }
    }
    text.push_str(&table(&["route", "role", "what"], rows));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            text.push_str(&details(document, method, path, operation));
        }
    }
    text
}

/// What a route takes besides its path, where it takes anything.
fn details(document: &Value, method: &str, path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let of_query = parameters.filter(|parameter| parameter["in"] == "query");
    let mut rows: Vec<Vec<String>> =
        of_query.map(|it| row(document, "query", it["name"].as_str().unwrap_or_default(), &it["schema"])).collect();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = followed(document, body);
    for (name, field) in body["properties"].as_object().into_iter().flatten() {
        rows.push(row(document, "body", name, field));
    }
    if rows.is_empty() {
        return String::new();
    }
    let title = format!("\n## {} {path}\n\n", method.to_uppercase());
    title + &table(&["where", "field", "meaning"], rows)
}

fn row(document: &Value, place: &str, name: &str, field: &Value) -> Vec<String> {
    let words = field["description"].as_str().or_else(|| followed(document, field)["description"].as_str());
    vec![place.to_owned(), format!("`{name}`"), cell(words.unwrap_or_default())]
}

fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}
