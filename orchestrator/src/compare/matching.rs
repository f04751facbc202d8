use std::collections::{BTreeMap, BTreeSet};

use super::change::{self, Change};
use super::conditions::{self, Measured};
use super::family::{geomeans, settle};
use super::runs::{Run, Runs};
use super::side::time_s;
use super::{Axis, CellKey, CompareError, ComparedCell, Comparison, Options, Side, Verdict};
use crate::domain::RunStatus;

/// What makes two devices the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    /// Their name.
    Name,
    /// Their chip, where it is known: any phone of a kind stands for the others.
    Chip,
}

impl DeviceName {
    /// Both.
    pub const ALL: &'static [DeviceName] = &[DeviceName::Name, DeviceName::Chip];

    /// The word that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceName::Name => "name",
            DeviceName::Chip => "chip",
        }
    }

    /// What it means, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            DeviceName::Name => "a device is what its name says",
            DeviceName::Chip => "devices with the same chip are one kind",
        }
    }
}

/// The parts of a cell that a table may not tell, as people call them.
const UNTOLD: [&str; 3] = ["weights", "threads", "scenarios"];

/// The numbers of the runs of each cell: there may be a million runs.
type Cells = BTreeMap<CellKey, Vec<u32>>;

/// Compares two sets of runs, cell by cell.
///
/// # Errors
/// When one is empty, both are the same, or they have no cell in common.
pub fn compare(a: &Runs, b: &Runs, options: &Options) -> Result<Comparison, CompareError> {
    for runs in [a, b] {
        if runs.is_empty() {
            return Err(CompareError::NoRuns { name: runs.name.clone() });
        }
    }
    let names = || (a.name.clone(), b.name.clone());
    if a.are_those_of(b) {
        let (a, b) = names();
        return Err(CompareError::SameRuns { a, b });
    }
    let mut keys = [a, b].map(|runs| runs.cells().cloned().collect::<Vec<CellKey>>());
    let mut notes = leave_untold_out(&mut keys, [&a.name, &b.name]);
    let [keys_a, keys_b] = keys;
    // Of each cell the numbers of both sides: there may be so many cells that each name is kept once.
    let mut of_both: BTreeMap<CellKey, [Vec<u32>; 2]> =
        by_cell(a, keys_a).into_iter().map(|(key, own)| (key, [own, Vec::new()])).collect();
    for (key, own) in by_cell(b, keys_b) {
        of_both.entry(key).or_default()[1] = own;
    }
    if !of_both.values().any(|[first, second]| !first.is_empty() && !second.is_empty()) {
        let (a, b) = names();
        return Err(CompareError::NothingInCommon { a, b });
    }
    let cells = of_both.into_iter().map(|(key, [first, second])| {
        let (first, second) = (a.numbered(&first), b.numbered(&second));
        let couple = Couple { key, across: None };
        couple.cell(Measured { of: a, runs: &first }, Measured { of: b, runs: &second }, None, options)
    });
    let cells = cells.collect();
    notes.extend([a, b].into_iter().filter(|runs| runs.same_runs > 0).map(twice));
    Ok(comparison(names(), cells, notes, options))
}

/// Compares the cells of one set of runs along an axis: each of its values with the one that is the base, which is the
/// first in order where none is said.
///
/// # Errors
/// When there are no runs, one value only, or not the base.
pub fn compare_across(
    runs: &Runs,
    axis: Axis,
    base: Option<&str>,
    options: &Options,
) -> Result<Comparison, CompareError> {
    if runs.is_empty() {
        return Err(CompareError::NoRuns { name: runs.name.clone() });
    }
    let mut of_values: BTreeMap<String, Cells> = BTreeMap::new();
    for (mut key, own) in by_cell(runs, runs.cells().cloned().collect()) {
        let value = axis.take(&mut key);
        of_values.entry(value).or_default().entry(key).or_default().extend(own);
    }
    let mut values: Vec<&String> = of_values.keys().collect();
    values.sort_by(|one, other| numeric_sort::cmp(one, other));
    let base = match base {
        Some(base) => values.iter().find(|value| value.as_str() == base).copied().ok_or_else(|| {
            let known = values.iter().map(|value| (*value).clone()).collect();
            CompareError::UnknownBase { name: runs.name.clone(), axis: axis.one(), wanted: base.to_owned(), known }
        })?,
        None => values[0],
    };
    if values.len() < 2 {
        let (name, value) = (runs.name.clone(), base.clone());
        return Err(CompareError::OneValue { name, axis: axis.one(), value });
    }
    let of_base = &of_values[base];
    let mut cells = Vec::new();
    for value in values.into_iter().filter(|value| *value != base) {
        let of_value = &of_values[value];
        for (key, first) in of_base {
            let Some(second) = of_value.get(key) else { continue };
            let (first, second) = (runs.numbered(first), runs.numbered(second));
            let couple = Couple { key: key.clone(), across: Some((base.clone(), value.clone())) };
            let (first, second) = (Measured { of: runs, runs: &first }, Measured { of: runs, runs: &second });
            cells.push(couple.cell(first, second, Some(axis), options));
        }
    }
    let name = format!("{} {base}", axis.one());
    if cells.is_empty() {
        return Err(CompareError::NothingInCommon { a: name, b: format!("the other {}", axis.as_str()) });
    }
    let notes = (runs.same_runs > 0).then(|| twice(runs)).into_iter().collect();
    Ok(comparison((name, format!("the other {} of {}", axis.as_str(), runs.name)), cells, notes, options))
}

fn comparison(
    (a, b): (String, String),
    mut cells: Vec<ComparedCell>,
    mut notes: Vec<String>,
    options: &Options,
) -> Comparison {
    cells.sort_by(|one, other| {
        let by_device = numeric_sort::cmp(&one.key.device, &other.key.device);
        by_device.then_with(|| (&one.across, &one.key).cmp(&(&other.across, &other.key)))
    });
    settle(&mut cells, options);
    let by_mean = cells.iter().filter(|cell| cell.by_mean && cell.change.is_some()).count();
    if by_mean > 0 {
        notes.push(match by_mean {
            1 => "1 of the cells is compared by the means of its runs: there are no medians.".to_owned(),
            many => format!("{many} of the cells are compared by the means of their runs: there are no medians."),
        });
    }
    let known = cells.iter().filter_map(|cell| cell.change).filter(|it| it.method == change::Method::KnownSpread);
    let known = known.count();
    if known > 0 {
        let (cells, whose) = match known {
            1 => ("1 of the cells has too few runs to speak for itself".to_owned(), ["its device", "it"]),
            many => {
                (format!("{many} of the cells have too few runs to speak for themselves"), ["their devices", "them"])
            }
        };
        let [of, speaks_for] = whose;
        notes.push(format!(
            "{cells}: the spread from run to run that was told of {of} (--spread) speaks for {speaks_for}."
        ));
    }
    let geomeans = geomeans(&cells);
    let differences = conditions::gathered(cells.iter().flat_map(|cell| &cell.differences));
    Comparison { a, b, options: options.clone(), differences, cells, geomeans, notes }
}

fn twice(runs: &Runs) -> String {
    let name = &runs.name;
    match runs.same_runs {
        1 => format!("1 run of {name} is there twice; it counts once."),
        many => format!("{many} runs of {name} are there twice; they count once."),
    }
}

fn by_cell(runs: &Runs, keys: Vec<CellKey>) -> Cells {
    let mut cells = Cells::new();
    let mut of_keys: Vec<Vec<u32>> = vec![Vec::new(); keys.len()];
    for (number, run) in (0..=u32::MAX).zip(&runs.runs) {
        if let Some(own) = of_keys.get_mut(run.key.index()) {
            own.push(number);
        }
    }
    // Cells that differed by what is left out are one now.
    for (key, own) in keys.into_iter().zip(of_keys).filter(|(_, own)| !own.is_empty()) {
        cells.entry(key).or_default().extend(own);
    }
    cells
}

/// A part that one table never tells is left out of the other, where that has one value only.
fn leave_untold_out(keys: &mut [Vec<CellKey>; 2], names: [&str; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    for (index, what) in UNTOLD.into_iter().enumerate() {
        let values = |keys: &mut Vec<CellKey>| -> BTreeSet<String> {
            keys.iter_mut().map(|key| key.untold()[index].clone()).collect()
        };
        let [a, b] = keys.each_mut().map(values);
        let is_untold = |values: &BTreeSet<String>| values.iter().all(String::is_empty);
        let (silent, told) = match (is_untold(&a), is_untold(&b)) {
            (true, false) => (names[0], b),
            (false, true) => (names[1], a),
            _ => continue,
        };
        if told.len() == 1 {
            keys.iter_mut().flatten().for_each(|key| key.untold()[index].clear());
            notes.push(format!("{silent} does not tell its {what}: they are taken for the same as the other's."));
        } else {
            notes.push(format!("{silent} does not tell its {what}, and the other has several: no cell fits."));
        }
    }
    notes
}

/// What a cell of two sides is.
struct Couple {
    key: CellKey,
    across: Option<(String, String)>,
}

impl Couple {
    fn cell(self, a: Measured<'_>, b: Measured<'_>, axis: Option<Axis>, options: &Options) -> ComparedCell {
        let Couple { key, across } = self;
        let lacks_median = |run: &&Run| run.status == RunStatus::Ok && time_s(run, false).is_nan();
        let by_mean = a.runs.iter().chain(b.runs).any(|run| lacks_median(&run));
        let (first, first_runs) = Side::of(a.of, a.runs, by_mean);
        let (second, second_runs) = Side::of(b.of, b.runs, by_mean);
        let is_one_device = axis != Some(Axis::Devices) && options.device == DeviceName::Name;
        let pairs = is_one_device.then(|| change::pairs(&first_runs, &second_runs, by_mean)).flatten();
        let change = Change::of(&first, &second, pairs.as_deref(), options.spread(&key.device));
        let (a, b) = (Measured { runs: &first_runs, ..a }, Measured { runs: &second_runs, ..b });
        ComparedCell {
            differences: conditions::differences(a, b, axis, &key.device),
            key,
            across,
            a: first,
            b: second,
            by_mean,
            change,
            p_adjusted: None,
            has_looks: false,
            verdict: Verdict::Unclear,
            why: None,
            more_runs: None,
        }
    }
}
