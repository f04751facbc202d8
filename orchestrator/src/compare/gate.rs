use std::fmt;

/// A condition that a comparison has to meet: `slower > 3%`. What it says is what fails it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub(super) metric: Metric,
    pub(super) comparison: Sign,
    pub(super) limit: f64,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Slower,
    Faster,
    Geomean,
    Top1,
    Top5,
}

impl Metric {
    const ALL: [(&'static str, Metric); 5] = [
        ("slower", Metric::Slower),
        ("faster", Metric::Faster),
        ("geomean", Metric::Geomean),
        ("top1", Metric::Top1),
        ("top5", Metric::Top5),
    ];

    /// What it is counted in.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Metric::Slower | Metric::Faster | Metric::Geomean => "%",
            Metric::Top1 | Metric::Top5 => "points",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Sign {
    /// The longer ones first.
    const ALL: [(&'static str, Sign); 4] =
        [(">=", Sign::AtLeast), ("<=", Sign::AtMost), (">", Sign::Above), ("<", Sign::Below)];

    pub(super) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Sign::Above => value > limit,
            Sign::AtLeast => value >= limit,
            Sign::Below => value < limit,
            Sign::AtMost => value <= limit,
        }
    }
}

/// Why a text is no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It begins with no known word.
    #[error("{0:?} is nothing that a gate looks at: write slower, faster, geomean, top1 or top5, as in 'slower > 3%'")]
    Metric(String),
    /// There is no sign behind the word.
    #[error("behind {metric} stands {found:?}: write >, >=, < or <=, as in '{metric} > 3%'")]
    Sign {
        /// The word.
        metric: &'static str,
        /// What stands there.
        found: String,
    },
    /// A sign that makes no sense.
    #[error("{metric} is always 0 or more: write {metric} > or >=, and a number")]
    Direction {
        /// The word.
        metric: &'static str,
    },
    /// No number behind the sign.
    #[error("{0:?} is no number: write 3, 3% or -0.5")]
    Number(String),
    /// A unit that the metric does not have.
    #[error("{metric} is counted in points of accuracy: write {number}, without %")]
    Unit {
        /// The word.
        metric: &'static str,
        /// The number.
        number: String,
    },
    /// A limit below zero.
    #[error("{metric} is always 0 or more: {number} makes no sense")]
    Negative {
        /// The word.
        metric: &'static str,
        /// The number.
        number: String,
    },
}

impl std::str::FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Gate, GateError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let known = Metric::ALL.into_iter().find(|(name, _)| *name == word);
        let (name, metric) = known.ok_or_else(|| GateError::Metric(if end == 0 { text } else { word }.to_owned()))?;
        let rest = rest.trim_start();
        let sign = Sign::ALL.into_iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, comparison) =
            sign.ok_or_else(|| GateError::Sign { metric: name, found: rest.chars().take(12).collect() })?;
        let written = rest[sign.len()..].trim();
        let (number, is_percent) = match written.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (written, false),
        };
        let limit = number.parse().ok().filter(|limit: &f64| limit.is_finite());
        let limit = limit.ok_or_else(|| GateError::Number(written.to_owned()))?;
        let is_share = matches!(metric, Metric::Top1 | Metric::Top5);
        if is_share && is_percent {
            return Err(GateError::Unit { metric: name, number: number.to_owned() });
        }
        if matches!(metric, Metric::Slower | Metric::Faster) {
            if matches!(comparison, Sign::Below | Sign::AtMost) {
                return Err(GateError::Direction { metric: name });
            }
            if limit < 0.0 {
                return Err(GateError::Negative { metric: name, number: number.to_owned() });
            }
        }
        Ok(Gate {
            metric,
            comparison,
            limit,
            text: format!("{name} {sign} {number}{}", if is_share { "" } else { "%" }),
        })
    }
}

impl Gate {
    /// The change that it lets pass, where it looks at slower or faster cells: smaller ones must be told, then. `None`
    /// of 0 %, too, which goes by the interval of each cell.
    pub fn threshold_percent(&self) -> Option<f64> {
        matches!(self.metric, Metric::Slower | Metric::Faster).then_some(self.limit).filter(|limit| *limit > 0.0)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a cell that is unclear, or can't be compared, does to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// It passes.
    Pass,
    /// It fails.
    Fail,
    /// It is measured again, and fails where that can't be, or tells nothing either.
    Rerun,
}

impl Unclear {
    /// All.
    pub const ALL: &'static [Unclear] = &[Unclear::Pass, Unclear::Fail, Unclear::Rerun];
    /// What there is where two sides are measured until they are settled.
    pub const OF_PAIRS: &'static [Unclear] = &[Unclear::Pass, Unclear::Fail];

    /// The word that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Unclear::Pass => "pass",
            Unclear::Fail => "fail",
            Unclear::Rerun => "rerun",
        }
    }

    /// What it means, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Unclear::Pass => "a gate passes what can't be told yet, and says how many that were",
            Unclear::Fail => "a gate fails what can't be told yet",
            Unclear::Rerun => {
                "what can't be told yet is measured again side by side; a gate fails what is unclear then"
            }
        }
    }
}
