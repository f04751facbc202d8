//! Load for minutes, as `offline`: what counts is how much of the first throughput is left when the device is hot. The
//! host sets the length, and next to no warm-up before it.

use farmctl_protocol::Scenario;

use super::offline::back_to_back;
use super::{Bounds, LoadPattern, TimedLoop};
use crate::backend::Session;
use crate::judge::Judge;
use crate::serve::ServeError;

/// Batch after batch; the samples add up to the wall time, so that each has its moment.
#[derive(Debug)]
pub struct Sustained;

impl LoadPattern for Sustained {
    fn scenario(&self) -> Scenario {
        Scenario::Sustained
    }

    fn measure(
        &self,
        session: &mut dyn Session,
        bounds: Bounds,
        judge: &mut dyn Judge,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<TimedLoop, ServeError> {
        back_to_back(session, bounds, judge, latencies_ns)
    }
}
