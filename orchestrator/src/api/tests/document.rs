//! The document of the API is what the API answers.

use super::*;

/// Whether a value is what a schema of a document says, and nothing that it does not say.
pub(super) fn conforms(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        return conforms(document, &document["components"]["schemas"][name], value, place);
    }
    if value.is_null() {
        let may_be_null = |schema: &Value| {
            schema["type"] == "null" || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")))
        };
        let is_nullable =
            may_be_null(schema) || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(may_be_null));
        return assert!(is_nullable, "{place} is null, against {schema}");
    }
    for list in ["anyOf", "allOf"] {
        if let Some(first) = schema[list].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string())) {
            return conforms(document, first, value, place);
        }
    }
    let kinds = schema["type"].as_array();
    match kinds.and_then(|kinds| kinds.iter().find(|kind| **kind != "null")).unwrap_or(&schema["type"]).as_str() {
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        Some("integer") => assert!(value.is_u64(), "{place}: {value}"),
        Some("number") => assert!(value.is_number(), "{place}: {value}"),
        Some("array") => {
            for (index, item) in value.as_array().unwrap_or_else(|| panic!("{place}: {value}")).iter().enumerate() {
                conforms(document, &schema["items"], item, &format!("{place}[{index}]"));
            }
        }
        Some("object") => {
            let fields = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            let known = schema["properties"].as_object();
            for (name, value) in fields {
                let of_field = known.and_then(|known| known.get(name)).unwrap_or(&schema["additionalProperties"]);
                assert!(of_field.is_object(), "{place}.{name} is not documented");
                conforms(document, of_field, value, &format!("{place}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{place} lacks {name}");
            }
        }
        _ => assert!(schema["oneOf"].is_array() || schema["enum"].is_array(), "{place}: {schema}"),
    }
}

/// What each route is asked with here: a name or a body.
fn example(path: &str) -> (String, &'static str) {
    let name = if path.contains("/schedules/") { "nightly" } else { "a" };
    let id = if path.contains("/regressions/") { "r1" } else { "20270115-080000-s-7f3a" };
    let path = path.replace("{name}", name).replace("{id}", id);
    let body = match path.rsplit('/').next() {
        Some("lock") => r#"{"minutes": 5, "why": "it is hot"}"#,
        Some("sweeps" | "preview") => r#"{"file": "configs/all.yaml", "devices": ["a"]}"#,
        _ => "{}",
    };
    (path, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_what_its_document_says() {
    let asked = Asked::start(None);
    asked.store.quarantine_device("a", &Failure::new(FailureKind::Timeout, "x"), at(9), at(1)).unwrap();
    // This process has the sweep, so that nobody else ends it when it is cancelled.
    let (sweep, holder) = (SweepId("20270115-080000-s-7f3a".into()), Holder::for_next_task().unwrap().to_string());
    asked.store.lease_sweep(&sweep, &holder, TIMEOUT * 10, Timestamp::now()).unwrap();
    crate::store::conformance::with_a_regression(&*asked.store);
    asked.register("rack");
    let (status, document) = asked.get("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    let mut held = 0;
    let paths = document["paths"].as_object().unwrap();
    // Locked before it is unlocked, paused before it is resumed, ended last.
    let order = ["lock", "unlock", "resume", "pause"];
    let rank = |path: &str| order.iter().position(|last| path.ends_with(last)).map_or(9, |rank| rank);
    let mut sorted: Vec<(&String, &Value)> = paths.iter().collect();
    sorted.sort_by_key(|(path, _)| (rank(path), path.as_str()));
    for (path, item) in sorted {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let (wanted, response) = responses.iter().find(|(status, _)| *status != "default").unwrap();
            let Some(content) = response["content"]["application/json"].as_object() else { continue };
            // The last two are asked for something: `compared` does.
            let apart = ["/openapi.json", "/login", "/logout", "/sweeps/{id}/retry", "/compare", "/history"];
            let apart = apart.map(|path| format!("/api/v1{path}"));
            if apart.contains(path) {
                continue;
            }
            let (path, body) = example(path);
            let (status, answer) =
                if method == "get" { asked.get(&path).await } else { asked.post(&path, body, "").await };
            assert_eq!(status.to_string(), *wanted, "{method} {path}: {answer}");
            conforms(&document, &content["schema"], &answer, &path);
            held += 1;
        }
    }
    assert_eq!(held, 29, "answers that were held against the document");
    let (status, refusal) = asked.get("/api/v1/devices/nobody").await;
    assert_eq!(status, 404);
    conforms(&document, &json!({"$ref": "#/components/schemas/ErrorAnswer"}), &refusal, "refusal");
}

/// Each schema of a document, with its place in it.
fn schemas<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("type") || fields.contains_key("$ref") {
                found.push((place.to_owned(), value));
            }
            fields.iter().for_each(|(name, value)| schemas(value, &format!("{place}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| schemas(item, &format!("{place}/{at}"), found))
        }
        _ => {}
    }
}

#[test]
fn the_document_is_one_of_openapi_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = Vec::new();
    schemas(document, "", &mut found);
    for (place, schema) in &found {
        assert!(schema["nullable"].is_null(), "{place}: `nullable` is a word of 3.0");
        if let Some(reference) = schema["$ref"].as_str() {
            assert!(
                document.pointer(reference.trim_start_matches('#')).is_some(),
                "{place}: {reference} leads nowhere"
            );
        }
    }
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "two operations are {name}");
            let parameters = operation["parameters"].as_array().unwrap();
            let in_path: Vec<&Value> = parameters.iter().filter(|it| it["in"] == "path").collect();
            assert_eq!(in_path.len(), path.matches('{').count(), "{path}");
            let query = parameters.iter().filter(|it| it["in"] == "query" && it["schema"]["type"] == "integer");
            for parameter in query {
                assert!(parameter["schema"]["maximum"].is_number(), "{path}: {} has no bound", parameter["name"]);
            }
        }
    }
    let answers = |path: &str, method: &str| document["paths"][path][method]["responses"].clone();
    assert!(answers("/api/v1/logout", "post")["204"]["content"].is_null());
    let own = answers("/api/v1/openapi.json", "get");
    assert_eq!(own["200"]["content"]["application/json"]["schema"]["type"], "object");
    let events = &answers("/api/v1/events", "get")["200"]["content"]["text/event-stream"]["x-events"];
    assert_eq!(events.as_object().unwrap().len(), 6, "{events}");
    let lock = &document["components"]["schemas"]["LockBody"]["properties"];
    assert_eq!((&lock["minutes"]["minimum"], &lock["why"]["maxLength"]), (&json!(1), &json!(200)));
}

/// Values just beyond what a schema allows.
fn beyond(schema: &Value) -> Vec<Value> {
    let number = |name: &str| schema[name].as_u64();
    let longest = number("maxLength").map(|most| json!("x".repeat(usize::try_from(most).unwrap() + 1)));
    let shortest = number("minLength").filter(|least| *least > 0).map(|_| json!(""));
    let most = number("maximum").map(|most| json!(most + 1));
    let least = number("minimum").filter(|least| *least > 0).map(|least| json!(least - 1));
    let fewest = number("minItems").filter(|least| *least > 0).map(|_| json!([]));
    [longest, shortest, most, least, fewest].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_bounds_of_the_document_is_refused() {
    let asked = Asked::start(None);
    let document = document();
    let mut held = 0;
    let mut hold = |(status, refused): (u16, Value), name: &str, place: &str| {
        assert_eq!(status, 400, "{place}: {refused}");
        let error = &refused["error"];
        assert!(error["message"].as_str().unwrap().starts_with(&format!("`{name}` ")), "{place}: {refused}");
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("openapi.json")), "{place}: {refused}");
        held += 1;
    };
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let (address, body) = example(path);
            for parameter in operation["parameters"].as_array().unwrap().iter().filter(|it| it["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                for value in beyond(&parameter["schema"]) {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    hold(asked.get(&format!("{address}?{name}={text}")).await, name, &format!("{path}?{name}"));
                }
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(schema) = schema["$ref"].as_str().and_then(|it| document.pointer(it.trim_start_matches('#')))
            else {
                continue;
            };
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                for value in beyond(schema) {
                    let mut wrong: Value = serde_json::from_str(body).unwrap();
                    wrong[name] = value;
                    hold(asked.post(&address, &wrong.to_string(), "").await, name, &format!("{path} {name}"));
                }
            }
        }
    }
    assert!(held > 50, "{held} values were refused");
    let long = "%C3%A4".repeat(200);
    assert_eq!(asked.get(&format!("/api/v1/sweeps?q={long}")).await.0, 200, "letters are counted, not bytes");
}
