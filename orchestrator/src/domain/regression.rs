use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RegressionId, RegressionState, SweepId, sha256_hex};

/// Longest name of a baseline.
pub const LONGEST_BASELINE_NAME: usize = 64;

/// Whether a baseline can have this name: letters, digits, `-`, `_` and `.` alone.
pub fn is_baseline_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST_BASELINE_NAME && name.chars().all(is_plain)
}

/// Begins the name of a baseline where something else may be named, too.
const BASELINE: &str = "baseline:";
/// Hexadecimal digits of a regression's name.
const ID_DIGITS: usize = 9;

/// What the sweeps of a schedule are compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Against {
    /// What each cell took in the sweeps before.
    History,
    /// The sweep of this name.
    Baseline(String),
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Against::History => f.pad("history"),
            Against::Baseline(name) => f.pad(&format!("{BASELINE}{name}")),
        }
    }
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Against, String> {
        match text.strip_prefix(BASELINE) {
            Some(name) if is_baseline_name(name) => Ok(Against::Baseline(name.to_owned())),
            None if text == "history" => Ok(Against::History),
            _ => Err(format!("{text:?} is nothing to compare with: write `history` or `{BASELINE}NAME`")),
        }
    }
}

impl From<Against> for String {
    fn from(against: Against) -> String {
        against.to_string()
    }
}

impl TryFrom<String> for Against {
    type Error = String;

    fn try_from(text: String) -> Result<Against, String> {
        text.parse()
    }
}

/// What is done about cells that a schedule's sweep finds slower.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionRule {
    /// What its sweeps are compared with; `None`: with nothing.
    pub against: Option<Against>,
    /// Smaller changes are none, in per cent.
    pub threshold_percent: f64,
    /// Whether people are told by the lab's channels.
    pub is_told: bool,
}

impl Default for RegressionRule {
    /// Each schedule is compared with its history, by the threshold that comparisons have.
    fn default() -> RegressionRule {
        RegressionRule { against: Some(Against::History), threshold_percent: 3.0, is_told: true }
    }
}

/// A cell that got slower, from when that was found on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// How people name it.
    pub id: RegressionId,
    /// By whose sweep it was found.
    pub schedule: String,
    /// What it was compared with.
    pub against: Against,
    /// The device.
    pub device: String,
    /// The cell in words, its device first.
    pub cell: String,
    /// The first sweep that is slower; of a baseline the first that was found so.
    pub since: SweepId,
    /// The last sweep before it, or the baseline's.
    pub reference: SweepId,
    /// How long it took before.
    pub before_ns: f64,
    /// How long it took when it was found.
    pub after_ns: f64,
    /// How much slower that is, in per cent.
    pub percent: f64,
    /// Low end of its interval of 95 %, in per cent.
    pub low_percent: f64,
    /// High end of it.
    pub high_percent: f64,
    /// How likely chance makes such a difference; of a baseline over all cells together.
    pub p_value: f64,
    /// What else changed there, as far as that is known: `farmctl 0.1 -> 0.2`.
    pub changed: String,
    /// The sweep in which it was found.
    pub found_in: SweepId,
    /// When that was.
    pub found_at: Timestamp,
    /// The newest sweep that was compared and still had it.
    pub seen_in: SweepId,
    /// What it is now.
    pub state: RegressionState,
    /// How it ended; `None` while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RegressionEnd>,
}

/// How a regression ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegressionEnd {
    /// When.
    pub at: Timestamp,
    /// Who acknowledged it; `None` where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in words.
    pub why: String,
}

impl Regression {
    /// The name of what was found in this sweep: another for each cell and change.
    pub fn name(against: &Against, cell: &str, since: &SweepId, found_in: &SweepId) -> RegressionId {
        let digits = sha256_hex(format!("{against}\n{cell}\n{since}\n{found_in}").as_bytes());
        RegressionId(format!("r{}", &digits[..ID_DIGITS]))
    }

    /// The same, over.
    #[must_use]
    pub fn ended(self, state: RegressionState, end: RegressionEnd) -> Regression {
        Regression { state, end: Some(end), ..self }
    }

    /// How large it is and how sure: `+5.6 % (+4.8 to +6.4 %, p < 0.0001)`.
    pub fn size(&self) -> String {
        let Regression { percent, low_percent, high_percent, p_value, .. } = self;
        let p = if *p_value < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {p_value:.4}") };
        format!("{percent:+.1} % ({low_percent:+.1} to {high_percent:+.1} %, {p})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_compared_with_is_a_word() {
        for text in ["history", "baseline:main"] {
            assert_eq!(text.parse::<Against>().unwrap().to_string(), text);
        }
        for wrong in ["", "baseline:", "baseline:a b", "main", "History"] {
            assert!(wrong.parse::<Against>().is_err(), "{wrong}");
        }
    }
}
