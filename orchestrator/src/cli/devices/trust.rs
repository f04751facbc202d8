use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{LabError, TrustOfDevice};
use crate::terminal::print::say;
use crate::terminal::table::Table;

pub(super) fn run(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let found = context.lab.device_trust(names)?;
    let nothing = "no run of these devices ended well yet; `farmctl sweep` measures";
    if context.format.is_for_people() {
        let with_runs = found.devices.iter().filter(|device| device.trust.runs > 0 || !names.is_empty());
        let with_runs: Vec<&TrustOfDevice> = with_runs.collect();
        for_people(&with_runs).when_empty(nothing).print(context.format)?;
        say(&format!("of the newest {} runs of each device", found.runs_looked_at));
    } else {
        for_programs(&found.devices).json(&found.devices).print(context.format)?;
    }
    Ok(exit::OK)
}

fn number(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.2}")).unwrap_or_default()
}

fn stands_out(device: &TrustOfDevice) -> String {
    device.trust.stands_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What programs get: a figure a column.
fn for_programs(devices: &[TrustOfDevice]) -> Table<'_> {
    Table::of(devices)
        .column("device", |it| it.device.clone())
        .column("model", |it| it.model.clone().unwrap_or_default())
        .column("runs", |it| it.trust.runs.to_string())
        .column("cells", |it| it.trust.cells.to_string())
        .column("since", |it| it.since.map(|since| format!("{since:.0}")).unwrap_or_default())
        .column("within_percent", |it| number(it.trust.within_percent))
        .column("pairs_within", |it| it.trust.pairs_within.to_string())
        .column("pairs", |it| it.trust.pairs.to_string())
        .column("siblings", |it| it.trust.siblings.to_string())
        .column("slower_percent", |it| number(it.trust.slower_percent))
        .column("judged", |it| it.trust.judged.to_string())
        .column("doubtful", |it| it.trust.doubtful.to_string())
        .column("repeats", |it| it.trust.repeats())
        .column("stands_out", stands_out)
        .done()
}

/// What people get.
fn for_people<'a>(devices: &[&'a TrustOfDevice]) -> Table<'a> {
    Table::of(devices)
        .column("device", |it| it.device.clone())
        .column("runs", |it| it.trust.runs.to_string())
        .column("repeats", |it| match it.trust.pairs {
            0 => "nothing was measured twice".to_owned(),
            _ => it.trust.repeats(),
        })
        .column("to siblings", |it| to_siblings(it).unwrap_or_default())
        .column("doubtful", |it| match it.trust.judged {
            0 => String::new(),
            judged => format!("{} of {judged}", it.trust.doubtful),
        })
        .column("stands out", |it| stands_out(it))
        .done()
}

fn to_siblings(device: &TrustOfDevice) -> Option<String> {
    let (percent, siblings) = (device.trust.slower_percent?, device.trust.siblings);
    let siblings = if siblings == 1 { "1 sibling".to_owned() } else { format!("{siblings} siblings") };
    let word = if percent < 0.0 { "quicker" } else { "slower" };
    Some(format!("{:.1} % {word} than {siblings}", percent.abs()))
}
