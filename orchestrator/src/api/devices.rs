//! Devices: what is told of them.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::DeviceLock;
use crate::lab::{LabDevice, check_lock_reason};
use crate::status::DeviceView;
use crate::store::people;

use super::endpoint::{Call, Empty, Items};
use super::{Api, Refusal};

/// Times of estimates are told in steps of so many seconds, so that a viewer is not told of each heartbeat.
const ESTIMATE_STEP_SECONDS: i64 = 60;

/// A device. What is not known is null.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct DeviceAnswer {
    pub(super) name: String,
    farm: String,
    /// `disabled`, `locked`, `quarantined`, `busy`, `offline`, `unauthorized`, `idle` or `unknown`.
    pub(super) status: String,
    /// In a few words: with what, since when, until when, and why.
    detail: String,
    /// `key=value`, or a plain word.
    tags: Vec<String>,
    transport: String,
    address: String,
    /// The hosts that declare it, the one that goes first first; none where the lab has one host.
    hosts: Vec<String>,
    model: Option<String>,
    soc: Option<String>,
    os: Option<String>,
    cores: Option<u32>,
    memory_bytes: Option<u64>,
    free_bytes: Option<u64>,
    /// Of the battery.
    pub(super) temperature_celsius: Option<f64>,
    pub(super) battery_percent: Option<u32>,
    /// When it last answered.
    #[schemars(with = "Option<String>")]
    seen_at: Option<Timestamp>,
    notes: Option<String>,
    lock: Option<LockAnswer>,
    #[serde(rename = "use")]
    used: Option<UseAnswer>,
}

/// A person keeps every sweep off a device.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct LockAnswer {
    by: String,
    #[schemars(with = "String")]
    until: Timestamp,
    why: String,
}

/// What a device is used for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct UseAnswer {
    sweep_id: Option<String>,
    run_id: Option<String>,
    model: Option<String>,
    /// Jobs of the sweep on it that have no record.
    open_jobs: usize,
    /// When these may be done.
    #[schemars(with = "Option<String>")]
    done_at: Option<Timestamp>,
}

impl DeviceAnswer {
    fn of(view: DeviceView, address: String, hosts: Vec<String>) -> DeviceAnswer {
        let DeviceView { device, status, detail, lock, used, sighting, .. } = view;
        let (seen_at, free_bytes) =
            sighting.as_ref().map_or((None, None), |sighting| (sighting.seen_at, sighting.free_bytes));
        let facts = sighting.and_then(|sighting| sighting.facts);
        let android = facts.as_ref().and_then(|facts| facts.android.as_ref());
        let battery = facts.as_ref().and_then(|facts| facts.battery.as_ref());
        DeviceAnswer {
            name: device.name,
            farm: device.farm,
            status: status.as_str().to_owned(),
            detail,
            tags: device.tags.iter().map(ToString::to_string).collect(),
            transport: device.transport.name().to_owned(),
            address,
            hosts,
            model: android.and_then(|android| android.model.clone()),
            soc: facts.as_ref().and_then(|facts| facts.soc.clone()),
            os: facts.as_ref().map(|facts| facts.os.clone()),
            cores: facts.as_ref().map(|facts| facts.cpus),
            memory_bytes: facts.as_ref().map(|facts| facts.memory_total_bytes),
            free_bytes,
            temperature_celsius: battery.and_then(|battery| battery.temperature_c),
            battery_percent: battery.and_then(|battery| battery.level_percent),
            seen_at,
            notes: device.notes,
            lock: lock.map(|lock| LockAnswer { by: lock.by, until: lock.until, why: lock.why }),
            used: used.map(|used| UseAnswer {
                sweep_id: used.sweep_id.map(|id| id.0),
                run_id: used.run_id.map(|id| id.0),
                model: used.model,
                open_jobs: used.open_jobs,
                done_at: used.done_at.map(rounded),
            }),
        }
    }
}

/// A time of an estimate, in the steps that are told.
fn rounded(at: Timestamp) -> Timestamp {
    let seconds = at.as_second().div_euclid(ESTIMATE_STEP_SECONDS) * ESTIMATE_STEP_SECONDS;
    Timestamp::from_second(seconds).unwrap_or(at)
}

impl Api {
    /// These devices as they are now.
    fn views(&self, devices: &[LabDevice]) -> Result<Vec<DeviceAnswer>, Refusal> {
        let declared = devices.iter().map(|it| it.device.clone()).collect();
        let views = self.lab.device_views(declared)?;
        let answer =
            |(view, it): (DeviceView, &LabDevice)| DeviceAnswer::of(view, it.address.clone(), it.hosts.clone());
        Ok(views.into_iter().zip(devices).map(answer).collect())
    }

    /// The devices of all hosts as they are now.
    pub(super) fn all_devices(&self) -> Result<Vec<DeviceAnswer>, Refusal> {
        self.views(&self.lab.union_devices()?)
    }

    /// The devices of this host as they are now.
    pub(super) fn own_devices(&self) -> Result<Vec<DeviceAnswer>, Refusal> {
        self.views(&self.lab.devices()?)
    }

    /// A device of the farm files of any host.
    pub(super) fn find_device(&self, name: &str) -> Result<LabDevice, Refusal> {
        let found = self.lab.union_devices()?.into_iter().find(|it| it.device.name == name);
        found.ok_or_else(|| Refusal::not_found(format!("no farm file has a device {name:?}")))
    }

    /// A device as it is now.
    pub(super) fn device(&self, name: &str) -> Result<DeviceAnswer, Refusal> {
        let found = self.views(&[self.find_device(name)?])?.into_iter().next();
        found.ok_or_else(|| Refusal::internal("a device has no state"))
    }
}

pub(super) async fn list(call: Call) -> Result<Items<DeviceAnswer>, Refusal> {
    call.api.blocking(|api| Ok(api.all_devices()?.into())).await
}

pub(super) async fn show(call: Call) -> Result<DeviceAnswer, Refusal> {
    call.api.blocking(move |api| api.device(&call.name)).await
}

/// How long a device is kept, and what for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LockBody {
    /// It ends by itself.
    #[schemars(range(min = 1, max = 44640))]
    minutes: u32,
    /// Shown to everybody who waits; plain text in one line.
    #[schemars(length(min = 1, max = 200))]
    why: String,
}

pub(super) async fn lock(call: Call<Empty, LockBody>) -> Result<DeviceAnswer, Refusal> {
    let LockBody { minutes, why } = call.body;
    let longest = people::LONGEST_LOCK;
    let time = SignedDuration::from_mins(i64::from(minutes));
    if minutes == 0 || time > longest {
        return Err(Refusal::bad_request(format!("a lock lasts from a minute up to {} days", longest.as_hours() / 24)));
    }
    let why = why.trim().to_owned();
    check_lock_reason(&why).map_err(Refusal::bad_request)?;
    let (name, by, since) = (call.name, call.person.name, call.api.lab.now());
    let until = since.saturating_add(time).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let act = move |api: &Api| {
        let device = api.find_device(&name)?.device.name;
        let lock = DeviceLock { device, by, why, since, until };
        match people::lock_device(api.store.as_ref(), &lock)? {
            None => api.device(&name),
            Some(other) => Err(Refusal::conflict(other.to_string()).with_hint("wait for its end, or ask them")),
        }
    };
    call.api.blocking(act).await
}

pub(super) async fn unlock(call: Call<Empty, Empty>) -> Result<DeviceAnswer, Refusal> {
    let act = move |api: &Api| {
        let device = api.find_device(&call.name)?.device.name;
        match people::unlock_device(api.store.as_ref(), &device, &call.person.name, api.lab.now())? {
            Some(_) => api.device(&device),
            None => Err(Refusal::conflict(format!("{device} is not locked"))),
        }
    };
    call.api.blocking(act).await
}

pub(super) async fn release(call: Call<Empty, Empty>) -> Result<DeviceAnswer, Refusal> {
    let act = move |api: &Api| {
        let device = api.find_device(&call.name)?.device.name;
        match people::release_device(api.store.as_ref(), &device, &call.person.name, api.lab.now())? {
            true => api.device(&device),
            false => Err(Refusal::conflict(format!("{device} is not quarantined"))),
        }
    };
    call.api.blocking(act).await
}
