//! JSON Lines, for programs of one's own.
//!
//! A line `{"latency_ns": 123}` is one inference. A line with other fields of [`Figures`] is what the program computed
//! itself; a later one adds to an earlier one. Everything else that is printed is passed over.

use farmctl_protocol::Figures;
use serde_json::{Map, Value};

use super::Report;

pub(super) fn parse(output: &str) -> Result<Report, String> {
    let mut samples_ns = Vec::new();
    let mut told = Map::new();
    let objects = output.lines().filter_map(|line| match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Some((line, object)),
        _ => None,
    });
    for (line, mut object) in objects {
        if let Some(latency) = object.remove("latency_ns") {
            let latency = latency.as_u64().ok_or_else(|| format!("latency_ns is no whole number in {line:?}"))?;
            samples_ns.push(latency);
        }
        told.append(&mut object);
    }
    let figures: Figures = serde_json::from_value(Value::Object(told))
        .map_err(|error| format!("a figure of the benchmark program is not understood: {error}"))?;
    Ok(Report { samples_ns, figures })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_figures_come_in_any_order_between_other_lines() {
        let output = "hello\n{\"load_ns\": 7}\n{\"latency_ns\": 3}\n[1]\n{\"latency_ns\": 4, \"colour\": \"red\"}\n\
                      {\"first_ns\": 9}\n";
        let report = parse(output).unwrap();
        assert_eq!(report.samples_ns, [3, 4]);
        assert_eq!(report.figures, Figures { load_ns: Some(7), first_ns: Some(9), ..Figures::default() });
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(parse("{\"latency_ns\": -1}").unwrap_err().contains("no whole number"));
        assert!(parse("{\"mean_ns\": \"3\"}").unwrap_err().contains("not understood"));
    }
}
