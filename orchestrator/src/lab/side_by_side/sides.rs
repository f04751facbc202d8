//! Where two sides differ, and what they are called by that.

use crate::domain::{CellPattern, SideBySide, SideRunner, Sweep};
use crate::lab::LabError;

use super::values::Given;
use super::{FIELDS, SideBySideOrder};

/// Digits of a hash that are a name.
const HASH_DIGITS: usize = 8;

/// What sides are called that differ in nothing: that shows how quiet the lab is.
const SAME: &str = "both sides are the same";

/// Where the two differ, and by what.
pub(super) fn sides(a: &Sweep, b: &Sweep, given: Given, order: &SideBySideOrder) -> Result<SideBySide, LabError> {
    let others = [
        ("devices", a.devices == b.devices),
        ("include", a.include == b.include),
        ("exclude", a.exclude == b.exclude),
        ("limits", a.limits == b.limits && a.sustained_seconds == b.sustained_seconds),
        ("cooldown", a.cooldown == b.cooldown),
        ("dataset", a.dataset == b.dataset),
        ("seed", a.seed == b.seed),
    ];
    let others: Vec<&str> = others.into_iter().filter(|(_, is_same)| !is_same).map(|(what, _)| what).collect();
    if !others.is_empty() {
        let message = format!("the two files differ in {}", others.join(", "));
        return Err(LabError::usage(message).with_hint(format!("A and B may differ in one value of {FIELDS}")));
    }
    let mut names = Names::default();
    let pattern = CellPattern {
        devices: Vec::new(),
        models: names.differing("model", &a.models, &b.models)?,
        weights: names.differing("weights", &a.weights, &b.weights)?,
        backends: names.differing("backend", &a.backends, &b.backends)?,
        precisions: names.differing("precision", &a.precisions, &b.precisions)?,
        threads: names.differing("threads", &a.threads, &b.threads)?,
        batches: names.differing("batch", &a.batches, &b.batches)?,
        scenarios: names.differing("scenario", &a.scenarios, &b.scenarios)?,
    };
    let names_axis = |cells: &CellPattern| {
        (!pattern.models.is_empty() && !cells.models.is_empty())
            || (!pattern.weights.is_empty() && !cells.weights.is_empty())
            || (!pattern.backends.is_empty() && !cells.backends.is_empty())
            || (!pattern.precisions.is_empty() && !cells.precisions.is_empty())
            || (!pattern.threads.is_empty() && !cells.threads.is_empty())
            || (!pattern.batches.is_empty() && !cells.batches.is_empty())
            || (!pattern.scenarios.is_empty() && !cells.scenarios.is_empty())
    };
    if a.include.iter().any(names_axis) {
        let message = format!("`include` of {} names what A and B differ in", order.a.display());
        return Err(LabError::usage(message).with_hint("leave it out of there, or compare without that entry"));
    }
    let Given { models, backends, a_runners, b_runners } = given;
    if !a_runners.is_empty() || !b_runners.is_empty() {
        names.a.push(runner_name(&a_runners));
        names.b.push(runner_name(&b_runners));
    }
    let (a_name, b_name) = names.both();
    let SideBySideOrder { threshold_percent, alpha, minutes, .. } = *order;
    let b = pattern;
    Ok(SideBySide { a_name, b_name, b, threshold_percent, alpha, minutes, a_runners, b_runners, models, backends })
}

/// What runners are called, by the hash of the first.
fn runner_name(runners: &[SideRunner]) -> String {
    let [first, others @ ..] = runners else { return "the lab's runner".to_owned() };
    let hash: String = first.artifact.sha256.chars().take(HASH_DIGITS).collect();
    match others.len() {
        0 => format!("runner {hash}"),
        more => format!("runner {hash} and {more} more"),
    }
}

/// What the two sides are called: the values that they differ in.
#[derive(Default)]
struct Names {
    a: Vec<String>,
    b: Vec<String>,
}

impl Names {
    /// B's value of a field in which the two differ; none where they don't.
    fn differing<T: PartialEq + Clone + ToString>(
        &mut self,
        field: &str,
        a: &[T],
        b: &[T],
    ) -> Result<Vec<T>, LabError> {
        let is_same = a.len() == b.len() && a.iter().all(|value| b.contains(value));
        if is_same {
            return Ok(Vec::new());
        }
        let ([of_a], [of_b]) = (a, b) else {
            return Err(LabError::usage(format!("A and B have several values of {field}, and differ in them"))
                .with_hint(format!("give each one: `--a {field}=… --b {field}=…`")));
        };
        let word = |value: &T| match field {
            "threads" | "batch" => format!("{field} {}", value.to_string()),
            _ => value.to_string(),
        };
        self.a.push(word(of_a));
        self.b.push(word(of_b));
        Ok(vec![of_b.clone()])
    }

    fn both(self) -> (String, String) {
        if self.a.is_empty() && self.b.is_empty() {
            return (SAME.to_owned(), SAME.to_owned());
        }
        (self.a.join(", "), self.b.join(", "))
    }
}
