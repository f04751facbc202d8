//! Failures of a device, or of the runner on it.

use super::kind::{FailureKind, KindFacts};
use super::{Blame, Refusal, Retry};

pub(super) const DEVICE: &[KindFacts] = &[
    KindFacts {
        kind: FailureKind::Timeout,
        word: "timeout",
        blame: Blame::Device,
        retry: Retry::Infrastructure,
        refusal: Refusal::Lasting,
        remedy: "look whether the device hangs; where it is only slow, raise the limit of that step in the sweep's \
                 `timeouts:` (connect_seconds, bring_up_seconds, push_stall_seconds, run_seconds)",
    },
    KindFacts {
        kind: FailureKind::DiskFull,
        word: "disk_full",
        blame: Blame::Device,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "free space (or inodes: `df -i`) on the device, or choose another workdir",
    },
    KindFacts {
        kind: FailureKind::WorkdirUnusable,
        word: "workdir_unusable",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "choose a workdir where the login may write and run programs",
    },
    KindFacts {
        kind: FailureKind::RunnerNotExecutable,
        word: "runner_not_executable",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "the workdir is mounted noexec, or SELinux forbids running from it: choose a workdir on another file \
            system (on Android, /data/local/tmp/farmctl)",
    },
    KindFacts {
        kind: FailureKind::RunnerUnusable,
        word: "runner_unusable",
        blame: Blame::Artifact,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "check `farmctl runner list`; build the runner for the device's target",
    },
    KindFacts {
        kind: FailureKind::RunnerProtocol,
        word: "runner_protocol",
        blame: Blame::Artifact,
        retry: Retry::Infrastructure,
        refusal: Refusal::None,
        remedy: "run with -v and look at the log of the sweep",
    },
    KindFacts {
        kind: FailureKind::RunnerMissing,
        word: "runner_missing",
        blame: Blame::Artifact,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "`farmctl runner build --target T` for the target named",
    },
    KindFacts {
        kind: FailureKind::Killed,
        word: "killed",
        blame: Blame::Device,
        retry: Retry::Infrastructure,
        refusal: Refusal::None,
        remedy: "look at the device's memory and at what else runs there: something ended the runner",
    },
    KindFacts {
        kind: FailureKind::OutOfMemory,
        word: "out_of_memory",
        blame: Blame::Device,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "use a smaller batch or model, or end other programs on the device",
    },
    KindFacts {
        kind: FailureKind::Rebooted,
        word: "rebooted",
        blame: Blame::Device,
        retry: Retry::Infrastructure,
        refusal: Refusal::None,
        remedy: "check power supply and temperature of the device",
    },
];
