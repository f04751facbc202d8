//! Load patterns.
//!
//! Purpose: how the inferences of warm-up and timed loop follow each other. Main trait: [`LoadPattern`]; all of them are
//! in [`SCENARIOS`]. Never does anything but the inference inside a timed window: no I/O and no allocation of its own.

mod offline;
mod single_stream;

use std::time::{Duration, Instant};

use farmctl_protocol::Scenario;

use crate::backend::{BackendError, Session};
use crate::order::OrderLimits;

/// Every load pattern there is.
pub static SCENARIOS: &[&dyn LoadPattern] = &[&single_stream::SingleStream, &offline::Offline];

/// How inferences follow each other, and what a sample is.
pub trait LoadPattern: Sync {
    /// The word it goes by.
    fn scenario(&self) -> Scenario;

    /// Infers until `bounds` are met; `latencies_ns` has room for [`Bounds::max_runs`] samples. Gives the wall time of
    /// the whole loop.
    ///
    /// # Errors
    /// Passes on the engine's failure.
    fn measure(
        &self,
        session: &mut dyn Session,
        bounds: &Bounds,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<Duration, BackendError>;
}

/// The load pattern that `scenario` names.
pub fn find(scenario: Scenario) -> Option<&'static dyn LoadPattern> {
    SCENARIOS.iter().copied().find(|pattern| pattern.scenario() == scenario)
}

/// When a loop ends, ready for quick comparison.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    min_runs: usize,
    max_runs: usize,
    min_time: Duration,
    max_time: Duration,
}

impl Bounds {
    /// Bounds of the timed loop.
    pub fn timed(limits: &OrderLimits) -> Bounds {
        Bounds {
            min_runs: limits.min_runs as usize,
            max_runs: limits.max_runs as usize,
            min_time: limits.min,
            max_time: limits.max,
        }
    }

    /// Most samples that a loop within these bounds gives.
    pub fn max_runs(&self) -> usize {
        self.max_runs
    }

    /// Whether the timed loop ends after `runs` inferences, at least one, and `elapsed`: both minima are met, or a
    /// maximum is.
    pub fn met(&self, runs: usize, elapsed: Duration) -> bool {
        let enough = runs >= self.min_runs && elapsed >= self.min_time;
        enough || runs >= self.max_runs || elapsed >= self.max_time
    }
}

/// Infers until the warm-up's limits are met; gives the number of inferences and the time they took.
///
/// # Errors
/// Passes on the engine's failure.
pub fn warm_up(session: &mut dyn Session, limits: &OrderLimits) -> Result<(u32, Duration), BackendError> {
    let (min_time, max_time) = (limits.warmup_min, limits.warmup_max);
    let begun = Instant::now();
    let mut runs = 0u32;
    loop {
        let elapsed = begun.elapsed();
        if runs >= limits.warmup_min_runs && (elapsed >= min_time || elapsed >= max_time) {
            return Ok((runs, elapsed));
        }
        session.infer()?;
        runs = runs.saturating_add(1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::values::Values;
    use farmctl_protocol::TensorInfo;

    /// An engine that only counts.
    struct Counter(u32);

    impl Session for Counter {
        fn inputs(&self) -> &[TensorInfo] {
            &[]
        }
        fn set_inputs(&mut self, _values: Vec<Values>) -> Result<(), BackendError> {
            Ok(())
        }
        fn infer(&mut self) -> Result<(), BackendError> {
            self.0 += 1;
            Ok(())
        }
        fn outputs(&self) -> Result<Vec<TensorInfo>, BackendError> {
            Ok(Vec::new())
        }
        fn output(&self, _index: usize) -> Result<Vec<f32>, BackendError> {
            Ok(Vec::new())
        }
        fn threads(&self) -> u32 {
            1
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    const LIMITS: OrderLimits = OrderLimits {
        warmup_min_runs: 3,
        warmup_min: Duration::ZERO,
        warmup_max: Duration::ZERO,
        min_runs: 5,
        max_runs: 10,
        min: Duration::ZERO,
        max: HOUR,
    };

    #[test]
    fn loops_end_at_both_minima_or_one_maximum() {
        let second = Duration::from_secs(1);
        let bounds = Bounds::timed(&OrderLimits { min: second, max: 2 * second, ..LIMITS });
        assert!(!bounds.met(4, second) && bounds.met(5, second));
        assert!(!bounds.met(9, Duration::ZERO) && bounds.met(10, Duration::ZERO));
        assert!(bounds.met(1, 2 * second));
    }

    #[test]
    fn every_pattern_gives_one_sample_an_inference_and_never_grows_its_buffer() {
        for pattern in SCENARIOS {
            let bounds = Bounds::timed(&OrderLimits { min: HOUR, ..LIMITS });
            let mut samples = Vec::with_capacity(bounds.max_runs());
            let place = samples.as_ptr();
            let mut counter = Counter(0);
            let wall = pattern.measure(&mut counter, &bounds, &mut samples).unwrap();
            assert_eq!((counter.0, samples.len(), samples.as_ptr()), (10, 10, place));
            assert!(Duration::from_nanos(samples.iter().sum()) <= wall);
        }
    }

    #[test]
    fn all_offline_samples_together_are_the_wall_time() {
        let mut samples = Vec::with_capacity(10);
        let wall = offline::Offline.measure(&mut Counter(0), &Bounds::timed(&LIMITS), &mut samples).unwrap();
        assert_eq!(Duration::from_nanos(samples.iter().sum()), wall);
    }

    #[test]
    fn a_warm_up_does_its_fewest_runs_whatever_the_time() {
        assert_eq!(warm_up(&mut Counter(0), &LIMITS).unwrap().0, 3);
        let none = OrderLimits { warmup_min_runs: 0, ..LIMITS };
        assert_eq!(warm_up(&mut Counter(0), &none).unwrap().0, 0);
    }
}
