use std::fmt;

use farmctl_statistics::Z;

use super::centre::MAD_TO_SD;
use super::{Certainty, Change, Conditions, Modes};
use crate::domain::{TrustRules, Verdict, many};

/// What speaks against a number: a measured value and the limit that it broke.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Fewer samples than the rules ask for.
    FewSamples {
        /// How many there are.
        samples: usize,
        /// How many there should be.
        limit: usize,
    },
    /// The samples depend on each other so much that they are worth few.
    FewEffectiveSamples {
        /// How many independent ones they are worth.
        effective: f64,
        /// How many that should be.
        limit: f64,
    },
    /// The samples depend on each other so much that it can't be told how well their median is known.
    NoInterval {
        /// How many independent ones they are worth.
        effective: f64,
    },
    /// The start was slower than the rest.
    SlowStart {
        /// Samples of the start.
        samples: usize,
        /// How much slower it was, in per cent of the rest.
        percent: f64,
        /// What would have been passed over.
        limit: f64,
    },
    /// Others used the processors.
    OtherLoad {
        /// Their share of time, in per cent.
        percent: f64,
        /// What would have been passed over.
        limit: f64,
    },
    /// The host of a virtual machine took time away.
    Stolen {
        /// Its share of time, in per cent.
        percent: f64,
        /// What would have been passed over.
        limit: f64,
    },
    /// Somebody stopped the measuring process for a while.
    Stopped,
    /// The device said that it throttled.
    Throttled {
        /// What said so.
        by: String,
    },
    /// The level rose or fell.
    Changed {
        /// The change of level that stands out most.
        change: Change,
        /// Drift over the whole run, in per cent.
        drift_percent: Option<f64>,
        /// What would have been passed over.
        limit: f64,
    },
    /// The median is not known well.
    WideInterval {
        /// Half of its interval of 95 %, in per cent.
        percent: f64,
        /// What would have been passed over.
        limit: f64,
    },
    /// The samples have two modes.
    TwoModes {
        /// The modes.
        modes: Modes,
        /// How far apart they may be, in per cent.
        limit: f64,
    },
    /// Many samples are far from the median.
    ManyOutliers {
        /// Their share, in per cent.
        percent: f64,
        /// What would have been passed over.
        limit: f64,
    },
}

impl Finding {
    /// What it makes of the row.
    pub fn verdict(&self) -> Verdict {
        match self {
            Finding::FewSamples { .. } | Finding::FewEffectiveSamples { .. } | Finding::NoInterval { .. } => {
                Verdict::TooFew
            }
            Finding::SlowStart { .. } => Verdict::SlowStart,
            Finding::OtherLoad { .. } | Finding::Stolen { .. } | Finding::Stopped => Verdict::Disturbed,
            Finding::Throttled { .. } => Verdict::Throttled,
            Finding::Changed { .. } => Verdict::Unsteady,
            Finding::WideInterval { .. } | Finding::TwoModes { .. } | Finding::ManyOutliers { .. } => Verdict::Noisy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::FewSamples { samples, limit } => {
                write!(f, "{}, fewer than {limit}", many(*samples as u64, "sample"))
            }
            Finding::FewEffectiveSamples { effective, limit } => {
                write!(
                    f,
                    "the samples depend on each other: worth {effective:.1} independent ones, fewer than {limit:.1}"
                )
            }
            Finding::NoInterval { effective } => write!(
                f,
                "the samples depend on each other: worth {effective:.1} independent ones, too few for an interval of \
                 the median"
            ),
            Finding::SlowStart { samples, percent, limit } => {
                write!(f, "the first {samples} samples were {percent:.1} % slower than the rest, more than {limit} %")
            }
            Finding::OtherLoad { percent, limit } => {
                write!(f, "others used {percent:.1} % of the processors' time, more than {limit} %")
            }
            Finding::Stolen { percent, limit } => {
                write!(f, "the virtual machine's host took {percent:.1} % of the time, more than {limit} %")
            }
            Finding::Stopped => f.write_str("somebody stopped the measuring process for a while (SIGSTOP)"),
            Finding::Throttled { by } => write!(f, "the device throttled ({by})"),
            Finding::Changed { change, drift_percent, limit } => {
                let word = if change.percent > 0.0 { "slower" } else { "quicker" };
                write!(f, "{:.1} % {word} from sample {} on", change.percent.abs(), change.from_sample + 1)?;
                if let Some(drift) = drift_percent {
                    write!(f, ", {drift:+.1} % over the run by its trend")?;
                }
                write!(f, ", more than {limit} %")
            }
            Finding::WideInterval { percent, limit } => {
                write!(f, "the median is known to ± {percent:.1} %, more than {limit} %")
            }
            Finding::TwoModes { modes, limit } => {
                let (quick, slow) = (modes.quick_ns / 1e6, modes.slow_ns / 1e6);
                let share = modes.slow_share * 100.0;
                let apart = modes.percent_apart();
                write!(f, "two modes, {quick:.3} and {slow:.3} ms ({share:.0} % of the samples), ")?;
                write!(f, "{apart:.1} % apart, more than {limit} %")
            }
            Finding::ManyOutliers { percent, limit } => write!(f, "{percent:.1} % are outliers, more than {limit} %"),
        }
    }
}

/// Fewer outliers are not many, whatever their share.
const MIN_OUTLIERS: usize = 5;

/// All that speaks against a run, the worst first.
pub(super) fn findings(certainty: &Certainty, conditions: &Conditions, rules: &TrustRules) -> Vec<Finding> {
    if certainty.count < rules.min_samples {
        // Whatever else could be said of so few is chance; what was seen beside them is not.
        let few = Finding::FewSamples { samples: certainty.count, limit: rules.min_samples };
        return std::iter::once(few).chain(seen(conditions, rules)).collect();
    }
    let mut findings: Vec<Finding> = seen(conditions, rules);
    let change = level(certainty, rules);
    // A level that changes makes neighbours alike and modes two: it is one fact, not three.
    if change.is_none() {
        findings.extend(effective(certainty, rules));
        findings.extend(two_modes(certainty, rules));
    }
    findings.extend(change);
    findings.extend(spread(certainty, rules));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict()));
    findings
}

/// What was sampled beside the run.
fn seen(conditions: &Conditions, rules: &TrustRules) -> Vec<Finding> {
    let above = |value: Option<f64>, limit: f64| value.filter(|value| *value > limit);
    let other = above(conditions.other_load_percent, rules.other_load_percent)
        .map(|percent| Finding::OtherLoad { percent, limit: rules.other_load_percent });
    let stolen = above(conditions.stolen_percent, rules.stolen_percent)
        .map(|percent| Finding::Stolen { percent, limit: rules.stolen_percent });
    let by = || conditions.throttled_by.clone().unwrap_or_else(|| "what said so was not told".to_owned());
    let throttled = (conditions.is_throttled == Some(true)).then(|| Finding::Throttled { by: by() });
    let stopped = conditions.was_stopped.then_some(Finding::Stopped);
    other.into_iter().chain(stolen).chain(stopped).chain(throttled).collect()
}

fn effective(certainty: &Certainty, rules: &TrustRules) -> Option<Finding> {
    let effective = certainty.dependence.effective_samples;
    let limit = rules.min_effective_samples;
    let finding = match certainty.interval_ns {
        _ if effective < limit => Finding::FewEffectiveSamples { effective, limit },
        None => Finding::NoInterval { effective },
        Some(_) => return None,
    };
    // Samples that hardly differ may depend on each other as they like: one would do.
    let half_of_one = Z * MAD_TO_SD * certainty.spread.mad_ns as f64 / certainty.p50_ns as f64 * 100.0;
    let would_one_do = half_of_one <= rules.interval_percent;
    (!would_one_do).then_some(finding)
}

fn level(certainty: &Certainty, rules: &TrustRules) -> Option<Finding> {
    let limit = rules.change_percent;
    let change = certainty.level.changed_by(limit)?;
    let start = certainty.count as f64 * rules.start_percent / 100.0;
    // A trend is no start: what comes behind a start hardly changes any more.
    let is_rest_steady = certainty.level_of_rest.changed_by(limit / 2.0).is_none();
    Some(if change.percent < 0.0 && change.from_sample as f64 <= start && is_rest_steady {
        // The start by the rest: the change is the rest by the start.
        let percent = (1.0 / (1.0 + change.percent / 100.0) - 1.0) * 100.0;
        Finding::SlowStart { samples: change.from_sample, percent, limit }
    } else {
        let drift_percent = certainty.level.drift.map(|drift| drift.percent_in_all);
        Finding::Changed { change, drift_percent, limit }
    })
}

fn two_modes(certainty: &Certainty, rules: &TrustRules) -> Option<Finding> {
    let modes = certainty.modes?;
    let is_told =
        modes.percent_apart() >= rules.modes_percent && modes.smaller_share() * 100.0 >= rules.mode_share_percent;
    is_told.then_some(Finding::TwoModes { modes, limit: rules.modes_percent })
}

fn spread(certainty: &Certainty, rules: &TrustRules) -> Vec<Finding> {
    let wide = certainty.half_interval_percent().filter(|percent| *percent > rules.interval_percent);
    let outliers = certainty.spread.outliers as f64 / certainty.count as f64 * 100.0;
    let wide = wide.map(|percent| Finding::WideInterval { percent, limit: rules.interval_percent });
    let is_many = outliers > rules.outlier_percent && certainty.spread.outliers >= MIN_OUTLIERS;
    let many = is_many.then_some(Finding::ManyOutliers { percent: outliers, limit: rules.outlier_percent });
    wide.into_iter().chain(many).collect()
}
