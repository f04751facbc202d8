use std::sync::Arc;
use std::time::Instant;

use clap::Subcommand;
use farmctl_protocol::Hello;
use futures::StreamExt as _;
use serde::Serialize;

use crate::device::{BringUp, Session};
use crate::domain::{Device, DeviceFacts, Failure, Timeouts};
use crate::inventory::find_spares;
use crate::transport::{self, Connect};

use self::discover::DiscoverArguments;
use self::restore::RestoreArguments;
use super::runner::RunnerSource;
use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say};

mod discover;
mod release;
mod restore;

/// Devices that are asked at the same time.
const AT_ONCE: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum DevicesVerb {
    /// List the devices of the farm files
    List,
    /// Show all that is declared of a device
    Show {
        /// Its name
        name: String,
    },
    /// Ask devices what they are; pushes the runner where it isn't there
    Probe {
        /// Names; all devices that are not disabled without any
        names: Vec<String>,
    },
    /// Check that devices can be reached and have what a run needs
    Check {
        /// Names; all devices that are not disabled without any
        names: Vec<String>,
    },
    /// Find phones that an adb server knows
    Discover(DiscoverArguments),
    /// Take devices out of quarantine: they are well again
    Release {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Undo what was changed on phones for measuring and left behind by a crash
    Restore(RestoreArguments),
}

pub(super) async fn run(context: &Context, verb: DevicesVerb) -> Result<u8, CliError> {
    let devices = context.lab.inventory()?.devices;
    match verb {
        DevicesVerb::Discover(arguments) => discover::run(context, &devices, &arguments).await,
        DevicesVerb::Restore(arguments) => restore::run(context, &devices, &arguments).await,
        DevicesVerb::Release { names } => release::run(context, &select(devices, &names)?),
        DevicesVerb::List => list(context, &devices),
        DevicesVerb::Show { name } => show(context, &devices, &name),
        DevicesVerb::Probe { names } => probe(context, select(devices, &names)?).await,
        DevicesVerb::Check { names } => check(context, select(devices, &names)?).await,
    }
}

fn select(devices: Vec<Device>, names: &[String]) -> Result<Vec<Device>, CliError> {
    if names.is_empty() {
        return Ok(devices.into_iter().filter(|device| device.disabled.is_none()).collect());
    }
    names.iter().map(|name| find(&devices, name).cloned()).collect()
}

fn find<'a>(devices: &'a [Device], name: &str) -> Result<&'a Device, CliError> {
    devices.iter().find(|device| device.name == name).ok_or_else(|| {
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        CliError::usage(format!("there is no device {name:?}")).with_hint(format!("devices: {}", names.join(", ")))
    })
}

fn tags(device: &Device) -> String {
    device.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn list(context: &Context, devices: &[Device]) -> Result<u8, CliError> {
    let options = context.lab.connect_options();
    let header = ["device", "farm", "transport", "address", "tags", "disabled"];
    let rows = devices.iter().map(|device| {
        vec![
            device.name.clone(),
            device.farm.clone(),
            device.transport.name().to_owned(),
            transport::address(&device.transport, &options),
            tags(device),
            device.disabled.clone().unwrap_or_default(),
        ]
    });
    match context.format {
        Format::Human => print_data(super::text_table(&header, rows).as_bytes())?,
        Format::Json => print_json(&devices)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    Ok(exit::OK)
}

fn show(context: &Context, devices: &[Device], name: &str) -> Result<u8, CliError> {
    let device = find(devices, name)?;
    let options = context.lab.connect_options();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("device", device.name.clone()),
        ("farm", device.farm.clone()),
        ("declared", device.declared_at.clone()),
        ("transport", device.transport.name().to_owned()),
        ("address", transport::address(&device.transport, &options)),
        ("workdir", device.workdir.clone()),
        ("tags", tags(device)),
        ("notes", or_none(device.notes.clone())),
        ("max run", or_none(device.limits.max_run_seconds.map(|seconds| format!("{seconds} s")))),
        ("keep free", or_none(device.limits.min_free_bytes.map(|bytes| format!("{bytes} bytes")))),
        ("price", or_none(device.price_per_hour.map(|price| format!("{price} an hour")))),
        ("disabled", or_none(device.disabled.clone())),
    ];
    match context.format {
        Format::Human => {
            let text: String = rows.iter().map(|(what, value)| format!("{what:<10} {value}\n")).collect();
            print_data(text.as_bytes())?;
        }
        Format::Json => print_json(device)?,
        Format::Csv | Format::Markdown => {
            print_rows(
                context.format,
                &["field", "value"],
                rows.iter().map(|(what, value)| vec![(*what).to_owned(), value.clone()]),
            )?;
        }
    }
    Ok(exit::OK)
}

/// What a device answered.
#[derive(Debug, Serialize)]
struct Probed {
    device: String,
    /// The device that is used instead, being the same phone; then this one was not asked further.
    same_as: Option<String>,
    facts: Option<DeviceFacts>,
    hello: Option<Hello>,
    failure: Option<Failure>,
    bring_up_ms: u64,
    round_trip_ms: Option<f64>,
}

impl Probed {
    fn silent(device: &Device) -> Probed {
        Probed {
            device: device.name.clone(),
            same_as: None,
            facts: None,
            hello: None,
            failure: None,
            bring_up_ms: 0,
            round_trip_ms: None,
        }
    }
}

/// Brings devices up; with `timed`, takes the time of a round trip too.
async fn ask(context: &Context, devices: Vec<Device>, timed: bool) -> Vec<Probed> {
    let progress = super::open_progress(context);
    let runners = RunnerSource::new(context.lab.runners(), progress.clone());
    let connect: Arc<dyn Connect> = Arc::new(context.lab.connect_options());
    let timeouts = Timeouts::default();
    let (runners, connect, timeouts) = (&runners, &connect, &timeouts);
    let spares = &find_spares(&devices, connect.as_ref(), timeouts).await;
    let asked = devices.iter().map(|device| async move {
        if let Some(spare) = spares.iter().find(|spare| spare.device == device.name) {
            return Probed { same_as: Some(spare.same_as.clone()), ..Probed::silent(device) };
        }
        let started = Instant::now();
        let with = BringUp { connect, timeouts, runners, pushing: &mut |_, _| {} };
        let brought_up = Session::bring_up(device, with).await;
        let bring_up_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut probed = Probed { bring_up_ms, ..Probed::silent(device) };
        match brought_up {
            Ok(session) => {
                if timed {
                    match session.round_trip().await {
                        Ok(time) => probed.round_trip_ms = Some(time.as_secs_f64() * 1e3),
                        Err(failure) => probed.failure = Some(failure),
                    }
                }
                session.close().await;
                probed.facts = Some(session.facts());
                probed.hello = Some(session.hello);
            }
            Err(failure) => probed.failure = Some(failure),
        }
        probed
    });
    let answers = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    super::close_progress(context, &progress);
    answers
}

fn code(answers: &[Probed]) -> u8 {
    let failed = answers.iter().filter(|probed| probed.failure.is_some()).count();
    match failed {
        0 if answers.is_empty() => exit::NOTHING,
        0 => exit::OK,
        all if all == answers.len() => exit::NO_DEVICE,
        _ => exit::SOME_FAILED,
    }
}

async fn probe(context: &Context, devices: Vec<Device>) -> Result<u8, CliError> {
    let answers = ask(context, devices, false).await;
    let header = ["device", "target", "soc", "cores", "memory_mb", "free_mb", "os", "kernel", "backends"];
    let rows = answers.iter().filter_map(|probed| {
        let (hello, facts) = (probed.hello.as_ref()?, probed.facts.as_ref()?);
        let backends: Vec<String> =
            hello.backends.iter().map(|backend| format!("{} {}", backend.name, backend.version)).collect();
        Some(vec![
            probed.device.clone(),
            hello.target.clone(),
            facts.soc.clone().unwrap_or_default(),
            hello.cpus.len().to_string(),
            (hello.memory_total_bytes >> 20).to_string(),
            (hello.store.free_bytes >> 20).to_string(),
            facts.os.clone(),
            hello.kernel.clone(),
            backends.join(" "),
        ])
    });
    print_answers(context, &answers, &header, rows)
}

async fn check(context: &Context, devices: Vec<Device>) -> Result<u8, CliError> {
    let answers = ask(context, devices, true).await;
    let header = ["device", "verdict", "bring_up_ms", "round_trip_ms", "free_mb", "running", "why"];
    let rows = answers.iter().map(|probed| {
        let hello = probed.hello.as_ref();
        vec![
            probed.device.clone(),
            verdict(probed).to_owned(),
            if probed.same_as.is_some() { String::new() } else { probed.bring_up_ms.to_string() },
            probed.round_trip_ms.map(|time| format!("{time:.1}")).unwrap_or_default(),
            hello.map(|hello| (hello.store.free_bytes >> 20).to_string()).unwrap_or_default(),
            hello.and_then(|hello| hello.running.clone()).unwrap_or_default(),
            why(probed),
        ]
    });
    print_answers(context, &answers, &header, rows)
}

fn verdict(probed: &Probed) -> &'static str {
    match (&probed.same_as, &probed.failure) {
        (Some(_), _) => "spare",
        (None, Some(_)) => "failed",
        (None, None) => "ok",
    }
}

fn why(probed: &Probed) -> String {
    match (&probed.same_as, &probed.failure) {
        (Some(used), _) => format!("same phone as {used}"),
        (None, failure) => failure.as_ref().map(|failure| failure.kind.to_string()).unwrap_or_default(),
    }
}

/// Prints what devices answered, and tells why those that did not.
fn print_answers(
    context: &Context,
    answers: &[Probed],
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<u8, CliError> {
    match context.format {
        Format::Human => print_data(super::text_table(header, rows).as_bytes())?,
        Format::Json => print_json(&answers)?,
        Format::Csv | Format::Markdown => print_rows(context.format, header, rows)?,
    }
    if context.format != Format::Json {
        tell_failures(answers);
    }
    Ok(code(answers))
}

fn tell_failures(answers: &[Probed]) {
    for probed in answers {
        if let Some(used) = &probed.same_as {
            say(&format!("{} is a spare: same phone as {used}, which is used", probed.device));
        }
        if let Some(failure) = &probed.failure {
            let message: String = failure.message.chars().filter(|c| !c.is_control()).collect();
            say(&format!("{}: {message}\n  help: {}", failure.kind, failure.kind.remedy()));
        }
    }
}
