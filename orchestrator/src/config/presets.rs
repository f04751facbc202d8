//! Limits that people know by a name. All that a preset sets stands here, and nowhere else.

use serde::Deserialize;

use crate::domain::{Cooldown, Limits};

/// What a sweep is measured by that names a preset. What the sweep's file says itself goes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Preset {
    /// To see that everything works.
    Quick,
    /// The defaults of LiteRT's `benchmark_model`.
    Tflite,
    /// MLPerf Mobile's single stream.
    MlperfMobile,
    /// The length that `configs/aiotbench.yaml` has always had.
    Aiotbench,
}

/// What a preset sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    /// Longest run; the usual one where it is enough.
    pub(super) run_seconds: Option<f64>,
    /// How devices cool down before each run.
    pub(super) cooldown: Option<Cooldown>,
}

impl Preset {
    /// Every preset.
    pub(super) const ALL: &'static [Preset] = &[Preset::Quick, Preset::Tflite, Preset::MlperfMobile, Preset::Aiotbench];

    /// The word of it in a sweep's file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Preset::Quick => "quick",
            Preset::Tflite => "tflite",
            Preset::MlperfMobile => "mlperf_mobile",
            Preset::Aiotbench => "aiotbench",
        }
    }

    /// What it sets.
    pub(super) fn rules(self) -> Rules {
        match self {
            Preset::Quick => QUICK,
            Preset::Tflite => TFLITE,
            Preset::MlperfMobile => MLPERF_MOBILE,
            Preset::Aiotbench => AIOTBENCH,
        }
    }
}

/// What no preset asks for.
const NOTHING_ELSE: Limits = Limits {
    warmup_min_runs: 0,
    warmup_min_seconds: 0.0,
    warmup_max_seconds: 0.0,
    min_runs: 1,
    max_runs: 1,
    min_seconds: 0.0,
    max_seconds: 0.0,
    steady_percent: None,
    interval_percent: None,
};

/// A preset of limits alone.
const LIMITS_ALONE: Rules = Rules { limits: NOTHING_ELSE, run_seconds: None, cooldown: None };

/// To see that everything works.
const QUICK: Rules = Rules {
    limits: Limits {
        warmup_min_runs: 1,
        warmup_min_seconds: 0.0,
        warmup_max_seconds: 1.0,
        min_runs: 5,
        max_runs: 10_000,
        min_seconds: 0.2,
        max_seconds: 2.0,
        ..NOTHING_ELSE
    },
    ..LIMITS_ALONE
};

/// tensorflow/lite/tools/benchmark/README.md and its flags: warmup_runs 1, warmup_min_secs 0.5, num_runs 50,
/// min_secs 1, max_secs 150 for warm-up and loop each. It has no greatest number of runs.
const TFLITE: Rules = Rules {
    limits: Limits {
        warmup_min_runs: 1,
        warmup_min_seconds: 0.5,
        warmup_max_seconds: 150.0,
        min_runs: 50,
        max_runs: 1_000_000,
        min_seconds: 1.0,
        max_seconds: 150.0,
        ..NOTHING_ELSE
    },
    ..LIMITS_ALONE
};

/// MLPerf Mobile Inference Rules 4.0 (May 2025), section «Scenarios»: single stream, at least 1,024 samples
/// and 60 s. They name no warm-up and no longest time: ten minutes are ours, so that a slow device ends.
/// Between two of its five tries they let a device rest for five minutes.
const MLPERF_MOBILE: Rules = Rules {
    limits: Limits {
        warmup_min_runs: 0,
        warmup_min_seconds: 0.0,
        warmup_max_seconds: 0.0,
        min_runs: 1_024,
        max_runs: 1_000_000,
        min_seconds: 60.0,
        max_seconds: 600.0,
        ..NOTHING_ELSE
    },
    run_seconds: Some(900.0),
    cooldown: Some(Cooldown { start_temp_c: None, min_seconds: 300.0, max_seconds: 300.0, pause_seconds: 300.0 }),
};

/// The benchmark's own networks and scores are elsewhere. How many inferences its paper (arXiv 2005.05085)
/// averages over could not be verified: these are farmctl's.
const AIOTBENCH: Rules = Rules {
    limits: Limits {
        warmup_min_runs: 3,
        warmup_min_seconds: 1.0,
        warmup_max_seconds: 10.0,
        min_runs: 10,
        max_runs: 10_000,
        min_seconds: 3.0,
        max_seconds: 20.0,
        ..NOTHING_ELSE
    },
    ..LIMITS_ALONE
};
