//! MLPerf's single stream: one query after the other. A sample is the latency of one query of `batch` images.

use std::time::Instant;

use farmctl_protocol::Scenario;

use super::{Bounds, LoadPattern, TimedLoop};
use crate::backend::Session;
use crate::judge::Judge;
use crate::serve::ServeError;

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
        mut bounds: Bounds,
        judge: &mut dyn Judge,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<TimedLoop, ServeError> {
        let mut begun = Instant::now();
        loop {
            let before = Instant::now();
            session.infer()?;
            let after = Instant::now();
            latencies_ns.push((after - before).as_nanos() as u64);
            let elapsed = after - begun;
            if bounds.met(latencies_ns.len(), elapsed) {
                if let Some(ended_by) = bounds.ended(latencies_ns, elapsed, judge)? {
                    return Ok(TimedLoop { wall: elapsed, ended_by });
                }
                // Caches, clock and sleeping threads are again as they were: this one is in no sample.
                session.infer()?;
                begun += after.elapsed();
            }
        }
    }
}
