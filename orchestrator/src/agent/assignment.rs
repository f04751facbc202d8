//! What an agent is given: the sweep, and the files that its runs take.

use std::sync::Arc;

use crate::device::{EngineProvider, RunnerProvider};
use crate::domain::{Cooldown, Device, OnFailure, RetryPolicy, SideBySide, Sweep, SweepRow, Timeouts, TrustPolicy};

use super::{HostFiles, LabelFiles, OutputFiles};

/// What an agent is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentMode {
    /// To carry out the open jobs of a sweep.
    Jobs,
    /// To end the runs that an earlier process had left on devices, and to collect what is there.
    EndRuns,
}

/// The sweep that an agent carries out, and how.
pub struct Assignment {
    /// What the agent is there for.
    pub mode: AgentMode,
    /// The sweep.
    pub sweep: SweepRow,
    /// What its file says of waits, failures and doubts.
    pub rules: SweepRules,
    /// All devices of the lab: a job may move to an equal one.
    pub lab_devices: Vec<Device>,
    /// Most devices that are worked on at the same time.
    pub max_devices: usize,
    /// Whether other processes carry out the same sweep at the same time, on devices that they reach, which may be
    /// some of these.
    pub is_shared: bool,
}

/// What a sweep's file says of waits, failures and doubts.
#[derive(Debug, Clone)]
pub struct SweepRules {
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What a device is given before each run.
    pub cooldown: Option<Cooldown>,
    /// What a failed run means for those after it.
    pub on_failure: OnFailure,
    /// What a failure of a device means for its jobs.
    pub retry: RetryPolicy,
    /// When a number is believed, and how often a doubtful one is measured again.
    pub trust: TrustPolicy,
    /// Two sides that are measured in pairs.
    pub side_by_side: Option<SideBySide>,
}

impl From<&Sweep> for SweepRules {
    fn from(sweep: &Sweep) -> SweepRules {
        let Sweep { timeouts, cooldown, on_failure, trust, .. } = *sweep;
        let (retry, side_by_side) = (sweep.retry.clone(), sweep.side_by_side.clone());
        SweepRules { timeouts, cooldown, on_failure, retry, trust, side_by_side }
    }
}

/// The files that runs take and leave on this host.
pub struct SweepFiles {
    /// Where the models' files are, and what their jobs take besides.
    pub models: HostFiles,
    /// Where runners come from; of a sweep with two sides those of A.
    pub runners: Arc<dyn RunnerProvider>,
    /// Where those of B come from, where the sides have runners of their own.
    pub b_runners: Option<Arc<dyn RunnerProvider>>,
    /// Where engine programs come from.
    pub engines: Arc<dyn EngineProvider>,
    /// Where outputs are kept.
    pub outputs: OutputFiles,
    /// What datasets' images really show.
    pub labels: LabelFiles,
}
