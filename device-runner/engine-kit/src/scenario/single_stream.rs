//! MLPerf's single stream: one query after the other. A sample is the latency of one query of `batch` images.

use std::time::{Duration, Instant};

use farmctl_protocol::Scenario;

use super::{Bounds, LoadPattern};
use crate::backend::{BackendError, Session};

/// One query at a time; the clock is read right before and right after each.
#[derive(Debug)]
pub struct SingleStream;

impl LoadPattern for SingleStream {
    fn scenario(&self) -> Scenario {
        Scenario::SingleStream
    }

    fn measure(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<Duration, BackendError> {
        let begun = Instant::now();
        loop {
            let before = Instant::now();
            session.infer()?;
            let after = Instant::now();
            latencies_ns.push((after - before).as_nanos() as u64);
            let elapsed = after - begun;
            if bounds.met(latencies_ns.len(), elapsed) {
                return Ok(elapsed);
            }
        }
    }
}
