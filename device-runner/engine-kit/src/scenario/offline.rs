//! MLPerf's offline: all images are there, and are worked off in batches without a pause. A sample is the time of one
//! batch, from the end of the one before: the samples add up to the wall time, and throughput is images by wall time.

use std::time::Instant;

use farmctl_protocol::Scenario;

use super::{Bounds, LoadPattern, TimedLoop};
use crate::backend::Session;
use crate::judge::Judge;
use crate::serve::ServeError;

/// Batch after batch; the clock is read once between two batches.
#[derive(Debug)]
pub struct Offline;

impl LoadPattern for Offline {
    fn scenario(&self) -> Scenario {
        Scenario::Offline
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

/// Batch after batch, without a pause but for the judge's.
pub(super) fn back_to_back(
    session: &mut dyn Session,
    mut bounds: Bounds,
    judge: &mut dyn Judge,
    latencies_ns: &mut Vec<u64>,
) -> Result<TimedLoop, ServeError> {
    let mut begun = Instant::now();
    let mut last = begun;
    loop {
        session.infer()?;
        let now = Instant::now();
        latencies_ns.push((now - last).as_nanos() as u64);
        last = now;
        if bounds.met(latencies_ns.len(), now - begun) {
            if let Some(ended_by) = bounds.ended(latencies_ns, now - begun, judge)? {
                return Ok(TimedLoop { wall: now - begun, ended_by });
            }
            session.infer()?;
            last = Instant::now();
            begun += last - now;
        }
    }
}
