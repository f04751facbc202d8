//! How fast the cells of a network were over sweeps, and where that changed, part by part.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::history::{CellHistory, HistoryChange, HistoryPoint};
use crate::lab::HistoryQuery;

use super::endpoint::{Call, Items, limit_of};
use super::{Api, Refusal};

/// Most cells that are told at once.
const MAX_CELLS: u32 = 100;
const DEFAULT_CELLS: u32 = 20;
/// Most sweeps of a cell: the newest. Changes before them are told all the same.
const MOST_POINTS: usize = 1000;
/// Longest time that is looked back, in days.
const MAX_DAYS: u32 = 36_600;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CellHistoriesQuery {
    /// The network's name.
    #[schemars(length(min = 1, max = 200))]
    model: String,
    /// Of this device alone.
    #[schemars(length(max = 200))]
    device: Option<String>,
    /// Of this engine alone.
    #[schemars(length(max = 200))]
    backend: Option<String>,
    /// In this arithmetic alone.
    #[schemars(length(max = 20))]
    precision: Option<String>,
    /// With these threads alone, as they were asked for.
    #[schemars(length(max = 4000))]
    threads: Option<String>,
    /// With this size of batch alone.
    #[schemars(length(max = 20))]
    batch: Option<String>,
    /// Nothing longer ago than so many days.
    #[schemars(range(min = 1, max = 36600))]
    days: Option<u32>,
    /// Most cells; 20 without it.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(range(min = 0, max = 4294967295_u64))]
    after: Option<u32>,
}

/// A cell over sweeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CellHistoryAnswer {
    device: String,
    weights: String,
    format: String,
    backend: String,
    /// Settings of the engine.
    options: BTreeMap<String, String>,
    precision: String,
    threads: String,
    batch: u32,
    scenario: String,
    /// A point a sweep, oldest first.
    points: Vec<PointAnswer>,
    /// Older points that are not told.
    points_left_out: u64,
    /// Changes of level and of environment, oldest first.
    changes: Vec<ChangeAnswer>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PointAnswer {
    sweep_id: String,
    #[schemars(with = "String")]
    at: Timestamp,
    /// Median of its runs' medians.
    p50_ms: f64,
    runs: u64,
    /// Its series, from 1: points of one environment are one.
    series: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChangeAnswer {
    /// The first sweep behind it.
    sweep_id: String,
    #[schemars(with = "String")]
    at: Timestamp,
    /// `slower`, `faster`, or `environment`: another series begins, whatever the times are.
    kind: String,
    before_ms: f64,
    after_ms: f64,
    /// How much slower it is behind (faster: negative), in per cent.
    percent: f64,
    /// Low end of its interval of 95 %; null where the environment changed.
    low_percent: Option<f64>,
    /// High end of it.
    high_percent: Option<f64>,
    p_value: Option<f64>,
    /// What else is other there.
    changed: Vec<FactAnswer>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FactAnswer {
    fact: String,
    /// null: not known.
    before: Option<String>,
    after: Option<String>,
}

pub(super) async fn list(call: Call<CellHistoriesQuery>) -> Result<Items<CellHistoryAnswer>, Refusal> {
    let CellHistoriesQuery { model, device, backend, precision, threads, batch, days, limit, after } = call.query;
    let limit = limit_of(limit, DEFAULT_CELLS, MAX_CELLS)? as usize;
    if days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
        return Err(Refusal::bad_request(format!("`days` is from 1 to {MAX_DAYS}")));
    }
    let since = days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let told = |word: Option<String>| word.filter(|word| !word.is_empty());
    let query = HistoryQuery {
        model,
        device: told(device),
        backend: told(backend),
        precision: told(precision),
        threads: told(threads),
        batch: told(batch),
        since,
        ..HistoryQuery::default()
    };
    let skipped = after.unwrap_or(0) as usize;
    let read = move |api: &Api| {
        let cells = api.lab.history(&query)?.cells;
        let end = skipped.saturating_add(limit);
        let next = (cells.len() > end).then(|| end.to_string());
        Ok(Items { items: cells.iter().skip(skipped).take(limit).map(CellHistoryAnswer::of).collect(), next })
    };
    call.api.blocking(read).await
}

impl CellHistoryAnswer {
    fn of(history: &CellHistory) -> CellHistoryAnswer {
        let cell = &history.cell;
        let left_out = history.points.len().saturating_sub(MOST_POINTS);
        CellHistoryAnswer {
            device: cell.device.clone(),
            weights: cell.weights.to_string(),
            format: cell.format.clone(),
            backend: cell.backend.clone(),
            options: cell.options.clone(),
            precision: cell.precision.to_string(),
            threads: cell.threads.to_string(),
            batch: cell.batch,
            scenario: cell.scenario.to_string(),
            points: history.points.iter().skip(left_out).map(PointAnswer::of).collect(),
            points_left_out: left_out as u64,
            changes: history.changes.iter().map(ChangeAnswer::of).collect(),
        }
    }
}

impl PointAnswer {
    fn of(point: &HistoryPoint) -> PointAnswer {
        PointAnswer {
            sweep_id: point.sweep_id.to_string(),
            at: point.at,
            p50_ms: point.p50_ns / 1e6,
            runs: point.runs as u64,
            series: point.series as u64,
        }
    }
}

impl ChangeAnswer {
    fn of(change: &HistoryChange) -> ChangeAnswer {
        let fact = |fact: &crate::compare::history::FactChange| FactAnswer {
            fact: fact.fact.clone(),
            before: fact.before.clone(),
            after: fact.after.clone(),
        };
        ChangeAnswer {
            sweep_id: change.sweep_id.to_string(),
            at: change.at,
            kind: change.kind.as_str().to_owned(),
            before_ms: change.before_ns / 1e6,
            after_ms: change.after_ns / 1e6,
            percent: change.percent,
            low_percent: change.certainty.map(|it| it.low_percent),
            high_percent: change.certainty.map(|it| it.high_percent),
            p_value: change.certainty.map(|it| it.p_value),
            changed: change.changed.iter().map(fact).collect(),
        }
    }
}
