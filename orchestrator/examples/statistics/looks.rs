//! How often a loop is right to end that is looked at until it is good enough.

use farmctl_statistics::{Dependence, MIN_SAMPLES_TO_END, MedianLooks, is_steady, look_points, median_interval_95};

use crate::series::{Kind, Level, MEDIAN_NS, Noise, Random};
use crate::{dependent, percent, steady, wandering};

/// Samples after which a loop is at its limit.
const MOST: usize = 6_000;

/// Of loops that end when their median is known.
pub fn intervals(series: u32) {
    println!("## As long as it takes\n");
    println!(
        "Loops with `interval_percent`, looked at from 20 samples on, each time that they are a quarter longer, {MOST} \
         samples at most: how\noften the interval that ended them holds the true median. Of 95 %. No loop ends with \
         fewer than {MIN_SAMPLES_TO_END} samples: what wanders\nunder noise can't be seen in it. Those that never \
         end so have the interval of a loop at its limit.\n"
    );
    println!("| series | interval_percent | ended by it, % | samples | holds the median, % |\n|---|--:|--:|--:|--:|");
    let kinds = [
        steady("independent, normal, 3 %", Noise::Normal(0.03)),
        steady("independent, exponential, 5 %", Noise::Exponential(0.05)),
        steady("heavy tails, 2 %", Noise::HeavyTails(0.02)),
        dependent("correlation 0.3, 3 %", 0.03, 0.3),
        dependent("correlation 0.6, 3 %", 0.03, 0.6),
        dependent("correlation 0.8, 3 %", 0.03, 0.8),
        dependent("correlation 0.9, 3 %", 0.03, 0.9),
        wandering("0.8 under as much independent noise, 3 %", 0.03, 0.8),
        wandering("0.9 under as much independent noise, 3 %", 0.03, 0.9),
        wandering("0.95 under as much independent noise, 3 %", 0.03, 0.95),
    ];
    for kind in kinds {
        for target in [4.0, 2.0, 1.0] {
            let mut random = Random::new(kind.name.len() as u64 * 100 + (target * 10.0) as u64);
            let (mut ended, mut holds, mut samples) = (0, 0, 0);
            for _ in 0..series {
                let series = kind.series(&mut random, MOST);
                let mut looks = MedianLooks::new(target);
                let Some(at) = look_points(MOST).find(|&at| looks.look(&series[..at]) == Some(true)) else { continue };
                ended += 1;
                samples += at;
                holds += usize::from(
                    interval(&series[..at]).is_some_and(|(low, high)| low <= MEDIAN_NS && MEDIAN_NS <= high),
                );
            }
            let (share, mean) = (percent(ended, series as usize), samples / ended.max(1));
            println!("| {} | {target} | {share:.1} | {mean} | {:.1} |", kind.name, percent(holds, ended));
        }
    }
    println!();
}

fn interval(series: &[u64]) -> Option<(f64, f64)> {
    let mut sorted = series.to_vec();
    sorted.sort_unstable();
    let dependence = Dependence::of(series, sorted[(sorted.len() - 1) / 2]);
    median_interval_95(&sorted, &dependence.of_chosen_length(series.len()))
}

/// Of warm-ups that end when they are steady.
pub fn warm_ups(series: u32) {
    println!("## Warm-up until steady\n");
    println!(
        "Warm-ups with `steady_percent: 3`, looked at from 20 samples on, each time that they are a quarter longer, {} \
         samples at most,\nbefore a loop of so many samples. «Settles in» is the time constant. «Too early»: how \
         often the level then truly changes by\nmore than 3 % over the loop (stated: 2.5 % a look where it is just \
         that).\n",
        MOST / 2
    );
    println!("| series | loop | found steady, % | samples | changes in the loop by, % | too early, % |");
    println!("|---|--:|--:|--:|--:|--:|");
    let settling = |by, samples: f64| Level::Settling { by, over: samples / (MOST / 2) as f64 };
    let levels = [
        ("steady", Level::Steady),
        ("30 % slower at first, settles in 100 samples", settling(0.3, 100.0)),
        ("30 % slower at first, settles in 400 samples", settling(0.3, 400.0)),
        ("10 % slower at first, settles in 1,000 samples", settling(0.1, 1_000.0)),
        ("1 % slower each 40 samples", Level::Drift(0.75)),
    ];
    let noises = [
        ("1 %", Noise::Normal(0.01)),
        ("3 %", Noise::Normal(0.03)),
        ("2 %, correlation 0.6", Noise::Dependent { sd: 0.02, correlation: 0.6 }),
    ];
    for (name, level) in levels {
        for (noise_name, noise) in noises {
            for next in [30, 150, 1_000] {
                warm_up_row(&format!("{name}; noise {noise_name}"), Kind::new("", noise, level), next, series);
            }
        }
    }
    println!();
}

fn warm_up_row(name: &str, kind: Kind, next: usize, series: u32) {
    let most = MOST / 2;
    let mut random = Random::new(name.len() as u64 * 10_000 + next as u64);
    let (mut ended, mut samples, mut change, mut early) = (0, 0, 0.0, 0);
    let level = |sample: usize| kind.level.factor(sample as f64 / most as f64);
    for _ in 0..series {
        let series = kind.series(&mut random, most);
        let Some(at) = look_points(most).find(|&at| is_steady(&series[..at], 3.0, next as f64) == Some(true)) else {
            continue;
        };
        let percent = (level(at + next) / level(at) - 1.0).abs() * 100.0;
        ended += 1;
        samples += at;
        change += percent;
        early += usize::from(percent > 3.0);
    }
    let (share, of) = (percent(ended, series as usize), ended.max(1));
    let (mean, change, early) = (samples / of, change / of as f64, percent(early, series as usize));
    let shown = if ended == 0 { "| |".to_owned() } else { format!("{mean} | {change:.1} |") };
    println!("| {name} | {next} | {share:.1} | {shown} {early:.1} |");
}
