//! What the device was like around the run and during it.

use farmctl_protocol::Conditions;

use super::{Column, ColumnKind, Row};
use crate::score::trust::{share, throttled_by};

/// What its sensors and counters said.
pub(super) const WATCHED: &[Column] = &[
    Column {
        name: "temp_start_c",
        kind: ColumnKind::Number,
        unit: "°C",
        description: "The hottest of the processor's sensors before the run; empty where the device has none.",
        value: |row| watched(row).and_then(|it| it.temperature.as_ref()).map(|it| it.start_c).into(),
    },
    Column {
        name: "temp_max_c",
        kind: ColumnKind::Number,
        unit: "°C",
        description: "The hottest of them at any look, before, during and after the run.",
        value: |row| watched(row).and_then(|it| it.temperature.as_ref()).map(|it| it.max_c).into(),
    },
    Column {
        name: "temp_sensor",
        kind: ColumnKind::Text,
        unit: "",
        description: "The sensor that was the hottest then.",
        value: |row| watched(row).and_then(|it| it.temperature.as_ref()).map(|it| it.sensor.as_str()).into(),
    },
    Column {
        name: "freq_mean_mhz",
        kind: ColumnKind::Number,
        unit: "MHz",
        description: "Frequency of the cores that the run was on: mean over the looks.",
        value: |row| watched(row).and_then(|it| it.frequency).map(|it| megahertz(it.mean_khz)).into(),
    },
    Column {
        name: "freq_min_mhz",
        kind: ColumnKind::Number,
        unit: "MHz",
        description: "The lowest frequency of one of them at a look.",
        value: |row| watched(row).and_then(|it| it.frequency).map(|it| megahertz(it.min_khz)).into(),
    },
    Column {
        name: "governor",
        kind: ColumnKind::Text,
        unit: "",
        description: "What sets the frequency of the cores that the run could use; with + between several.",
        value: |row| watched(row).and_then(governors).into(),
    },
    Column {
        name: "throttled",
        kind: ColumnKind::Word,
        unit: "",
        description: "Whether the device took speed from the run: yes, no (it has signs of it, and none showed) or \
            unknown.",
        value: |row| watched(row).map(|it| it.throttled.as_str()).into(),
    },
    Column {
        name: "throttled_by",
        kind: ColumnKind::Text,
        unit: "",
        description: "The signs: limit_lowered, cooling, thermal_counter, undervoltage, firmware_cap, \
            firmware_throttled, soft_temperature_limit, quota; of unknown also capped (the limit was below the core's \
            maximum all the time, for heat or because somebody wants it so).",
        value: |row| watched(row).and_then(throttled_by).into(),
    },
    Column {
        name: "other_load",
        kind: ColumnKind::Number,
        unit: "",
        description: "Share of the processor time of the run's cores that other processes used, from 0 to 1; empty \
            where that can't be told.",
        value: |row| watched(row).and_then(|it| share(it, it.other_ns)).into(),
    },
    Column {
        name: "stolen_share",
        kind: ColumnKind::Number,
        unit: "",
        description: "Share of it that a hypervisor gave to others; empty on a guest that is told of none.",
        value: |row| watched(row).and_then(|it| share(it, it.stolen_ns)).into(),
    },
    Column {
        name: "charging",
        kind: ColumnKind::Word,
        unit: "",
        description: "Whether the battery was charged after the run (at bring-up, where only Android tells): yes, no \
            or unknown; empty without a battery.",
        value: |row| charging(row).into(),
    },
    Column {
        name: "energy_mj",
        kind: ColumnKind::Number,
        unit: "mJ",
        description: "Energy over watched_s; empty without a sensor.",
        value: |row| watched(row).and_then(|it| it.energy.as_ref()).map(|it| it.energy_uj as f64 / 1e3).into(),
    },
    Column {
        name: "energy_sensor",
        kind: ColumnKind::Text,
        unit: "",
        description: "The sensor that says so, with what it measures.",
        value: |row| watched(row).and_then(|it| it.energy.as_ref()).map(|it| it.sensor.as_str()).into(),
    },
    Column {
        name: "boot_id",
        kind: ColumnKind::Text,
        unit: "",
        description: "Boot of the device in which the run was.",
        value: |row| boot_id(row).into(),
    },
    Column {
        name: "watched_from",
        kind: ColumnKind::Word,
        unit: "",
        description: "Phase with whose beginning the watch began: measure, or an earlier one where the run left no \
            core free. It ended with the timed loop.",
        value: |row| watched(row).map(|it| it.watched_from.as_str()).into(),
    },
    Column {
        name: "watched_s",
        kind: ColumnKind::Number,
        unit: "s",
        description: "How long that was.",
        value: |row| watched(row).map(|it| it.watched_ns as f64 / 1e9).into(),
    },
    Column {
        name: "looks",
        kind: ColumnKind::Integer,
        unit: "",
        description: "How often the device was looked at meanwhile; 2 are its begin and its end.",
        value: |row| watched(row).map(|it| it.looks).into(),
    },
    Column {
        name: "major_faults",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Pages that the measuring process had to wait for meanwhile.",
        value: |row| watched(row).and_then(|it| it.major_faults).into(),
    },
    Column {
        name: "involuntary_switches",
        kind: ColumnKind::Integer,
        unit: "",
        description: "How often the kernel took the processor from its threads meanwhile.",
        value: |row| watched(row).and_then(|it| it.involuntary_switches).into(),
    },
    Column {
        name: "memory_pressure",
        kind: ColumnKind::Number,
        unit: "",
        description: "Share of that time in which something on the device waited for memory (PSI), from 0 to 1.",
        value: |row| watched(row).and_then(|it| it.pressure.memory).into(),
    },
    Column {
        name: "memory_available_bytes",
        kind: ColumnKind::Integer,
        unit: "bytes",
        description: "Memory that a new program could have used, before the run.",
        value: |row| watched(row).and_then(|it| it.before.memory_available_bytes).into(),
    },
    Column {
        name: "cpuset",
        kind: ColumnKind::Text,
        unit: "",
        description: "Set of processors that the runner was started in; /background makes a phone slow.",
        value: |row| watched(row).and_then(|it| it.cpuset.as_deref()).into(),
    },
    Column {
        name: "went_offline",
        kind: ColumnKind::Text,
        unit: "",
        description: "Processors of the run that went offline meanwhile, separated by spaces.",
        value: |row| watched(row).map(|it| words(&it.went_offline, " ")).into(),
    },
    Column {
        name: "was_stopped",
        kind: ColumnKind::Word,
        unit: "",
        description: "yes: somebody stopped the measuring process meanwhile (SIGSTOP), and let it go on.",
        value: |row| watched(row).filter(|it| it.was_stopped).map(|_| "yes").into(),
    },
];

fn watched<'a>(row: &Row<'a>) -> Option<&'a Conditions> {
    row.record.measurement.conditions.as_deref()
}

fn megahertz(khz: u64) -> f64 {
    khz as f64 / 1e3
}

fn words(words: &[impl ToString], between: &str) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn governors(told: &Conditions) -> Option<String> {
    let cores = told.before.cores.iter().filter(|core| told.cpus.contains(&core.index));
    let mut governors: Vec<&str> = cores.filter_map(|core| core.governor.as_deref()).collect();
    governors.sort_unstable();
    governors.dedup();
    (!governors.is_empty()).then(|| governors.join("+"))
}

fn charging(row: &Row<'_>) -> Option<&'static str> {
    let at_run = watched(row).and_then(|it| it.after.battery.as_ref().or(it.before.battery.as_ref()));
    let at_bring_up = || row.record.device.as_ref()?.battery.as_ref()?.status.clone();
    let status = at_run.and_then(|battery| battery.status.clone()).or_else(at_bring_up)?;
    Some(match status.to_ascii_lowercase().as_str() {
        "charging" => "yes",
        "discharging" | "not charging" | "full" => "no",
        _ => "unknown",
    })
}

fn boot_id<'a>(row: &Row<'a>) -> Option<&'a str> {
    let at_bring_up = || row.record.device.as_ref()?.boot_id.as_deref();
    watched(row).and_then(|it| it.boot_id.as_deref()).or_else(at_bring_up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Battery, Record, sample};
    use crate::report::COLUMNS;
    use crate::report::columns::Cell;

    fn cell(record: &Record, name: &str) -> Cell {
        let sweep = sample::sweep();
        let row = Row::bare(&sweep, record);
        let column = COLUMNS.iter().find(|column| column.name == name).expect(name);
        (column.value)(&row)
    }

    #[test]
    fn a_row_says_what_the_device_was_like() {
        let mut record = sample::record("board-1", "tiny");
        record.measurement.conditions = Some(Box::new(sample::conditions()));
        let text = |text: &str| Cell::Text(text.to_owned());
        let expected = [
            ("temp_start_c", Cell::Number(41.0)),
            ("temp_max_c", Cell::Number(70.5)),
            ("temp_sensor", text("BIG")),
            ("freq_mean_mhz", Cell::Number(2601.0)),
            ("freq_min_mhz", Cell::Number(2400.0)),
            ("governor", text("performance+schedutil")),
            ("throttled", text("yes")),
            ("throttled_by", text("limit_lowered+cooling")),
            ("other_load", Cell::Number(0.05)),
            ("stolen_share", Cell::Empty),
            ("charging", text("no")),
            ("energy_mj", Cell::Number(20541.44)),
            ("energy_sensor", text("power_supply battery")),
            ("boot_id", text("b5a2777c-3cd2-4e09-b4b8-523759b67da0")),
            ("watched_from", text("measure")),
            ("watched_s", Cell::Number(10.0)),
            ("looks", Cell::Integer(12)),
            ("went_offline", text("5")),
            ("was_stopped", Cell::Empty),
            ("cpuset", text("/foreground")),
        ];
        for (name, expected) in expected {
            assert_eq!(cell(&record, name), expected, "{name}");
        }
    }

    #[test]
    fn a_record_of_an_older_version_says_nothing() {
        let mut record = sample::record("board-1", "tiny");
        let text = serde_json::to_string(&record).expect("serialises");
        assert!(!text.contains("conditions"), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("reads"), record);
        for column in WATCHED {
            assert_eq!(cell(&record, column.name), Cell::Empty, "{}", column.name);
        }
        // What is known from bring-up is told all the same.
        let device = record.device.as_mut().expect("a device");
        device.battery = Some(Battery { status: Some("charging".into()), ..Battery::default() });
        device.boot_id = Some("b".into());
        assert_eq!((cell(&record, "charging"), cell(&record, "boot_id")), ("yes".into(), "b".into()));
    }
}
