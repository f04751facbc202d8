//! Whether the warm-up, or the timed loop, has gone on for long enough.
//!
//! Purpose: keep the latencies that the measuring process tells between two inferences, and answer it. Main type:
//! [`Looks`]. Never works while something is timed: the process waits for the answer.

use farmctl_protocol::{Limits, Phase, Steady};
use farmctl_statistics::{MedianLooks, is_steady, next_look};

/// Most latencies that are kept of a loop: as many as a timed loop has at most. Of a longer warm-up the later ones
/// count.
const MAX_KEPT: usize = 1 << 20;

/// What was told of the loop that is under way, and what is asked of it.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    limits: &'a Limits,
    phase: Option<Phase>,
    latencies_ns: Vec<u64>,
    /// Inferences of the loop, also those whose latencies are kept no longer.
    runs: usize,
    median: MedianLooks,
}

impl<'a> Looks<'a> {
    /// Nothing yet.
    pub(super) fn of(limits: &'a Limits) -> Looks<'a> {
        let median = MedianLooks::new(limits.interval_percent.unwrap_or_default());
        Looks { limits, phase: None, latencies_ns: Vec::new(), runs: 0, median }
    }

    /// Another loop begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.runs = 0;
        self.latencies_ns = Vec::new();
    }

    /// Takes latencies; gives the line that answers, where an answer is wanted.
    pub(super) fn take(&mut self, latencies_ns: &[u64], asks: bool) -> Option<String> {
        self.runs = self.runs.saturating_add(latencies_ns.len());
        if self.latencies_ns.len().saturating_add(latencies_ns.len()) > MAX_KEPT {
            self.latencies_ns.drain(..self.latencies_ns.len() / 2);
        }
        self.latencies_ns.extend(latencies_ns);
        if !asks {
            return None;
        }
        let is_enough = match self.phase {
            Some(Phase::WarmUp) => self.is_warm(),
            _ => self.median.look(&self.latencies_ns),
        };
        let next = if is_enough == Some(true) { 0 } else { next_look(self.runs) };
        let steady = is_enough.map_or(Steady::Unknown, |is_so| if is_so { Steady::Yes } else { Steady::No });
        Some(format!("{next} {steady}\n"))
    }

    fn is_warm(&self) -> Option<bool> {
        let mean_ns =
            self.latencies_ns.iter().map(|latency| *latency as f64).sum::<f64>() / self.latencies_ns.len() as f64;
        is_steady(&self.latencies_ns, self.limits.steady_percent?, shortest_loop(self.limits, mean_ns))
    }
}

/// Inferences of the shortest timed loop within these limits, where one takes so long.
fn shortest_loop(limits: &Limits, latency_ns: f64) -> f64 {
    let in_seconds = |seconds: f64| if latency_ns > 0.0 { seconds * 1e9 / latency_ns } else { f64::INFINITY };
    let least = f64::from(limits.min_runs).max(in_seconds(limits.min_seconds));
    least.min(f64::from(limits.max_runs)).min(in_seconds(limits.max_seconds)).max(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        warmup_min_runs: 1,
        warmup_min_seconds: 0.0,
        warmup_max_seconds: 10.0,
        min_runs: 10,
        max_runs: 1_000,
        min_seconds: 2.0,
        max_seconds: 20.0,
        steady_percent: Some(3.0),
        interval_percent: Some(1.0),
    };

    #[test]
    fn the_shortest_loop_is_that_of_the_minima_within_the_maxima() {
        let loops = [1e3, 1e6, 1e8, 1e9, 5e9, 60e9].map(|latency_ns| shortest_loop(&LIMITS, latency_ns));
        assert_eq!(loops, [1_000.0, 1_000.0, 20.0, 10.0, 4.0, 1.0]);
        assert_eq!(shortest_loop(&LIMITS, 0.0), 1_000.0);
    }

    #[test]
    fn a_warm_up_is_judged_by_its_trend_and_a_loop_by_its_interval() {
        let mut looks = Looks::of(&LIMITS);
        looks.enter(Phase::WarmUp);
        assert_eq!(looks.take(&[100_000_000; 10], true).unwrap(), "20 unknown\n");
        assert_eq!(looks.take(&[90_000_000; 5], false), None);
        let falling: Vec<u64> = (0..25).map(|index| 90_000_000 - index * 1_000_000).collect();
        assert_eq!(looks.take(&falling, true).unwrap(), "50 no\n");
        assert_eq!(looks.take(&[66_000_000; 60], true).unwrap(), "0 yes\n");
        looks.enter(Phase::Measure);
        assert_eq!(looks.take(&[66_000_000; 19], true).unwrap(), "24 unknown\n");
        assert_eq!(looks.take(&[66_000_000; 5], true).unwrap(), "30 no\n");
        assert_eq!(looks.take(&[66_000_000; 6], true).unwrap(), "38 no\n");
        assert_eq!(looks.take(&[66_000_000; 8], true).unwrap(), "48 no\n");
        assert_eq!(looks.take(&[66_000_000; 161], true).unwrap(), "249 no\n");
        assert_eq!(looks.take(&[66_000_000; 1], true).unwrap(), "0 yes\n");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut looks = Looks::of(&LIMITS);
        looks.enter(Phase::WarmUp);
        for _ in 0..400 {
            looks.take(&[5; 4096], false);
        }
        assert!(looks.latencies_ns.len() <= MAX_KEPT && looks.runs == 400 * 4096);
        assert!(looks.latencies_ns.len() > MAX_KEPT / 3);
    }
}
