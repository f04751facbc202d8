//! Load patterns.
//!
//! Purpose: how the inferences of warm-up and timed loop follow each other. Main trait: [`LoadPattern`]; all of them
//! are in [`SCENARIOS`]. Never does anything but the inference inside a timed window: no I/O and no allocation of its
//! own.

mod offline;
mod single_stream;
mod sustained;
mod warm_up;

use std::time::Duration;

use farmctl_protocol::{EndedBy, Scenario};

use crate::backend::Session;
use crate::judge::Judge;
use crate::order::OrderLimits;
use crate::serve::ServeError;

pub use warm_up::{WarmUp, warm_up};

/// Every load pattern there is.
pub static SCENARIOS: &[&dyn LoadPattern] = &[&single_stream::SingleStream, &offline::Offline, &sustained::Sustained];

/// How inferences follow each other, and what a sample is.
pub trait LoadPattern: Sync {
    /// The word it goes by.
    fn scenario(&self) -> Scenario;

    /// Infers until `bounds` are met and [`Bounds::ended`] says that it is over; `latencies_ns` has room for
    /// [`Bounds::max_runs`] samples.
    ///
    /// # Errors
    /// Passes on the engine's failure, and that of a judge that can't be asked.
    fn measure(
        &self,
        session: &mut dyn Session,
        bounds: Bounds,
        judge: &mut dyn Judge,
        latencies_ns: &mut Vec<u64>,
    ) -> Result<TimedLoop, ServeError>;
}

/// A timed loop that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedLoop {
    /// Wall time of its inferences, without what it took to ask the judge.
    pub wall: Duration,
    /// The limit that ended it.
    pub ended_by: EndedBy,
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
    asks: bool,
    /// Samples that the judge has been told.
    told: usize,
}

impl Bounds {
    /// Bounds of the timed loop.
    pub fn timed(limits: &OrderLimits) -> Bounds {
        Bounds {
            min_runs: limits.min_runs as usize,
            max_runs: limits.max_runs as usize,
            min_time: limits.min,
            max_time: limits.max,
            asks: limits.asks,
            told: 0,
        }
    }

    /// Most samples that a loop within these bounds gives.
    pub fn max_runs(&self) -> usize {
        self.max_runs
    }

    /// Whether the timed loop may end after `runs` inferences, at least one, and `elapsed`: both minima are met, or a
    /// maximum is.
    pub fn met(&self, runs: usize, elapsed: Duration) -> bool {
        let enough = runs >= self.min_runs && elapsed >= self.min_time;
        enough || runs >= self.max_runs || elapsed >= self.max_time
    }

    /// What ended a loop whose bounds are met; `None` where it goes on, because the judge says so. Then the fewest
    /// inferences are those after which it is asked again.
    ///
    /// # Errors
    /// Passes on that the judge can't be asked.
    pub fn ended(
        &mut self,
        latencies_ns: &[u64],
        elapsed: Duration,
        judge: &mut dyn Judge,
    ) -> Result<Option<EndedBy>, ServeError> {
        let runs = latencies_ns.len();
        if runs >= self.min_runs && elapsed >= self.min_time {
            if !self.asks {
                return Ok(Some(EndedBy::Minima));
            }
            judge.tell(latencies_ns.get(self.told..).unwrap_or_default())?;
            self.told = runs;
            let answer = judge.ask()?;
            if answer.next == 0 {
                return Ok(Some(EndedBy::Interval));
            }
            self.min_runs = answer.next.max(runs + 1);
        }
        let is_late = (elapsed >= self.max_time).then_some(EndedBy::MaxSeconds);
        Ok(if runs >= self.max_runs { Some(EndedBy::MaxRuns) } else { is_late })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::backend::BackendError;
    use crate::judge::Judgement;
    use crate::values::Values;
    use farmctl_protocol::{Steady, TensorInfo};

    /// An engine that only counts.
    pub(super) struct Counter(pub(super) u32);

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

    /// Says what it is told to, in turn, and keeps what it is told.
    #[derive(Default)]
    pub(super) struct ScriptedJudge {
        pub(super) answers: Vec<Judgement>,
        pub(super) latencies_ns: Vec<u64>,
        pub(super) asked_at: Vec<usize>,
    }

    impl Judge for ScriptedJudge {
        fn tell(&mut self, latencies_ns: &[u64]) -> Result<(), ServeError> {
            self.latencies_ns.extend(latencies_ns);
            Ok(())
        }
        fn ask(&mut self) -> Result<Judgement, ServeError> {
            self.asked_at.push(self.latencies_ns.len());
            Ok(self.answers.remove(0))
        }
    }

    pub(super) fn answers(next: &[usize]) -> ScriptedJudge {
        let answer = |next: &usize| Judgement { next: *next, steady: Steady::ALL[usize::from(*next > 0)] };
        ScriptedJudge { answers: next.iter().map(answer).collect(), ..ScriptedJudge::default() }
    }

    pub(super) const HOUR: Duration = Duration::from_secs(3600);

    pub(super) const LIMITS: OrderLimits = OrderLimits {
        warmup_min_runs: 3,
        warmup_min: Duration::ZERO,
        warmup_max: Duration::ZERO,
        min_runs: 5,
        max_runs: 10,
        min: Duration::ZERO,
        max: HOUR,
        warmup_asks: false,
        asks: false,
    };

    #[test]
    fn loops_end_at_both_minima_or_one_maximum() {
        let second = Duration::from_secs(1);
        let bounds = Bounds::timed(&OrderLimits { min: second, max: 2 * second, ..LIMITS });
        assert!(!bounds.met(4, second) && bounds.met(5, second));
        assert!(!bounds.met(9, Duration::ZERO) && bounds.met(10, Duration::ZERO));
        assert!(bounds.met(1, 2 * second));
        let ended = |runs: usize, elapsed| {
            let mut bounds = bounds;
            bounds.ended(&[1; 10][..runs], elapsed, &mut answers(&[])).unwrap()
        };
        assert_eq!(ended(5, second), Some(EndedBy::Minima));
        assert_eq!(ended(10, Duration::ZERO), Some(EndedBy::MaxRuns));
        assert_eq!(ended(1, 2 * second), Some(EndedBy::MaxSeconds));
    }

    #[test]
    fn a_loop_goes_on_until_its_judge_says_so_or_at_a_maximum() {
        for (next, inferences, asked_at, ended_by) in [
            // One inference behind each pause is in no sample.
            (vec![7, 8, 0], 10, vec![5, 7, 8], EndedBy::Interval),
            (vec![7, 70], 12, vec![5, 7], EndedBy::MaxRuns),
            (vec![1, 10, 11], 12, vec![5, 6, 10], EndedBy::MaxRuns),
        ] {
            for pattern in SCENARIOS {
                let mut judge = answers(&next);
                let (mut counter, mut samples) = (Counter(0), Vec::with_capacity(10));
                let bounds = Bounds::timed(&OrderLimits { asks: true, ..LIMITS });
                let timed = pattern.measure(&mut counter, bounds, &mut judge, &mut samples).unwrap();
                assert_eq!((counter.0, timed.ended_by), (inferences, ended_by));
                assert_eq!(judge.asked_at, asked_at);
                assert_eq!(samples[..judge.latencies_ns.len()], judge.latencies_ns);
                assert!(Duration::from_nanos(samples.iter().sum()) <= timed.wall);
            }
        }
    }

    #[test]
    fn every_pattern_gives_one_sample_an_inference_and_never_grows_its_buffer() {
        for pattern in SCENARIOS {
            let bounds = Bounds::timed(&OrderLimits { min: HOUR, ..LIMITS });
            let mut samples = Vec::with_capacity(bounds.max_runs());
            let place = samples.as_ptr();
            let mut counter = Counter(0);
            let wall = pattern.measure(&mut counter, bounds, &mut answers(&[]), &mut samples).unwrap().wall;
            assert_eq!((counter.0, samples.len(), samples.as_ptr()), (10, 10, place));
            assert!(Duration::from_nanos(samples.iter().sum()) <= wall);
        }
    }

    #[test]
    fn all_offline_samples_together_are_the_wall_time() {
        for next in [&[] as &[usize], &[6, 0]] {
            let mut samples = Vec::with_capacity(10);
            let bounds = Bounds::timed(&OrderLimits { asks: !next.is_empty(), ..LIMITS });
            let timed = offline::Offline.measure(&mut Counter(0), bounds, &mut answers(next), &mut samples).unwrap();
            assert_eq!(Duration::from_nanos(samples.iter().sum()), timed.wall);
        }
    }
}
