use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ScoreError;
use super::result_matrix::ResultMatrix;
use super::run::{RunAccuracy, ScoredRun};
use crate::domain::{PublishedNetwork, many};

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

impl AccuracySource {
    /// Every source.
    pub const ALL: &'static [AccuracySource] = &[AccuracySource::Measured, AccuracySource::Published];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            AccuracySource::Measured => "measured",
            AccuracySource::Published => "published",
        }
    }

    /// Which accuracy that is.
    pub fn description(self) -> &'static str {
        match self {
            AccuracySource::Measured => "The one that each run itself had",
            AccuracySource::Published => "The one published for the network, and marked so",
        }
    }
}

/// Which answers make a network right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// The first.
    One,
    /// One of the first five.
    Five,
}

impl Top {
    /// The column of a table of results.
    pub fn column(self) -> &'static str {
        match self {
            Top::One => "top1",
            Top::Five => "top5",
        }
    }

    fn measured(self, accuracy: RunAccuracy) -> Option<f64> {
        match self {
            Top::One => accuracy.top1,
            Top::Five => accuracy.top5,
        }
    }

    fn published_percent(self, network: &PublishedNetwork) -> Option<f64> {
        match self {
            Top::One => Some(network.top1_percent),
            Top::Five => network.top5_percent,
        }
    }
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
    /// What was published about networks: accuracies for [`AccuracySource::Published`]; parameters, and multiply-adds
    /// of runs that don't tell theirs, always.
    pub published: &'a [PublishedNetwork],
}

impl Options<'_> {
    fn published(&self, run: &ScoredRun) -> Option<&PublishedNetwork> {
        self.published.iter().find(|network| network.name == run.workload.model)
    }

    /// The run's accuracy as a share, or why there is none.
    pub(super) fn share(&self, top: Top, run: &ScoredRun) -> Result<f64, String> {
        match self.accuracy {
            AccuracySource::Measured => {
                let share = run.accuracy.and_then(|accuracy| top.measured(accuracy));
                share.ok_or_else(|| "its accuracy was not measured".to_owned())
            }
            AccuracySource::Published => {
                let percent = self.published(run).and_then(|network| top.published_percent(network));
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

    /// Says on which images the accuracies that count were measured, where that is told: of others they can't be
    /// compared.
    pub(super) fn images(&self, matrix: &ResultMatrix<'_>) -> Option<String> {
        let runs = matrix.asked_cells().filter_map(|(_, cell)| cell.counting).filter(|run| !run.dataset.is_empty());
        let images = runs.filter_map(|run| Some((run.dataset.as_str(), run.accuracy?.n_images?)));
        let images: BTreeSet<(&str, u64)> = images.collect();
        let said: Vec<String> =
            images.iter().map(|(name, count)| format!("{} of {name}", many(*count, "image"))).collect();
        (!said.is_empty()).then(|| format!("Accuracy is of {}.", said.join(", and of ")))
    }

    /// Says who published the accuracies that count.
    pub(super) fn accuracy_sources(&self, matrix: &ResultMatrix<'_>) -> Vec<String> {
        let mut sources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let runs = matrix.asked_cells().filter_map(|(_, cell)| cell.counting);
        for network in runs.filter_map(|run| self.published(run)) {
            sources.entry(&network.source).or_default().insert(&network.name);
        }
        let names = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        sources.into_iter().map(|(source, of)| format!("Accuracy of {} by: {source}.", names(of))).collect()
    }

    /// Says whose multiply-adds are published ones.
    pub(super) fn borrowed_macs(&self, matrix: &ResultMatrix<'_>) -> Option<String> {
        let runs = matrix.asked_cells().filter_map(|(_, cell)| cell.counting);
        let borrowed = runs.filter(|run| run.macs.is_none() && self.published(run).is_some());
        let models: BTreeSet<&str> = borrowed.map(|run| run.workload.model.as_str()).collect();
        let names = models.iter().copied().collect::<Vec<_>>().join(", ");
        (!models.is_empty()).then(|| format!("MACs as published, since a table has none: {names}."))
    }

    /// Refuses to rank by accuracies of which there is not one.
    pub(super) fn refuse_without(&self, top: Top, matrix: &ResultMatrix<'_>) -> Result<(), ScoreError> {
        let mut runs = matrix.asked_cells().flat_map(|(_, cell)| &cell.runs);
        let any = runs.any(|run| run.accuracy.is_some_and(|accuracy| top.measured(accuracy).is_some()));
        match self.accuracy {
            AccuracySource::Measured if !any => Err(ScoreError::NoAccuracy),
            _ => Ok(()),
        }
    }
}
