//! What really happened on all devices, whatever the hosts believe.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The truth of a simulation.
#[derive(Debug, Default)]
pub struct World {
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    runs: u64,
    /// By run identifier: the numbers under which it was started. More than one only where a device had forgotten it.
    started: HashMap<String, Vec<u64>>,
    /// By device: what its connections, its files and its runs took.
    took: HashMap<String, Duration>,
}

impl World {
    /// Notes that a run was started; gives its number.
    pub fn started(&self, run: &str) -> u64 {
        let mut facts = self.facts();
        facts.runs += 1;
        let number = facts.runs;
        facts.started.entry(run.to_owned()).or_default().push(number);
        number
    }

    /// Notes that a device was at work for so long, at nothing else at the same time.
    pub fn took(&self, device: &str, length: Duration) {
        *self.facts().took.entry(device.to_owned()).or_default() += length;
    }

    /// What the device took that took longest: no lab can have been faster.
    #[allow(dead_code, reason = "`bench/scale` asks for it")]
    pub fn longest(&self) -> Duration {
        self.facts().took.values().max().copied().unwrap_or_default()
    }

    /// The samples that the run of this number measures: no two runs have the same. In every third the device becomes
    /// slower, and stays so.
    pub fn samples(number: u64) -> Vec<u64> {
        let slower = if number.is_multiple_of(3) { 500_000 } else { 0 };
        let wobble = |index: u64| index * 7_919 % 24 * 200;
        (0..24).map(|index| 1_000_000 + number + wobble(index) + if index >= 12 { slower } else { 0 }).collect()
    }

    /// Whether samples are those of a run of this identifier.
    pub fn measured(&self, run: &str, samples: &[u64]) -> bool {
        let facts = self.facts();
        let numbers = facts.started.get(run).cloned().unwrap_or_default();
        numbers.into_iter().any(|number| World::samples(number) == samples)
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }
}
