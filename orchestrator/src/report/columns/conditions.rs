//! How the device was.

use crate::domain::{AndroidFacts, Battery, CheckThen};

use super::cell::milliseconds;
use super::{Column, ColumnKind, Row};

/// The device's kernel and memory.
pub(super) const MACHINE: &[Column] = &[
    Column {
        name: "kernel",
        kind: ColumnKind::Text,
        unit: "",
        description: "Kernel of the device.",
        value: |row| row.record.device.as_ref().map(|device| device.kernel.as_str()).into(),
    },
    Column {
        name: "memory_total_bytes",
        kind: ColumnKind::Integer,
        unit: "bytes",
        description: "Total memory of the device.",
        value: |row| row.record.device.as_ref().map(|device| device.memory_total_bytes).into(),
    },
];

/// The build of a phone, and how it was powered.
pub(super) const POWER: &[Column] = &[
    Column {
        name: "build",
        kind: ColumnKind::Text,
        unit: "",
        description: "Fingerprint of the device's build, on Android.",
        value: |row| android(row).and_then(|android| android.build.as_deref()).into(),
    },
    Column {
        name: "serial",
        kind: ColumnKind::Text,
        unit: "",
        description: "Serial number of the device, on Android.",
        value: |row| android(row).and_then(|android| android.serial.as_deref()).into(),
    },
    Column {
        name: "powered_by",
        kind: ColumnKind::Text,
        unit: "",
        description: "Where the device's power came from at bring-up: ac, usb, wireless, dock or battery; with + \
            between several.",
        value: |row| powered_by(row).into(),
    },
    Column {
        name: "battery_status",
        kind: ColumnKind::Text,
        unit: "",
        description: "What the battery did at bring-up: charging, discharging, not charging, full.",
        value: |row| battery(row).and_then(|battery| battery.status.as_deref()).into(),
    },
    Column {
        name: "battery_percent",
        kind: ColumnKind::Integer,
        unit: "%",
        description: "Charge of the battery at bring-up.",
        value: |row| battery(row).and_then(|battery| battery.level_percent).into(),
    },
    Column {
        name: "battery_c",
        kind: ColumnKind::Number,
        unit: "°C",
        description: "Temperature of the battery at bring-up.",
        value: |row| battery(row).and_then(|battery| battery.temperature_c).into(),
    },
];

/// How the device was before the run.
pub(super) const CONDITION: &[Column] = &[
    Column {
        name: "device_asked_at",
        kind: ColumnKind::Time,
        unit: "UTC",
        description: "When the device was last asked what it is, before the record was made (RFC 3339); its facts \
            are of then.",
        value: |row| row.record.condition.as_ref().map(|then| then.asked_at).into(),
    },
    Column {
        name: "device_free_bytes",
        kind: ColumnKind::Integer,
        unit: "bytes",
        description: "Space that was free on the file system of the device's workdir.",
        value: |row| row.record.condition.as_ref().map(|then| then.free_bytes).into(),
    },
    Column {
        name: "device_clock_off_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "How far the device's clock was ahead of the host's (behind: negative), where that was more \
            than the answer's way explains.",
        value: |row| {
            row.record.device.as_ref().and_then(|device| device.clock_off_ms).map(|off_ms| off_ms as f64).into()
        },
    },
    Column {
        name: "check_at",
        kind: ColumnKind::Time,
        unit: "UTC",
        description: "When the device was last checked before it was brought up (RFC 3339); empty when it never was.",
        value: |row| check(row).map(|check| check.at).into(),
    },
    Column {
        name: "check_verdict",
        kind: ColumnKind::Word,
        unit: "",
        description: "What that check found: ok, warning or failed; `farmctl devices history` says more.",
        value: |row| check(row).map(|check| check.verdict.as_str()).into(),
    },
    Column {
        name: "check_kernel_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Median time of the calibration kernel in that check: how fast the device was.",
        value: |row| milliseconds(check(row).and_then(|check| check.kernel_median_ns)),
    },
    Column {
        name: "check_kernel_version",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Version of that kernel: times of two versions are not to be compared.",
        value: |row| check(row).and_then(|check| check.kernel_version).into(),
    },
];

fn android<'a>(row: &Row<'a>) -> Option<&'a AndroidFacts> {
    row.record.device.as_ref()?.android.as_ref()
}

fn battery<'a>(row: &Row<'a>) -> Option<&'a Battery> {
    row.record.device.as_ref()?.battery.as_ref()
}

fn powered_by(row: &Row<'_>) -> Option<String> {
    let sources = &battery(row)?.powered_by;
    Some(if sources.is_empty() { "battery".to_owned() } else { sources.join("+") })
}

fn check<'a>(row: &Row<'a>) -> Option<&'a CheckThen> {
    row.record.condition.as_ref()?.check.as_ref()
}
