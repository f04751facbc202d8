use std::fmt;

use crate::score::ScoredRun;

/// What makes two runs the same cell: what was measured, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellKey {
    /// The device, or what stands for it.
    pub device: String,
    /// Network.
    pub model: String,
    /// Engine.
    pub backend: String,
    /// What the engine hands the work to; empty for its own kernels.
    pub delegate: String,
    /// Arithmetic.
    pub precision: String,
    /// Kind of weights; empty where it is not told.
    pub weights: String,
    /// Threads asked for; empty where it is not told.
    pub threads: String,
    /// Images in one inference; 0 where that is what its two sides differ in.
    pub batch: u32,
    /// Load pattern; empty where it is not told.
    pub scenario: String,
}

impl CellKey {
    /// The cell of a run.
    pub fn of(run: &ScoredRun, device: String) -> CellKey {
        let (workload, settings) = (run.workload.clone(), run.settings.clone());
        CellKey {
            device,
            model: workload.model,
            backend: workload.backend,
            delegate: workload.delegate,
            precision: workload.precision,
            weights: settings.weights,
            threads: settings.threads,
            batch: settings.batch,
            scenario: settings.scenario,
        }
    }

    /// The parts that a table may not tell.
    pub(super) fn untold(&mut self) -> [&mut String; 3] {
        [&mut self.weights, &mut self.threads, &mut self.scenario]
    }

    /// The words that tell it from other cells of its device.
    pub fn words(&self) -> [String; 8] {
        let threads = if self.threads.is_empty() { String::new() } else { format!("threads {}", self.threads) };
        let [model, backend, delegate] = [&self.model, &self.backend, &self.delegate].map(Clone::clone);
        let [precision, weights, scenario] = [&self.precision, &self.weights, &self.scenario].map(Clone::clone);
        let batch = if self.batch == 0 { String::new() } else { format!("batch {}", self.batch) };
        [model, backend, delegate, precision, weights, threads, batch, scenario]
    }
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words().into_iter().filter(|word| !word.is_empty()).collect();
        write!(f, "{}: {}", self.device, words.join(" "))
    }
}
