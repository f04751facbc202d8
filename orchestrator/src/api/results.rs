//! The runs of all sweeps that a condition is true of, part by part.

use std::borrow::Cow;
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::SweepId;
use crate::lab::{LabError, RowPlace, RowQuery};
use crate::report::columns::ColumnKind;
use crate::report::{COLUMNS, Column, RowCells};

use super::endpoint::{Call, Items, limit_of};
use super::{Api, Refusal};

/// Most rows that are told at once.
const MAX_ROWS: u32 = 1000;
const DEFAULT_ROWS: u32 = 200;
/// Most sweeps that are read for one part: it may have fewer rows than its limit, or none, and others follow.
const MAX_SWEEPS: u32 = 100;
/// Longest time that is looked back, in days.
const MAX_DAYS: u32 = 36_600;

/// A row of `results.csv`: a value for each column, by its name.
#[derive(Debug, Serialize)]
pub(super) struct RowAnswer(Map<String, Value>);

impl JsonSchema for RowAnswer {
    fn schema_name() -> Cow<'static, str> {
        "RowAnswer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let property = |column: &Column| {
            let kind = match column.kind {
                ColumnKind::Text | ColumnKind::Word | ColumnKind::Time => json!(["string", "null"]),
                ColumnKind::Integer | ColumnKind::Bits => json!(["integer", "null"]),
                // JSON has no number for infinity.
                ColumnKind::Number => json!(["number", "string", "null"]),
            };
            (column.name.to_owned(), json!({"type": kind, "description": column.description}))
        };
        let properties: Map<String, Value> = COLUMNS.iter().map(property).collect();
        let description = "A row of results.csv: a value for each column; null where it was not measured.";
        let schema = json!({"type": "object", "description": description, "properties": properties});
        Schema::try_from(schema).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RowsQuery {
    /// What is true of them, as `farmctl results --where …` has it: `model=resnet50 and device~pixel and verdict=ok`.
    /// All without it.
    #[serde(rename = "where")]
    #[schemars(length(max = 4096))]
    condition: Option<String>,
    /// Of sweeps that began in the last so many days.
    #[schemars(range(min = 1, max = 36600))]
    days: Option<u32>,
    /// Most rows; 200 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before. A part may have fewer rows than `limit`, or none, and others follow.
    #[schemars(length(min = 1, max = 200))]
    after: Option<String>,
}

/// The newest sweep first, each in the order of its plan.
pub(super) async fn list(call: Call<RowsQuery>) -> Result<Items<RowAnswer>, Refusal> {
    let RowsQuery { condition, days, limit, after } = call.query;
    let limit = limit_of(limit, DEFAULT_ROWS, MAX_ROWS)? as usize;
    if days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
        return Err(Refusal::bad_request(format!("`days` is from 1 to {MAX_DAYS}")));
    }
    let since = days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let after = after.as_deref().map(place).transpose()?;
    let query = RowQuery { after, most_sweeps: Some(MAX_SWEEPS), ..RowQuery::parse(condition.as_deref(), since)? };
    let read = move |api: &Api| {
        let mut items = Vec::new();
        let read = api.lab.read_rows(&query, &api.large_sweeps, |row| {
            let json = serde_json::to_value(RowCells(row));
            let json = json.map_err(|error| LabError::internal(format!("failed to write a row: {error}")))?;
            items.extend(json.as_object().cloned().map(RowAnswer));
            Ok(if items.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(Items { items, next: read.next.as_ref().map(cursor) })
    };
    call.api.blocking(read).await
}

fn cursor(place: &RowPlace) -> String {
    format!("{}.{}.{}", place.rows, place.started_at.as_nanosecond(), place.sweep)
}

fn place(cursor: &str) -> Result<RowPlace, Refusal> {
    let read = || {
        let (rows, rest) = cursor.split_once('.')?;
        let (at, sweep) = rest.split_once('.')?;
        let started_at = Timestamp::from_nanosecond(at.parse().ok()?).ok()?;
        Some(RowPlace { started_at, sweep: SweepId(sweep.to_owned()), rows: rows.parse().ok()? })
    };
    read().ok_or_else(|| Refusal::bad_request("`after` is what `next` was"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let at = Timestamp::from_nanosecond(1_795_474_800_000_000_001).unwrap();
        for rows in [0, 7, usize::MAX] {
            let there = RowPlace { started_at: at, sweep: SweepId("20261123-230000-a.b-7f3a".into()), rows };
            assert_eq!(place(&cursor(&there)), Ok(there));
        }
        for wrong in ["", "7", "7.8", "x.8.s", "7.x.s", "-1.8.s", "7.99999999999999999999999999.s"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
