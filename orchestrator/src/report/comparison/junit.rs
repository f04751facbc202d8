use std::collections::{HashMap, HashSet};

use crate::compare::{ComparedCell, Comparison, GateOutcome, Geomean};
use crate::report::xml::attribute;

/// What the gates say, as JUnit's XML: a suite a gate, a case a cell, so that CI shows which failed. A cell that
/// can't be told and does not fail is skipped there, as is one where the gate has nothing to look at.
pub fn comparison_junit(comparison: &Comparison, gates: &[GateOutcome]) -> String {
    let suites: Vec<Suite<'_>> = gates.iter().map(|gate| Suite::of(comparison, gate)).collect();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(|suite| suite.failed.len()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!("<testsuites name=\"farmctl compare\" tests=\"{tests}\" failures=\"{failures}\">\n"));
    suites.iter().for_each(|suite| suite.push(&mut text));
    text.push_str("</testsuites>\n");
    text
}

/// What one gate says of each case.
struct Suite<'a> {
    name: &'a str,
    /// Names of cells, or of devices where the gate is of those.
    cases: Vec<String>,
    failed: HashMap<&'a str, &'a str>,
    skipped: HashMap<&'a str, &'a str>,
}

impl<'a> Suite<'a> {
    fn of(comparison: &Comparison, gate: &'a GateOutcome) -> Suite<'a> {
        let mut cases: Vec<String> = match gate.is_of_devices {
            true => comparison.geomeans.iter().map(Geomean::name).collect(),
            false => comparison.cells.iter().map(ComparedCell::name).collect(),
        };
        let by_name = |places: &[&'a [(String, String)]]| -> HashMap<&'a str, &'a str> {
            places.iter().copied().flatten().map(|(cell, why)| (cell.as_str(), why.as_str())).collect()
        };
        let failed = by_name(&[&gate.failures]);
        let skipped = by_name(&[&gate.passed_over, &gate.untold]);
        // Cells beside devices, and what stands for all cells.
        let known: HashSet<String> = cases.iter().cloned().collect();
        let places = comparison.cells.iter().map(ComparedCell::name);
        let places =
            places.chain(gate.untold.iter().filter(|_| gate.nothing.is_some()).map(|(place, _)| place.clone()));
        let is_case = |name: &String| failed.contains_key(name.as_str()) || skipped.contains_key(name.as_str());
        cases.extend(places.filter(|name| is_case(name) && !known.contains(name)));
        Suite { name: &gate.gate, cases, failed, skipped }
    }

    fn push(&self, text: &mut String) {
        let skipped = self.skipped.keys().filter(|name| !self.failed.contains_key(*name)).count();
        let (name, tests, failures) = (attribute(self.name), self.cases.len(), self.failed.len());
        text.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">\n"
        ));
        for case in &self.cases {
            let (device, cell) = case.split_once(": ").unwrap_or((case, case));
            let (device, cell) = (attribute(device), attribute(cell));
            text.push_str(&format!("    <testcase classname=\"{device}\" name=\"{cell}\""));
            let result = |word: &str, why: &&str| {
                format!(">\n      <{word} message=\"{}\"/>\n    </testcase>\n", attribute(why))
            };
            let failed = self.failed.get(case.as_str()).map(|why| result("failure", why));
            let skipped = || self.skipped.get(case.as_str()).map(|why| result("skipped", why));
            text.push_str(&failed.or_else(skipped).unwrap_or_else(|| "/>\n".to_owned()));
        }
        text.push_str("  </testsuite>\n");
    }
}
