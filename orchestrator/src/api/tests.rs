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
    Event, EventKind, Failure, FailureKind, HostFigures, Judgement, NewHost, RunStatus, SchedulePause, SweepId,
    SweepRow, Verdict, sample,
};
use crate::lab::{Environment, Overrides, SweepLogs, VERSION};
use crate::lease::Holder;
use crate::progress::Mode;
use crate::schedule::{Missed, Overlap};
use crate::store::conformance::{at, claim, record, sweep};
use crate::store::{AddedJob, StoreError, people};

mod access;
mod answers;
mod compared;
mod document;
mod viewers;

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
    let environment = Environment::sample();
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
    let run = claim(store, &row, "a", "host", 1);
    store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok), None, at(2)).unwrap();
    let run = claim(store, &row, "a", "host", 3);
    store.lease_device("a", Some(&row.id), "host", Duration::from_secs(600), now).unwrap();
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

    /// Registers a host, as its daemon does.
    fn register(&self, name: &str) {
        let (name, machine, process, version) = (name.into(), "m".into(), format!("of {name}"), VERSION.into());
        let host = NewHost { name, machine, process, version, figures: HostFigures::default() };
        self.store.register_host(&host, false, &|_| false, Timestamp::now()).unwrap();
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
