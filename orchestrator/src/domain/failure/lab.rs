//! What the lab or a person decided.

use super::kind::{FailureKind, KindFacts};
use super::{Blame, Refusal, Retry};

pub(super) const LAB: &[KindFacts] = &[
    KindFacts {
        kind: FailureKind::Disabled,
        word: "disabled",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "remove `disabled` from the farm file once the device is well",
    },
    KindFacts {
        kind: FailureKind::DuplicateEntry,
        word: "spare_device",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "remove one of the two devices from the farm files, or give one entry both ways",
    },
    KindFacts {
        kind: FailureKind::Cancelled,
        word: "cancelled",
        blame: Blame::User,
        retry: Retry::Again,
        refusal: Refusal::None,
        remedy: "start the sweep again",
    },
    KindFacts {
        kind: FailureKind::Busy,
        word: "busy",
        blame: Blame::User,
        retry: Retry::Again,
        refusal: Refusal::None,
        remedy: "wait for the other run, or end it with the host that started it",
    },
    KindFacts {
        kind: FailureKind::Lost,
        word: "lost",
        blame: Blame::Internal,
        retry: Retry::Again,
        refusal: Refusal::None,
        remedy: "nothing: it is tried again",
    },
    KindFacts {
        kind: FailureKind::Fenced,
        word: "fenced",
        blame: Blame::Internal,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "another host of this lab has the device now; look whether this one was suspended, or its clock set",
    },
    KindFacts {
        kind: FailureKind::Quarantined,
        word: "quarantined",
        blame: Blame::Device,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "see `farmctl why DEVICE`; mend it, then `farmctl devices release DEVICE`, and `farmctl sweep \
            --retry-failed latest`",
    },
    KindFacts {
        kind: FailureKind::Locked,
        word: "locked",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "wait until the lock ends, or `farmctl devices unlock DEVICE`; then `farmctl sweep --retry-failed \
            latest`",
    },
    KindFacts {
        kind: FailureKind::RunnerChanged,
        word: "runner_changed",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "start the sweep anew: results of two programs are not mixed in one",
    },
    KindFacts {
        kind: FailureKind::NotNeeded,
        word: "not_needed",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "nothing: what was measured tells; `farmctl ab --show SWEEP` says what",
    },
    KindFacts {
        kind: FailureKind::BudgetSpent,
        word: "budget_spent",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "begin `farmctl ab` anew with more `--minutes`, or without it; `farmctl ab --show SWEEP` says what was \
            measured by then",
    },
    KindFacts {
        kind: FailureKind::Internal,
        word: "internal",
        blame: Blame::Internal,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "please report it, with the log of the sweep",
    },
];
