//! What a history over sweeps asks of a run that ended well, so that none of its samples is read again: its cell, its
//! median (by nearest rank), and what moves time. All of it follows from the record, and is kept and removed with it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::Record;

/// What is kept of a run. Its JSON has the same order of fields in stores of all versions: one environment is one text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunFacts {
    /// None of a program that tells a mean alone. More than a column can hold counts as the most that it can.
    pub(super) median_ns: Option<i64>,
    /// What was measured, but for the network's name.
    pub(super) cell: String,
    /// Another one begins another series.
    pub(super) environment: String,
    /// What may have had a part in a change, and begins no series.
    pub(super) circumstances: String,
    /// What was found of its numbers then.
    pub(super) judged: Option<String>,
}

impl RunFacts {
    /// Of a record.
    ///
    /// # Errors
    /// When it has no JSON.
    pub(super) fn of(record: &Record) -> Result<RunFacts, serde_json::Error> {
        let whole = without_samples(record)?;
        let judged = whole.get("judged").filter(|judged| !judged.is_null()).map(Value::to_string);
        Ok(RunFacts {
            median_ns: median_ns(record),
            cell: cell(&whole),
            environment: environment(&whole),
            circumstances: circumstances(&whole),
            judged,
        })
    }
}

/// What is read of a record's JSON: of as many samples as there may be, none becomes a value of its own.
fn without_samples(record: &Record) -> Result<Value, serde_json::Error> {
    let measurement = &record.measurement;
    let measured = [
        ("conditions", serde_json::to_value(&measurement.conditions)?),
        ("cpus", serde_json::to_value(&measurement.cpus)?),
        ("threads", serde_json::to_value(measurement.threads)?),
    ];
    let fields = [
        ("device", serde_json::to_value(&record.device)?),
        ("engine_files", serde_json::to_value(&record.engine_files)?),
        ("farmctl_version", serde_json::to_value(&record.farmctl_version)?),
        ("job", serde_json::to_value(&record.job)?),
        ("judged", serde_json::to_value(record.judged.as_ref())?),
        ("measurement", Value::Object(measured.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())),
        ("runner_sha256", serde_json::to_value(&record.runner_sha256)?),
    ];
    Ok(Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

fn median_ns(record: &Record) -> Option<i64> {
    let mut samples_ns = record.measurement.samples_ns.clone();
    let place = samples_ns.len().div_ceil(2).checked_sub(1);
    let measured = place.map(|place| *samples_ns.select_nth_unstable(place).1);
    let median_ns = measured.or_else(|| record.measurement.reported.as_ref()?.median_ns)?;
    Some(i64::try_from(median_ns).unwrap_or(i64::MAX))
}

fn cell(record: &Value) -> String {
    let options = record.pointer("/job/options").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    object(&[
        ("device", plain(record, "/job/device")),
        ("weights", plain(record, "/job/model/weights")),
        ("format", plain(record, "/job/model/format")),
        ("backend", plain(record, "/job/backend")),
        ("options", options),
        ("precision", plain(record, "/job/precision")),
        ("threads", at(record, "/job/threads")),
        ("batch", at(record, "/job/batch")),
        ("scenario", plain(record, "/job/scenario")),
    ])
}

fn environment(record: &Value) -> String {
    object(&[
        ("soc", plain(record, "/device/soc")),
        ("os", plain(record, "/device/os")),
        ("kernel", plain(record, "/device/kernel")),
        ("build", plain(record, "/device/android/build")),
        ("governor", governors(record)),
        ("cpuset", plain(record, "/measurement/conditions/cpuset")),
        ("runner", plain(record, "/runner_sha256")),
        ("backend_version", plain(record, "/job/backend_version")),
        ("engine_files", hashes(record, "/engine_files")),
        ("model", plain(record, "/job/model/artifact/sha256")),
        ("model_parts", hashes(record, "/job/model/parts")),
        ("inputs", plain(record, "/job/model/inputs")),
        ("input_shape", plain(record, "/job/model/input_shape")),
        ("threads_used", plain(record, "/measurement/threads")),
        ("limits", plain(record, "/job/limits")),
    ])
}

fn circumstances(record: &Value) -> String {
    let boot = match plain(record, "/measurement/conditions/boot_id") {
        Value::Null => plain(record, "/device/boot_id"),
        boot => boot,
    };
    object(&[
        ("farmctl", plain(record, "/farmctl_version")),
        ("boot", boot),
        ("temp_start_c", plain(record, "/measurement/conditions/temperature/start_c")),
        ("battery", plain(record, "/measurement/conditions/before/battery/status")),
        ("cpus", plain(record, "/measurement/cpus")),
    ])
}

fn at(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

/// A value that is no list and no object; those as their text.
fn plain(value: &Value, pointer: &str) -> Value {
    match at(value, pointer) {
        nested @ (Value::Array(_) | Value::Object(_)) => Value::String(nested.to_string()),
        Value::Bool(is_so) => Value::from(u8::from(is_so)),
        plain => plain,
    }
}

fn listed<'a>(value: &'a Value, list: &str, pointer: &str) -> Vec<&'a str> {
    let items = value.pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.pointer(pointer)?.as_str()).collect()
}

fn joined<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    if words.is_empty() { Value::Null } else { Value::String(words.join(" ")) }
}

fn hashes(record: &Value, list: &str) -> Value {
    joined(listed(record, list, "/artifact/sha256"))
}

fn governors(record: &Value) -> Value {
    let all = listed(record, "/measurement/conditions/before/cores", "/governor");
    joined(all.into_iter().collect::<BTreeSet<_>>())
}

/// JSON of fields in this order.
fn object(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
