use std::collections::BTreeMap;

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
    /// What its runs have of a condition, each once, with how many runs have it.
    fn values(&self, index: usize) -> BTreeMap<&str, usize> {
        let mut values = BTreeMap::new();
        for run in self.runs {
            let conditions = self.of.conditions.values.get(run.conditions as usize);
            let value = conditions.and_then(|conditions| conditions.get(index)).map_or("", String::as_str);
            *values.entry(value).or_default() += 1;
        }
        values
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
        let is_known = |values: &BTreeMap<&str, usize>| !values.is_empty() && !values.contains_key("");
        // What one of the two does not tell is no difference.
        if !is_known(&first) || !is_known(&second) || first.keys().eq(second.keys()) {
            continue;
        }
        let is_verdict = condition.column == "verdict";
        let is_in_the_way = match condition.part {
            Part::Environment if is_verdict => is_not_itself(&first) != is_not_itself(&second),
            part => part == Part::Environment,
        };
        let (a, b) = match is_verdict {
            true => (counted(&first), counted(&second)),
            false => apart(&joined(&first), &joined(&second)),
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

fn is_not_itself(verdicts: &BTreeMap<&str, usize>) -> bool {
    let all: usize = verdicts.values().sum();
    let such: usize = NOT_ITSELF.iter().filter_map(|word| verdicts.get(word)).sum();
    2 * such > all
}

fn temperature(a: &[Run], b: &[Run], device: &str) -> Option<Difference> {
    let of = |runs: &[Run]| median_of_known(runs.iter().map(|run| run.temp_start_c));
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

fn joined(values: &BTreeMap<&str, usize>) -> String {
    values.keys().copied().collect::<Vec<_>>().join(", ")
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
