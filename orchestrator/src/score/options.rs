use serde::Serialize;

use super::ScoreError;
use super::contest::Contest;
use super::run::{RunAccuracy, ScoredRun};
use crate::domain::PublishedNetwork;

/// Where a score's accuracies come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccuracySource {
    /// From the very run that the time is from.
    #[default]
    Measured,
    /// As published for the network: no run was right or wrong.
    Published,
}

/// What a score can be told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Where accuracies come from.
    pub accuracy: AccuracySource,
    /// Counts a multiply-add as two operations.
    pub flops: bool,
    /// The device that others are compared with.
    pub reference: Option<&'a str>,
    /// What was published about networks: accuracies for [`AccuracySource::Published`]; parameters, and multiply-adds of
    /// runs that don't tell theirs, always.
    pub published: &'a [PublishedNetwork],
}

impl Options<'_> {
    fn published(&self, run: &ScoredRun) -> Option<&PublishedNetwork> {
        self.published.iter().find(|network| network.name == run.workload.model)
    }

    /// The run's top-1 accuracy as a share, or why there is none.
    pub(super) fn top1(&self, run: &ScoredRun) -> Result<f64, String> {
        self.accuracy(run, |measured| measured.top1, |network| Some(network.top1_percent))
    }

    /// The run's top-5 accuracy as a share, or why there is none.
    pub(super) fn top5(&self, run: &ScoredRun) -> Result<f64, String> {
        self.accuracy(run, |measured| measured.top5, |network| network.top5_percent)
    }

    fn accuracy(
        &self,
        run: &ScoredRun,
        measured: fn(RunAccuracy) -> Option<f64>,
        published_percent: fn(&PublishedNetwork) -> Option<f64>,
    ) -> Result<f64, String> {
        match self.accuracy {
            AccuracySource::Measured => {
                run.accuracy.and_then(measured).ok_or_else(|| "its accuracy was not measured".to_owned())
            }
            AccuracySource::Published => {
                let percent = self.published(run).and_then(published_percent);
                percent.map(|percent| percent / 100.0).ok_or_else(|| "no accuracy is published for it".to_owned())
            }
        }
    }

    /// Multiply-adds of one image.
    pub(super) fn macs(&self, run: &ScoredRun) -> Option<u64> {
        run.macs.or_else(|| self.published(run).map(|network| network.macs))
    }

    /// Parameters of the network.
    pub(super) fn params(&self, run: &ScoredRun) -> Option<u64> {
        run.params.or_else(|| self.published(run)?.params)
    }

    /// Says whose multiply-adds are published ones.
    pub(super) fn borrowed_macs(&self, contest: &Contest<'_>) -> Option<String> {
        let runs = contest.asked_cells().filter_map(|(_, cell)| cell.counting);
        let mut models: Vec<&str> = runs
            .filter(|run| run.macs.is_none() && self.published(run).is_some())
            .map(|run| run.workload.model.as_str())
            .collect();
        models.sort_unstable();
        models.dedup();
        (!models.is_empty()).then(|| format!("MACs as published, since a table has none: {}.", models.join(", ")))
    }

    /// Refuses to rank by accuracies of which there is not one.
    pub(super) fn refuse_without_accuracy(
        &self,
        contest: &Contest<'_>,
        has: fn(&RunAccuracy) -> bool,
    ) -> Result<(), ScoreError> {
        let mut runs = contest.asked_cells().flat_map(|(_, cell)| &cell.runs);
        let any = runs.any(|run| run.accuracy.as_ref().is_some_and(has));
        match self.accuracy {
            AccuracySource::Measured if !any => Err(ScoreError::NoAccuracy),
            _ => Ok(()),
        }
    }
}
