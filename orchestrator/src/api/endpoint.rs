//! A route as it is served and as it is documented: both come from the types of its handler.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{QueryRejection, RawPathParamsRejection};
use axum::extract::{Query, RawPathParams, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bounds::Bounds;
use super::guard::Caller;
use super::refusal::ErrorAnswer;
use super::{Api, Person, Refusal, Role};

/// What a handler gets.
pub(super) struct Call<Q = Empty, B = Empty> {
    pub(super) api: Arc<Api>,
    /// Who asks.
    pub(super) person: Person,
    /// What the path names, where it names something.
    pub(super) name: String,
    pub(super) query: Q,
    pub(super) body: B,
}

/// A query without fields, or the body `{}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Empty {}

/// A list, whole or a part of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Items<T> {
    /// What there is.
    pub(super) items: Vec<T>,
    /// Where the next part is; `null`: there is none.
    pub(super) next: Option<String>,
}

impl<T> From<Vec<T>> for Items<T> {
    fn from(items: Vec<T>) -> Items<T> {
        Items { items, next: None }
    }
}

/// Routes, as they are collected.
pub(super) struct Endpoints {
    router: Router<Arc<Api>>,
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

/// How a route answers, for the document.
struct Answer<'a> {
    status: &'a str,
    /// The type of its content.
    content: &'a str,
    schema: Value,
}

impl Answer<'_> {
    fn json(status: &str, schema: Value) -> Answer<'_> {
        Answer { status, content: "application/json", schema }
    }
}

impl Endpoints {
    pub(super) fn new() -> Endpoints {
        // A document of OpenAPI 3.1 has schemas as JSON Schema has them.
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let schemas = settings.into_generator();
        Endpoints { router: Router::new(), schemas, paths: Map::new() }
    }

    /// Something to look at.
    pub(super) fn get<Q, A, F, Made>(mut self, path: &str, role: Role, summary: &str, handler: F) -> Endpoints
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Fn(Call<Q>) -> Made + Clone + Send + Sync + 'static,
        Made: Future<Output = Result<A, Refusal>> + Send + 'static,
    {
        let query = self.schemas.subschema_for::<Q>().to_value();
        let query = self.resolved(query);
        let answer = self.schemas.subschema_for::<A>().to_value();
        self.document("get", path, summary, role, &query, None, Answer::json("200", answer));
        let bounds = Arc::new(Bounds::of(&query));
        let serve = move |State(api): State<Arc<Api>>,
                          Extension(caller): Extension<Caller>,
                          parameters: Result<RawPathParams, RawPathParamsRejection>,
                          uri: Uri,
                          query: Result<Query<Q>, QueryRejection>| async move {
            let person = caller.may(role)?;
            bounds.check_query(&uri)?;
            let Query(query) = query.map_err(|error| Refusal::bad_request(error.body_text()))?;
            let call = Call { api, person, name: name(parameters)?, query, body: Empty {} };
            handler(call).await.map(Json)
        };
        self.route(path, get(serve))
    }

    /// Something that everybody may look at.
    pub(super) fn get_open<A, F, Made>(mut self, path: &str, summary: &str, handler: F) -> Endpoints
    where
        A: Serialize + JsonSchema + 'static,
        F: Fn(Arc<Api>, Caller) -> Made + Clone + Send + Sync + 'static,
        Made: Future<Output = Result<A, Refusal>> + Send + 'static,
    {
        let answer = self.schemas.subschema_for::<A>().to_value();
        self.document_open("get", path, summary, &Value::Null, None, Answer::json("200", answer));
        let serve = move |State(api): State<Arc<Api>>, Extension(caller): Extension<Caller>| async move {
            handler(api, caller).await.map(Json)
        };
        self.route(path, get(serve))
    }

    /// Something to do.
    pub(super) fn post<B, A, F, Made>(
        mut self,
        path: &str,
        role: Role,
        status: StatusCode,
        summary: &str,
        handler: F,
    ) -> Endpoints
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Fn(Call<Empty, B>) -> Made + Clone + Send + Sync + 'static,
        Made: Future<Output = Result<A, Refusal>> + Send + 'static,
    {
        let body = self.schemas.subschema_for::<B>().to_value();
        let answer = self.schemas.subschema_for::<A>().to_value();
        let answer = Answer::json(status.as_str(), answer);
        let bounds = Arc::new(Bounds::of(&self.resolved(body.clone())));
        self.document("post", path, summary, role, &Value::Null, Some(body), answer);
        let serve = move |State(api): State<Arc<Api>>,
                          Extension(caller): Extension<Caller>,
                          parameters: Result<RawPathParams, RawPathParamsRejection>,
                          bytes: Bytes| async move {
            let person = caller.may(role)?;
            let body = read(&bytes)?;
            bounds.check_body(&bytes)?;
            let call = Call { api, person, name: name(parameters)?, query: Empty {}, body };
            handler(call).await.map(|answer| (status, Json(answer)))
        };
        self.route(path, post(serve))
    }

    /// Something that everybody may do, and that answers in its own way.
    pub(super) fn post_open<B: JsonSchema, A: JsonSchema>(
        mut self,
        path: &str,
        summary: &str,
        routes: MethodRouter<Arc<Api>>,
    ) -> Endpoints {
        let body = self.schemas.subschema_for::<B>().to_value();
        let answer = self.schemas.subschema_for::<A>().to_value();
        let status = if answer["type"] == "null" { "204" } else { "200" };
        self.document_open("post", path, summary, &Value::Null, Some(body), Answer::json(status, answer));
        self.route(path, routes)
    }

    /// What is no JSON; it looks itself at who asks.
    pub(super) fn other(
        mut self,
        path: &str,
        content: &str,
        role: Option<Role>,
        summary: &str,
        routes: MethodRouter<Arc<Api>>,
    ) -> Endpoints {
        let kind = if content == "application/json" { "object" } else { "string" };
        let answer = Answer { status: "200", content, schema: json!({"type": kind}) };
        match role {
            Some(role) => self.document("get", path, summary, role, &Value::Null, None, answer),
            None => self.document_open("get", path, summary, &Value::Null, None, answer),
        }
        self.route(path, routes)
    }

    /// Documents an event of a stream that is told at a path.
    pub(super) fn event<T: JsonSchema>(mut self, path: &str, name: &str) -> Endpoints {
        let schema = self.schemas.subschema_for::<T>().to_value();
        let content = self.paths.get_mut(path).map(|item| &mut item["get"]["responses"]["200"]["content"]);
        if let Some(content) = content.and_then(|content| content.get_mut("text/event-stream")) {
            content["x-events"][name] = schema;
        }
        self
    }

    fn route(mut self, path: &str, routes: MethodRouter<Arc<Api>>) -> Endpoints {
        self.router = self.router.route(path, routes);
        self
    }

    /// A schema itself, where it is a reference to one.
    fn resolved(&mut self, schema: Value) -> Value {
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.schemas.definitions().get(name)).cloned().unwrap_or(schema)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the document")]
    fn document(
        &mut self,
        method: &str,
        path: &str,
        summary: &str,
        role: Role,
        query: &Value,
        body: Option<Value>,
        answer: Answer<'_>,
    ) {
        let summary = format!("{summary} (role: {})", role.as_str());
        self.document_open(method, path, &summary, query, body, answer);
        if let Some(operation) = self.paths.get_mut(path).and_then(|item| item.get_mut(method)) {
            operation["security"] = json!([{"token": []}, {"session": []}]);
        }
    }

    fn document_open(
        &mut self,
        method: &str,
        path: &str,
        summary: &str,
        query: &Value,
        body: Option<Value>,
        answer: Answer<'_>,
    ) {
        let error = self.schemas.subschema_for::<ErrorAnswer>().to_value();
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path =
            in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let is_required = |name: &str| query["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
        let fields = query["properties"].as_object().cloned().unwrap_or_default();
        let in_query = fields.into_iter().map(|(name, mut schema)| {
            // A field of a query is there or is left out.
            if let Some(kind) = schema["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")) {
                schema["type"] = kind.clone();
            }
            json!({"name": name, "in": "query", "required": is_required(&name), "schema": schema})
        });
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let Answer { status, content, schema } = answer;
        let answered = match status {
            "204" => json!({"description": "done"}),
            _ => json!({"description": "as asked", "content": {content: {"schema": schema}}}),
        };
        let mut operation = json!({
            "operationId": operation_id(method, path),
            "summary": summary,
            "parameters": parameters,
            "responses": {
                status: answered,
                "default": {"description": "refused", "content": {"application/json": {"schema": error}}},
            },
        });
        if let Some(body) = body {
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": body}}});
            let header = json!({
                "name": "X-Farmctl", "in": "header", "required": true, "schema": {"type": "string", "enum": ["1"]}
            });
            operation["parameters"].as_array_mut().into_iter().for_each(|all| all.push(header.clone()));
        }
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    }

    /// The routes, and the document of them all.
    pub(super) fn finish(mut self, version: &str) -> (Router<Arc<Api>>, Value) {
        let schemas = self.schemas.take_definitions(true);
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": "farmctl", "version": version},
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "session": {"type": "apiKey", "in": "cookie", "name": "farmctl_session"},
                },
            },
        });
        (self.router, document)
    }
}

/// The name of an operation, for programs that are made from the document: `get_devices_name_history`.
fn operation_id(method: &str, path: &str) -> String {
    let parts = path.split(['/', '.']).map(|part| part.trim_matches(['{', '}']));
    let parts = parts.filter(|part| !matches!(*part, "" | "api" | "v1"));
    std::iter::once(method).chain(parts).collect::<Vec<_>>().join("_")
}

/// A body as what it should be. An empty one stands for `{}`.
pub(super) fn read<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, Refusal> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let body =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| Refusal::bad_request(error.to_string()))?;
    reader.end().map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(body)
}

fn name(parameters: Result<RawPathParams, RawPathParamsRejection>) -> Result<String, Refusal> {
    let parameters = parameters.map_err(|error| Refusal::bad_request(error.body_text()))?;
    Ok(parameters.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// How many entries are wanted of a list.
pub(super) fn limit_of(wanted: Option<u32>, usual: u32, most: u32) -> Result<u32, Refusal> {
    let limit = wanted.unwrap_or(usual);
    let refused = || Refusal::bad_request(format!("`limit` is from 1 to {most}"));
    (1..=most).contains(&limit).then_some(limit).ok_or_else(refused)
}

/// What is not there.
pub(super) async fn nowhere() -> Response {
    Refusal::not_found("there is nothing here").with_hint("/api/v1/openapi.json lists what there is").into_response()
}

/// What can't be asked so.
pub(super) async fn not_so() -> Response {
    Refusal::method_not_allowed().into_response()
}
