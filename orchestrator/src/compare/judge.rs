use super::family::{ComparedCell, Verdict};
use super::gate::{Gate, Metric, Unclear};
use super::{Comparison, Method, Side};

/// Stands for a place where a gate has nothing to judge anywhere.
const ALL_CELLS: &str = "all cells";

/// What a gate says of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct GateOutcome {
    /// The gate.
    pub gate: String,
    /// Whether it looks at devices, not at cells.
    pub is_of_devices: bool,
    /// How many cells (or devices) it could hold against its limit.
    pub judged: usize,
    /// Why there is nothing at all that it could look at.
    pub nothing: Option<String>,
    /// What fails it: where, and why.
    pub failures: Vec<(String, String)>,
    /// What can't be told: where, and why. Among the failures too, where that fails.
    pub untold: Vec<(String, String)>,
    /// Where it has nothing to look at, and why: what only B has, what has no accuracy.
    pub passed_over: Vec<(String, String)>,
}

impl GateOutcome {
    /// Whether nothing fails it.
    pub fn is_passed(&self) -> bool {
        self.failures.is_empty()
    }

    fn untold(&mut self, place: String, why: String, unclear: Unclear) {
        if unclear != Unclear::Pass {
            self.failures.push((place.clone(), why.clone()));
        }
        self.untold.push((place, why));
    }
}

/// Holds a comparison against a gate.
pub fn judge(gate: &Gate, comparison: &Comparison, unclear: Unclear) -> GateOutcome {
    let mut outcome = GateOutcome {
        gate: gate.to_string(),
        is_of_devices: gate.metric == Metric::Geomean,
        judged: 0,
        nothing: None,
        failures: Vec::new(),
        untold: Vec::new(),
        passed_over: Vec::new(),
    };
    if outcome.is_of_devices {
        outcome.judged = comparison.geomeans.len();
        for geomean in comparison.geomeans.iter().filter(|it| gate.comparison.holds(it.percent, gate.limit)) {
            let s = if geomean.cells == 1 { "" } else { "s" };
            let why = format!("geometric mean {:+.2} % over {} cell{s}", geomean.percent, geomean.cells);
            outcome.failures.push((geomean.name(), why));
        }
    }
    for cell in &comparison.cells {
        let look = gate.look_at(cell, comparison.options.threshold_percent);
        if !outcome.is_of_devices && matches!(look, Look::Passes | Look::Fails(_)) {
            outcome.judged += 1;
        }
        match look {
            Look::Passes => {}
            Look::Fails(why) => outcome.failures.push((cell.name(), why)),
            Look::Untold(why) => outcome.untold(cell.name(), why, unclear),
            Look::HasNothing(why) => outcome.passed_over.push((cell.name(), why)),
        }
    }
    if outcome.judged == 0 && outcome.failures.is_empty() && outcome.untold.is_empty() {
        let nothing = match gate.metric {
            Metric::Top1 => "no cell has top1",
            Metric::Top5 => "no cell has top5",
            _ => "no cell has a time in both",
        };
        outcome.nothing = Some(nothing.to_owned());
        outcome.untold(ALL_CELLS.to_owned(), format!("nothing to judge: {nothing}"), unclear);
    }
    outcome
}

enum Look {
    Passes,
    Fails(String),
    Untold(String),
    /// There is nothing that it looks at: neither side has it, or only B.
    HasNothing(String),
}

impl Gate {
    fn look_at(&self, cell: &ComparedCell, threshold_percent: f64) -> Look {
        // What worked and fails now is worse than slow.
        if cell.a.median_s().is_some() && cell.b.median_s().is_none() && cell.b.has_failed {
            return Look::Fails(format!("A has a time, B has none: {}", cell.b.failure.as_deref().unwrap_or_default()));
        }
        let look = match self.metric {
            Metric::Top1 => self.points("top1", cell, |side| side.top1),
            Metric::Top5 => self.points("top5", cell, |side| side.top5),
            Metric::Geomean => part_of_mean(cell),
            Metric::Slower | Metric::Faster => self.time(cell, threshold_percent),
        };
        match (look, cell.lost()) {
            (Look::Passes, Some(lost)) => Look::Untold(lost),
            (look, _) => look,
        }
    }

    fn points(&self, name: &str, cell: &ComparedCell, of: fn(&Side) -> Option<f64>) -> Look {
        let (a, b) = match (of(&cell.a), of(&cell.b)) {
            (Some(a), Some(b)) => (a, b),
            (Some(_), None) => return Look::Untold(format!("no {name} in B")),
            (None, Some(_)) if cell.a.is_absent() => return Look::HasNothing("A has no such cell".to_owned()),
            (None, Some(_)) => return Look::Untold(format!("no {name} in A")),
            (None, None) => return Look::HasNothing(format!("no {name} in either")),
        };
        if let (Some(first), Some(second)) = (&cell.a.images, &cell.b.images)
            && first.differ(second)
        {
            return Look::Untold(format!("{name} is of {first} in A, and of {second} in B"));
        }
        // Shares are of whole images: what is behind the sixth digit is rounding.
        let points = ((b - a) * 1e8).round() / 1e6;
        if !self.comparison.holds(points, self.limit) {
            return Look::Passes;
        }
        let (a, b) = (a * 100.0, b * 100.0);
        Look::Fails(format!("{name} {a:.2} % → {b:.2} %: {points:+.2} {}", self.metric.unit()))
    }

    fn time(&self, cell: &ComparedCell, threshold_percent: f64) -> Look {
        let meant = if self.metric == Metric::Slower { Verdict::Slower } else { Verdict::Faster };
        let why = || cell.why.clone().unwrap_or_default();
        if let Some(look) = without_time(cell) {
            return look;
        }
        match cell.verdict {
            Verdict::NotComparable => Look::Untold(why()),
            // The answers are of changes above the threshold: this gate asks for smaller ones.
            _ if self.limit < threshold_percent => self.interval(cell, meant),
            verdict if verdict == meant => {
                let percent = cell.change.map_or(0.0, |change| change.percent);
                let size = if meant == Verdict::Slower { percent } else { -percent };
                let fails = self.comparison.holds(size, self.limit);
                if fails { Look::Fails(format!("{} by {size:.1} %", meant.as_str())) } else { Look::Passes }
            }
            Verdict::Unclear => Look::Untold(why()),
            _ => Look::Passes,
        }
    }

    /// What the interval of a cell's change says: it fails where the whole of it does.
    fn interval(&self, cell: &ComparedCell, meant: Verdict) -> Look {
        let Some(change) = cell.change else { return Look::Untold(cell.why.clone().unwrap_or_default()) };
        let Some((low, high)) = change.interval_percent else {
            return Look::Untold(cell.why.clone().unwrap_or_else(|| "its change has no interval".to_owned()));
        };
        let (size, low, high) = match meant {
            Verdict::Faster => (-change.percent, -high, -low),
            _ => (change.percent, low, high),
        };
        if self.comparison.holds(low, self.limit) {
            return Look::Fails(format!("{} by {size:.1} %, from {low:.1} to {high:.1} %", meant.as_str()));
        }
        // No number of runs tells that a change is exactly 0: what is the same passes.
        let is_same = self.limit == 0.0 && cell.verdict == Verdict::Same;
        if is_same || !self.comparison.holds(high, self.limit) {
            return Look::Passes;
        }
        let limit = self.limit;
        Look::Untold(format!("{} by {low:.1} to {high:.1} %: that may be {limit} % or not", meant.as_str()))
    }
}

/// What there is to say of a cell of which one side has no time.
fn without_time(cell: &ComparedCell) -> Option<Look> {
    let has_time = [&cell.a, &cell.b].map(|side| side.median_s().is_some());
    let has_failed = cell.a.has_failed || cell.b.has_failed;
    match has_time {
        [true, true] => None,
        [false, _] if cell.a.is_absent() => Some(Look::HasNothing("A has no such cell".to_owned())),
        // Both left it out.
        [false, false] if !has_failed => Some(Look::HasNothing("neither has a time".to_owned())),
        _ => Some(Look::Untold(cell.why.clone().unwrap_or_default())),
    }
}

/// What a geometric mean says of a cell: nothing, where the cell is no part of it.
fn part_of_mean(cell: &ComparedCell) -> Look {
    if let Some(look) = without_time(cell) {
        return look;
    }
    let has_too_few = cell.change.is_none_or(|change| change.method == Method::TooFew);
    if has_too_few || !cell.is_compared() {
        return Look::Untold(cell.why.clone().unwrap_or_default());
    }
    Look::Passes
}
