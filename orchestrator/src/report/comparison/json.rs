use serde_json::{Map, Value, json};

use super::key_columns;
use crate::compare::{ComparedCell, Comparison, GateOutcome, Side};

/// Raised when a reader of the last version would misread the text.
const FORMAT: u32 = 1;

/// A comparison for programs. null: not known.
pub fn comparison_json(comparison: &Comparison, gates: &[GateOutcome]) -> Value {
    json!({
        "format": FORMAT,
        "a": comparison.a,
        "b": comparison.b,
        "threshold_percent": comparison.options.threshold_percent,
        "alpha": comparison.options.alpha,
        "anyway": comparison.options.anyway,
        "differences": comparison.differences.iter().map(|it| json!({
            "what": it.what,
            "a": it.a,
            "b": it.b,
            "moves_time": it.is_in_the_way,
            "devices": it.devices,
            "cells": it.cells,
        })).collect::<Vec<_>>(),
        "cells": comparison.cells.iter().map(cell).collect::<Vec<_>>(),
        "geomeans": comparison.geomeans.iter().map(|it| json!({
            "device": it.device,
            "across": it.across,
            "cells": it.cells,
            "a_ms": rounded(Some(it.a_s * 1e3)),
            "b_ms": rounded(Some(it.b_s * 1e3)),
            "change_percent": rounded(Some(it.percent)),
        })).collect::<Vec<_>>(),
        "gates": gates.iter().map(|it| json!({
            "gate": it.gate,
            "passed": it.is_passed(),
            "judged": it.judged,
            "failures": at(&it.failures),
            "untold": at(&it.untold),
        })).collect::<Vec<_>>(),
        "notes": comparison.notes,
    })
}

fn at(places: &[(String, String)]) -> Vec<Value> {
    places.iter().map(|(cell, why)| json!({ "cell": cell, "why": why })).collect()
}

fn cell(cell: &ComparedCell) -> Value {
    let mut object: Map<String, Value> =
        key_columns(&cell.key).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    object.insert("batch".to_owned(), json!(cell.key.batch));
    let change = cell.change.filter(|_| cell.is_compared());
    let ends = change.and_then(|change| change.interval_percent);
    let figures = json!({
        "across": cell.across,
        "verdict": cell.verdict.as_str(),
        "why": cell.remark(),
        "a": side(&cell.a),
        "b": side(&cell.b),
        "by_mean": cell.by_mean,
        "change_percent": rounded(change.map(|it| it.percent)),
        "change_low_percent": rounded(ends.map(|(low, _)| low)),
        "change_high_percent": rounded(ends.map(|(_, high)| high)),
        "p": rounded(change.and_then(|it| it.p)),
        "p_adjusted": rounded(cell.p_adjusted),
        "method": change.map(|it| it.method.as_str()),
        "more_runs": cell.more_runs,
        "differs": cell.differences.iter().map(|it| it.what).collect::<Vec<_>>(),
    });
    if let Value::Object(figures) = figures {
        object.extend(figures);
    }
    Value::Object(object)
}

fn side(side: &Side) -> Value {
    json!({
        "median_ms": rounded(side.median_s().map(|median_s| median_s * 1e3)),
        "plus_minus_percent": rounded(side.plus_minus_percent()),
        "runs": side.times_s.len(),
        "without_time": side.without_time,
        "not_counting": side.not_counting,
        "top1": rounded(side.top1),
        "top5": rounded(side.top5),
    })
}

fn rounded(number: Option<f64>) -> Option<f64> {
    number.map(|number| format!("{number:.8e}").parse().unwrap_or(number))
}
