use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::Format;
use crate::cli::table::{Table, field_line};
use crate::domain::{Device, DeviceFacts};
use crate::lab::LabError;
use crate::status::DeviceView;

pub(super) fn list(context: &Context) -> Result<u8, LabError> {
    let views = context.lab.device_views(context.lab.inventory()?.devices)?;
    let address = |view: &DeviceView| context.lab.address(&view.device);
    if context.format == Format::Human {
        let header =
            ["device", "status", "seen", "battery", "temp_c", "free_gb", "transport", "address", "tags", "detail"];
        let now = context.lab.now();
        let rows = views.iter().map(|view| {
            let (device, facts) = (&view.device, Facts::of(view));
            let free = view.sighting.as_ref().and_then(|sighting| sighting.free_bytes);
            let battery = facts.battery_percent;
            vec![
                device.name.clone(),
                view.status.as_str().to_owned(),
                seen(view, now),
                if battery.is_empty() { battery } else { battery + " %" },
                facts.temperature_c,
                free.map(|bytes| format!("{:.1}", bytes as f64 / 1e9)).unwrap_or_default(),
                device.transport.name().to_owned(),
                address(view),
                tags(device),
                view.detail.clone(),
            ]
        });
        Table::new(&header, rows).print(context.format)?;
        return Ok(exit::OK);
    }
    let header = [
        "device",
        "farm",
        "status",
        "detail",
        "seen_at",
        "transport",
        "address",
        "soc",
        "cores",
        "memory_bytes",
        "os",
        "build",
        "battery_percent",
        "temperature_c",
        "free_bytes",
        "tags",
        "notes",
    ];
    let rows = views.iter().map(|view| {
        let facts = Facts::of(view);
        let seen_at = view.sighting.as_ref().and_then(|it| it.seen_at).map(|at| at.to_string()).unwrap_or_default();
        vec![
            view.device.name.clone(),
            view.device.farm.clone(),
            view.status.as_str().to_owned(),
            view.detail.clone(),
            seen_at,
            view.device.transport.name().to_owned(),
            address(view),
            facts.soc,
            facts.cores,
            facts.memory_bytes,
            facts.os,
            facts.build,
            facts.battery_percent,
            facts.temperature_c,
            facts.free_bytes,
            tags(&view.device),
            view.device.notes.clone().unwrap_or_default(),
        ]
    });
    Table::new(&header, rows).json(&views).print(context.format)?;
    Ok(exit::OK)
}

pub(super) fn show(context: &Context, name: &str) -> Result<u8, LabError> {
    let views = context.lab.device_views(vec![context.lab.device(name)?])?;
    let Some(view) = views.into_iter().next() else { return Ok(exit::NOTHING) };
    let rows = fields(&view, &context.lab.address(&view.device), context.lab.now());
    let text = rows.iter().map(|(what, value)| field_line(what, 11, value)).collect();
    let rows = rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]);
    Table::new(&["field", "value"], rows).text(text).json(&view).print(context.format)?;
    Ok(exit::OK)
}

fn fields(view: &DeviceView, address: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    let (device, facts) = (&view.device, Facts::of(view));
    let battery = view.sighting.as_ref().and_then(|it| it.facts.as_ref()).and_then(|facts| facts.battery.as_ref());
    let or_none = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let with_unit = |text: String, unit: &str| or_none(Some(text).filter(|it| !it.is_empty()).map(|it| it + unit));
    vec![
        ("device", device.name.clone()),
        ("status", view.status.as_str().to_owned()),
        ("detail", or_none(Some(view.detail.clone()))),
        ("last seen", or_none(Some(seen(view, now)))),
        ("model", or_none(Some(facts.model))),
        ("soc", or_none(Some(facts.soc))),
        ("cores", or_none(Some(facts.cores))),
        ("memory", with_unit(facts.memory_bytes, " bytes")),
        ("os", or_none(Some(facts.os))),
        ("build", or_none(Some(facts.build))),
        ("battery", with_unit(facts.battery_percent, " %")),
        ("health", or_none(battery.and_then(|battery| battery.health.clone()))),
        ("temperature", with_unit(facts.temperature_c, " °C (battery)")),
        ("free", with_unit(facts.free_bytes, " bytes")),
        ("farm", device.farm.clone()),
        ("declared", device.declared_at.clone()),
        ("transport", device.transport.name().to_owned()),
        ("address", address.to_owned()),
        ("workdir", device.workdir.clone()),
        ("tags", or_none(Some(tags(device)))),
        ("notes", or_none(device.notes.clone())),
        ("max run", or_none(device.limits.max_run_seconds.map(|seconds| format!("{seconds} s")))),
        ("keep free", or_none(device.limits.min_free_bytes.map(|bytes| format!("{bytes} bytes")))),
        ("price", or_none(device.price_per_hour.map(|price| format!("{price} an hour")))),
    ]
}

/// What a device said of itself when it last answered, as texts; empty where it is not known.
#[derive(Default)]
struct Facts {
    model: String,
    soc: String,
    cores: String,
    memory_bytes: String,
    os: String,
    build: String,
    battery_percent: String,
    temperature_c: String,
    free_bytes: String,
}

impl Facts {
    fn of(view: &DeviceView) -> Facts {
        let Some(sighting) = &view.sighting else { return Facts::default() };
        let free_bytes = sighting.free_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let Some(facts) = &sighting.facts else { return Facts { free_bytes, ..Facts::default() } };
        let DeviceFacts { android, battery, .. } = facts;
        let android = |text: fn(&crate::domain::AndroidFacts) -> &Option<String>| {
            android.as_ref().and_then(|android| text(android).clone())
        };
        let battery = battery.as_ref();
        Facts {
            model: android(|android| &android.model).unwrap_or_default(),
            soc: facts.soc.clone().unwrap_or_default(),
            cores: facts.cpus.to_string(),
            memory_bytes: facts.memory_total_bytes.to_string(),
            os: facts.os.clone(),
            build: android(|android| &android.build).unwrap_or_else(|| facts.kernel.clone()),
            battery_percent: battery.and_then(|it| it.level_percent).map(|it| it.to_string()).unwrap_or_default(),
            temperature_c: battery.and_then(|it| it.temperature_c).map(|it| format!("{it:.1}")).unwrap_or_default(),
            free_bytes,
        }
    }
}

/// How long ago a device last answered, as a person would say it.
fn seen(view: &DeviceView, now: Timestamp) -> String {
    let Some(sighting) = &view.sighting else { return "never".to_owned() };
    let Some(seen_at) = sighting.seen_at else { return "never".to_owned() };
    let minutes = now.duration_since(seen_at).as_mins();
    match minutes {
        ..1 => "now".to_owned(),
        1..120 => format!("{minutes} min ago"),
        120..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

fn tags(device: &Device) -> String {
    device.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
