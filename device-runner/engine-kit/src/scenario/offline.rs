//! MLPerf's offline: all images are there, and are worked off in batches without a pause. A sample is the time of one
//! batch, from the end of the one before: the samples add up to the wall time, and throughput is images by wall time.

use std::time::{Duration, Instant};

use farmctl_protocol::Scenario;

use super::{Bounds, LoadPattern};
use crate::backend::{BackendError, Session};

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
        bounds: &Bounds,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<Duration, BackendError> {
        let begun = Instant::now();
        let mut last = begun;
        loop {
            session.infer()?;
            let now = Instant::now();
            latencies_ns.push((now - last).as_nanos() as u64);
            last = now;
            if bounds.met(latencies_ns.len(), now - begun) {
                return Ok(now - begun);
            }
        }
    }
}
