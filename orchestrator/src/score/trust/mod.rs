//! How sure the numbers of a run are, and whether to believe them.
//!
//! The samples of a run depend on each other, and the device changes while they are taken. So nothing here supposes
//! that they are independent, steady or normal. Main types: [`Certainty`] of a run, with its [`Verdict`] and what was
//! found ([`Finding`]) by [`TrustRules`]; [`Repeats`] of several runs of the same. What the runner asks of a series as
//! well, while it measures, is the crate `farmctl-statistics`. Never drops a sample, never draws by
//! chance, and never claims what was not seen. How often all this is right: `bench/statistics.md`.

mod centre;
mod conditions;
mod counting;
mod device;
mod dip;
mod modes;
mod periods;
mod repeats;
mod verdict;

pub use centre::Spread;
pub use conditions::{Conditions, share, throttled_by};
pub use counting::{Counting, Measured, countings, countings_of};
pub use device::{DeviceTrust, PastMeasurement, StandOut};
pub use farmctl_statistics::{Change, Dependence, Drift, Level, LevelAt, over_time};
pub use modes::Modes;
pub use periods::{DatedMeasurement, PeriodLength, TrustPeriod, trust_periods};
pub use repeats::{RepeatedRun, Repeats};
pub use verdict::Finding;

use crate::domain::{Judgement, Record, RunStatus};
pub use crate::domain::{TrustRules, Verdict};

/// How sure the numbers of one run are, and what speaks against them.
#[derive(Debug, Clone, PartialEq)]
pub struct Certainty {
    /// Number of samples, at least 1.
    pub count: usize,
    /// Median by nearest rank, in nanoseconds.
    pub p50_ns: u64,
    /// Interval of 95 % of the median, low and high end in nanoseconds; `None` where the samples can't tell one.
    pub interval_ns: Option<(f64, f64)>,
    /// How far samples lie from the median.
    pub spread: Spread,
    /// How much samples depend on each other.
    pub dependence: Dependence,
    /// Whether the level changed.
    pub level: Level,
    /// The same of what comes behind the start (`start_percent` of the rules).
    pub level_of_rest: Level,
    /// Two modes, where the samples have them.
    pub modes: Option<Modes>,
    /// What speaks against the numbers, the worst first.
    pub findings: Vec<Finding>,
}

impl Certainty {
    /// How sure the numbers of a run are, of its samples in the order measured, and what was sampled beside it. `None`
    /// without samples.
    pub fn of(samples_ns: &[u64], conditions: &Conditions, rules: &TrustRules) -> Option<Certainty> {
        Certainty::with(samples_ns, |dependence| dependence, conditions, rules)
    }

    /// The same of a run that ended when its median seemed to be known.
    pub fn of_chosen_length(samples_ns: &[u64], conditions: &Conditions, rules: &TrustRules) -> Option<Certainty> {
        Certainty::with(samples_ns, |it| it.of_chosen_length(samples_ns.len()), conditions, rules)
    }

    fn with(
        samples_ns: &[u64],
        known: impl Fn(Dependence) -> Dependence,
        conditions: &Conditions,
        rules: &TrustRules,
    ) -> Option<Certainty> {
        let mut sorted = samples_ns.to_vec();
        sorted.sort_unstable();
        let p50_ns = *sorted.get((sorted.len().checked_sub(1)?) / 2)?;
        let dependence = known(Dependence::of(samples_ns, p50_ns));
        let start = (samples_ns.len() as f64 * rules.start_percent.clamp(0.0, 100.0) / 100.0) as usize;
        let mut certainty = Certainty {
            count: sorted.len(),
            p50_ns,
            interval_ns: farmctl_statistics::median_interval_95(&sorted, &dependence),
            spread: Spread::of(&sorted, p50_ns, rules.outlier_z),
            level: Level::of(samples_ns, p50_ns),
            level_of_rest: Level::of(&samples_ns[start..], p50_ns),
            modes: Modes::of(&sorted, dependence.effective_samples),
            dependence,
            findings: Vec::new(),
        };
        certainty.findings = verdict::findings(&certainty, conditions, rules);
        Some(certainty)
    }

    /// How sure the numbers of a record are, by what was sampled beside it. `None` where it has none that count: the
    /// samples of a broken-off loop are no result.
    pub fn of_record(record: &Record, rules: &TrustRules) -> Option<Certainty> {
        let measurement = &record.measurement;
        let seen = measurement.conditions.as_deref().map(Conditions::from).unwrap_or_default();
        let is_chosen = record.job.limits.interval_percent.is_some();
        let of = if is_chosen { Certainty::of_chosen_length } else { Certainty::of };
        (record.status == RunStatus::Ok).then(|| of(&measurement.samples_ns, &seen, rules))?
    }

    /// What is told of a record's numbers as soon as it is there.
    pub fn judgement(&self, record: &Record) -> Judgement {
        let told = record.measurement.conditions.as_deref();
        Judgement {
            verdict: self.verdict(),
            reason: self.reason(),
            half_interval_percent: self.half_interval_percent(),
            temp_max_c: told.and_then(|told| told.temperature.as_ref()).map(|it| it.max_c),
            other_load_percent: told.and_then(|told| Conditions::from(told).other_load_percent),
        }
    }

    /// Whether to believe the numbers: the worst of what was found.
    pub fn verdict(&self) -> Verdict {
        self.findings.first().map_or(Verdict::Ok, Finding::verdict)
    }

    /// Why, with the limits; empty where nothing was found.
    pub fn reason(&self) -> String {
        self.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Half of the median's interval in per cent of the median: what stands behind ±.
    pub fn half_interval_percent(&self) -> Option<f64> {
        let (low, high) = self.interval_ns?;
        (self.p50_ns > 0).then(|| (high - low) / 2.0 / self.p50_ns as f64 * 100.0)
    }
}

#[cfg(test)]
mod tests;
