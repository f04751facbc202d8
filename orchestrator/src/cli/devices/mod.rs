use std::sync::Arc;
use std::time::Instant;

use clap::Subcommand;
use farmctl_protocol::Hello;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use crate::agent::note_seen;
use crate::device::{BringUp, Session, ThermalSensor};
use crate::domain::{Device, DeviceFacts, Failure, Timeouts};
use crate::inventory::find_spares;
use crate::store::Store;
use crate::transport::Connect;

use self::discover::DiscoverArguments;
use self::edit::{AddArguments, EditArguments};
use self::history::HistoryArguments;
use self::lock::LockArguments;
use self::restore::RestoreArguments;
use self::utilisation::UtilisationArguments;
use super::runner::RunnerSource;
use super::sweep::begin_leases;
use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say};

mod check;
mod discover;
mod edit;
mod history;
mod lock;
mod release;
mod restore;
mod show;
mod utilisation;

/// Devices that are asked at the same time.
const AT_ONCE: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum DevicesVerb {
    /// List the devices of the farm files: what each does now, and when it was last heard of
    List,
    /// Show all that is known of a device
    Show {
        /// Its name
        name: String,
    },
    /// Add a device to a farm file
    Add(AddArguments),
    /// Change a device in its farm file, which keeps its comments
    Edit(EditArguments),
    /// Take devices out of their farm files
    Remove {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Keep every sweep off a device for a while; a run that is under way ends first
    Lock(LockArguments),
    /// Give devices free before their lock ends
    Unlock {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say what happened to a device, the newest last
    History(HistoryArguments),
    /// Say what the time of devices went into: busy, idle, locked, broken; jobs a day, and what failed
    #[command(visible_alias = "utilization")]
    Utilisation(UtilisationArguments),
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
        DevicesVerb::Lock(arguments) => lock::lock(context, &devices, &arguments),
        DevicesVerb::Unlock { names } => lock::unlock(context, &select(devices, &names)?),
        DevicesVerb::History(arguments) => history::run(context, &devices, &arguments),
        DevicesVerb::Add(arguments) => edit::add(context, &devices, &arguments),
        DevicesVerb::Edit(arguments) => edit::edit(find(&devices, &arguments.name)?, &arguments),
        DevicesVerb::Remove { names } => edit::remove(&select(devices, &names)?),
        DevicesVerb::List => show::list(context, devices),
        DevicesVerb::Show { name } => show::show(context, find(&devices, &name)?.clone()),
        DevicesVerb::Utilisation(arguments) => {
            utilisation::run(context, &select(devices, &arguments.names)?, &arguments)
        }
        DevicesVerb::Probe { names } => probe(context, select(devices, &names)?).await,
        DevicesVerb::Check { names } => check::check(context, select(devices, &names)?).await,
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

/// What a device answered.
#[derive(Debug, Serialize)]
struct Probed {
    device: String,
    /// The device that is used instead, being the same phone; then this one was not asked further.
    same_as: Option<String>,
    facts: Option<DeviceFacts>,
    hello: Option<Hello>,
    failure: Option<Failure>,
    /// Who uses it; then it was not asked.
    used_by: Option<String>,
    bring_up_ms: u64,
    round_trip_ms: Option<f64>,
    push_bytes_per_second: Option<f64>,
    /// Those that can be read.
    sensors: Option<Vec<ThermalSensor>>,
}

impl Probed {
    fn silent(device: &Device) -> Probed {
        Probed {
            device: device.name.clone(),
            same_as: None,
            facts: None,
            hello: None,
            failure: None,
            used_by: None,
            bring_up_ms: 0,
            round_trip_ms: None,
            push_bytes_per_second: None,
            sensors: None,
        }
    }
}

/// Takes the time of a round trip and of a push, and reads the sensors.
async fn measure_way(session: &Session, probed: &mut Probed) -> Result<(), Failure> {
    probed.round_trip_ms = Some(session.round_trip().await?.as_secs_f64() * 1e3);
    probed.push_bytes_per_second = Some(session.push_bytes_per_second().await?);
    probed.sensors = Some(session.thermal_sensors().await?);
    Ok(())
}

/// Brings up devices that no sweep uses, each under its lease; with `timed`, takes the time of the way to them too.
async fn ask(context: &Context, devices: Vec<Device>, timed: bool) -> Result<Vec<Probed>, CliError> {
    let store = context.lab.store()?;
    let leases = &begin_leases(&store).await?;
    let progress = super::open_progress(context);
    let runners = RunnerSource::new(context.lab.runners(), progress.clone());
    let connect: Arc<dyn Connect> = Arc::new(context.lab.connect_options());
    let timeouts = Timeouts::default();
    let (runners, connect, timeouts) = (&runners, &connect, &timeouts);
    let spares = &find_spares(&devices, connect.as_ref(), timeouts).await;
    let asked = devices.iter().map(|device| async move {
        if let Some(spare) = spares.iter().find(|spare| spare.device == device.name) {
            return Ok(Probed { same_as: Some(spare.same_as.clone()), ..Probed::silent(device) });
        }
        let hold = match check::take(leases, &device.name).await {
            Ok(Ok(hold)) => hold,
            Ok(Err(used_by)) => return Ok(Probed { used_by: Some(used_by), ..Probed::silent(device) }),
            Err(error) => return Err(error),
        };
        let started = Instant::now();
        let with = BringUp { connect, timeouts, runners, pushing: &mut |_, _| {} };
        let brought_up = Session::bring_up(device, with).await;
        let bring_up_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut probed = Probed { bring_up_ms, ..Probed::silent(device) };
        match brought_up {
            Ok(session) => {
                if timed {
                    probed.failure = measure_way(&session, &mut probed).await.err();
                }
                session.close().await;
                probed.facts = Some(session.facts());
                probed.hello = Some(session.hello);
            }
            Err(failure) => probed.failure = Some(failure),
        }
        hold.release().await?;
        Ok(probed)
    });
    let answers: Vec<Result<Probed, CliError>> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    super::close_progress(context, &progress);
    let answers: Vec<Probed> = answers.into_iter().collect::<Result<_, _>>()?;
    keep_sightings(store.as_ref(), &answers)?;
    Ok(answers)
}

/// Notes in the store who answered, and who did not.
fn keep_sightings(store: &dyn Store, answers: &[Probed]) -> Result<(), CliError> {
    for Probed { device, facts, hello, failure, .. } in answers {
        match (facts, hello, failure) {
            (_, _, Some(failure)) => store.device_missed(device, failure, Timestamp::now())?,
            (Some(facts), Some(hello), None) => {
                note_seen(store, device, facts, hello.store.free_bytes, Timestamp::now())?;
            }
            // A spare was not asked.
            _ => {}
        }
    }
    Ok(())
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
    let answers = ask(context, devices, false).await?;
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
        if let Some(used_by) = &probed.used_by {
            say(&format!("{} was not asked: {used_by}", probed.device));
        }
        if let Some(failure) = &probed.failure {
            let message: String = failure.message.chars().filter(|c| !c.is_control()).collect();
            say(&format!("{}: {message}\n  help: {}", failure.kind, failure.kind.remedy()));
        }
    }
}
