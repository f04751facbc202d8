//! A lab with a bit of everything, asked over real connections.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::domain::{
    Event, EventKind, Failure, FailureKind, Judgement, RunStatus, SchedulePause, SweepId, SweepRow, Verdict, sample,
};
use crate::lab::{Environment, Overrides, SweepLogs, VERSION};
use crate::lease::Holder;
use crate::progress::Mode;
use crate::schedule::{Missed, Overlap};
use crate::store::conformance::{at, claim, record, sweep};
use crate::store::{AddedJob, StoreError, people};

mod compared;

/// No answer takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(60);

const FARM: &str = "
farm: bench
devices:
  - { name: a, transport: { ssh: { host: 127.0.0.1, port: 9 } } }
  - { name: bb, transport: { ssh: { host: 127.0.0.1, port: 9 } } }
  - { name: ccc, transport: { ssh: { host: 127.0.0.1, port: 9 } } }
";

/// A lab in this folder, of boards that nobody reaches.
fn lab(folder: &Path) -> Lab {
    for name in ["configs", "farms"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("farms/bench.yaml"), FARM).unwrap();
    std::fs::write(folder.join("configs/all.yaml"), "models: [digits]\nweights: [trained]\n").unwrap();
    let environment = Environment {
        home: None,
        data_home: None,
        user: "anna".to_owned(),
        host: "desk".to_owned(),
        agent_socket: None,
        runner_folders: Vec::new(),
        working_folder: None,
        proxy: None,
        trust: crate::tls::Trust::default(),
        variable: Arc::new(|_| None),
    };
    Lab::open(folder, Overrides::default(), environment, SweepLogs::default(), Arc::new(|_| {})).unwrap()
}

fn nightly(lab: &Lab) -> Schedule {
    Schedule {
        name: "nightly".into(),
        cron: "0 22 * * *".parse().unwrap(),
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        sweep: lab.path(Path::new("configs/all.yaml")),
        devices: Vec::new(),
        max_parallel: None,
        window: Some("22:00-06:00".parse().unwrap()),
        overlap: Overlap::Skip,
        missed: Missed::Once,
        jitter: Duration::ZERO,
        checks_first: false,
        on_regression: crate::domain::RegressionRule::default(),
        is_enabled: true,
    }
}

/// A sweep half done, a locked device, one that is busy, a schedule that is paused.
fn fill(store: &dyn Store) {
    let now = Timestamp::now();
    let facts = sample::record("a", "mobilenet_v2").device.unwrap();
    store.device_seen("a", &facts, 5 << 30, now).unwrap();
    let lock = crate::domain::DeviceLock {
        device: "bb".into(),
        by: "anna".into(),
        why: "a new cable".into(),
        since: now,
        until: now.saturating_add(jiff::SignedDuration::from_hours(1)).unwrap(),
    };
    people::lock_device(store, &lock).unwrap();
    let (row, _) = sweep(store, "s", &["a"], 3);
    store.lease_device("a", Some(&row.id), "host", Duration::from_secs(600), now).unwrap();
    let run = claim(store, &row, "a", "host", 1);
    store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok), None, at(2)).unwrap();
    let run = claim(store, &row, "a", "host", 3);
    store.append_event(&ended(&row.id, &run, RunStatus::Failed)).unwrap();
    people::pause_schedule(store, &SchedulePause { schedule: "nightly".into(), by: "ben".into(), since: now }).unwrap();
}

fn ended(sweep: &SweepId, run: &crate::store::ClaimedRun, status: RunStatus) -> Event {
    let failure = (status == RunStatus::Failed).then(|| Failure::new(FailureKind::Crashed, "signal 11"));
    let p50_ns = (status == RunStatus::Ok).then_some(1_500_000);
    Event {
        at: Timestamp::now(),
        sweep_id: Some(sweep.clone()),
        device: Some(run.job.device.clone()),
        job_id: Some(run.job.id.clone()),
        run_id: Some(run.run_id.clone()),
        kind: EventKind::RunFinished { name: run.job.model.name.clone(), status, p50_ns, failure, judged: None },
    }
}

struct Asked {
    api: Arc<Api>,
    server: Server,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Asked {
    fn start(tokens: Option<TokenFile>) -> Asked {
        let folder = tempfile::tempdir().unwrap();
        let lab = lab(&folder.path().join("lab"));
        let status =
            DaemonStatus { running: vec!["nightly".into()], next: Some(("nightly".into(), at(9))), troubles: vec![] };
        let now = Now { status, schedules: [nightly(&lab)].into(), looked_at: Instant::now() };
        let store = lab.store().unwrap();
        let api = Api::new(ApiConfig {
            lab,
            progress: Progress::open(Mode::Silent, jiff::tz::TimeZone::UTC),
            now: watch::Sender::new(now).subscribe(),
            tokens,
            is_secure: false,
            host_names: vec!["lab.example".into()],
            time_zone: "Europe/Berlin".into(),
        })
        .unwrap();
        fill(store.as_ref());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = serve(&api, tokio::net::TcpListener::from_std(listener).unwrap(), None).unwrap();
        Asked { api, server, store, _folder: folder }
    }

    async fn send(&self, text: String) -> (u16, String, String) {
        let answer = async {
            let mut stream = TcpStream::connect(self.server.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = tokio::time::timeout(TIMEOUT, answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    async fn get_with(&self, path: &str, headers: &str) -> (u16, String, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.get_with(path, "").await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn post(&self, path: &str, body: &str, headers: &str) -> (u16, Value) {
        let more = format!(
            "Host: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\nContent-Type: application/json\r\n{headers}"
        );
        let length = body.len();
        let (status, _, body) =
            self.send(format!("POST {path} HTTP/1.1\r\n{more}Content-Length: {length}\r\n\r\n{body}")).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

/// Whether a value is what a schema of a document says, and nothing that it does not say.
fn conforms(document: &Value, schema: &Value, value: &Value, place: &str) {
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
    assert_eq!(held, 27, "answers that were held against the document");
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

#[tokio::test(flavor = "multi_thread")]
async fn lists_end_where_they_end() {
    let asked = Asked::start(None);
    for number in 1..=4 {
        sweep_at(&asked, number);
    }
    let (mut names, mut before, mut parts) = (Vec::new(), String::new(), 0);
    loop {
        let (status, part) = asked.get(&format!("/api/v1/sweeps?limit=2{before}")).await;
        assert_eq!(status, 200, "{part}");
        names.extend(part["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        parts += 1;
        match part["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!((names.len(), distinct.len(), parts), (5, 5, 3), "{names:?}");
    let (_, last) = asked.get("/api/v1/sweeps?limit=5").await;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (5, &Value::Null), "no more are promised");
    // The store is searched, not the part that is shown.
    let (_, found) = asked.get("/api/v1/sweeps?limit=1&q=OLD-2%20finished").await;
    assert_eq!(found["items"][0]["name"], "old-2");
    assert_eq!(asked.get("/api/v1/sweeps?q=%25").await.1["items"].as_array().unwrap().len(), 0, "a word is no pattern");
    for wrong in ["limit=0", "limit=501", "before=x", "before=1", "limit=-1"] {
        assert_eq!(asked.get(&format!("/api/v1/sweeps?{wrong}")).await.0, 400, "{wrong}");
    }
    let (_, first) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a/results?limit=2").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (2, &json!("2")));
    let (_, rest) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a/results?limit=2&after=2").await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_say_whether_to_believe_them_and_which_measurement_counts() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "judged", &["ccc"], 1);
    let mut next = None;
    for slower in [5_000_000, 0] {
        let run = claim(asked.store.as_ref(), &row, "ccc", "h", 1);
        let mut ended = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok);
        let sample = |index: u64| 20_000_000 + index * 7_919 % 100 * 2_000 + if index < 60 { 0 } else { slower };
        ended.measurement.samples_ns = (0..100).map(sample).collect();
        let again = crate::planner::measured_again(&run.job, Verdict::Unsteady);
        let added = next.is_none().then_some(AddedJob { job: &again, not_before: at(1) });
        asked.store.finish(run.epoch, &ended, added, at(2)).unwrap();
        next = Some(again.id.clone());
        let (_, answer) = asked.get(&format!("/api/v1/sweeps/{}/results", row.id)).await;
        let said = |index: usize| {
            let cell = &answer["items"][index];
            (cell["verdict"].as_str().unwrap_or_default().to_owned(), cell["rerun"].clone(), cell["counts"].clone())
        };
        let first = ("unsteady".to_owned(), json!(0), json!(slower > 0));
        let then =
            if slower > 0 { (String::new(), json!(1), json!(false)) } else { ("ok".to_owned(), json!(1), json!(true)) };
        assert_eq!([said(0), said(1)], [first, then], "{answer}");
        assert_eq!(answer["items"][0]["job_id"], plan.jobs[0].id.0.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_all_sweeps_come_by_condition_and_part_by_part() {
    let asked = Asked::start(None);
    for name in ["t", "u"] {
        let (row, _) = sweep(asked.store.as_ref(), name, &["ccc"], 3);
        for _ in 0..3 {
            let run = claim(asked.store.as_ref(), &row, "ccc", "host", 1);
            let ended = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok);
            asked.store.finish(run.epoch, &ended, None, at(2)).unwrap();
        }
    }
    let (mut rows, mut after, mut parts) = (Vec::new(), String::new(), 0);
    loop {
        let (status, part) = asked.get(&format!("/api/v1/results?limit=2&where=device~c{after}")).await;
        assert_eq!(status, 200, "{part}");
        let items = part["items"].as_array().unwrap();
        rows.extend(items.iter().map(|row| (row["sweep_id"].to_string(), row["job_id"].to_string())));
        parts += 1;
        match part["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
    assert_eq!((rows.len(), distinct.len(), parts), (6, 6, 4), "{rows:?}");
    assert!(rows[0].0.contains("-u-") && rows[5].0.contains("-t-"), "the newest sweep first: {rows:?}");
    let (_, others) = asked.get("/api/v1/results?where=device=a%20and%20status=ok").await;
    assert_eq!((others["items"].as_array().unwrap().len(), &others["items"][0]["model"]), (1, &json!("mobilenet_v2")));
    let old =
        SweepRow { id: SweepId("old".into()), started_at: at(-200_000_000), ..asked.store.sweeps().unwrap().remove(0) };
    let skipped = [record(&old.id, &crate::store::conformance::job("a", 9), None, RunStatus::Skipped)];
    let plan = crate::domain::Plan { sweep: "old".into(), jobs: vec![], skipped: vec![] };
    let definition = crate::store::conformance::definition();
    let new = crate::store::NewSweep { skipped: &skipped, ..crate::store::NewSweep::new(&old, &definition, &plan) };
    asked.store.create_sweep(&new).unwrap();
    for (since, expected) in [("", 1), ("&days=30", 0)] {
        let (_, found) = asked.get(&format!("/api/v1/results?where=status=skipped{since}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), expected, "{found}");
    }
    let (status, refused) = asked.get("/api/v1/results?where=modle=a").await;
    assert_eq!(status, 400);
    assert!(refused["error"]["message"].as_str().unwrap().contains("column 1"), "{refused}");
    assert_eq!(refused["error"]["hint"], "did you mean `model`?");
    for wrong in ["limit=0", "limit=1001", "days=0", "after=x", "after=1.2"] {
        assert_eq!(asked.get(&format!("/api/v1/results?{wrong}")).await.0, 400, "{wrong}");
    }
}

/// Adds a sweep that is over.
fn sweep_at(asked: &Asked, number: i64) {
    let (row, _) = sweep(asked.store.as_ref(), &format!("old-{number}"), &[], 0);
    asked.store.finish_sweep(&row.id, at(number + 1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_without_routine_and_goes_back_to_its_beginning() {
    let asked = Asked::start(None);
    let lock = crate::domain::EventKind::DeviceLocked { by: "anna".into(), why: "cable".into(), until: at(9) };
    let of_a = |kind| Event { at: at(1), sweep_id: None, device: Some("a".into()), job_id: None, run_id: None, kind };
    asked.store.append_event(&of_a(lock)).unwrap();
    let phase = EventKind::RunPhase { phase: farmctl_protocol::Phase::Measure };
    (0..1200).for_each(|_| asked.store.append_event(&of_a(phase.clone())).unwrap());
    let (_, told) = asked.get("/api/v1/devices/a/history?limit=50").await;
    let kinds: Vec<&str> = told["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"device_locked") && !kinds.contains(&"run_phase"), "{kinds:?}");
    assert_eq!(told["next"], Value::Null);
    let (_, all) = asked.get("/api/v1/devices/a/history?limit=1000&runs=true").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1000);
    let older = format!("/api/v1/devices/a/history?limit=1000&runs=true&before={}", all["next"].as_str().unwrap());
    let (_, older) = asked.get(&older).await;
    assert!(older["items"].as_array().unwrap().iter().any(|it| it["kind"] == "device_locked"), "older ones are had");
    let (_, acts) = asked.get("/api/v1/audit").await;
    let texts: Vec<&str> = acts["items"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("ben paused the schedule nightly")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_how_far_to_be_trusted() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "trusted", &["a"], 3);
    for (job, (seconds, median)) in plan.jobs.iter().zip([(1, 1_000_000), (2, 1_020_000), (3, 1_010_000)]) {
        let mut record = crate::store::conformance::record(&row.id, job, None, RunStatus::Ok);
        record.measurement.samples_ns = vec![median; 20];
        record.finished_at = at(seconds);
        asked.store.add_record(&record).unwrap();
    }
    let (status, told) = asked.get("/api/v1/devices/a/trust").await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["device"], &told["runs"], &told["judged"]), (&"a".into(), &4.into(), &0.into()), "{told}");
    assert_eq!(told["stands_out"], serde_json::json!([]));
    assert_eq!(asked.get("/api/v1/devices/nobody/trust").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_packed_for_who_takes_them_so() {
    let asked = Asked::start(None);
    let (status, head, _) = asked.get_with("/api/v1/openapi.json", "Accept-Encoding: gzip\r\n").await;
    assert!(status == 200 && head.to_lowercase().contains("content-encoding: gzip"), "{head}");
    let (_, head, _) = asked.get_with("/api/v1/openapi.json", "").await;
    assert!(!head.to_lowercase().contains("content-encoding"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_the_store_has() {
    let asked = Asked::start(None);
    let (_, lab) = asked.get("/api/v1/lab").await;
    assert_eq!(lab["devices"], json!({"busy": 1, "locked": 1, "unknown": 1}));
    assert_eq!(lab["status"]["next"], json!({"schedule": "nightly", "at": at(9)}));
    let (_, sweep) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a").await;
    let states: Vec<&str> =
        sweep["cells"].as_array().unwrap().iter().map(|cell| cell["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ok", "running", "waiting"]);
    assert!(sweep["cells"][0]["p50_ms"].as_f64().unwrap() > 0.0 && sweep["cells"][1]["p50_ms"].is_null());
    assert_eq!(sweep["counts"], json!({"jobs": 3, "open": 2, "ok": 1, "failed": 0, "skipped": 0, "cancelled": 0}));
    let (_, devices) = asked.get("/api/v1/devices").await;
    assert_eq!(devices["items"][0]["use"]["open_jobs"], 2);
    assert_eq!(devices["items"][1]["lock"]["why"], "a new cable");
    let (_, schedules) = asked.get("/api/v1/schedules").await;
    assert_eq!(schedules["items"][0]["paused"]["by"], "ben");
    assert_eq!(schedules["items"][0]["next_due"], Value::Null);
    let (_, _, metrics) = asked.get_with("/metrics", "").await;
    let build = format!("farmctl_build_info{{version=\"{VERSION}\"}} 1");
    for line in [
        "farmctl_jobs_total{status=\"failed\"} 1",
        "farmctl_failures_total{kind=\"crashed\"} 1",
        "farmctl_queue_jobs 2",
        "farmctl_device_state{device=\"bb\",state=\"locked\"} 1",
        "farmctl_device_state{device=\"bb\",state=\"busy\"} 0",
        &build,
        "# EOF",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in:\n{metrics}");
    }
    // The reference is made of this list.
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let known = METRICS.iter().any(|metric| {
            let name = metric.name();
            let name = name.trim_end_matches("_total").trim_end_matches("_info");
            format!("{name} {}", metric.kind()) == family
        });
        assert!(known, "METRICS lacks {family}");
    }
    assert_eq!(asked.get("/healthz").await, (200, Value::String("ok\n".into())));
    assert_eq!(asked.get("/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn utilisation_is_told_of_each_device_and_of_all_of_them() {
    let asked = Asked::start(None);
    let now = Timestamp::now();
    let ago = |hours| now - jiff::SignedDuration::from_hours(hours);
    // Half a day of work that failed, then a quarter under a person's lock.
    let (row, _) = sweep(asked.store.as_ref(), "u", &["ccc"], 1);
    let claimed = asked.store.claim(&row.id, "ccc", "host", Duration::from_secs(60), ago(24)).unwrap();
    let crate::store::Claim::Run(run) = claimed else { panic!("{claimed:?}") };
    let failed = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Failed);
    let failed = crate::domain::Record { finished_at: ago(12), ..failed };
    asked.store.finish(run.epoch, &failed, None, ago(12)).unwrap();
    let (by, why) = ("ben".to_owned(), "a new fan".to_owned());
    let lock = crate::domain::DeviceLock { device: "ccc".into(), by, why, since: ago(6), until: ago(-1) };
    people::lock_device(asked.store.as_ref(), &lock).unwrap();

    let (_, of_device) = asked.get("/api/v1/devices/ccc/utilisation?days=1").await;
    let share = |answer: &Value, name: &str| (answer[name].as_f64().unwrap() * 100.0).round() / 100.0;
    let shares = |answer: &Value| ["busy", "locked", "broken", "idle"].map(|name| share(answer, name));
    assert_eq!(shares(&of_device), [0.5, 0.25, 0.0, 0.25], "{of_device}");
    assert_eq!((&of_device["device"], &of_device["days"]), (&json!("ccc"), &json!(1)));
    assert_eq!((&of_device["attempts"], &of_device["jobs_per_day"]), (&json!(1), &json!(0.0)));
    assert_eq!((&of_device["failed"], &of_device["failed_by_kind"]), (&json!(1.0), &json!({"crashed": 1.0})));
    let (_, of_lab) = asked.get("/api/v1/utilisation?days=1").await;
    assert_eq!((shares(&of_lab), &of_lab["device"]), ([0.17, 0.08, 0.0, 0.08], &Value::Null), "{of_lab}");
    assert_eq!(share(&of_lab, "not_known"), 0.67, "of two devices nothing was ever heard");
    let (_, week) = asked.get("/api/v1/devices/ccc/utilisation").await;
    assert_eq!((&week["days"], shares(&week)), (&json!(7), [0.07, 0.04, 0.0, 0.04]), "{week}");
    for days in ["0", "3661", "-1", "70000", "x"] {
        assert_eq!(asked.get(&format!("/api/v1/utilisation?days={days}")).await.0, 400, "{days}");
    }
    assert_eq!(asked.get("/api/v1/devices/nobody/utilisation").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_sites_and_forms_are_refused() {
    let asked = Asked::start(None);
    let lock = "/api/v1/devices/a/lock";
    let body = r#"{"minutes": 5, "why": "x"}"#;
    for (host, wanted) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil@localhost", 421),
        ("", 421),
        ("lab.example:7878", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:7878", 200),
    ] {
        let text = format!("GET /api/v1/lab HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(asked.send(text).await.0, wanted, "{host:?}");
    }
    let two = "GET /api/v1/lab HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(asked.send(two.to_owned()).await.0, 400);
    for (origin, wanted) in
        [("http://evil.example", 403), ("null", 403), ("http://localhost:1", 403), ("http://localhost", 200)]
    {
        let headers = format!("Origin: {origin}\r\n");
        assert_eq!(asked.get_with("/api/v1/lab", &headers).await.0, wanted, "{origin}");
    }
    assert_eq!(asked.post(lock, body, "Origin: http://evil.example\r\n").await.0, 403);
    let plain = |more: &str| {
        format!(
            "POST {lock} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}Content-Length: 26\r\n\r\n{body}"
        )
    };
    assert_eq!(asked.send(plain("Content-Type: application/json\r\n")).await.0, 403, "without X-Farmctl");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(asked.send(plain(&format!("X-Farmctl: 1\r\n{kind}"))).await.0, 415, "{kind}");
    }
    for bad in [
        "{",
        "[]",
        "nul",
        r#"{"minutes": -1, "why": "x"}"#,
        r#"{"minutes": 5}"#,
        r#"{"minutes": 5, "why": "x", "y": 1}"#,
        r#"{"minutes": 5, "why": "x"} {}"#,
        r#"{"minutes": 0, "why": "x"}"#,
        r#"{"minutes": 5, "why": "  "}"#,
        r#"{"minutes": 5, "why": "a\u001b[31m"}"#,
        r#"{"minutes": 5, "why": "a\u202eb"}"#,
        r#"{"minutes": 5, "why": "a\nb"}"#,
        r#"{"minutes": 99999999, "why": "x"}"#,
    ] {
        let (status, answer) = asked.post(lock, bad, "").await;
        assert_eq!((status, answer["error"]["kind"].as_str()), (400, Some("bad_request")), "{bad}");
    }
    let deep = "[".repeat(30_000);
    assert_eq!(asked.post(lock, &deep, "").await.0, 400);
    let huge = format!(r#"{{"minutes": 5, "why": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(asked.post(lock, &huge, "").await.0, 413);
    assert_eq!(asked.store.device_locks(Some("a"), Timestamp::now()).unwrap(), [], "nothing of it was done");
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let text = format!(
            "{method} /api/v1/lab HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\n\
             Content-Type: application/json\r\n\r\n"
        );
        assert_eq!(asked.send(text).await.0, 405, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_what_a_browser_keeps_to() {
    let asked = Asked::start(None);
    for path in ["/", "/page/main.js", "/api/v1/lab", "/api/v1/devices/nobody", "/nowhere", "/reports/x/y.csv"] {
        let (_, head, _) = asked.get_with(path, "").await;
        for header in ["x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: no-referrer"] {
            assert!(head.contains(header), "{path}: {header} in {head}");
        }
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
    let (_, head, _) = asked.get_with("/", "").await;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert_eq!(asked.get_with("/", &format!("If-None-Match: {tag}\r\n")).await.0, 304);
}

/// A request by which a browser logs in.
fn login(secret: &str) -> String {
    let body = json!({"token": secret}).to_string();
    let headers = "Host: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\nContent-Type: application/json\r\n";
    format!("POST /api/v1/login HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_let_in_who_they_are_of_and_no_further_than_their_role() {
    let folder = tempfile::tempdir().unwrap();
    let file = || TokenFile::new(folder.path().join("tokens"));
    let mut secrets = std::collections::HashMap::new();
    for role in Role::ALL {
        secrets.insert(role.as_str(), file().add(role.as_str(), *role, at(0), None).unwrap());
    }
    let asked = Asked::start(Some(file()));
    let by = |role: &str| format!("Authorization: Bearer {}\r\n", secrets[role]);
    for path in ["/api/v1/lab", "/api/v1/events", "/api/v1/session", "/metrics", "/reports/x/y.csv"] {
        let (status, _, body) = asked.get_with(path, "").await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["needs_login"]), (401, &json!(true)), "{path}");
    }
    for path in ["/", "/page/style.css", "/healthz", "/readyz"] {
        assert_eq!(asked.get_with(path, "").await.0, 200, "{path} is for everybody");
    }
    let lock = r#"{"minutes": 5, "why": "x"}"#;
    assert_eq!(asked.get_with("/api/v1/lab", &by("view")).await.0, 200);
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, &by("view")).await.0, 403);
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, "").await.0, 401);
    let (status, device) = asked.post("/api/v1/devices/a/lock", lock, &by("run")).await;
    assert_eq!((status, &device["lock"]["by"]), (200, &json!("run")));
    assert_eq!(asked.post("/api/v1/schedules/nightly/resume", "{}", &by("run")).await.0, 403);
    assert_eq!(asked.post("/api/v1/schedules/nightly/resume", "{}", &by("admin")).await.0, 200);
    let events = asked.store.new_events(0, 99).unwrap();
    let is_told = |wanted: &EventKind| events.iter().any(|(_, event)| event.kind == *wanted);
    assert!(is_told(&EventKind::ScheduleResumed { by: "admin".into(), schedule: "nightly".into() }), "{events:?}");

    // A token that is removed is out at once.
    assert!(file().remove("view").unwrap());
    assert_eq!(asked.get_with("/api/v1/lab", &by("view")).await.0, 401);
    // Wrong ones are counted; the right one is let in all the same.
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(asked.send(login("farmctl_wrong")).await.0);
    }
    assert!(statuses[..8].iter().all(|status| *status == 401) && statuses[11] == 429, "{statuses:?}");
    assert_eq!(asked.get_with("/api/v1/lab", &by("run")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_by_a_token_and_has_a_session_until_it_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::new(folder.path().join("tokens"));
    let secret = file.add("run", Role::Run, at(0), None).unwrap();
    let asked = Asked::start(Some(file));
    let (status, head, body) = asked.send(login(&secret)).await;
    assert_eq!(status, 200, "{body}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict") && !cookie.contains("secure"),
        "{cookie}"
    );
    assert!(!body.contains(&secret) && !cookie.contains(&secret.to_ascii_lowercase()));
    // Header names and values were made small above; the session's name is needed as it is.
    let session = {
        let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
        stream.write_all(login(&secret).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap())
    };
    let (status, _, body) = asked.get_with("/api/v1/session", &session).await;
    assert!(status == 200 && body.contains(r#""name":"run""#) && body.contains(r#""needs_login":true"#), "{body}");
    let lock = r#"{"minutes": 5, "why": "x"}"#;
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, &session).await.0, 200);
    assert_eq!(asked.post("/api/v1/devices/a/unlock", "{}", &session).await.0, 200);
    let logout = format!(
        "POST /api/v1/logout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\n\
         Content-Type: application/json\r\n{session}\r\n"
    );
    assert_eq!(asked.send(logout).await.0, 204);
    assert_eq!(asked.get_with("/api/v1/session", &session).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_does_not_do_all_at_once() {
    let asked = Asked::start(None);
    let mut statuses = Vec::new();
    for _ in 0..WRITES_AT_ONCE + 30 {
        statuses.push(asked.post("/api/v1/devices/ccc/unlock", "{}", "").await.0);
    }
    assert!(statuses.contains(&429) && statuses[..50].iter().all(|status| *status == 409), "{statuses:?}");
    assert_eq!(asked.get("/api/v1/lab").await.0, 200, "looking is no writing");
}

/// What is said of a run whose samples have two modes.
fn noisy() -> Judgement {
    Judgement {
        verdict: Verdict::Noisy,
        reason: "two modes".to_owned(),
        half_interval_percent: Some(7.5),
        temp_max_c: None,
        other_load_percent: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_told_of_changes_and_one_who_is_behind_is_dropped() {
    let asked = Asked::start(None);
    let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    let give_up_at = tokio::time::Instant::now() + TIMEOUT;
    let mut hear = async |wanted: &str| {
        let mut bytes = [0; 16 << 10];
        while !heard.contains(wanted) {
            let read = tokio::time::timeout_at(give_up_at, stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "ended before {wanted}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        std::mem::take(&mut heard)
    };
    let first = hear("event: sweep").await;
    assert!(first.contains("event: lab") && first.contains("event: schedule"), "{first}");
    assert_eq!(first.matches("event: device").count(), 3, "{first}");
    let (row, run) = (
        asked.store.sweeps().unwrap().remove(0),
        asked.store.live_runs(&SweepId("20270115-080000-s-7f3a".into()), None).unwrap().remove(0),
    );
    people::unlock_device(asked.store.as_ref(), "bb", "anna", Timestamp::now()).unwrap();
    let told = hear(r#""text":"bb: unlocked by anna; anna had locked it""#).await;
    assert!(told.contains("event: lab") && told.contains("event: device") && told.contains(r#""name":"bb""#), "{told}");
    let job = asked.store.jobs(&row.id).unwrap().remove(1);
    let kind = EventKind::RunFinished {
        name: "x".into(),
        status: RunStatus::Ok,
        p50_ns: Some(2_000_000),
        failure: None,
        judged: Some(noisy()),
    };
    let event = Event {
        at: Timestamp::now(),
        sweep_id: Some(row.id.clone()),
        device: Some("a".into()),
        job_id: Some(job.id.clone()),
        run_id: Some(run.run_id),
        kind,
    };
    asked.store.append_event(&event).unwrap();
    let told = hear(r#""p50_ms":2.0,"failure":null"#).await;
    assert!(told.contains("event: cell") && told.contains(&format!(r#""job_id":"{}""#, job.id)), "{told}");
    let judged = r#""plus_minus_percent":7.5,"verdict":"noisy","verdict_reason":"two modes","rerun":0,"counts":true"#;
    assert!(told.contains(judged), "{told}");

    // One that begins and ends between two looks, and one that a host ends whose clock is wrong.
    let end = |(row, plan): &(crate::domain::SweepRow, crate::domain::Plan), now| {
        asked.store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Ok)).unwrap();
        assert!(asked.store.finish_sweep(&row.id, now).unwrap());
    };
    end(&sweep(asked.store.as_ref(), "quick", &["ccc"], 1), Timestamp::now());
    hear(r#""name":"quick","state":"finished""#).await;
    let late = sweep(asked.store.as_ref(), "late", &["ccc"], 1);
    hear(r#""name":"late","state":"stopped""#).await;
    end(&late, Timestamp::UNIX_EPOCH);
    hear(r#""name":"late","state":"finished""#).await;

    // One that does not listen while more comes than is kept for it.
    let (_, receiver) = asked.api.join().await.unwrap();
    asked.api.live.flood();
    assert!(live::is_dropped(receiver).await);
    assert_eq!(asked.get("/api/v1/lab").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_looks_on_often_leaves_room_for_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = || TokenFile::new(folder.path().join("tokens"));
    let [anna, ben] = ["anna", "ben"].map(|name| file().add(name, Role::View, at(0), None).unwrap());
    let asked = Asked::start(Some(file()));
    let look_on = async |secret: &str| {
        let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
        let head = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n";
        stream.write_all(format!("{head}Authorization: Bearer {secret}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        (String::from_utf8_lossy(&answer[9..]).into_owned(), stream)
    };
    let mut viewers = Vec::new();
    for _ in 0..16 {
        let (status, stream) = look_on(&anna).await;
        assert_eq!(status, "200");
        viewers.push(stream);
    }
    assert_eq!(look_on(&anna).await.0, "429");
    assert_eq!(look_on(&ben).await.0, "200");
    let by = format!("Authorization: Bearer {anna}\r\n");
    assert_eq!((asked.get_with("/api/v1/lab", &by).await.0, asked.get("/healthz").await.0), (200, 200));
    // Who goes leaves a place.
    viewers.pop();
    let give_up_at = tokio::time::Instant::now() + TIMEOUT;
    while look_on(&anna).await.0 != "200" {
        assert!(tokio::time::Instant::now() < give_up_at, "the place of who has gone stays taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn refusals_do_not_tell_of_the_hosts_files() {
    let error = StoreError::Full { action: "x".into(), path: "/secret/state.db".into(), cause: "y".into() };
    let refusal = Refusal::from(error);
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!format!("{refusal:?}").contains("secret"));
}
