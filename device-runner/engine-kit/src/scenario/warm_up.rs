//! The inferences before the timed loop.

use std::time::{Duration, Instant};

use farmctl_protocol::Steady;

use crate::backend::Session;
use crate::judge::Judge;
use crate::order::OrderLimits;
use crate::serve::ServeError;

/// Latencies that are kept until they are told.
const UNTOLD: usize = 1024;

/// A warm-up that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUp {
    /// Inferences that it did.
    pub runs: u32,
    /// Time that it took.
    pub duration: Duration,
    /// Whether the latency had settled; `None` where nobody was asked.
    pub steady: Option<Steady>,
}

/// Infers until the warm-up's limits are met, and where the order says so until the judge finds it steady.
///
/// # Errors
/// Passes on the engine's failure, and that of a judge that can't be asked.
pub fn warm_up(session: &mut dyn Session, limits: &OrderLimits, judge: &mut dyn Judge) -> Result<WarmUp, ServeError> {
    let (min_time, max_time) = (limits.warmup_min, limits.warmup_max);
    let mut untold = Vec::with_capacity(if limits.warmup_asks { UNTOLD } else { 0 });
    let mut next = limits.warmup_min_runs;
    let mut runs = 0u32;
    let begun = Instant::now();
    loop {
        let elapsed = begun.elapsed();
        let is_last = runs >= limits.warmup_min_runs && elapsed >= max_time;
        if is_last || runs >= next && elapsed >= min_time {
            if !limits.warmup_asks {
                return Ok(WarmUp { runs, duration: elapsed, steady: None });
            }
            judge.tell(&untold)?;
            untold.clear();
            let answer = judge.ask()?;
            if is_last || answer.next == 0 {
                return Ok(WarmUp { runs, duration: elapsed, steady: Some(answer.steady) });
            }
            next = u32::try_from(answer.next).unwrap_or(u32::MAX).max(runs.saturating_add(1));
        }
        let before = Instant::now();
        session.infer()?;
        runs = runs.saturating_add(1);
        if limits.warmup_asks {
            untold.push(before.elapsed().as_nanos() as u64);
            if untold.len() == UNTOLD {
                judge.tell(&untold)?;
                untold.clear();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::tests::{Counter, HOUR, LIMITS, answers};

    #[test]
    fn a_warm_up_does_its_fewest_runs_whatever_the_time() {
        let run = |limits: &OrderLimits| warm_up(&mut Counter(0), limits, &mut answers(&[])).unwrap();
        assert_eq!((run(&LIMITS).runs, run(&LIMITS).steady), (3, None));
        assert_eq!(run(&OrderLimits { warmup_min_runs: 0, ..LIMITS }).runs, 0);
    }

    #[test]
    fn a_warm_up_goes_on_until_it_is_steady_or_at_its_longest() {
        let asking = OrderLimits { warmup_asks: true, warmup_max: HOUR, ..LIMITS };
        let mut judge = answers(&[20, 5_000, 0]);
        let warm = warm_up(&mut Counter(0), &asking, &mut judge).unwrap();
        assert_eq!((warm.runs, warm.steady), (5_000, Some(Steady::Yes)));
        assert_eq!(judge.asked_at, [3, 20, 5_000]);
        let mut judge = answers(&[20]);
        let warm = warm_up(&mut Counter(0), &OrderLimits { warmup_max: Duration::ZERO, ..asking }, &mut judge).unwrap();
        assert_eq!((warm.runs, warm.steady), (3, Some(Steady::No)));
    }
}
