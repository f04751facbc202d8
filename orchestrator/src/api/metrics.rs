//! Figures for Prometheus, in its text form (OpenMetrics). Counters count from the start of the daemon, and are fed by the
//! events of the store; everything else is read when it is asked for.

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
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

use crate::domain::{Event, EventKind, RunId};
use crate::status::Standing;

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
            (EventKind::RunGivenBack { failure, .. }, run) => {
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
        let mut registry = Registry::with_prefix("farmctl");
        let Metrics { jobs, failures, durations, .. } = &self.metrics;
        registry.register("jobs", "Jobs that got their record since the daemon was started", jobs.clone());
        let help = "Runs that failed since the daemon was started, those that are tried again too";
        registry.register("failures", help, failures.clone());
        let help = "Time from the claim of a job to its record";
        registry.register_with_unit("job_duration", help, Unit::Seconds, durations.clone());
        registry.register("build", "What this daemon is", Info::new([("version", self.version)]));
        self.register_queue(&mut registry)?;
        register_devices(&mut registry, &self.all_devices()?);
        let start: Share = Gauge::default();
        start.set(self.started_at.as_millisecond() as f64 / 1e3);
        registry.register_with_unit("start_time", "When the daemon was started, since 1970", Unit::Seconds, start);
        let troubles: Gauge = Gauge::default();
        troubles.set(self.now().status.troubles.len() as i64);
        registry.register("troubles", "What is wrong with the daemon now", troubles);
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(text)
    }

    fn register_queue(&self, registry: &mut Registry) -> Result<(), Refusal> {
        let (queue, unfinished): (Gauge, Gauge) = Default::default();
        for sweep in self.store.sweeps()?.iter().filter(|sweep| !sweep.state.is_over()) {
            queue.inc_by(self.store.counts(&sweep.id)?.open as i64);
            unfinished.inc();
        }
        registry.register("queue_jobs", "Jobs without a record, of all sweeps that are not over", queue);
        registry.register("unfinished_sweeps", "Sweeps that are not over", unfinished);
        Ok(())
    }
}

fn register_devices(registry: &mut Registry, devices: &[DeviceAnswer]) {
    let states: Family<OfDeviceState, Gauge> = Family::default();
    let (temperatures, batteries): (Family<OfDevice, Share>, Family<OfDevice, Share>) = Default::default();
    for device in devices {
        for standing in Standing::ALL {
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
    registry.register("device_state", "1 for the state that a device is in, 0 for the others", states);
    let help = "Temperature of a device's battery when it was last heard of";
    registry.register_with_unit("device_temperature", help, Unit::Celsius, temperatures);
    let help = "Charge of a device's battery when it was last heard of";
    registry.register_with_unit("device_battery", help, Unit::Ratios, batteries);
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refusal> {
    caller.may(Role::View)?;
    let text = api.blocking(Api::metrics_text).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
