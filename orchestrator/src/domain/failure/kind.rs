use std::fmt;
use std::str::FromStr;

use farmctl_protocol::RunnerFailureKind;
use serde::{Deserialize, Serialize};

use super::{Blame, Refusal, Retry, connection, device, lab, run};

/// What kind of failure. `KindFacts` says more of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No answer at the device's address.
    Unreachable,
    /// The address answered, but nothing listens there.
    Refused,
    /// The device's name has no address.
    NameUnknown,
    /// Nobody could say for now which address the device's name has.
    NameUnavailable,
    /// The server did not accept the login.
    LoginRefused,
    /// The login was accepted, and runs no commands.
    LoginRunsNothing,
    /// This host has nothing to log in with.
    LoginMissing,
    /// The server lets nobody in for now.
    LoginClosed,
    /// The phone waits for a person to let this host in, or this host for leave to open its USB device.
    Unauthorized,
    /// The host key is not the known one.
    HostKeyChanged,
    /// No host key is known.
    HostKeyUnknown,
    /// The connection broke and did not come back in time.
    ConnectionLost,
    /// The transport answered in a way it never should.
    TransportProtocol,
    /// A step on the device did not end in time.
    Timeout,
    /// The device has not the space.
    DiskFull,
    /// A person took the device out of service.
    Disabled,
    /// The workdir can't be written or run from.
    WorkdirUnusable,
    /// The device refuses to run a program from the workdir, though it lies there as it should.
    RunnerNotExecutable,
    /// The device is another device of the farm, reached another way.
    #[serde(rename = "spare_device")]
    DuplicateEntry,
    /// The runner does not start on this device.
    RunnerUnusable,
    /// The runner said something that is not the protocol.
    RunnerProtocol,
    /// No runner for the device's target.
    RunnerMissing,
    /// A file could not be had.
    ArtifactUnavailable,
    /// A file has not the content it should.
    ArtifactCorrupt,
    /// The engine can't do what the job asks.
    BackendUnsupported,
    /// The engine could not load the model.
    ModelLoad,
    /// An inference failed.
    Inference,
    /// The measuring program crashed.
    Crashed,
    /// Something on the device ended the runner while it watched over the run.
    Killed,
    /// Not enough memory.
    OutOfMemory,
    /// The run's own deadline passed.
    Deadline,
    /// A person ended it.
    Cancelled,
    /// The device vanished while measuring: it booted again.
    Rebooted,
    /// Another host or run uses the device.
    Busy,
    /// The run was not found on the device again after its host had gone.
    Lost,
    /// The device knows of a newer lease than this host's.
    Fenced,
    /// The device failed too often in a row and takes no jobs.
    Quarantined,
    /// A person keeps sweeps off the device.
    Locked,
    /// The runner for the device is another than the one the sweep began with.
    RunnerChanged,
    /// What was to be found out is settled without it.
    NotNeeded,
    /// The time of a comparison was over before.
    BudgetSpent,
    /// A fault of farmctl.
    Internal,
}

/// What is known of a kind of failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct KindFacts {
    pub kind: FailureKind,
    /// The word used in reports and in the store.
    pub word: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
    /// What it says about another try.
    pub retry: Retry,
    /// What it says of the way into a device.
    pub refusal: Refusal,
    /// What a person can do about it.
    pub remedy: &'static str,
}

/// The facts of every kind, in the order of the enum. A kind without facts, or with two, does not compile.
const FACTS: [KindFacts; COUNT] = facts();

/// `Internal` stays the last kind.
const COUNT: usize = FailureKind::Internal as usize + 1;

const fn facts() -> [KindFacts; COUNT] {
    let groups = [connection::CONNECTION, device::DEVICE, run::RUN, lab::LAB];
    let mut all = [None; COUNT];
    let mut group = 0;
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            let one = groups[group][index];
            assert!(all[one.kind as usize].is_none(), "a kind of failure has its facts twice");
            all[one.kind as usize] = Some(one);
            index += 1;
        }
        group += 1;
    }
    let mut facts = [connection::CONNECTION[0]; COUNT];
    let mut index = 0;
    while index < COUNT {
        match all[index] {
            Some(one) => facts[index] = one,
            None => panic!("a kind of failure has no facts"),
        }
        index += 1;
    }
    facts
}

const fn kinds() -> [FailureKind; COUNT] {
    let mut kinds = [FailureKind::Internal; COUNT];
    let mut index = 0;
    while index < COUNT {
        kinds[index] = FACTS[index].kind;
        index += 1;
    }
    kinds
}

impl FailureKind {
    /// Every kind.
    pub const ALL: &'static [FailureKind] = &kinds();

    fn facts(self) -> &'static KindFacts {
        &FACTS[self as usize]
    }

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        self.facts().word
    }

    /// Whose fault it is.
    pub fn blame(self) -> Blame {
        self.facts().blame
    }

    /// What it says about another try.
    pub fn retry(self) -> Retry {
        self.facts().retry
    }

    /// What it says of the way into a device.
    pub fn refusal(self) -> Refusal {
        self.facts().refusal
    }

    /// Whether it may pass by itself on a device that had answered a moment ago.
    pub fn may_pass(self) -> bool {
        self.may_retry() || self.refusal() != Refusal::None
    }

    /// Whether a job that was skipped for it was left out: its device was to do it, and did not take it.
    pub fn leaves_job_out(self) -> bool {
        self.refusal() != Refusal::None || matches!(self, FailureKind::Quarantined | FailureKind::Locked)
    }

    /// Whether a run that was left out for it was one that nobody needed any more: what was measured tells, or the time
    /// for it was over.
    pub fn is_needless(self) -> bool {
        matches!(self, FailureKind::NotNeeded | FailureKind::BudgetSpent)
    }

    /// Whether another try may go better.
    pub fn may_retry(self) -> bool {
        self.retry() != Retry::Never
    }

    /// Whether it speaks against the device or the way to it.
    pub fn is_infrastructure(self) -> bool {
        self.retry() == Retry::Infrastructure
    }

    /// What a person can do about it.
    pub fn remedy(self) -> &'static str {
        self.facts().remedy
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FailureKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        FailureKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("{word:?} is no failure kind"))
    }
}

impl From<RunnerFailureKind> for FailureKind {
    fn from(kind: RunnerFailureKind) -> FailureKind {
        match kind {
            RunnerFailureKind::ArtifactMissing | RunnerFailureKind::ArtifactCorrupt => FailureKind::ArtifactCorrupt,
            RunnerFailureKind::BackendUnsupported => FailureKind::BackendUnsupported,
            RunnerFailureKind::ModelLoad => FailureKind::ModelLoad,
            RunnerFailureKind::Inference => FailureKind::Inference,
            RunnerFailureKind::Crashed => FailureKind::Crashed,
            RunnerFailureKind::OutOfMemory => FailureKind::OutOfMemory,
            RunnerFailureKind::Deadline => FailureKind::Deadline,
            RunnerFailureKind::Cancelled => FailureKind::Cancelled,
            RunnerFailureKind::Device => FailureKind::BackendUnsupported,
            RunnerFailureKind::Restarted => FailureKind::Rebooted,
            RunnerFailureKind::Killed => FailureKind::Killed,
            RunnerFailureKind::Storage => FailureKind::DiskFull,
            RunnerFailureKind::Internal => FailureKind::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_the_store_and_in_reports() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}
