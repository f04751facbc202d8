use jiff::Timestamp;

use crate::agent::{Hold, Leases};
use crate::domain::Device;

use super::super::{CliError, Context};
use super::{Probed, ask, print_answers};

/// Below this, storage is nearly full: a few models have no room.
const NEARLY_FULL_BYTES: u64 = 1_000_000_000;
/// A command that takes longer there and back makes every step of a sweep slow.
const SLOW_ROUND_TRIP_MS: f64 = 500.0;
/// A model takes minutes at less.
const SLOW_PUSH_BYTES_PER_SECOND: f64 = 1e6;

pub(super) async fn check(context: &Context, devices: Vec<Device>) -> Result<u8, CliError> {
    let answers = ask(context, devices, true).await?;
    let header =
        ["device", "verdict", "bring_up_ms", "round_trip_ms", "push_mb_s", "free_mb", "hottest_c", "sensors", "why"];
    let rows = answers.iter().map(|probed| {
        let hello = probed.hello.as_ref();
        let hottest = probed.sensors.iter().flatten().map(|sensor| sensor.temperature_c).fold(f64::NAN, f64::max);
        vec![
            probed.device.clone(),
            verdict(probed).to_owned(),
            hello.map(|_| probed.bring_up_ms.to_string()).unwrap_or_default(),
            probed.round_trip_ms.map(|time| format!("{time:.1}")).unwrap_or_default(),
            probed.push_bytes_per_second.map(|speed| format!("{:.1}", speed / 1e6)).unwrap_or_default(),
            hello.map(|hello| (hello.store.free_bytes >> 20).to_string()).unwrap_or_default(),
            if hottest.is_nan() { String::new() } else { format!("{hottest:.1}") },
            probed.sensors.as_ref().map(|sensors| sensors.len().to_string()).unwrap_or_default(),
            why(probed),
        ]
    });
    print_answers(context, &answers, &header, rows)
}

/// Takes the device for the time of the check, so that no run begins meanwhile; or says who uses it.
pub(super) async fn take(leases: &Leases, device: &str) -> Result<Result<Hold, String>, CliError> {
    Ok(leases.device(device, None).await?.map_err(|holder| {
        let sweep = holder.sweep_id.map_or_else(String::new, |sweep| format!(" for sweep {sweep}"));
        let until = holder.until.duration_since(Timestamp::now()).as_secs().max(0);
        format!("{} uses it{sweep} (for {until} s without a word from it)", holder.holder)
    }))
}

fn verdict(probed: &Probed) -> &'static str {
    match (&probed.same_as, &probed.used_by, &probed.failure) {
        (Some(_), ..) => "spare",
        (None, Some(_), _) => "busy",
        (None, None, Some(_)) => "failed",
        (None, None, None) if !warnings(probed).is_empty() => "warning",
        (None, None, None) => "ok",
    }
}

/// What a device that works would do better with, and what helps.
fn warnings(probed: &Probed) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(hello) = probed.hello.as_ref().filter(|hello| hello.store.free_bytes < NEARLY_FULL_BYTES) {
        let free_mb = hello.store.free_bytes / 1_000_000;
        warnings.push(format!("{free_mb} MB are free: make room, or choose another workdir"));
    }
    if probed.round_trip_ms.is_some_and(|time| time > SLOW_ROUND_TRIP_MS) {
        warnings
            .push("a command takes long there and back: look at the network, or at what else runs there".to_owned());
    }
    if probed.push_bytes_per_second.is_some_and(|speed| speed < SLOW_PUSH_BYTES_PER_SECOND) {
        warnings.push("pushes are slow: look at cable, hub or Wi-Fi".to_owned());
    }
    warnings
}

fn why(probed: &Probed) -> String {
    match (&probed.same_as, &probed.used_by, &probed.failure) {
        (Some(used), ..) => format!("same phone as {used}"),
        (None, Some(used_by), _) => used_by.clone(),
        (None, None, Some(failure)) => failure.kind.to_string(),
        (None, None, None) => warnings(probed).join("; "),
    }
}
