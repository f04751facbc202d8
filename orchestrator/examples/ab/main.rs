//! Prints how often `farmctl ab` is right, and how many pairs that takes, as `bench/ab.md` has it:
//!
//!     cargo run --release --package farmctl --example ab [SWEEPS]
//!
//! SWEEPS of each kind, 2,000 unless told. Each has a seed of its own that never changes: the same numbers each time.
#![allow(missing_docs)]

#[path = "../compare/sweeps.rs"]
#[allow(dead_code)]
mod sweeps;

use farmctl::compare::Verdict;
use farmctl::compare::side_by_side::{LookRule, Pair, Settled, settle_cells};
use sweeps::{Noise, Random};

/// Cells of a sweep: the six networks, each with three numbers of threads.
const CELLS: usize = 18;

/// Sweeps of one kind.
#[derive(Debug, Clone, Copy)]
struct Truth {
    noise: Noise,
    /// Standard deviation from run to run, as a share.
    spread: f64,
    /// How much slower B is, as a share.
    change: f64,
    /// Whether all of its cells are, or the first alone.
    everywhere: bool,
    pairs: u32,
    cells: usize,
}

impl Truth {
    /// The pairs of each cell: all that are planned.
    fn cells(&self, seed: u64) -> Vec<Vec<Pair>> {
        let mut random = Random::new(seed.wrapping_mul(1_000_003) ^ u64::from(self.pairs) << 40);
        let cell = |cell: usize| {
            let change = if self.everywhere || cell == 0 { self.change } else { 0.0 };
            let mut run = |repeat: u32| {
                let at = f64::from(repeat) / f64::from(self.pairs);
                self.spread * self.noise.deviation(&mut random, at)
            };
            let pair = |repeat: u32| {
                let (a, b) = (run(repeat), run(repeat) + (1.0 + change).ln());
                Pair { repeat, log_ratio: b - a }
            };
            (1..=self.pairs).map(pair).collect()
        };
        let mut made = Vec::with_capacity(self.cells);
        let mut cell = cell;
        (0..self.cells).for_each(|number| made.push(cell(number)));
        made
    }

    fn rule(&self, threshold_percent: f64) -> LookRule {
        LookRule { pairs: self.pairs, cells: self.cells, alpha: 0.01, threshold_percent }
    }

    fn settled(&self, seed: u64, threshold_percent: f64) -> Vec<Option<Settled>> {
        settle_cells(&self.cells(seed), self.pairs, &self.rule(threshold_percent))
    }
}

fn main() {
    let sweeps: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2_000);
    println!("# How often `farmctl ab` is right\n");
    println!(
        "Made by `bench/ab`: {sweeps} sweeps of each kind, {CELLS} cells each unless told, by the limits that are the \
         default (threshold 3 %, a share of\n1 % for all cells and looks together). «Spread» is the standard deviation \
         from run to run. A share is known to ± {:.1} at 5 %, to ± {:.2} at\n1 % (one standard error). What the words \
         mean: [Comparing](../docs/src/compare.md).\n",
        (0.05_f64 * 0.95 / f64::from(sweeps)).sqrt() * 100.0,
        (0.01_f64 * 0.99 / f64::from(sweeps)).sqrt() * 100.0
    );
    equal(sweeps);
    found(sweeps);
    pairs_needed(sweeps);
    always_looking(sweeps);
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

fn is_alarm(settled: &Option<Settled>) -> bool {
    settled.is_some_and(|it| matches!(it.verdict, Verdict::Slower | Verdict::Faster))
}

fn equal(sweeps: u32) {
    println!("## A against A\n");
    println!(
        "How often two equal sides raise any alarm at any look. Wanted: 1 % at most. With the threshold at 0.01 % \
         nothing but the test stands between\nchance and an alarm.\n"
    );
    println!("| noise | spread, % | pairs at most | any alarm, % | threshold 0.01, % |");
    println!("|---|--:|--:|--:|--:|");
    for noise in Noise::ALL {
        for (spread, pairs) in [(0.01, 10), (0.02, 40), (0.055, 40)] {
            let truth = Truth { noise, spread, change: 0.0, everywhere: true, pairs, cells: CELLS };
            let share = |threshold: f64| {
                let has_alarm = |seed: &u32| truth.settled(u64::from(*seed), threshold).iter().any(is_alarm);
                percent((0..sweeps).filter(has_alarm).count(), sweeps as usize)
            };
            println!("| {} | {} | {pairs} | {:.2} | {:.2} |", noise.as_str(), spread * 100.0, share(3.0), share(0.01));
        }
    }
}

fn found(sweeps: u32) {
    println!("\n## Five per cent slower\n");
    println!(
        "How often a cell that is 5 % slower is settled as slower: where it alone of {CELLS} is, where all are, and \
         where there is no other cell.\nWanted: 90 % with 10 pairs.\n"
    );
    println!("| noise | spread, % | pairs at most | one cell, % | all cells, % | a single cell, % |");
    println!("|---|--:|--:|--:|--:|--:|");
    for noise in Noise::ALL {
        for spread in [0.01, 0.015, 0.02] {
            for pairs in [10, 40] {
                let share = |everywhere: bool, cells: usize| {
                    let truth = Truth { noise, spread, change: 0.05, everywhere, pairs, cells };
                    let of = |settled: &[Option<Settled>]| {
                        let meant = if everywhere { cells } else { 1 };
                        settled[..meant].iter().filter(|it| it.is_some_and(|it| it.verdict == Verdict::Slower)).count()
                    };
                    let found: usize = (0..sweeps).map(|seed| of(&truth.settled(u64::from(seed), 3.0))).sum();
                    percent(found, sweeps as usize * if everywhere { cells } else { 1 })
                };
                println!(
                    "| {} | {} | {pairs} | {:.1} | {:.1} | {:.1} |",
                    noise.as_str(),
                    spread * 100.0,
                    share(false, CELLS),
                    share(true, CELLS),
                    share(false, 1)
                );
            }
        }
    }
}

fn pairs_needed(sweeps: u32) {
    println!("\n## What cells are called, and after how many pairs\n");
    println!("Normal noise, all {CELLS} cells so, 40 pairs at most. Pairs: the mean over all cells.\n");
    println!("| true change, % | spread, % | slower, % | same, % | unclear, % | pairs |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for change in [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2] {
        for spread in [0.01, 0.02] {
            let truth = Truth { noise: Noise::Normal, spread, change, everywhere: true, pairs: 40, cells: CELLS };
            let all: Vec<Option<Settled>> = (0..sweeps).flat_map(|seed| truth.settled(u64::from(seed), 3.0)).collect();
            let count = |verdict: Verdict| all.iter().filter(|it| it.is_some_and(|it| it.verdict == verdict)).count();
            let pairs: u64 = all.iter().map(|it| u64::from(it.map_or(40, |it| it.repeats))).sum();
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
                change * 100.0,
                spread * 100.0,
                percent(count(Verdict::Slower), all.len()),
                percent(count(Verdict::Same), all.len()),
                percent(all.iter().filter(|it| it.is_none()).count(), all.len()),
                pairs as f64 / all.len() as f64
            );
        }
    }
}

/// What the parts of the looks are for: the same test, as if each look were the only one.
fn always_looking(sweeps: u32) {
    println!("\n## If each look were taken for the only one\n");
    println!(
        "How often a single cell of equal sides raises an alarm when the level of 5 % is not shared among the looks at \
         6, 10, 16, 24 and 40 pairs, and when it is;\nthreshold 0.01 %, normal noise.\n"
    );
    let truth = Truth { noise: Noise::Normal, spread: 0.02, change: 0.0, everywhere: true, pairs: 40, cells: 1 };
    let alarms = |alpha: f64| {
        let rule = LookRule { alpha, ..truth.rule(0.01) };
        let has_alarm = |seed: &u32| settle_cells(&truth.cells(u64::from(*seed)), 40, &rule).iter().any(is_alarm);
        percent((0..sweeps).filter(has_alarm).count(), sweeps as usize)
    };
    let looks = truth.rule(3.0).looks().count() as f64;
    println!("| shared | any alarm, % |");
    println!("|---|--:|");
    println!("| no | {:.1} |", alarms(0.05 * looks));
    println!("| yes | {:.1} |", alarms(0.05));
}
