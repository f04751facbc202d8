//! How well changes in a history are found; `bench/history` writes what it prints into `bench/history.md`.

mod nights;

use std::time::Instant;

use farmctl::compare::change_points::ChangeRules;
use farmctl::compare::history::{ChangeKind, HistoryChange, cell_histories};

use nights::{History, NIGHTS, Noise, Random, Story};

/// A change is the true one when it is told at most so many nights from it.
const NEAR: usize = 2;
/// Nights after a step within which it should be found.
const SOON: usize = 5;

/// What was found in some histories of a kind.
#[derive(Default)]
struct Found {
    histories: usize,
    steps: usize,
    /// True steps that were found, in all nights.
    found: usize,
    /// Of them, those that were found within five nights.
    soon: usize,
    /// Their sizes within their interval.
    covered: usize,
    /// Changes of level that were told.
    told: usize,
    /// Of those that were none.
    wrong: usize,
    /// Histories with one of those.
    histories_wrong: usize,
    /// Histories in which one was told on some night, when each night looked anew.
    nights_wrong: usize,
    /// New builds, and those that began a series at their night.
    builds: usize,
    builds_found: usize,
}

fn main() {
    let histories: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(500);
    let ChangeRules { window, min_side, max_p, min_percent } = ChangeRules::default();
    println!("# How well changes in a history are found\n");
    println!(
        "Made by `bench/history`: {histories} histories of {NIGHTS} nights of each kind, with fixed seeds, by the \
         rules that are the default: windows of {window} nights,\nat least {min_side} on each side of a change, p \
         below {max_p}, at least {min_percent} %. «Noise» is the standard deviation from night to night. A share of\n\
         {histories} is known to ± {:.0} (one standard error of 50 %). What the words mean: \
         [History](../docs/src/history.md).\n",
        50.0 / (histories.max(1) as f64).sqrt()
    );
    println!(
        "- **recall**: steps that are told at most {NEAR} nights from where they are, when all nights are known\n\
         - **within {SOON} nights**: steps that were told by the {SOON}th night of the new level\n\
         - **precision**: of the changes told, those that are a step\n\
         - **covered**: of the steps found, those whose true size is within the interval of 95 %\n\
         - **false, whole**: histories in which something is told that is no step\n\
         - **false, nightly**: the same where each night looked anew: whether anybody was alarmed by mistake in 90 \
         nights\n"
    );
    let noises = [
        ("1 %", Noise::Normal(0.01)),
        ("2 %", Noise::Normal(0.02)),
        ("1 %, heavy tails", Noise::HeavyTails(0.01)),
        ("1 %, nights alike (0.3)", Noise::Dependent(0.01)),
    ];
    println!("## Steps\n");
    println!("All in per cent.\n");
    println!(
        "| what happens | noise | recall | within {SOON} nights | precision | covered | false, whole | false, nightly |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    let steps = [
        ("a step of 3 %", Story::Step(0.03)),
        ("a step of 5 %", Story::Step(0.05)),
        ("a step of 10 %", Story::Step(0.10)),
        ("10 % faster", Story::Step(-0.10)),
        ("5 % slower, and back", Story::UpAndBack(0.05)),
        ("a build that is 8 % slower, and a step of 5 %", Story::BuildAndStep(0.05)),
    ];
    for (what, story) in steps {
        noises.iter().for_each(|(noise_name, noise)| step_row(what, noise_name, &measure(story, *noise, histories)));
    }
    println!("\n## Nothing, and what is no step\n");
    println!(
        "In per cent of the histories. Of a drift each change told counts as false here, though the level did change.\n"
    );
    println!("| what happens | noise | false, whole | false, nightly | new series found |\n|---|---|--:|--:|--:|");
    let others = [
        ("nothing", Story::Quiet),
        ("single slow nights, one in 15", Story::Outliers),
        ("a drift to 3 %", Story::Drift(0.03)),
        ("a drift to 10 %", Story::Drift(0.10)),
        ("a build that is as fast", Story::Build(0.0)),
        ("a build that is 10 % slower", Story::Build(0.10)),
    ];
    for (what, story) in others {
        noises.iter().for_each(|(noise_name, noise)| other_row(what, noise_name, &measure(story, *noise, histories)));
    }
    speed();
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}", part as f64 / whole as f64 * 100.0) }
}

fn step_row(what: &str, noise: &str, found: &Found) {
    let Found { steps, soon, covered, told, wrong, .. } = found;
    let cells = [
        percent(found.found, *steps),
        percent(*soon, *steps),
        percent(told - wrong, *told),
        percent(*covered, found.found),
        percent(found.histories_wrong, found.histories),
        percent(found.nights_wrong, found.histories),
    ];
    println!("| {what} | {noise} | {} |", cells.join(" | "));
}

fn other_row(what: &str, noise: &str, found: &Found) {
    let cells = [
        percent(found.histories_wrong, found.histories),
        percent(found.nights_wrong, found.histories),
        percent(found.builds_found, found.builds),
    ];
    println!("| {what} | {noise} | {} |", cells.join(" | "));
}

/// The changes of level that are told of the first nights.
fn told(history: &History, nights: usize) -> Vec<HistoryChange> {
    let cells = cell_histories(&history.runs[..nights], &ChangeRules::default());
    cells.into_iter().flat_map(|cell| cell.changes).collect()
}

fn is_level(change: &HistoryChange) -> bool {
    change.kind != ChangeKind::Environment
}

/// Whether a change is that step.
fn is_near(change: &HistoryChange, (night, factor): (usize, f64)) -> bool {
    is_level(change) && change.point.abs_diff(night) <= NEAR && (change.percent > 0.0) == (factor > 1.0)
}

fn is_wrong(change: &HistoryChange, steps: &[(usize, f64)]) -> bool {
    is_level(change) && !steps.iter().any(|step| is_near(change, *step))
}

fn measure(story: Story, noise: Noise, histories: usize) -> Found {
    let mut found = Found::default();
    for seed in 0..histories {
        measure_one(&story.history(noise, &mut Random::new(seed as u64 + 1)), &mut found);
    }
    found
}

fn measure_one(history: &History, found: &mut Found) {
    let whole = told(history, NIGHTS);
    let steps = &history.steps;
    found.histories += 1;
    found.steps += steps.len();
    found.told += whole.iter().filter(|change| is_level(change)).count();
    let wrong = whole.iter().filter(|change| is_wrong(change, steps)).count();
    found.wrong += wrong;
    found.histories_wrong += usize::from(wrong > 0);
    for step in steps {
        if let Some(change) = whole.iter().find(|change| is_near(change, *step)) {
            found.found += 1;
            let size = (step.1 - 1.0) * 100.0;
            let covers = |low: f64, high: f64| (low..=high).contains(&size);
            found.covered += usize::from(change.certainty.is_some_and(|it| covers(it.low_percent, it.high_percent)));
        }
        let soon = (1..=SOON).any(|nights| told(history, step.0 + nights).iter().any(|change| is_near(change, *step)));
        found.soon += usize::from(soon);
    }
    let nightly = (8..=NIGHTS).any(|nights| told(history, nights).iter().any(|change| is_wrong(change, steps)));
    found.nights_wrong += usize::from(nightly);
    if let Some(build) = history.build {
        found.builds += 1;
        let is_build = |change: &HistoryChange| change.kind == ChangeKind::Environment && change.point == build;
        found.builds_found += usize::from(whole.iter().any(is_build));
    }
}

fn speed() {
    println!("\n## Time\n");
    for nights in [NIGHTS, 1_000, 10_000] {
        let mut random = Random::new(1);
        let histories =
            (0..nights.div_ceil(NIGHTS)).map(|_| Story::Step(0.05).history(Noise::Normal(0.01), &mut random));
        let mut runs: Vec<_> = histories.flat_map(|history| history.runs).take(nights).collect();
        for (night, run) in runs.iter_mut().enumerate() {
            run.sweep_id.0 = format!("night-{night:05}");
            run.at = jiff::Timestamp::from_second(1_700_000_000 + night as i64 * 86_400).unwrap_or_default();
        }
        let start = Instant::now();
        let changes: usize = cell_histories(&runs, &ChangeRules::default()).iter().map(|cell| cell.changes.len()).sum();
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        println!("- {nights} nights: {milliseconds:.1} ms ({changes} changes)");
    }
}
