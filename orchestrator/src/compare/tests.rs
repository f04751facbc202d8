#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::domain::RunStatus;
use crate::domain::sample::at;
use crate::score::{RunAccuracy, ScoredRun, Settings, Workload};

mod conditions;
mod gates;
mod judged;
mod published;
mod verdicts;

/// A run of a network with a median, the n-th of its side.
pub(super) fn run(model: &str, side: &str, number: usize, median_s: f64) -> RunFacts {
    RunFacts {
        scored: ScoredRun {
            device: "pixel-6".into(),
            workload: Workload {
                model: model.into(),
                backend: "tract".into(),
                delegate: String::new(),
                precision: "fp32".into(),
            },
            settings: Settings {
                weights: "trained".into(),
                threads: "4".into(),
                batch: 1,
                scenario: "single_stream".into(),
            },
            status: RunStatus::Ok,
            failure: None,
            failure_kind: None,
            latency_s: Some(median_s),
            accuracy: None,
            dataset: String::new(),
            macs: None,
            params: None,
            price_per_hour: None,
            run_id: Some(format!("{side}-{model}-{number}")),
            source: side.into(),
        },
        median_s: Some(median_s),
        started_at: None,
        counts: true,
        temp_start_c: None,
        conditions: vec![String::new(); CONDITIONS.len()],
    }
}

pub(super) fn side(name: &str, facts: impl IntoIterator<Item = RunFacts>) -> Runs {
    let mut runs = Runs::new(name, DeviceName::Name);
    facts.into_iter().for_each(|facts| runs.push(facts));
    runs
}

/// A side whose one network has these medians.
pub(super) fn medians(name: &str, medians_s: &[f64]) -> Runs {
    side(name, medians_s.iter().enumerate().map(|(number, median_s)| run("net", name, number, *median_s)))
}

pub(super) fn set(facts: &mut RunFacts, column: &str, value: &str) {
    let index = CONDITIONS.iter().position(|condition| condition.column == column).unwrap();
    facts.conditions[index] = value.into();
}

fn compared(a: &Runs, b: &Runs) -> Comparison {
    compare(a, b, &Options::default()).unwrap()
}

pub(super) const STEADY: [f64; 10] = [1.000, 1.004, 0.997, 1.008, 0.994, 1.001, 1.006, 0.999, 0.996, 1.003];

pub(super) fn times(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|value| value * factor).collect()
}
