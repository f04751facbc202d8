//! A record, and what is computed from it.

use std::time::Duration;

use crate::domain::{Figures, MeasuredAccuracy, Record, RunStatus, SweepRow};
use crate::score::trust::{Certainty, Counting, Repeats, Verdict};
use crate::score::{Statistics, images_per_s};

/// A record with what is computed from it.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The sweep it belongs to.
    pub sweep: &'a SweepRow,
    /// The record.
    pub record: &'a Record,
    /// Statistics of its samples. Only of a run with status `ok`: the samples of a broken-off loop are no result.
    pub statistics: Option<Statistics>,
    /// How sure they are, likewise.
    pub certainty: Option<Certainty>,
    /// How far its outputs lie from those of the first device; infinite where they can't be compared.
    pub output_error: Option<f64>,
    /// Whether it is the measurement of its job that counts.
    pub counting: Counting,
    /// What all runs of its cell say that count; `None` of a single one, and of a row that does not count.
    pub repeats: Option<Repeats>,
}

impl<'a> Row<'a> {
    /// A record of which nothing is computed.
    pub(in crate::report) fn bare(sweep: &'a SweepRow, record: &'a Record) -> Row<'a> {
        let counting = Counting::Alone;
        Row { sweep, record, statistics: None, certainty: None, output_error: None, counting, repeats: None }
    }
}

impl Row<'_> {
    /// Mean latency: of the samples, or as a program told it that tells averages only.
    pub fn mean_ns(&self) -> Option<f64> {
        self.statistics.map(|s| s.mean_ns).or_else(|| Some(self.averages()?.mean_ns? as f64))
    }

    /// Median, likewise.
    pub fn p50_ns(&self) -> Option<u64> {
        self.figure(|s| s.p50_ns, |told| told.median_ns)
    }

    /// 90th percentile, likewise.
    pub fn p90_ns(&self) -> Option<u64> {
        self.figure(|s| s.p90_ns, |told| told.p90_ns)
    }

    pub(super) fn figure(&self, computed: fn(Statistics) -> u64, told: fn(Figures) -> Option<u64>) -> Option<u64> {
        self.statistics.map(computed).or_else(|| self.averages().and_then(told))
    }

    pub(super) fn sd_ns(&self) -> Option<f64> {
        match self.statistics {
            Some(statistics) => statistics.sd_ns,
            None => Some(self.averages()?.std_ns? as f64),
        }
    }

    pub(super) fn runs(&self) -> Option<u64> {
        let samples = self.record.measurement.samples_ns.len() as u64;
        if samples > 0 { Some(samples) } else { self.averages()?.runs }
    }

    /// What a program told that tells averages only. Of a run with status `ok`, like all that is computed.
    pub fn averages(&self) -> Option<Figures> {
        self.record.measurement.averages_only().filter(|_| self.record.status == RunStatus::Ok)
    }

    /// Top-1 accuracy that was measured in this run, from 0 to 1.
    pub fn top1(&self) -> Option<f64> {
        accuracy(self).and_then(|accuracy| share(accuracy.top1_correct, accuracy.n_images))
    }

    /// What speaks against its numbers, in a word; `None` where nothing does, and where there are none.
    pub fn doubt(&self) -> Option<Verdict> {
        self.certainty.as_ref().map(Certainty::verdict).filter(|verdict| *verdict != Verdict::Ok)
    }

    /// Throughput over the timed loop.
    pub fn images_per_s(&self) -> Option<f64> {
        let wall = self.record.measurement.wall_ns.map(Duration::from_nanos);
        images_per_s(self.record.job.batch, self.statistics?.count, wall)
    }
}

pub(super) fn accuracy(row: &Row<'_>) -> Option<MeasuredAccuracy> {
    row.record.measurement.accuracy.filter(|_| row.record.status == RunStatus::Ok)
}

pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
