//! Sweeps whose truth is known.

#[path = "../statistics/series.rs"]
#[allow(dead_code)]
mod series;

use farmctl::compare::{CONDITIONS, DeviceName, RunFacts, Runs};
use farmctl::domain::RunStatus;
use farmctl::score::{ScoredRun, Settings, Workload};
use jiff::Timestamp;
pub use series::Random;

/// How runs differ that are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Normal.
    Normal,
    /// Student's with three degrees of freedom, scaled to the same standard deviation.
    HeavyTails,
    /// Exponential above a floor: nothing makes a run quicker, much makes it slower.
    Skewed,
    /// One run in five is slower by twice and a half the spread: it got other cores.
    TwoLevels,
    /// Normal, and a drift over the sweep by three times the spread that both feel.
    Drift,
}

impl Noise {
    /// Each of them.
    pub const ALL: [Noise; 5] = [Noise::Normal, Noise::HeavyTails, Noise::Skewed, Noise::TwoLevels, Noise::Drift];

    /// What it is, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Noise::Normal => "normal",
            Noise::HeavyTails => "heavy tails",
            Noise::Skewed => "skewed",
            Noise::TwoLevels => "two levels",
            Noise::Drift => "drift",
        }
    }

    /// A deviation whose standard deviation is about 1. `at` goes from 0 to 1 over the sweep.
    pub fn deviation(self, random: &mut Random, at: f64) -> f64 {
        match self {
            Noise::Normal => random.normal(),
            Noise::HeavyTails => {
                let squares: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                random.normal() / (squares / 3.0).sqrt() / 3.0_f64.sqrt()
            }
            Noise::Skewed => -random.uniform().ln() - 1.0,
            Noise::TwoLevels => (if random.uniform() < 0.2 { 2.0 } else { -0.5 }) + 0.2 * random.normal(),
            Noise::Drift => random.normal() + 3.0 * at,
        }
    }
}

/// Two sweeps.
#[derive(Debug, Clone, Copy)]
pub struct Truth {
    /// How runs differ.
    pub noise: Noise,
    /// Standard deviation of that, as a share.
    pub spread: f64,
    /// Runs a side and cell.
    pub runs: usize,
    /// Whether the two are measured in turn.
    pub in_turn: bool,
    /// How much slower the second is, as a share.
    pub change: f64,
    /// Whether all of its cells are, or the first alone.
    pub everywhere: bool,
}

impl Truth {
    /// Both, with so many cells.
    pub fn sweeps(&self, cells: usize, seed: u64) -> (Runs, Runs) {
        let mut random = Random::new(seed.wrapping_mul(1_000_003) ^ (self.runs as u64) << 40 ^ u64::from(self.in_turn));
        let (mut a, mut b) = (Runs::new("A", DeviceName::Name), Runs::new("B", DeviceName::Name));
        for cell in 0..cells {
            for number in 0..self.runs {
                let at = number as f64 / self.runs as f64;
                for (side, runs) in [&mut a, &mut b].into_iter().enumerate() {
                    let is_changed = side == 1 && (self.everywhere || cell == 0);
                    let factor = if is_changed { 1.0 + self.change } else { 1.0 };
                    let median_s = 0.02 * factor * (self.spread * self.noise.deviation(&mut random, at)).exp();
                    runs.push(self.facts(cell, number, side, median_s));
                }
            }
        }
        (a, b)
    }

    fn facts(&self, cell: usize, number: usize, side: usize, median_s: f64) -> RunFacts {
        let scored = ScoredRun {
            device: format!("pixel-{}", cell / 18),
            workload: Workload {
                model: format!("net-{cell}"),
                backend: "tract".to_owned(),
                delegate: String::new(),
                precision: "fp32".to_owned(),
            },
            settings: Settings {
                weights: "synthetic".to_owned(),
                threads: "4".to_owned(),
                batch: 1,
                scenario: "single_stream".to_owned(),
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
            run_id: Some(format!("20261123-230000-all-7f3{side}-{cell:016x}-{number}")),
            source: String::new(),
        };
        let second = if self.in_turn { 2 * number + side } else { number + side * self.runs };
        RunFacts {
            scored,
            median_s: Some(median_s),
            started_at: Timestamp::from_second(1_795_474_800 + second as i64).ok(),
            counts: true,
            temp_start_c: Some(31.0),
            conditions: CONDITIONS.iter().map(|condition| format!("{} of both", condition.column)).collect(),
        }
    }
}

/// The most memory that this process ever had, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok().map(|kilobytes: u64| kilobytes * 1024)
}
