//! Prints how often the statistics of a run are right, on series whose truth is known, as `bench/statistics.md` has it:
//!
//!     cargo run --release --package farmctl --example statistics [SERIES]
//!
//! SERIES of each kind, 2,000 unless told. Each has a seed of its own that never changes: the same numbers each time,
//! but for the last table, which is of a clock.
#![allow(missing_docs)]

mod looks;
mod series;

use std::collections::BTreeMap;
use std::time::Instant;

use farmctl::score::trust::{Certainty, Change, Conditions, Repeats, TrustRules, Verdict};
use series::{Kind, Level, MEDIAN_NS, Noise, Random};

/// How many times as many series the shares of intervals are of: what is wanted of them is two per cent wide.
const INTERVALS_TIMES: u32 = 5;
/// The same for loops, each of which is thousands of samples long.
const LOOPS_TIMES: u32 = 3;

const NORMAL: Noise = Noise::Normal(0.01);

fn main() {
    let series = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2_000);
    println!("# How often the statistics of a run are right\n");
    println!(
        "Made by `bench/statistics`: {series} series of each kind and length, with fixed seeds, by the limits that are \
         the default. A share is\nknown to ± {:.1} (one standard error at 95 %); those of intervals are of more \
         series, and known to ± {:.1}. What the words mean:\n[How sure a number is](../docs/src/trust.md).\n",
        error_percent(series),
        error_percent(LOOPS_TIMES * series)
    );
    intervals(INTERVALS_TIMES * series);
    verdicts(series);
    steadiness(series);
    looks::warm_ups(series / 2);
    looks::intervals(LOOPS_TIMES * series);
    modes(series);
    drift(series);
    repeats(series);
    speed();
}

/// One standard error of a share of 95 % of so many series, in per cent.
fn error_percent(series: u32) -> f64 {
    (0.95_f64 * 0.05 / f64::from(series)).sqrt() * 100.0
}

fn certainty(samples_ns: &[u64]) -> Certainty {
    Certainty::of(samples_ns, &Conditions::default(), &TrustRules::default()).expect("there are samples")
}

/// The certainties of so many series of a kind.
fn certainties(kind: &Kind, count: usize, series: u32) -> impl Iterator<Item = Certainty> {
    let seed = kind.name.bytes().fold(count as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let (mut random, kind) = (Random::new(seed), *kind);
    (0..series).map(move |_| certainty(&kind.series(&mut random, count)))
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

/// How often a kind's series are so.
fn share(kind: &Kind, count: usize, series: u32, is_so: impl Fn(&Certainty) -> bool) -> f64 {
    percent(certainties(kind, count, series).filter(is_so).count(), series as usize)
}

const fn dependent(name: &'static str, sd: f64, correlation: f64) -> Kind {
    Kind::new(name, Noise::Dependent { sd, correlation }, Level::Steady)
}

const fn wandering(name: &'static str, sd: f64, correlation: f64) -> Kind {
    Kind::new(name, Noise::Wandering { sd, correlation }, Level::Steady)
}

const fn steady(name: &'static str, noise: Noise) -> Kind {
    Kind::new(name, noise, Level::Steady)
}

fn intervals(series: u32) {
    println!("## The interval of the median\n");
    println!(
        "Of 95 %: how often it holds the true median. «Worth»: how many independent samples they are worth, as \
         estimated, on average;\n«none»: how often no interval can be given. Wanted: 93 to 97.\n"
    );
    let kinds: [(Kind, &[usize]); 12] = [
        (steady("independent, normal", Noise::Normal(0.02)), &[10, 20, 30, 100, 1_000, 10_000]),
        (steady("independent, exponential", Noise::Exponential(0.05)), &[10, 30, 100, 1_000]),
        (steady("independent, lognormal", Noise::Lognormal(0.3)), &[30, 100, 1_000]),
        (steady("heavy tails (Student's, 2 degrees)", Noise::HeavyTails(0.01)), &[30, 100, 1_000]),
        (steady("one in fifty ten times as slow", Noise::Spikes(0.01)), &[100, 1_000]),
        (dependent("correlation 0.3", 0.02, 0.3), &[20, 30, 100, 1_000]),
        (dependent("correlation 0.6", 0.02, 0.6), &[20, 30, 100, 300, 1_000]),
        (dependent("correlation 0.8", 0.02, 0.8), &[30, 50, 100, 300, 1_000]),
        (dependent("correlation 0.9", 0.02, 0.9), &[100, 300, 1_000, 10_000]),
        (dependent("correlation 0.97", 0.02, 0.97), &[300, 1_000, 10_000]),
        (wandering("0.9 under as much independent noise", 0.02, 0.9), &[100, 300, 1_000, 10_000]),
        (wandering("0.95 under as much independent noise", 0.02, 0.95), &[300, 1_000, 10_000]),
    ];
    interval_rows(&kinds, series);
    println!(
        "Series that are too short for what they do: what wanders takes longer than a tenth of them, or lies under \
         noise as large, and\nthey can't tell it from a level. No estimate finds what is not there: such an interval \
         holds the median less often than it says.\n"
    );
    let short: [(Kind, &[usize]); 6] = [
        (dependent("correlation 0.8", 0.02, 0.8), &[20]),
        (dependent("correlation 0.9", 0.02, 0.9), &[30, 50]),
        (dependent("correlation 0.97", 0.02, 0.97), &[100]),
        (wandering("0.9 under as much independent noise", 0.02, 0.9), &[30, 50]),
        (wandering("0.95 under as much independent noise", 0.02, 0.95), &[100]),
        (wandering("0.98 under as much independent noise", 0.02, 0.98), &[300]),
    ];
    interval_rows(&short, series);
}

fn interval_rows(kinds: &[(Kind, &[usize])], series: u32) {
    println!("| series | samples | holds the median, % | half of it, % of the median | worth | none, % |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (kind, counts) in kinds {
        for &count in *counts {
            let (mut holds, mut halves, mut given, mut worth) = (0, 0.0, 0, 0.0);
            // Ten thousand samples take as long as a hundred series of a hundred.
            let series = if count >= 10_000 { series / 2 } else { series };
            for certainty in certainties(kind, count, series) {
                worth += certainty.dependence.effective_samples / f64::from(series);
                let Some((low, high)) = certainty.interval_ns else { continue };
                given += 1;
                holds += usize::from((low..=high).contains(&MEDIAN_NS));
                halves += certainty.half_interval_percent().unwrap_or_default();
            }
            let (share, half, none) = (percent(holds, given), halves / given as f64, series as usize - given);
            let none = percent(none, series as usize);
            println!("| {} | {count} | {share:.1} | {half:.2} | {worth:.0} | {none:.1} |", kind.name);
        }
    }
    println!();
}

fn verdicts(series: u32) {
    println!("## Verdicts\n");
    println!("How often a series gets the verdict that is right for it. Wanted: 95 and more.\n");
    println!("| series | samples | right | how often, % | else |");
    println!("|---|--:|---|--:|---|");
    use Verdict::{Noisy, Ok, SlowStart, TooFew, Unsteady};
    let of = Kind::new;
    let modes = |by, share| Level::TwoModes { by, share };
    let settling = Level::Settling { by: 0.3, over: 0.07 };
    let wandering = Noise::Dependent { sd: 0.02, correlation: 0.6 };
    let kinds: [(Kind, Verdict, &[usize]); 21] = [
        (steady("independent, 1 %", NORMAL), Ok, &[10, 20, 30, 100, 1_000]),
        (steady("independent, 3 %", Noise::Normal(0.03)), Ok, &[30, 100, 1_000]),
        (steady("exponential above a floor, 5 %", Noise::Exponential(0.05)), Ok, &[100, 1_000]),
        (dependent("correlation 0.3, 2 %", 0.02, 0.3), Ok, &[30, 100, 1_000]),
        (dependent("correlation 0.6, 2 %", 0.02, 0.6), Ok, &[100, 300, 1_000]),
        (dependent("correlation 0.8, 2 %", 0.02, 0.8), Ok, &[300, 1_000]),
        (dependent("correlation 0.9, 2 %", 0.02, 0.9), Ok, &[300, 1_000]),
        (steady("heavy tails, 1 %", Noise::HeavyTails(0.01)), Ok, &[100, 1_000]),
        (steady("one in fifty ten times as slow", Noise::Spikes(0.01)), Ok, &[100, 1_000]),
        (steady("a clock whose step is 5 %", Noise::CoarseClock(0.02)), Ok, &[30, 100, 1_000]),
        (steady("lognormal, 0.5", Noise::Lognormal(0.5)), Noisy, &[30, 100]),
        (of("two modes, 15 % apart, 65 : 35", Noise::Normal(0.015), modes(0.15, 0.35)), Noisy, &[50, 100, 1_000]),
        (of("two modes, 20 % apart, 80 : 20", Noise::Normal(0.015), modes(0.2, 0.2)), Noisy, &[100, 1_000]),
        (of("throttling in cycles, 20 %", NORMAL, Level::ThrottlingCycles), Noisy, &[50, 100, 1_000]),
        (of("drift of 6 %, noise 1 %", NORMAL, Level::Drift(0.06)), Unsteady, &[30, 100, 1_000]),
        (of("drift of -8 %, noise 1 %", NORMAL, Level::Drift(-0.08)), Unsteady, &[30, 100, 1_000]),
        (of("drift of 10 %, 2 %, correlation 0.6", wandering, Level::Drift(0.1)), Unsteady, &[50, 100, 1_000]),
        (of("throttling in steps, 15 and 30 %", NORMAL, Level::ThrottlingSteps), Unsteady, &[30, 100, 1_000]),
        (of("10 % slower at the end", NORMAL, Level::Step { at: 0.8, by: 0.1 }), Unsteady, &[30, 100, 1_000]),
        (of("slow start, 30 % going down", NORMAL, settling), SlowStart, &[50, 100, 1_000]),
        (steady("too few", NORMAL), TooFew, &[1, 5, 9]),
    ];
    for (kind, right, counts) in kinds {
        for &count in counts {
            verdict_row(&kind, right, count, series);
        }
    }
    println!();
    let wandering = [(30, 0.6), (50, 0.8), (100, 0.8), (100, 0.9), (30, 0.97), (300, 0.97)];
    println!(
        "Series of which no verdict is right or wrong: steady by their law, but worth so few independent samples that \
         a\nrun shows as a change of level what is the law's. 2 %:\n"
    );
    println!("| correlation | samples | verdicts, % |\n|--:|--:|---|");
    for (count, correlation) in wandering {
        let kind = dependent("wandering", 0.02, correlation);
        let counts = verdict_counts(&kind, count, series);
        println!("| {correlation} | {count} | {} |", listed(counts.iter(), series));
    }
    println!();
}

fn verdict_counts(kind: &Kind, count: usize, series: u32) -> BTreeMap<Verdict, usize> {
    let mut counts = BTreeMap::new();
    certainties(kind, count, series).for_each(|it| *counts.entry(it.verdict()).or_default() += 1);
    counts
}

fn verdict_row(kind: &Kind, right: Verdict, count: usize, series: u32) {
    let counts = verdict_counts(kind, count, series);
    let share = percent(counts.get(&right).copied().unwrap_or(0), series as usize);
    let others = listed(counts.iter().filter(|(verdict, _)| **verdict != right), series);
    println!("| {} | {count} | {} | {share:.1} | {others} |", kind.name, right.as_str());
}

fn listed<'a>(counts: impl Iterator<Item = (&'a Verdict, &'a usize)>, series: u32) -> String {
    let word =
        |(verdict, count): (&Verdict, &usize)| format!("{} {:.1}", verdict.as_str(), percent(*count, series as usize));
    counts.map(word).collect::<Vec<_>>().join(", ")
}

fn steadiness(series: u32) {
    println!("## The test of steadiness\n");
    println!(
        "At a level of 1 %. How often it calls a steady series changed (stated: 1 % of independent samples; of \
         dependent ones up to 7 %\nwhere they are worth 20 and more), and how often it misses a change. A change that \
         it finds counts only from 3 % on, so\nthat a verdict is wrong less often: see above.\n"
    );
    println!("| steady series | samples | called changed, % |\n|---|--:|--:|");
    let is_changed = |it: &Certainty| it.level.change.is_some_and(|change: Change| change.is_significant());
    let kinds: [(Kind, &[usize]); 6] = [
        (steady("independent, normal ", NORMAL), &[10, 20, 30, 100, 300, 1_000, 10_000]),
        (steady("independent, heavy tails ", Noise::HeavyTails(0.01)), &[30, 100, 1_000]),
        (dependent("correlation 0.3 ", 0.02, 0.3), &[30, 100, 300, 1_000]),
        (dependent("correlation 0.6 ", 0.02, 0.6), &[100, 300, 1_000]),
        (dependent("correlation 0.8 ", 0.02, 0.8), &[300, 1_000]),
        (dependent("correlation 0.9 ", 0.02, 0.9), &[300, 1_000, 10_000]),
    ];
    for (kind, counts) in kinds {
        for &count in counts {
            println!("| {} | {count} | {:.1} |", kind.name.trim(), share(&kind, count, series, is_changed));
        }
    }
    println!("\n| change, independent noise of 1 standard deviation | samples | missed, % |\n|---|--:|--:|");
    // A hundredth of the level is the standard deviation.
    let changes = [
        ("drift of 2", Level::Drift(0.02), 100),
        ("drift of 2", Level::Drift(0.02), 300),
        ("drift of 3", Level::Drift(0.03), 30),
        ("drift of 3", Level::Drift(0.03), 100),
        ("drift of 5", Level::Drift(0.05), 20),
        ("drift of 5", Level::Drift(0.05), 30),
        ("step of 1 in the middle", Level::Step { at: 0.5, by: 0.01 }, 100),
        ("step of 1 in the middle", Level::Step { at: 0.5, by: 0.01 }, 300),
        ("step of 2 in the middle", Level::Step { at: 0.5, by: 0.02 }, 30),
        ("step of 3 at 0.9", Level::Step { at: 0.9, by: 0.03 }, 30),
        ("step of 3 at 0.9", Level::Step { at: 0.9, by: 0.03 }, 100),
        ("step of 3 at 0.9", Level::Step { at: 0.9, by: 0.03 }, 1_000),
    ];
    for (name, level, count) in changes {
        let found = share(&Kind::new(name, NORMAL, level), count, series, is_changed);
        println!("| {name} | {count} | {:.1} |", 100.0 - found);
    }
    println!();
}

fn modes(series: u32) {
    println!("## Two modes\n");
    println!("At a level of 1 %: how often the dip test says that there are two.\n");
    println!("| series | samples | two modes, % |\n|---|--:|--:|");
    let modes = |by, share| Level::TwoModes { by, share };
    let kinds: [(Kind, &[usize]); 8] = [
        (steady("one mode: normal", NORMAL), &[30, 100, 1_000]),
        (steady("one mode: exponential", Noise::Exponential(0.05)), &[30, 100, 1_000]),
        (steady("one mode: heavy tails", Noise::HeavyTails(0.01)), &[100, 1_000]),
        (dependent("one mode: correlation 0.8", 0.02, 0.8), &[100, 1_000]),
        (steady("one mode: a clock whose step is 5 %", Noise::CoarseClock(0.02)), &[100, 1_000]),
        (Kind::new("modes 5 standard deviations apart, 50 : 50", NORMAL, modes(0.05, 0.5)), &[30, 100, 1_000]),
        (Kind::new("modes 5 standard deviations apart, 80 : 20", NORMAL, modes(0.05, 0.2)), &[100, 300, 1_000]),
        (Kind::new("modes 10 standard deviations apart, 90 : 10", NORMAL, modes(0.1, 0.1)), &[100, 300, 1_000]),
    ];
    for (kind, counts) in kinds {
        for &count in counts {
            let found = share(&kind, count, series, |it| it.modes.is_some());
            println!("| {} | {count} | {found:.1} |", kind.name);
        }
    }
    println!();
}

fn drift(series: u32) {
    println!("## Drift\n");
    println!("Over the run, in per cent: what it is on average, and its standard deviation.\n");
    println!("| series | samples | true | mean | standard deviation |\n|---|--:|--:|--:|--:|");
    for (noise, name) in [(NORMAL, "noise of 1 %"), (Noise::Spikes(0.01), "and one in fifty ten times as slow")] {
        for count in [30, 300, 3_000] {
            let kind = Kind::new(name, noise, Level::Drift(0.05));
            let found = certainties(&kind, count, series).filter_map(|it| Some(it.level.drift?.percent_in_all));
            let found: Vec<f64> = found.collect();
            let mean = found.iter().sum::<f64>() / found.len() as f64;
            let variance = found.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / found.len() as f64;
            // Of the median, which is half way.
            println!("| {name} | {count} | {:.2} | {mean:.2} | {:.2} |", 5.0 / 1.025, variance.sqrt());
        }
    }
    println!();
}

fn repeats(series: u32) {
    println!("## Repeats\n");
    println!(
        "Runs of 100 samples, 2 % noise with correlation 0.3, whose levels differ by a standard deviation. «Between» \
         as estimated: root\nof its mean square; half of the mean's interval, and how often that holds the truth.\n"
    );
    println!("| runs | between, true, % | between, % | within, % | half interval, % | holds, % |");
    println!("|--:|--:|--:|--:|--:|--:|");
    let kind = dependent("repeats", 0.02, 0.3);
    for (runs, between) in [(3, 2.0), (10, 0.0), (10, 0.5), (10, 2.0)] {
        let mut random = Random::new(runs as u64 * 100 + (between * 10.0) as u64);
        let cells = series / 4;
        let (mut squares, mut within, mut half, mut holds) = (0.0, 0.0, 0.0, 0);
        for _ in 0..cells {
            let run = |random: &mut Random| {
                let level = 1.0 + between / 100.0 * random.normal();
                let samples = kind.series(random, 100);
                certainty(&samples.iter().map(|sample| (*sample as f64 * level) as u64).collect::<Vec<_>>())
            };
            let all: Vec<Certainty> = (0..runs).map(|_| run(&mut random)).collect();
            let Some(found) = Repeats::of(&all) else { continue };
            squares += found.between_percent.unwrap_or_default().powi(2) / f64::from(cells);
            within += found.within_percent.unwrap_or_default() / f64::from(cells);
            let width = found.half_interval_percent.unwrap_or_default();
            half += width / f64::from(cells);
            holds += usize::from((found.mean_p50_ns / MEDIAN_NS - 1.0).abs() * 100.0 <= width);
        }
        let holds = percent(holds, cells as usize);
        println!("| {runs} | {between} | {:.2} | {within:.2} | {half:.2} | {holds:.1} |", squares.sqrt());
    }
    println!();
}

fn speed() {
    println!("## Time\n");
    let kind = dependent("speed", 0.02, 0.6);
    for count in [1_000, 100_000, 1_000_000] {
        let samples = kind.series(&mut Random::new(1), count);
        let start = Instant::now();
        let verdict = certainty(&samples).verdict();
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        println!("- {count} samples: {milliseconds:.1} ms ({})", verdict.as_str());
    }
}
