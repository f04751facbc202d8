//! How far a device's numbers can be trusted, from what was measured on it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::TrustOfDevice;

use super::endpoint::Call;
use super::{Api, Refusal};

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
