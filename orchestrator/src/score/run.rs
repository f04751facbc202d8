use std::fmt;

use serde::Serialize;

use super::Statistics;
use crate::domain::{DELEGATE, FailureKind, Record, RunStatus};

/// A run as scores see it, whoever measured it: a record of ours, or a row of a table of results.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredRun {
    /// Name of the device.
    pub device: String,
    /// What was measured.
    pub workload: Workload,
    /// How it was measured.
    pub settings: Settings,
    /// How it ended.
    pub status: RunStatus,
    /// Why it did not end well.
    pub failure: Option<String>,
    /// Of which kind that is; `None` where a table names none that is known.
    pub failure_kind: Option<FailureKind>,
    /// Mean latency of one inference (of a whole batch) in seconds: positive, finite, and only of a run that is `ok`.
    pub latency_s: Option<f64>,
    /// Accuracy that this very run had.
    pub accuracy: Option<RunAccuracy>,
    /// What images it was counted on; empty where that is not told.
    pub dataset: String,
    /// Multiply-adds of one image.
    pub macs: Option<u64>,
    /// Parameters of the network.
    pub params: Option<u64>,
    /// What an hour of the device costs.
    pub price_per_hour: Option<f64>,
    /// Identifier of the run; a table of others may have none.
    pub run_id: Option<String>,
    /// Where the run stands: a sweep, or `file:line`.
    pub source: String,
}

/// What is measured: a network, by an engine, on one of the engine's delegates, in an arithmetic. AIoTBench counts a
/// quantised network as a workload of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Workload {
    /// Name of the network.
    pub model: String,
    /// Inference engine; AIoTBench says framework.
    pub backend: String,
    /// What the engine hands the work to (NNAPI, a GPU); empty for its own kernels.
    pub delegate: String,
    /// Arithmetic.
    pub precision: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [&self.model, &self.backend, &self.delegate, &self.precision];
        let said: Vec<&str> = words.into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        f.pad(&said.join(" "))
    }
}

/// How a device measures. A device with other settings is another system: summed up together they would count a
/// network twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Settings {
    /// Kind of weights; empty where a table doesn't say.
    pub weights: String,
    /// Threads asked for; empty where a table doesn't say.
    pub threads: String,
    /// Images in one inference.
    pub batch: u32,
    /// Load pattern; empty where a table doesn't say.
    pub scenario: String,
}

/// How often a run was right, as shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunAccuracy {
    /// Share of images whose class was the first answer; `None` where a table has only `top5`.
    pub top1: Option<f64>,
    /// Share of images whose class was among the first five.
    pub top5: Option<f64>,
    /// Images it was counted over; `None` where a table doesn't say.
    pub n_images: Option<u64>,
}

impl ScoredRun {
    /// A record as scores see it.
    pub fn of(record: &Record) -> ScoredRun {
        let job = &record.job;
        let is_ok = record.status == RunStatus::Ok;
        let measured_ns = Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.mean_ns);
        let told_ns = record.measurement.averages_only().and_then(|told| told.mean_ns).map(|mean_ns| mean_ns as f64);
        let mean_ns = measured_ns.or(told_ns).filter(|_| is_ok);
        let counted = record.measurement.accuracy.filter(|accuracy| is_ok && accuracy.n_images > 0);
        ScoredRun {
            device: job.device.clone(),
            workload: Workload {
                model: job.model.name.clone(),
                backend: job.backend.clone(),
                delegate: job.options.get(DELEGATE).cloned().unwrap_or_default(),
                precision: job.precision.to_string(),
            },
            settings: Settings {
                weights: job.model.weights.to_string(),
                threads: job.threads.to_string(),
                batch: job.batch,
                scenario: job.scenario.to_string(),
            },
            status: record.status,
            failure: record.failure.as_ref().map(ToString::to_string),
            failure_kind: record.failure.as_ref().map(|failure| failure.kind),
            latency_s: mean_ns.map(|mean_ns| mean_ns / 1e9).filter(|latency_s| *latency_s > 0.0),
            accuracy: counted.map(|counted| RunAccuracy {
                top1: Some(counted.top1_correct as f64 / counted.n_images as f64),
                top5: Some(counted.top5_correct as f64 / counted.n_images as f64),
                n_images: Some(counted.n_images),
            }),
            dataset: job.dataset.as_ref().map(|dataset| dataset.name.clone()).unwrap_or_default(),
            macs: job.model.macs,
            params: None,
            price_per_hour: record.price_per_hour,
            run_id: record.run_id.as_ref().map(ToString::to_string),
            source: format!("sweep {}", record.sweep_id),
        }
    }

    /// Time of one image in seconds: the mean latency by the batch. In `offline` the samples add up to the wall time,
    /// so this is the inverse of the throughput there; in `single_stream` it leaves out what lies between two queries.
    pub fn seconds_per_image(&self) -> Option<f64> {
        self.latency_s.map(|latency_s| latency_s / f64::from(self.settings.batch))
    }
}
