//! Prints how often comparisons are right, on sweeps whose truth is known, as `bench/compare.md` has it:
//!
//!     cargo run --release --package farmctl --example compare [SWEEPS]
//!
//! SWEEPS of each kind, 2,000 unless told. Each has a seed of its own that never changes: the same numbers each time,
//! but for the last table, which is of a clock.
#![allow(missing_docs)]

mod sweeps;

use std::time::Instant;

use farmctl::compare::{CellKey, ComparedCell, Options, Verdict, compare};
use sweeps::{Noise, Truth, peak_bytes};

/// Cells of a sweep: the six networks, each with three numbers of threads.
const CELLS: usize = 18;

fn main() {
    let sweeps = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2_000);
    println!("# How often comparisons are right\n");
    println!(
        "Made by `bench/compare`: {sweeps} comparisons of each kind, of two sweeps with {CELLS} cells each, by the \
         limits that are the default\n(threshold 3 %, a share of 1 % for all cells together), unless a table says \
         otherwise. \
         A share is known to ± {:.1} at 5 %, to ± {:.2} at 1 %\n(one standard error). «Spread» is the standard \
         deviation from run to run. What the words mean: [Comparing](../docs/src/compare.md).\n",
        (0.05_f64 * 0.95 / f64::from(sweeps)).sqrt() * 100.0,
        (0.01_f64 * 0.99 / f64::from(sweeps)).sqrt() * 100.0
    );
    equal(sweeps);
    found(sweeps);
    small(sweeps);
    intervals(sweeps);
    borders(sweeps);
    settled(sweeps);
    speed();
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

fn is_alarm(cell: &ComparedCell) -> bool {
    matches!(cell.verdict, Verdict::Slower | Verdict::Faster)
}

fn is_changed(key: &CellKey) -> bool {
    key.model == "net-0"
}

fn with_threshold(threshold_percent: f64) -> Options {
    Options { threshold_percent, ..Options::default() }
}

/// The cells of one comparison of two sweeps of such a kind.
fn cells(truth: &Truth, seed: u64, options: &Options) -> Vec<ComparedCell> {
    let (a, b) = truth.sweeps(CELLS, seed);
    compare(&a, &b, options).expect("both have runs").cells
}

fn equal(sweeps: u32) {
    println!("## A against A\n");
    println!(
        "How often two equal sweeps raise any alarm, that is a cell called slower or faster. Wanted: 1 % at most. With \
         the threshold at\n0.01 % nothing but the test stands between chance and an alarm.\n"
    );
    println!(
        "| noise | spread, % | runs a side | any alarm, pairs, % | any alarm, samples, % | pairs, threshold 0.01, % | \
              samples, threshold 0.01, % |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for noise in Noise::ALL {
        for (spread, runs) in [(0.01, 6), (0.02, 10), (0.055, 10), (0.02, 30)] {
            let share = |in_turn: bool, threshold: f64| {
                let truth = Truth { noise, spread, runs, in_turn, change: 0.0, everywhere: true };
                let options = with_threshold(threshold);
                let has_alarm = |seed: &u32| cells(&truth, u64::from(*seed), &options).iter().any(is_alarm);
                percent((0..sweeps).filter(has_alarm).count(), sweeps as usize)
            };
            println!(
                "| {} | {} | {runs} | {:.2} | {:.2} | {:.2} | {:.2} |",
                noise.as_str(),
                spread * 100.0,
                share(true, 3.0),
                share(false, 3.0),
                share(true, 0.01),
                share(false, 0.01)
            );
        }
    }
    println!();
}

/// How often changed cells are found.
fn share_found(truth: &Truth, sweeps: u32, options: &Options) -> f64 {
    let (mut changed, mut found) = (0, 0);
    for seed in 0..sweeps {
        for cell in cells(truth, u64::from(seed), options) {
            if truth.everywhere || is_changed(&cell.key) {
                changed += 1;
                found += usize::from(cell.verdict == Verdict::Slower);
            }
        }
    }
    percent(found, changed)
}

fn found(sweeps: u32) {
    println!("## Five per cent slower\n");
    println!(
        "How often a cell that is 5 % slower is called slower, with ten runs a side: where it alone of {CELLS} is, \
         and where all are. Wanted: 90 %.\n"
    );
    println!(
        "| noise | spread, % | one cell, pairs, % | one cell, samples, % | all cells, pairs, % \
         | all cells, samples, % |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for noise in Noise::ALL {
        for spread in [0.01, 0.015, 0.02] {
            let share = |in_turn: bool, everywhere: bool| {
                let truth = Truth { noise, spread, runs: 10, in_turn, change: 0.05, everywhere };
                share_found(&truth, sweeps / if everywhere { 4 } else { 1 }, &Options::default())
            };
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
                noise.as_str(),
                spread * 100.0,
                share(true, false),
                share(false, false),
                share(true, true),
                share(false, true)
            );
        }
    }
    println!();
}

fn small(sweeps: u32) {
    println!("## Two per cent slower\n");
    println!(
        "The same of 2 %, by `--threshold 1`, normal noise, one cell of {CELLS}, by the number of pairs. Wanted: 90 % \
              with 40.\n"
    );
    println!("| spread, % | 10 pairs, % | 20 pairs, % | 30 pairs, % | 40 pairs, % |");
    println!("|--:|--:|--:|--:|--:|");
    for spread in [0.01, 0.015, 0.02] {
        let share = |runs: usize| {
            let (noise, in_turn, everywhere) = (Noise::Normal, true, false);
            let truth = Truth { noise, spread, runs, in_turn, change: 0.02, everywhere };
            share_found(&truth, sweeps, &with_threshold(1.0))
        };
        println!("| {} | {:.1} | {:.1} | {:.1} | {:.1} |", spread * 100.0, share(10), share(20), share(30), share(40));
    }
    println!();
}

fn intervals(sweeps: u32) {
    println!("## The interval of the change\n");
    println!("Of 95 %: how often it holds the true change, which is 5 %. Wanted: 93 to 97.\n");
    println!("| noise | runs a side | pairs, % | samples, % |");
    println!("|---|--:|--:|--:|");
    for noise in Noise::ALL {
        for runs in [5, 6, 8, 10, 20, 40] {
            let share = |in_turn: bool| {
                let truth = Truth { noise, spread: 0.02, runs, in_turn, change: 0.05, everywhere: true };
                let (mut all, mut holding) = (0, 0);
                for seed in 0..sweeps / 8 {
                    for change in cells(&truth, u64::from(seed), &Options::default()).iter().filter_map(|it| it.change)
                    {
                        let Some((low, high)) = change.interval_percent else { continue };
                        all += 1;
                        holding += usize::from(low <= 5.0 && 5.0 <= high);
                    }
                }
                if all > 0 { format!("{:.1}", percent(holding, all)) } else { "none".to_owned() }
            };
            println!("| {} | {runs} | {} | {} |", noise.as_str(), share(true), share(false));
        }
    }
    println!();
}

fn borders(sweeps: u32) {
    println!("## On the border\n");
    println!(
        "What cells are called whose true change is such, normal noise, spread 1.5 %, in pairs, all {CELLS} so.\n"
    );
    println!("| true change, % | pairs | same, % | slower, % | unclear, % |");
    println!("|--:|--:|--:|--:|--:|");
    for change in [0.0, 0.01, 0.03, 0.04, 0.05, 0.1] {
        for runs in [10, 40] {
            let truth = Truth { noise: Noise::Normal, spread: 0.015, runs, in_turn: true, change, everywhere: true };
            let mut counts = [0; 3];
            for seed in 0..sweeps / 8 {
                for cell in cells(&truth, u64::from(seed), &Options::default()) {
                    let verdicts = [Verdict::Same, Verdict::Slower, Verdict::Unclear];
                    verdicts.iter().zip(&mut counts).for_each(|(it, count)| *count += usize::from(cell.verdict == *it));
                }
            }
            let all = counts.iter().sum();
            let [same, slower, unclear] = counts.map(|count| percent(count, all));
            println!("| {} | {runs} | {same:.1} | {slower:.1} | {unclear:.1} |", change * 100.0);
        }
    }
    println!();
}

fn settled(sweeps: u32) {
    println!("## «So many more settle it»\n");
    println!(
        "Of cells that are unclear after so many pairs (spread 2 %): how often they are clear with as many more as \
         were asked for. All are measured\nanew, so this is no promise for who looks again and again.\n"
    );
    println!("| true change, % | pairs | unclear, % | asked for more, median | clear then, % |");
    println!("|--:|--:|--:|--:|--:|");
    for (change, runs) in [(0.0, 6), (0.0, 10), (0.05, 3), (0.05, 6), (0.1, 3)] {
        let truth = Truth { noise: Noise::Normal, spread: 0.02, runs, in_turn: true, change, everywhere: true };
        let (mut all, mut asked, mut clear) = (0, Vec::new(), 0);
        for seed in 0..sweeps / 20 {
            for cell in cells(&truth, u64::from(seed), &Options::default()) {
                all += 1;
                let Some(more) = cell.more_runs.filter(|_| cell.verdict == Verdict::Unclear) else { continue };
                let again = Truth { runs: runs + more.min(400) as usize, ..truth };
                let again = cells(&again, 1_000_000 + u64::from(seed) * 100 + asked.len() as u64, &Options::default());
                clear += usize::from(
                    again.iter().find(|it| it.key == cell.key).is_some_and(|it| it.verdict != Verdict::Unclear),
                );
                asked.push(more);
            }
        }
        asked.sort_unstable();
        let median = asked.get(asked.len() / 2).map_or_else(|| "-".to_owned(), u64::to_string);
        let (unclear, clear) = (percent(asked.len(), all), percent(clear, asked.len()));
        println!("| {} | {runs} | {unclear:.1} | {median} | {clear:.1} |", change * 100.0);
    }
    println!();
}

fn speed() {
    println!("## Time and memory\n");
    println!(
        "Runs of both sides together, ten a side and cell, with identifiers and conditions. Memory is the most \
              that the process ever had.\n"
    );
    println!("| runs | to take in, s | to compare, s | memory, MB |");
    println!("|--:|--:|--:|--:|");
    for runs in [10_000, 100_000, 1_000_000] {
        let truth =
            Truth { noise: Noise::Normal, spread: 0.02, runs: 10, in_turn: true, change: 0.0, everywhere: true };
        let start = Instant::now();
        let (a, b) = truth.sweeps(runs / 20, 1);
        let taken_in = start.elapsed();
        let start = Instant::now();
        let comparison = compare(&a, &b, &Options::default()).expect("both have runs");
        let compared = start.elapsed();
        assert_eq!(comparison.cells.len(), runs / 20);
        let memory = peak_bytes().map_or_else(|| "?".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6));
        println!("| {runs} | {:.2} | {:.2} | {memory} |", taken_in.as_secs_f64(), compared.as_secs_f64());
    }
}
