use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::runs::{Run, Runs};
use super::side::median_of_known;

/// What a condition is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The device and its state: where it differs, times differ for it.
    Environment,
    /// What people change and compare: engine, runner, files.
    Subject,
}

/// Something a run was measured under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// The column of results.csv that has it.
    pub column: &'static str,
    /// What it is, in words.
    pub name: &'static str,
    /// What it is a part of.
    pub part: Part,
}

const fn environment(column: &'static str, name: &'static str) -> Condition {
    Condition { column, name, part: Part::Environment }
}

const fn subject(column: &'static str, name: &'static str) -> Condition {
    Condition { column, name, part: Part::Subject }
}

/// What is looked at of each run, as far as its table tells. The verdict of a row is looked at by its kind.
pub const CONDITIONS: &[Condition] = &[
    environment("soc", "chip"),
    environment("os", "operating system"),
    environment("kernel", "kernel"),
    environment("build", "build of the device"),
    environment("governor", "governor"),
    environment("charging", "charging"),
    environment("throttled", "throttled"),
    environment("cpus", "processors used"),
    environment("input", "inputs"),
    environment("verdict", "verdicts of rows"),
    subject("backend_version", "engine's version"),
    subject("engine", "engine"),
    subject("engine_files", "engine's files"),
    subject("model_sha256", "network's file"),
    subject("runner_sha256", "runner"),
];

/// How far temperatures before the runs lie apart that are told, in °C.
const TEMPERATURE_C: f64 = 5.0;
/// What stands in a column where somebody looked and could not know.
const UNKNOWN: &str = "unknown";
/// Characters of a text that are told of what differs.
const SHOWN: usize = 60;
/// Verdicts by which the device was not itself: when most rows of one side have one, their times are of that.
const NOT_ITSELF: [&str; 2] = ["throttled", "disturbed"];

/// Something that differs between the two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Whether cells that it is of can't be compared for it. Those stand first.
    pub is_in_the_way: bool,
    /// What it is.
    pub what: &'static str,
    /// What the first has.
    pub a: String,
    /// What the second has.
    pub b: String,
    /// The devices of the cells.
    pub devices: Vec<String>,
    /// In how many cells.
    pub cells: usize,
}

/// The runs of a cell with the whole that they are of.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) of: &'a Runs,
    pub(super) runs: &'a [Run],
}

impl Measured<'_> {
    /// What its runs have of a condition, each once, with how many runs have it. Empty where most do not tell it.
    fn values(&self, index: usize) -> BTreeMap<&str, usize> {
        let mut values = BTreeMap::new();
        for run in self.runs {
            let conditions = self.of.conditions.at(run.conditions);
            let value = conditions.and_then(|conditions| conditions.get(index)).map_or("", String::as_str);
            if !value.is_empty() && value != UNKNOWN {
                *values.entry(value).or_default() += 1;
            }
        }
        let is_told = 2 * count(&values) > self.runs.len();
        if is_told { values } else { BTreeMap::new() }
    }
}

/// What differs between the two sides of a cell.
pub(super) fn differences(a: Measured<'_>, b: Measured<'_>, across: Option<Axis>, device: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    for (index, condition) in CONDITIONS.iter().enumerate() {
        if across.is_some_and(|axis| axis.explains(condition.column)) {
            continue;
        }
        let (first, second) = (a.values(index), b.values(index));
        // What one of the two does not tell is no difference.
        if first.is_empty() || second.is_empty() {
            continue;
        }
        let are_apart = are_apart(&first, &second);
        if !are_apart && first.keys().eq(second.keys()) {
            continue;
        }
        let is_verdict = condition.column == "verdict";
        let moves_time = match condition.part {
            Part::Environment if is_verdict => is_not_itself(&first) != is_not_itself(&second),
            part => part == Part::Environment,
        };
        // What a few runs had is told, and moves no median.
        let is_in_the_way = are_apart && moves_time;
        let (a, b) = match is_verdict {
            true => (counted(&first), counted(&second)),
            false => apart(&told(&first), &told(&second)),
        };
        found.push(Difference {
            is_in_the_way,
            what: condition.name,
            a,
            b,
            devices: vec![device.to_owned()],
            cells: 1,
        });
    }
    found.extend(temperature(a.runs, b.runs, device));
    found
}

fn count(values: &BTreeMap<&str, usize>) -> usize {
    values.values().sum()
}

/// Whether a third of one side's runs or more would have to be otherwise for both to be alike: half the sum of what
/// the shares of each value differ by (the distance in total variation). So the value that more than two thirds of
/// both sides have decides, and two mixed sides differ where their shares do.
fn are_apart(first: &BTreeMap<&str, usize>, second: &BTreeMap<&str, usize>) -> bool {
    let (n, m) = (count(first), count(second));
    let of = |values: &BTreeMap<&str, usize>, value: &str| values.get(value).copied().unwrap_or(0);
    let values: BTreeSet<&str> = first.keys().chain(second.keys()).copied().collect();
    // In whole numbers: each share times n times m.
    let apart: usize = values.into_iter().map(|value| (of(first, value) * m).abs_diff(of(second, value) * n)).sum();
    3 * apart >= 2 * n * m
}

fn is_not_itself(verdicts: &BTreeMap<&str, usize>) -> bool {
    let all = count(verdicts);
    let such: usize = NOT_ITSELF.iter().filter_map(|word| verdicts.get(word)).sum();
    2 * such > all
}

fn temperature(a: &[Run], b: &[Run], device: &str) -> Option<Difference> {
    let of = |runs: &[Run]| median_of_known(runs.iter().map(|run| f64::from(run.temp_start_c)));
    let (a, b) = (of(a)?, of(b)?);
    // Heat takes time by throttling alone, which is looked at for itself.
    ((a - b).abs() >= TEMPERATURE_C).then(|| Difference {
        is_in_the_way: false,
        what: "temperature before the runs",
        a: format!("{a:.0} °C"),
        b: format!("{b:.0} °C"),
        devices: vec![device.to_owned()],
        cells: 1,
    })
}

/// What a side has: one value, or that of most runs and how many have another, or each with its number.
fn told(values: &BTreeMap<&str, usize>) -> String {
    let all = count(values);
    let Some((most, of_most)) = values.iter().max_by_key(|(_, count)| **count) else { return String::new() };
    let numbered = |(value, count): (&&str, &usize)| format!("{count} × {value}");
    match values.len() {
        1 => (*most).to_owned(),
        _ if 3 * of_most > 2 * all => {
            let others: Vec<String> = values.iter().filter(|(value, _)| *value != most).map(numbered).collect();
            let runs = if all - of_most == 1 { "1 run".to_owned() } else { format!("{} runs", all - of_most) };
            format!("{most} (but {runs} of {all}: {})", others.join(", "))
        }
        _ => values.iter().map(numbered).collect::<Vec<_>>().join(", "),
    }
}

fn counted(values: &BTreeMap<&str, usize>) -> String {
    let words = values.iter().map(|(value, count)| format!("{count} {value}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Two texts that differ, cut around the first place where they do.
fn apart(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(one, other)| one == other).count();
    let begin = if a.chars().count().max(b.chars().count()) > SHOWN { same.saturating_sub(SHOWN / 4) } else { 0 };
    let cut = |text: &str| {
        let shown: String = text.chars().skip(begin).take(SHOWN).collect();
        let (before, behind) = (begin > 0, text.chars().count() > begin + SHOWN);
        format!("{}{shown}{}", if before { "…" } else { "" }, if behind { "…" } else { "" })
    };
    (cut(a), cut(b))
}

/// What differs in all cells, each once, what is in the way first.
pub(super) fn gathered<'a>(of_cells: impl Iterator<Item = &'a Difference>) -> Vec<Difference> {
    let mut gathered: BTreeMap<Difference, Difference> = BTreeMap::new();
    for one in of_cells {
        let key = Difference { devices: Vec::new(), cells: 0, ..one.clone() };
        let all = gathered.entry(key.clone()).or_insert(key);
        all.cells += one.cells;
        for device in &one.devices {
            if !all.devices.contains(device) {
                all.devices.push(device.clone());
            }
        }
    }
    let mut gathered: Vec<Difference> = gathered.into_values().collect();
    gathered.sort_by_key(|one| !one.is_in_the_way);
    gathered
}
