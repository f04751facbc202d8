//! What got slower: what sweeps of schedules found, and what became of it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Regression;

use super::endpoint::{Call, Empty, Items};
use super::{Api, Refusal};

/// Most that the lab as a whole shows: the newest.
const SHOWN: usize = 50;
/// Most that are told at once.
const MOST: usize = 1000;

/// Something that got slower.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct RegressionAnswer {
    /// Its name: `r` and nine hexadecimal digits.
    id: String,
    /// `open`, `gone` or `acknowledged`.
    state: String,
    /// By whose sweep it was found.
    schedule: String,
    /// What it was compared with: `history` or `baseline:NAME`.
    against: String,
    device: String,
    /// In words, with its device.
    cell: String,
    /// The first sweep that is slower; of a baseline the first that was found so.
    since: String,
    /// The sweep before it, or the baseline's.
    reference: String,
    /// The newest sweep that still had it.
    seen_in: String,
    /// Nanoseconds before.
    before_ns: f64,
    /// Nanoseconds when it was found.
    after_ns: f64,
    /// How much slower it is, in per cent.
    percent: f64,
    /// Low end of its interval of 95 %.
    low_percent: f64,
    high_percent: f64,
    p_value: f64,
    /// What else changed there.
    changed: String,
    #[schemars(with = "String")]
    found_at: Timestamp,
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
    /// Who acknowledged it.
    acknowledged_by: Option<String>,
}

impl From<Regression> for RegressionAnswer {
    fn from(it: Regression) -> RegressionAnswer {
        let (ended_at, acknowledged_by) = it.end.map_or((None, None), |end| (Some(end.at), end.by));
        RegressionAnswer {
            id: it.id.0,
            state: it.state.to_string(),
            schedule: it.schedule,
            against: it.against.to_string(),
            device: it.device,
            cell: it.cell,
            since: it.since.0,
            reference: it.reference.0,
            seen_in: it.seen_in.0,
            before_ns: it.before_ns,
            after_ns: it.after_ns,
            percent: it.percent,
            low_percent: it.low_percent,
            high_percent: it.high_percent,
            p_value: it.p_value,
            changed: it.changed,
            found_at: it.found_at,
            ended_at,
            acknowledged_by,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RegressionsQuery {
    /// Also those that are gone or acknowledged.
    all: Option<bool>,
}

impl Api {
    /// What is slower now, as the lab as a whole shows it.
    pub(super) fn open_regressions(&self) -> Result<Vec<RegressionAnswer>, Refusal> {
        Ok(self.store.regressions(true)?.into_iter().take(SHOWN).map(RegressionAnswer::from).collect())
    }
}

pub(super) async fn list(call: Call<RegressionsQuery>) -> Result<Items<RegressionAnswer>, Refusal> {
    let read = move |api: &Api| {
        let found = api.store.regressions(!call.query.all.unwrap_or(false))?;
        Ok(found.into_iter().take(MOST).map(RegressionAnswer::from).collect::<Vec<_>>().into())
    };
    call.api.blocking(read).await
}

pub(super) async fn acknowledge(call: Call<Empty, Empty>) -> Result<RegressionAnswer, Refusal> {
    let act = move |api: &Api| Ok(api.lab.acknowledge_regression_as(&call.name, &call.person.name)?.into());
    call.api.blocking(act).await
}
