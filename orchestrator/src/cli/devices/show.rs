use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::domain::{Device, DeviceFacts};
use crate::lab::LabError;
use crate::status::DeviceView;
use crate::terminal::table::{Table, TableOf, field_line};

pub(super) fn list(context: &Context) -> Result<u8, LabError> {
    let views = context.lab.union_views()?;
    let has_hosts = views.iter().any(|view| !view.hosts.is_empty());
    let (address, now) = (|view: &DeviceView| context.lab.address(&view.device), context.lab.now());
    let free_gb =
        |view: &DeviceView| view.sighting.as_ref()?.free_bytes.map(|bytes| format!("{:.1}", bytes as f64 / 1e9));
    if context.format.is_for_people() {
        let table = Table::of(&views)
            .column("device", |view| view.device.name.clone())
            .column("status", |view| view.status.as_str().to_owned());
        with_hosts(table, has_hosts)
            .column("seen", |view| seen(view, now))
            .column("battery", |view| text(Some(battery_percent(view)).filter(|it| !it.is_empty()).map(|it| it + " %")))
            .column("temp_c", temperature_c)
            .column("free_gb", |view| text(free_gb(view)))
            .column("transport", |view| view.device.transport.name().to_owned())
            .column("address", address)
            .column("tags", |view| tags(&view.device))
            .column("detail", |view| view.detail.clone())
            .done()
            .print(context.format)?;
        return Ok(exit::OK);
    }
    let table = Table::of(&views)
        .column("device", |view| view.device.name.clone())
        .column("farm", |view| view.device.farm.clone());
    with_hosts(table, has_hosts)
        .column("status", |view| view.status.as_str().to_owned())
        .column("detail", |view| view.detail.clone())
        .column("seen_at", |view| text(view.sighting.as_ref().and_then(|it| it.seen_at)))
        .column("transport", |view| view.device.transport.name().to_owned())
        .column("address", address)
        .column("soc", soc)
        .column("cores", cores)
        .column("memory_bytes", memory_bytes)
        .column("os", os)
        .column("build", build)
        .column("battery_percent", battery_percent)
        .column("temperature_c", temperature_c)
        .column("free_bytes", free_bytes)
        .column("tags", |view| tags(&view.device))
        .column("notes", |view| text(view.device.notes.as_ref()))
        .done()
        .json(&views)
        .print(context.format)?;
    Ok(exit::OK)
}

/// One more column where the lab has several hosts.
fn with_hosts<'v, 'a>(table: TableOf<'v, 'a, DeviceView>, has_hosts: bool) -> TableOf<'v, 'a, DeviceView> {
    if has_hosts { table.column("hosts", |view| view.hosts.join(" ")) } else { table }
}

pub(super) fn show(context: &Context, name: &str) -> Result<u8, LabError> {
    let device = context.lab.device(name)?;
    let of_lab = context.lab.union_views()?.into_iter().find(|view| view.device.name == device.name);
    let Some(view) = of_lab else { return Ok(exit::NOTHING) };
    let rows = fields(&view, &context.lab.address(&view.device), context.lab.now());
    let text = rows.iter().map(|(what, value)| field_line(what, 11, value)).collect();
    let rows = rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]);
    Table::new(&["field", "value"], rows).text(text).json(&view).print(context.format)?;
    Ok(exit::OK)
}

fn fields(view: &DeviceView, address: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    let device = &view.device;
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let with_unit = |text: String, unit: &str| if text.is_empty() { "-".to_owned() } else { text + unit };
    let hosts = (!view.hosts.is_empty()).then(|| ("hosts", view.hosts.join(" ")));
    let fields = vec![
        ("device", device.name.clone()),
        ("status", view.status.as_str().to_owned()),
        ("detail", or_none(view.detail.clone())),
        ("last seen", or_none(seen(view, now))),
        ("model", or_none(fact(view, |it| it.android.as_ref()?.model.clone()))),
        ("soc", or_none(soc(view))),
        ("cores", or_none(cores(view))),
        ("memory", with_unit(memory_bytes(view), " bytes")),
        ("os", or_none(os(view))),
        ("build", or_none(build(view))),
        ("battery", with_unit(battery_percent(view), " %")),
        ("health", or_none(fact(view, |it| it.battery.as_ref()?.health.clone()))),
        ("temperature", with_unit(temperature_c(view), " °C (battery)")),
        ("free", with_unit(free_bytes(view), " bytes")),
        ("farm", device.farm.clone()),
        ("declared", device.declared_at.clone()),
        ("transport", device.transport.name().to_owned()),
        ("address", address.to_owned()),
        ("workdir", device.workdir.clone()),
        ("tags", or_none(tags(device))),
        ("notes", or_none(device.notes.clone().unwrap_or_default())),
        ("max run", or_none(text(device.limits.max_run_seconds.map(|seconds| format!("{seconds} s"))))),
        ("keep free", or_none(text(device.limits.min_free_bytes.map(|bytes| format!("{bytes} bytes"))))),
        ("price", or_none(text(device.price_per_hour.map(|price| format!("{price} an hour"))))),
    ];
    fields.into_iter().chain(hosts).collect()
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// What a device said of itself when it last answered; empty where it is not known.
fn fact<T: ToString>(view: &DeviceView, get: fn(&DeviceFacts) -> Option<T>) -> String {
    text(view.sighting.as_ref().and_then(|sighting| sighting.facts.as_ref()).and_then(get))
}

fn soc(view: &DeviceView) -> String {
    fact(view, |it| it.soc.clone())
}

fn cores(view: &DeviceView) -> String {
    fact(view, |it| Some(it.cpus))
}

fn memory_bytes(view: &DeviceView) -> String {
    fact(view, |it| Some(it.memory_total_bytes))
}

fn os(view: &DeviceView) -> String {
    fact(view, |it| Some(it.os.clone()))
}

fn build(view: &DeviceView) -> String {
    fact(view, |it| {
        let of_android = it.android.as_ref().and_then(|android| android.build.clone());
        Some(of_android.unwrap_or_else(|| it.kernel.clone()))
    })
}

fn battery_percent(view: &DeviceView) -> String {
    fact(view, |it| it.battery.as_ref()?.level_percent)
}

fn temperature_c(view: &DeviceView) -> String {
    fact(view, |it| it.battery.as_ref()?.temperature_c.map(|degrees| format!("{degrees:.1}")))
}

fn free_bytes(view: &DeviceView) -> String {
    text(view.sighting.as_ref().and_then(|sighting| sighting.free_bytes))
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
