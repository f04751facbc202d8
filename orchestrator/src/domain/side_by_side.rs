use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ArtifactRef, Backend, Catalog, CatalogModel, CellPattern, Job};

/// One of two sides that are measured in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairSide {
    /// What is compared with.
    A,
    /// What is compared.
    B,
}

impl PairSide {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            PairSide::A => "a",
            PairSide::B => "b",
        }
    }
}

/// Two sides that a sweep measures in pairs on each device, until what differs is settled. A repeat is a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideBySide {
    /// What A is called.
    pub a_name: String,
    /// What B is called.
    pub b_name: String,
    /// What B has in place of what the sweep has, which is A: one value on each axis that differs, and none on the
    /// others. With none at all, both sides are the same.
    pub b: CellPattern,
    /// Smaller changes are the same, in per cent.
    pub threshold_percent: f64,
    /// How likely any cell of equal sides may be called slower or faster.
    pub alpha: f64,
    /// Minutes after its beginning from which on no more runs are started; `None`: the pairs alone bound it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// The runners of A, one for each kind of machine; none: the lab's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub a_runners: Vec<SideRunner>,
    /// Those of B.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub b_runners: Vec<SideRunner>,
    /// Networks whose files the sides were given, as entries of models.yaml.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<CatalogModel>,
    /// Engines of other files than the lab's, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
}

/// A runner that a side was given, for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRunner {
    /// Rust target that it was built for.
    pub target: String,
    /// Where it is on this host.
    pub path: PathBuf,
    /// What it has to be, then and later.
    pub artifact: ArtifactRef,
    /// Version and sources, as it says itself.
    pub version: String,
}

impl SideBySide {
    /// Whether its sides have runners of their own.
    pub fn names_runners(&self) -> bool {
        !self.a_runners.is_empty() || !self.b_runners.is_empty()
    }

    /// Whether the cells of both are called the same: two runners, or a side with itself. Outside of their own
    /// comparison A's runs stand for the cell, and not a mixture of both.
    pub fn is_of_one_cell(&self) -> bool {
        self.b == CellPattern::default()
    }

    /// Adds to a catalogue what its sides were given beside it.
    pub fn add_to(&self, catalog: &mut Catalog) {
        let models = self.models.iter().filter(|model| catalog.model(&model.name).is_none());
        let models: Vec<CatalogModel> = models.cloned().collect();
        catalog.models.extend(models);
        let backends = self.backends.iter().filter(|backend| catalog.backend(&backend.name).is_none());
        let backends: Vec<Backend> = backends.cloned().collect();
        catalog.backends.extend(backends);
    }

    /// The cell of a job in words that both its sides share.
    pub fn cell(&self, job: &Job) -> String {
        let or = |differs: bool, word: String| if differs { "*".to_owned() } else { word };
        let CellPattern { models, weights, backends, precisions, threads, batches, scenarios, .. } = &self.b;
        let words = [
            or(!models.is_empty(), job.model.name.clone()),
            or(!weights.is_empty(), job.model.weights.to_string()),
            or(!backends.is_empty(), job.backend.clone()),
            or(!precisions.is_empty(), job.precision.to_string()),
            or(!threads.is_empty(), format!("threads {}", job.threads)),
            or(!batches.is_empty(), format!("batch {}", job.batch)),
            or(!scenarios.is_empty(), job.scenario.to_string()),
        ];
        words.join(" ")
    }
}

#[cfg(test)]
impl SideBySide {
    /// Two sides that are the same.
    pub fn sample() -> SideBySide {
        SideBySide {
            a_name: "a".to_owned(),
            b_name: "b".to_owned(),
            b: CellPattern::default(),
            threshold_percent: 3.0,
            alpha: 0.01,
            minutes: None,
            a_runners: Vec::new(),
            b_runners: Vec::new(),
            models: Vec::new(),
            backends: Vec::new(),
        }
    }
}
