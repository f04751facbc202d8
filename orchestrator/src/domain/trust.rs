use std::fmt;

use serde::{Deserialize, Serialize};

use super::JobId;

/// Whether a row's number is to be believed, from best to worst: of several, the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Ok,
    /// The samples leave too much open.
    Noisy,
    /// The level changed while it was measured.
    Unsteady,
    /// The device throttled.
    Throttled,
    /// Others used the device.
    Disturbed,
    /// The warm-up was over before the device was warm.
    SlowStart,
    /// Too few samples to say anything.
    TooFew,
}

impl Verdict {
    /// All but `Ok`, from best to worst.
    pub const DOUBTS: [Verdict; 6] = [
        Verdict::Noisy,
        Verdict::Unsteady,
        Verdict::Throttled,
        Verdict::Disturbed,
        Verdict::SlowStart,
        Verdict::TooFew,
    ];

    /// The word that stands in results.csv.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Noisy => "noisy",
            Verdict::Unsteady => "unsteady",
            Verdict::Throttled => "throttled",
            Verdict::Disturbed => "disturbed",
            Verdict::SlowStart => "slow_start",
            Verdict::TooFew => "too_few",
        }
    }

    /// Whether another run may come out better. A warm-up or a loop that was too short is so the next time as well: it
    /// is as the sweep's `limits` have it.
    pub fn may_rerun_help(self) -> bool {
        match self {
            Verdict::Noisy | Verdict::Unsteady | Verdict::Throttled | Verdict::Disturbed => true,
            Verdict::Ok | Verdict::SlowStart | Verdict::TooFew => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// When a number is not to be trusted: the limits of the verdicts, with where they come from. They are data: a sweep
/// may have its own, and its reports go by them ever after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrustRules {
    /// Fewest samples of a run: below, it is `too_few`. 10: rank tests have nothing to tell of fewer.
    pub min_samples: usize,
    /// Fewest independent samples that the run's samples are worth: below, it is `too_few`. 6: the least of which an
    /// interval of 95 % exists, 1 - 2 / 2⁶ (H. A. David and H. N. Nagaraja, Order Statistics, 2003, 7.1). It doesn't
    /// count where samples differ so little that one would be within `interval_percent`.
    pub min_effective_samples: f64,
    /// Modified z-score, 0.6745 × distance from the median / MAD, above which a sample is an outlier. 3.5: B. Iglewicz
    /// and D. C. Hoaglin, How to Detect and Handle Outliers, 1993.
    pub outlier_z: f64,
    /// Largest share of outliers, in per cent: above, with five of them and more, it is `noisy`. 10: that many are no
    /// exceptions any more; a normal distribution has 0.05 %, Student's with two degrees of freedom 5 %.
    pub outlier_percent: f64,
    /// Largest half of the median's interval of 95 %, in per cent of the median: above, it is `noisy`. 5: two such rows
    /// tell a difference of 7 % apart, and smaller ones by chance only.
    pub interval_percent: f64,
    /// How far two modes are apart at least to be told, in per cent of the quicker: then it is `noisy`. 3: less moves
    /// the median less than runs differ by themselves.
    pub modes_percent: f64,
    /// Smallest share of a mode, in per cent, likewise. 10: fewer are outliers.
    pub mode_share_percent: f64,
    /// Smallest change of level that counts, in per cent: with more that is no chance, it is `unsteady`, or
    /// `slow_start`. 3, as for modes.
    pub change_percent: f64,
    /// How long a start may be, in per cent of the samples, to be a `slow_start` and not `unsteady`. 40: what is behind
    /// it is still most of the run. What is behind it must change by less than half of `change_percent`.
    pub start_percent: f64,
    /// Largest share of the processors' time that went to others, in per cent: above, it is `disturbed`. 5.
    pub other_load_percent: f64,
    /// Largest share of time that the host of a virtual machine took away, in per cent: above, it is `disturbed`. 1.
    pub stolen_percent: f64,
}

impl Default for TrustRules {
    fn default() -> TrustRules {
        TrustRules {
            min_samples: 10,
            min_effective_samples: 6.0,
            outlier_z: 3.5,
            outlier_percent: 10.0,
            interval_percent: 5.0,
            modes_percent: 3.0,
            mode_share_percent: 10.0,
            change_percent: 3.0,
            start_percent: 40.0,
            other_load_percent: 5.0,
            stolen_percent: 1.0,
        }
    }
}

/// When a sweep believes a number, and what it does where it doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrustPolicy {
    /// The limits of the verdicts.
    pub rules: TrustRules,
    /// How often a doubtful row is measured again at most. 0: never.
    pub max_reruns: u32,
    /// Shortest pause between a run and the one that measures it again. What disturbed it may be over by then.
    pub rerun_pause_seconds: f64,
}

impl Default for TrustPolicy {
    fn default() -> TrustPolicy {
        TrustPolicy { rules: TrustRules::default(), max_reruns: 0, rerun_pause_seconds: 30.0 }
    }
}

/// That a job measures again what an earlier one of the sweep had measured, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rerun {
    /// The job that measured it first.
    pub of: JobId,
    /// Which measurement of the same this is, from 1: the first is none.
    pub number: u32,
    /// What was found of the one before.
    pub verdict: Verdict,
}

/// What was found of a run's numbers when it ended, by the rules of its sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether to believe them.
    pub verdict: Verdict,
    /// Why not, with the limits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Half of the median's interval of 95 %, in per cent of the median: what stands behind ±.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_interval_percent: Option<f64>,
    /// The hottest of the processor's sensors around the run and during it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temp_max_c: Option<f64>,
    /// Share of the processors' time that went to others, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_load_percent: Option<f64>,
}
