use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, say};
use crate::cli::table::Table;
use crate::lab::{LabError, TrustOfDevice};

/// What programs get: a figure a column.
const HEADER: [&str; 14] = [
    "device",
    "model",
    "runs",
    "cells",
    "since",
    "within_percent",
    "pairs_within",
    "pairs",
    "siblings",
    "slower_percent",
    "judged",
    "doubtful",
    "repeats",
    "stands_out",
];
/// What people get.
const SHORT: [&str; 6] = ["device", "runs", "repeats", "to siblings", "doubtful", "stands out"];

pub(super) fn run(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let found = context.lab.device_trust(names)?;
    let nothing = "no run of these devices ended well yet; `farmctl sweep` measures";
    if context.format == Format::Human {
        let with_runs = found.devices.iter().filter(|device| device.trust.runs > 0 || !names.is_empty());
        Table::new(&SHORT, with_runs.map(short)).when_empty(nothing).print(context.format)?;
        say(&format!("of the newest {} runs of each device", found.runs_looked_at));
    } else {
        Table::new(&HEADER, found.devices.iter().map(row)).json(&found.devices).print(context.format)?;
    }
    Ok(exit::OK)
}

fn number(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.2}")).unwrap_or_default()
}

fn stands_out(device: &TrustOfDevice) -> String {
    device.trust.stands_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn row(device: &TrustOfDevice) -> Vec<String> {
    let trust = &device.trust;
    vec![
        device.device.clone(),
        device.model.clone().unwrap_or_default(),
        trust.runs.to_string(),
        trust.cells.to_string(),
        device.since.map(|since| format!("{since:.0}")).unwrap_or_default(),
        number(trust.within_percent),
        trust.pairs_within.to_string(),
        trust.pairs.to_string(),
        trust.siblings.to_string(),
        number(trust.slower_percent),
        trust.judged.to_string(),
        trust.doubtful.to_string(),
        trust.repeats(),
        stands_out(device),
    ]
}

fn short(device: &TrustOfDevice) -> Vec<String> {
    let trust = &device.trust;
    let siblings = trust.slower_percent.map(|percent| {
        let siblings =
            if trust.siblings == 1 { "1 sibling".to_owned() } else { format!("{} siblings", trust.siblings) };
        format!("{:.1} % {} than {siblings}", percent.abs(), if percent < 0.0 { "quicker" } else { "slower" })
    });
    let doubtful = if trust.judged > 0 { format!("{} of {}", trust.doubtful, trust.judged) } else { String::new() };
    vec![
        device.device.clone(),
        trust.runs.to_string(),
        if trust.pairs > 0 { trust.repeats() } else { "nothing was measured twice".to_owned() },
        siblings.unwrap_or_default(),
        doubtful,
        stands_out(device),
    ]
}
