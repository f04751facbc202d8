//! Failures of a run: its files, its engine, its network.

use super::kind::{FailureKind, KindFacts};
use super::{Blame, Refusal, Retry};

pub(super) const RUN: &[KindFacts] = &[
    KindFacts {
        kind: FailureKind::ArtifactUnavailable,
        word: "artifact_unavailable",
        blame: Blame::Artifact,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "put the file where models.yaml says that it is, or, where that has `urls`, `farmctl models fetch \
                 NAME`; what was replaced needs a new sweep",
    },
    KindFacts {
        kind: FailureKind::ArtifactCorrupt,
        word: "artifact_corrupt",
        blame: Blame::Artifact,
        retry: Retry::Infrastructure,
        refusal: Refusal::None,
        remedy: "it was removed and is pushed again; if it comes back, the device's storage is failing",
    },
    KindFacts {
        kind: FailureKind::BackendUnsupported,
        word: "backend_unsupported",
        blame: Blame::Backend,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "exclude this cell from the sweep",
    },
    KindFacts {
        kind: FailureKind::ModelLoad,
        word: "model_load",
        blame: Blame::Model,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "look at the message; `farmctl models show NAME` lists the operators",
    },
    KindFacts {
        kind: FailureKind::Inference,
        word: "inference",
        blame: Blame::Model,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "look at the message",
    },
    KindFacts {
        kind: FailureKind::Crashed,
        word: "crashed",
        blame: Blame::Backend,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "look at signal and last lines; try fewer threads or another engine",
    },
    KindFacts {
        kind: FailureKind::Deadline,
        word: "deadline",
        blame: Blame::Device,
        retry: Retry::Never,
        refusal: Refusal::None,
        remedy: "raise timeouts.run_seconds, or lower what keeps the loop going: min_runs, min_seconds, and \
            max_seconds where interval_percent is set",
    },
];
