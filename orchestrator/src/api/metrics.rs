//! Figures for Prometheus, in its text form (OpenMetrics). Counters count from the start of the daemon, and are fed by
//! the events of the store; everything else is read when it is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as RegisteredMetric, Registry, Unit};
use std::sync::atomic::AtomicU64;

use crate::domain::{Event, EventKind, RunId};
use crate::lab::VERSION;
use crate::status::Availability;

use super::devices::DeviceAnswer;
use super::guard::Caller;
use super::{Api, Refusal, Role};

/// What OpenMetrics is sent as.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the durations of jobs.
const DURATIONS_SECONDS: [f64; 11] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
/// Events that are read at once.
const EVENTS_AT_ONCE: u32 = 1000;
/// Runs under way whose start is remembered.
const MAX_STARTED: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDevice {
    device: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDeviceState {
    device: String,
    state: &'static str,
}

type Share = Gauge<f64, AtomicU64>;

/// A figure that `/metrics` has.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    name: &'static str,
    kind: MetricKind,
    unit: Option<&'static str>,
    /// What its values are told apart by.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// What OpenMetrics calls its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, until the daemon is started anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many values lie below each of some bounds.
    Histogram,
    /// Words, as labels of a 1.
    Info,
}

impl Metric {
    /// The name that its values are asked by; a histogram's have `_bucket`, `_sum` and `_count` behind it.
    pub fn name(&self) -> String {
        let unit = self.unit.map_or_else(String::new, |unit| format!("_{unit}"));
        let end = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("{PREFIX}_{}{unit}{end}", self.name)
    }

    /// The word of its kind.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::Info => "info",
        }
    }

    fn register(&self, registry: &mut Registry, value: impl RegisteredMetric) {
        match self.unit {
            Some(unit) => registry.register_with_unit(self.name, self.help, Unit::Other(unit.to_owned()), value),
            None => registry.register(self.name, self.help, value),
        }
    }
}

const PREFIX: &str = "farmctl";

const fn metric(name: &'static str, kind: MetricKind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, unit: None, labels, help }
}

const fn in_unit(unit: &'static str, metric: Metric) -> Metric {
    Metric { unit: Some(unit), ..metric }
}

const JOBS: Metric =
    metric("jobs", MetricKind::Counter, &["status"], "Jobs that got their record since the daemon was started");
const FAILURES: Metric = metric(
    "failures",
    MetricKind::Counter,
    &["kind"],
    "Runs that failed since the daemon was started, those that are tried again too",
);
const JOB_DURATION: Metric = in_unit(
    "seconds",
    metric("job_duration", MetricKind::Histogram, &[], "Time from the claim of a job to its record"),
);
const QUEUE_JOBS: Metric =
    metric("queue_jobs", MetricKind::Gauge, &[], "Jobs without a record, of all sweeps that are not over");
const UNFINISHED_SWEEPS: Metric = metric("unfinished_sweeps", MetricKind::Gauge, &[], "Sweeps that are not over");
const DEVICE_STATE: Metric = metric(
    "device_state",
    MetricKind::Gauge,
    &["device", "state"],
    "1 for the state that a device is in, 0 for the others",
);
const DEVICE_TEMPERATURE: Metric = in_unit(
    "celsius",
    metric(
        "device_temperature",
        MetricKind::Gauge,
        &["device"],
        "Temperature of a device's battery when it was last heard of",
    ),
);
const DEVICE_BATTERY: Metric = in_unit(
    "ratios",
    metric("device_battery", MetricKind::Gauge, &["device"], "Charge of a device's battery when it was last heard of"),
);
const TROUBLES: Metric = metric("troubles", MetricKind::Gauge, &[], "What is wrong with the daemon now");
const REGRESSIONS: Metric = metric(
    "regressions",
    MetricKind::Gauge,
    &[],
    "Cells that sweeps of schedules found slower and nobody acknowledged",
);
const BUILD: Metric = metric("build", MetricKind::Info, &["version"], "What this daemon is");
const START_TIME: Metric =
    in_unit("seconds", metric("start_time", MetricKind::Gauge, &[], "When the daemon was started, since 1970"));

/// Everything that `/metrics` has.
pub const METRICS: &[Metric] = &[
    JOBS,
    FAILURES,
    JOB_DURATION,
    QUEUE_JOBS,
    UNFINISHED_SWEEPS,
    DEVICE_STATE,
    DEVICE_TEMPERATURE,
    DEVICE_BATTERY,
    TROUBLES,
    REGRESSIONS,
    BUILD,
    START_TIME,
];

/// What is counted.
pub(super) struct Metrics {
    jobs: Family<OfStatus, Counter>,
    failures: Family<OfKind, Counter>,
    durations: Histogram,
    /// The last event that was counted, and when runs under way began.
    counted: Mutex<(u64, HashMap<RunId, Timestamp>)>,
}

impl Metrics {
    /// Counts what comes after this event.
    pub(super) fn after(event: u64) -> Metrics {
        Metrics {
            jobs: Family::default(),
            failures: Family::default(),
            durations: Histogram::new(DURATIONS_SECONDS),
            counted: Mutex::new((event, HashMap::new())),
        }
    }

    fn count(&self, event: &Event, started: &mut HashMap<RunId, Timestamp>) {
        match (&event.kind, &event.run_id) {
            (EventKind::RunStarted { .. }, Some(run)) if started.len() < MAX_STARTED => {
                started.insert(run.clone(), event.at);
            }
            (EventKind::RunRequeued { failure, .. }, run) => {
                self.failures.get_or_create(&OfKind { kind: failure.kind.as_str() }).inc();
                run.as_ref().map(|run| started.remove(run));
            }
            (EventKind::RunFinished { status, failure, .. }, run) => {
                self.jobs.get_or_create(&OfStatus { status: status.as_str() }).inc();
                if let Some(failure) = failure {
                    self.failures.get_or_create(&OfKind { kind: failure.kind.as_str() }).inc();
                }
                if let Some(began_at) = run.as_ref().and_then(|run| started.remove(run)) {
                    self.durations.observe(event.at.duration_since(began_at).as_secs_f64());
                }
            }
            _ => {}
        }
    }
}

impl Api {
    /// Counts what has happened since.
    fn count_events(&self) -> Result<(), Refusal> {
        let mut counted = self.metrics.counted.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let events = self.store.new_events(counted.0, EVENTS_AT_ONCE)?;
            let Some((last, _)) = events.last() else { return Ok(()) };
            counted.0 = *last;
            for (_, event) in &events {
                self.metrics.count(event, &mut counted.1);
            }
        }
    }

    /// All figures as text.
    fn metrics_text(&self) -> Result<String, Refusal> {
        self.count_events()?;
        let mut registry = Registry::with_prefix(PREFIX);
        let Metrics { jobs, failures, durations, .. } = &self.metrics;
        JOBS.register(&mut registry, jobs.clone());
        FAILURES.register(&mut registry, failures.clone());
        JOB_DURATION.register(&mut registry, durations.clone());
        BUILD.register(&mut registry, Info::new([("version", VERSION)]));
        self.register_queue(&mut registry)?;
        register_devices(&mut registry, &self.own_devices()?);
        let start: Share = Gauge::default();
        start.set(self.started_at.as_millisecond() as f64 / 1e3);
        START_TIME.register(&mut registry, start);
        let troubles: Gauge = Gauge::default();
        troubles.set(self.now().status.troubles.len() as i64);
        TROUBLES.register(&mut registry, troubles);
        let regressions: Gauge = Gauge::default();
        regressions.set(self.store.regressions(true)?.len() as i64);
        REGRESSIONS.register(&mut registry, regressions);
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(text)
    }

    fn register_queue(&self, registry: &mut Registry) -> Result<(), Refusal> {
        let (queue, unfinished) = (Gauge::<i64>::default(), Gauge::<i64>::default());
        for sweep in &self.store.open_sweeps()? {
            queue.inc_by(self.store.counts(&sweep.id)?.open as i64);
            unfinished.inc();
        }
        QUEUE_JOBS.register(registry, queue);
        UNFINISHED_SWEEPS.register(registry, unfinished);
        Ok(())
    }
}

fn register_devices(registry: &mut Registry, devices: &[DeviceAnswer]) {
    let states: Family<OfDeviceState, Gauge> = Family::default();
    let (temperatures, batteries) = (Family::<OfDevice, Share>::default(), Family::<OfDevice, Share>::default());
    for device in devices {
        for standing in Availability::ALL {
            let (name, state) = (device.name.clone(), standing.as_str());
            states.get_or_create(&OfDeviceState { device: name, state }).set(i64::from(device.status == state));
        }
        let of = OfDevice { device: device.name.clone() };
        if let Some(celsius) = device.temperature_celsius {
            temperatures.get_or_create(&of).set(celsius);
        }
        if let Some(percent) = device.battery_percent {
            batteries.get_or_create(&of).set(f64::from(percent) / 100.0);
        }
    }
    DEVICE_STATE.register(registry, states);
    DEVICE_TEMPERATURE.register(registry, temperatures);
    DEVICE_BATTERY.register(registry, batteries);
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refusal> {
    caller.may(Role::View)?;
    let text = api.blocking(Api::metrics_text).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
