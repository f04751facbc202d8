//! All there is.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde_json::Value;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use super::devices::DeviceAnswer;
use super::endpoint::{Empty, Endpoints, not_so, nowhere};
use super::lab::LabAnswer;
use super::live::{CellOf, Line};
use super::schedules::ScheduleAnswer;
use super::session::{LoginBody, SessionAnswer};
use super::sweeps::SweepAnswer;
use super::{
    Api, Role, cell_histories, cells, comparison, devices, guard, health, history, hosts, lab, live, metrics, page,
    regressions, reports, results, schedules, session, start, sweeps, trust, utilisation,
};
use crate::lab::VERSION;

const OK: StatusCode = StatusCode::OK;

/// All routes, in the order of the document.
fn endpoints() -> Endpoints {
    let endpoints = with_schedules(with_sweeps(with_lab(Endpoints::new())));
    with_files(with_events(endpoints))
}

fn api(path: &str) -> String {
    format!("/api/v1{path}")
}

fn with_lab(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(&api("/lab"), Role::View, "The lab as a whole", lab::show)
        .get_open(&api("/session"), "Who asks, and what they may do", session::show)
        .post_open::<LoginBody, SessionAnswer>(&api("/login"), "Log in, and get a cookie", post(session::login))
        .post_open::<Empty, ()>(&api("/logout"), "Log out", post(session::logout))
        .get(&api("/devices"), Role::View, "The devices, each as it is now", devices::list)
        .get(&api("/devices/{name}"), Role::View, "A device as it is now", devices::show)
        .get(
            &api("/devices/{name}/history"),
            Role::View,
            "What happened to a device, the newest first",
            history::of_device,
        )
        .get(
            &api("/devices/{name}/trust"),
            Role::View,
            "How far a device's numbers can be trusted, and what of it stands out",
            trust::of_device,
        )
        .get(
            &api("/devices/{name}/trust/periods"),
            Role::View,
            "How well a device repeated itself over time, by weeks or days",
            trust::over_time,
        )
        .get(&api("/hosts"), Role::View, "The hosts that share the lab, each as it is now", hosts::list)
        .get(&api("/audit"), Role::View, "Who did what in the lab, the newest first", history::acts)
        .get(
            &api("/devices/{name}/utilisation"),
            Role::View,
            "What a device's time went into, over days",
            utilisation::of_device,
        )
        .get(&api("/utilisation"), Role::View, "What the time of all devices went into, over days", utilisation::of_lab)
        .post(&api("/devices/{name}/lock"), Role::Run, OK, "Keep every sweep off a device for a while", devices::lock)
        .post(&api("/devices/{name}/unlock"), Role::Run, OK, "Give a device free before its lock ends", devices::unlock)
        .post(&api("/devices/{name}/release"), Role::Run, OK, "End a device's quarantine", devices::release)
}

fn with_sweeps(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(&api("/sweeps"), Role::View, "The sweeps, the newest first", sweeps::list)
        .get(&api("/sweeps/{id}"), Role::View, "A sweep with its cells", sweeps::show)
        .get(&api("/sweeps/{id}/results"), Role::View, "The cells of a sweep, part by part", cells::results)
        .get(
            &api("/results"),
            Role::View,
            "The runs of all sweeps that a condition is true of, part by part",
            results::list,
        )
        .get(
            &api("/compare"),
            Role::View,
            "Two sweeps against each other, cell by cell, part by part",
            comparison::show,
        )
        .get(
            &api("/history"),
            Role::View,
            "How fast the cells of a network were over sweeps, and where that changed, part by part",
            cell_histories::list,
        )
        .get(&api("/sweeps/{id}/events"), Role::View, "What happened in a sweep, the oldest first", history::of_sweep)
        .get(
            &api("/regressions"),
            Role::View,
            "What sweeps of schedules found slower, the newest first",
            regressions::list,
        )
        .post(
            &api("/regressions/{id}/acknowledge"),
            Role::Run,
            OK,
            "Say that what got slower is as it should be",
            regressions::acknowledge,
        )
        .get(&api("/files"), Role::View, "The files of sweeps that may be started", start::files)
        .post(&api("/sweeps"), Role::Run, StatusCode::CREATED, "Start a sweep from a file of the lab", start::start)
        .post(&api("/preview"), Role::Run, OK, "What a sweep would do, before it is started", start::preview)
        .post(&api("/sweeps/{id}/cancel"), Role::Run, OK, "End a sweep for good", start::cancel)
        .post(
            &api("/sweeps/{id}/retry"),
            Role::Run,
            StatusCode::CREATED,
            "Start a sweep of what failed in this one",
            start::retry,
        )
}

fn with_schedules(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(&api("/schedules"), Role::View, "The schedules", schedules::list)
        .post(
            &api("/schedules/{name}/run"),
            Role::Run,
            StatusCode::CREATED,
            "Start a schedule's sweep now",
            schedules::run,
        )
        .post(
            &api("/schedules/{name}/pause"),
            Role::Admin,
            OK,
            "Start nothing by a schedule any more",
            schedules::pause,
        )
        .post(&api("/schedules/{name}/resume"), Role::Admin, OK, "Start by a schedule again", schedules::resume)
}

fn with_events(endpoints: Endpoints) -> Endpoints {
    endpoints
        .other(
            &api("/events"),
            "text/event-stream",
            Some(Role::View),
            "The lab, its devices, schedules and open sweeps, then changes as they come: events `lab`, `device`, \
             `sweep`, `cell`, `schedule` and `log`",
            get(live::events),
        )
        .event::<LabAnswer>("/api/v1/events", "lab")
        .event::<DeviceAnswer>("/api/v1/events", "device")
        .event::<SweepAnswer>("/api/v1/events", "sweep")
        .event::<CellOf<'static>>("/api/v1/events", "cell")
        .event::<ScheduleAnswer>("/api/v1/events", "schedule")
        .event::<Line<'static>>("/api/v1/events", "log")
}

/// What is no part of the API: reports, figures, health and the page.
fn with_files(endpoints: Endpoints) -> Endpoints {
    endpoints
        .other(
            "/reports/{sweep}/{file}",
            "application/octet-stream",
            Some(Role::View),
            "A report of a sweep",
            get(reports::show),
        )
        .other(
            "/metrics",
            "application/openmetrics-text",
            Some(Role::View),
            "Figures for Prometheus",
            get(metrics::show),
        )
        .other("/healthz", "text/plain", None, "Whether the daemon answers", get(health::alive))
        .other("/readyz", "text/plain", None, "Whether the daemon does its work; 503 with why not", get(health::ready))
        .other(
            "/reports/{sweep}/",
            "text/html",
            Some(Role::View),
            "The report of a sweep as a page; `latest` is the newest that has a result",
            get(reports::index),
        )
        .other("/", "text/html", None, "The page", get(page::index))
        .other("/page/{file}", "application/octet-stream", None, "A file of the page", get(page::file))
}

/// The document of all routes, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| endpoints().document_route().finish(env!("CARGO_PKG_VERSION")).1);

/// The same as a text, made once, too: who has no token may ask for it again and again.
static DOCUMENT_TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(DOCUMENT.to_string()));

/// The document of all routes (OpenAPI 3.1), as `/api/v1/openapi.json` serves it.
pub fn document() -> &'static Value {
    &DOCUMENT
}

impl Endpoints {
    /// The document itself is in the document.
    fn document_route(self) -> Endpoints {
        let show = get(async || ([(header::CONTENT_TYPE, "application/json")], DOCUMENT_TEXT.clone()).into_response());
        self.other("/api/v1/openapi.json", "application/json", None, "This document (OpenAPI 3.1)", show)
    }
}

impl Api {
    /// Everything that is served.
    pub(super) fn router(self: &Arc<Self>) -> Router {
        let (router, _) = endpoints().document_route().finish(VERSION);
        router
            .fallback(nowhere)
            .method_not_allowed_fallback(not_so)
            .layer(CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest))
            .layer(middleware::from_fn_with_state(Arc::clone(self), guard::guard))
            .with_state(Arc::clone(self))
    }
}
