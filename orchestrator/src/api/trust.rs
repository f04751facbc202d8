//! How far a device's numbers can be trusted, from what was measured on it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::TrustOfDevice;
use crate::score::trust::{PeriodLength, TrustPeriod};

use super::endpoint::Call;
use super::{Api, Refusal};

/// Stretches of time that are told without `limit`.
const DEFAULT_PERIODS: u16 = 60;

/// How well a device repeats itself, and what of it stands out. What is not known is null.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TrustAnswer {
    device: String,
    /// What its siblings are the same by: the phone's model, or the chip and the number of its cores.
    model: Option<String>,
    /// When the oldest run was that was looked at.
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// Runs that were looked at: the newest that ended well.
    runs: usize,
    /// Different cells of which they are.
    cells: usize,
    /// Pairs of runs of the same, one after the other.
    pairs: usize,
    /// How far the medians of a pair lie apart, in per cent of the quicker: so many and less in `pairs_within` pairs.
    within_percent: Option<f64>,
    /// Nine of ten pairs, rounded up.
    pairs_within: usize,
    /// Runs of which it is known whether they are to be believed.
    judged: usize,
    /// Those of them that are doubtful.
    doubtful: usize,
    /// Other devices of its model that have measured the same.
    siblings: usize,
    /// How much slower than they it is (quicker: negative), in per cent.
    slower_percent: Option<f64>,
    /// What stands out, for people: heat, doubts, a bad cable, something else that uses it.
    stands_out: Vec<String>,
}

impl From<TrustOfDevice> for TrustAnswer {
    fn from(of: TrustOfDevice) -> TrustAnswer {
        let trust = of.trust;
        TrustAnswer {
            device: of.device,
            model: of.model,
            since: of.since,
            runs: trust.runs,
            cells: trust.cells,
            pairs: trust.pairs,
            within_percent: trust.within_percent,
            pairs_within: trust.pairs_within,
            judged: trust.judged,
            doubtful: trust.doubtful,
            siblings: trust.siblings,
            slower_percent: trust.slower_percent,
            stands_out: trust.stands_out.iter().map(ToString::to_string).collect(),
        }
    }
}

pub(super) async fn of_device(call: Call) -> Result<TrustAnswer, Refusal> {
    let read = move |api: &Api| {
        let device = api.find_device(&call.name)?.device.name;
        let found = api.lab.device_trust(&[device])?.devices.into_iter().next();
        found.map(TrustAnswer::from).ok_or_else(|| Refusal::internal("a device has no history"))
    };
    call.api.blocking(read).await
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PeriodsQuery {
    /// How long the stretches are: `week` (from Monday on; so without it) or `day`.
    #[schemars(length(max = 10))]
    by: Option<String>,
    /// Most stretches, the newest; 60 without it.
    #[schemars(range(min = 1, max = 400))]
    limit: Option<u16>,
}

/// How well a device repeated itself over time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PeriodsAnswer {
    device: String,
    /// How long the stretches are: `week` or `day`.
    by: String,
    /// Stretches with runs, oldest first. Those of long ago are not told.
    periods: Vec<PeriodAnswer>,
}

/// How well it did in a stretch of time. What is not known is null.
#[derive(Debug, Serialize, JsonSchema)]
struct PeriodAnswer {
    /// Its first day, by the clocks of the lab: `2026-11-23`.
    first_day: String,
    /// Runs that ended well.
    runs: u64,
    /// Pairs of runs of the same, one after the other, whose later run is in it.
    pairs: u64,
    /// How far the medians of a pair lie apart, in per cent of the quicker: so many and less in `pairs_within` pairs.
    within_percent: Option<f64>,
    /// Nine of ten pairs, rounded up.
    pairs_within: u64,
    /// Runs of which it is known whether they are to be believed.
    judged: u64,
    /// Those of them that are doubtful.
    doubtful: u64,
}

impl From<&TrustPeriod> for PeriodAnswer {
    fn from(of: &TrustPeriod) -> PeriodAnswer {
        PeriodAnswer {
            first_day: of.first_day.to_string(),
            runs: of.runs as u64,
            pairs: of.pairs as u64,
            within_percent: of.within_percent,
            pairs_within: of.pairs_within as u64,
            judged: of.judged as u64,
            doubtful: of.doubtful as u64,
        }
    }
}

fn length_of(word: Option<&str>) -> Result<PeriodLength, Refusal> {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(PeriodLength::Week) };
    let known = PeriodLength::ALL.into_iter().find(|length| length.as_str() == word);
    let words = PeriodLength::ALL.map(PeriodLength::as_str).join(", ");
    known.ok_or_else(|| Refusal::bad_request(format!("`by` is one of: {words}")))
}

pub(super) async fn over_time(call: Call<PeriodsQuery>) -> Result<PeriodsAnswer, Refusal> {
    let PeriodsQuery { by, limit } = call.query;
    let length = length_of(by.as_deref())?;
    let limit = usize::from(limit.unwrap_or(DEFAULT_PERIODS));
    let read = move |api: &Api| {
        let device = api.find_device(&call.name)?.device.name;
        let all = api.lab.device_trust_over_time(&device, length)?;
        let newest = all.iter().skip(all.len().saturating_sub(limit));
        Ok(PeriodsAnswer { device, by: length.as_str().to_owned(), periods: newest.map(PeriodAnswer::from).collect() })
    };
    call.api.blocking(read).await
}
