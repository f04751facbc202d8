use std::fmt;

use farmctl_protocol::Calibration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Battery;

/// What a check found out about a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceCheck {
    /// Whether it is fit for work.
    pub verdict: CheckVerdict,
    /// What speaks against it; nothing when it is `ok`.
    pub findings: Vec<Finding>,
    /// The schedule before whose sweep it was checked; none when a person asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// What was measured.
    #[serde(flatten)]
    pub figures: CheckFigures,
}

/// Whether a device is fit for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Nothing speaks against it.
    Ok,
    /// It works, and would do better with a little help.
    Warning,
    /// It does not answer as it should.
    Failed,
}

impl CheckVerdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckVerdict::Ok => "ok",
            CheckVerdict::Warning => "warning",
            CheckVerdict::Failed => "failed",
        }
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that speaks against a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// What a person can do about it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// What a check measures; of a device that failed half-way, what was measured until then.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CheckFigures {
    /// Rust target triple of its runner.
    pub target: Option<String>,
    /// A command that does nothing, there and back.
    pub round_trip_ms: Option<f64>,
    /// What a push brings over.
    pub push_bytes_per_second: Option<f64>,
    /// Space that is free on the file system of its workdir.
    pub free_bytes: Option<u64>,
    /// How far its clock is ahead of this host's (behind: negative), where that is more than the answer's way explains.
    pub clock_off_ms: Option<i64>,
    /// How it is powered, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery: Option<Battery>,
    /// Who is logged in, where the end of the login ends a run, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_without_lingering: Option<String>,
    /// How fast it computes and reads memory.
    pub calibration: Option<Calibration>,
}

/// How fast a device was before the runs of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Rust target triple of its runner.
    pub target: String,
    /// How fast it computes and reads memory.
    pub calibration: Calibration,
    /// How long its computing kernel usually takes; `None` where too few times are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_compute_ns: Option<u64>,
}

impl Pace {
    /// How much longer than usual the computing kernel took, in per cent of the usual; negative when it was faster.
    pub fn slower_percent(&self) -> Option<f64> {
        let usual_ns = self.usual_compute_ns.filter(|usual_ns| *usual_ns > 0)?;
        Some((self.calibration.compute_ns() as f64 / usual_ns as f64 - 1.0) * 100.0)
    }

    /// What a check would have measured.
    pub fn figures(&self) -> CheckFigures {
        let (target, calibration) = (Some(self.target.clone()), Some(self.calibration.clone()));
        CheckFigures { target, calibration, ..CheckFigures::default() }
    }
}

/// A check of a device, as its history has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastCheck {
    /// When it was.
    pub at: Timestamp,
    /// What it found out.
    pub check: DeviceCheck,
}

/// A device that was not found fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// Its name.
    pub device: String,
    /// Why: `warning` or `failed`.
    pub verdict: CheckVerdict,
    /// What speaks against it.
    pub findings: Vec<Finding>,
}
