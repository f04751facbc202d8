//! The devices of the lab: which there are, asked, locked, released, and what happened to them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use crate::agent::{Initiator, ProbeResult, Probes};
use crate::domain::{Device, DeviceLock, Event};
use crate::inventory::{self, Discovered};
use crate::lease::is_holder_gone;
use crate::planner;
use crate::progress::Progress;
use crate::status::{self, DeviceView, Utilisation};
use crate::store::{PastEvents, people};
use crate::transport::{self, missing_agent};
use crate::wording::is_plain;

use super::watched::FileStamps;
use super::{ErrorKind, Lab, LabError, RunnerSource};

/// Longest time for each answer of an adb server.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The devices as they were last read, and from what.
pub(super) struct KnownDevices {
    stamps: FileStamps,
    devices: Arc<[LabDevice]>,
}

/// A device of the farm files.
#[derive(Debug, Clone)]
pub struct LabDevice {
    /// What is declared.
    pub device: Device,
    /// How a person would name the way to it.
    pub address: String,
    /// The hosts that declare it, the one that goes first first; none where the lab has one host.
    pub hosts: Vec<String>,
}

/// What devices are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What they are.
    WhatTheyAre,
    /// Whether they are fit for work.
    WhetherTheyAreFit,
}

/// Longest reason of a lock.
const MAX_WHY_CHARS: usize = 200;

/// Refuses a reason of a lock that is none, or that can't be shown to everybody who waits as it is.
///
/// # Errors
/// What is wrong with it.
pub fn check_lock_reason(why: &str) -> Result<(), String> {
    if why.trim().is_empty() || why.chars().count() > MAX_WHY_CHARS {
        return Err(format!("say in `why` what the lock is for, in 1 to {MAX_WHY_CHARS} characters"));
    }
    match is_plain(why) {
        true => Ok(()),
        false => {
            Err("`why` has control characters or marks of direction: write it in one line of plain text".to_owned())
        }
    }
}

impl Lab {
    /// Devices that this process can't log in to, for it has no ssh agent, each with what is missing.
    ///
    /// # Errors
    /// When a farm file is faulty.
    pub fn devices_without_agent(&self) -> Result<BTreeMap<String, String>, LabError> {
        let options = self.connect_options();
        let inventory = self.inventory()?;
        let used = inventory.devices.iter().filter(|device| device.disabled.is_none());
        let missing =
            used.filter_map(|device| Some((device.name.clone(), missing_agent(&device.transport, &options)?)));
        Ok(missing.collect())
    }

    /// The devices as the farm files have them now. Files that have become faulty change nothing: what was good before
    /// stays until the fault is mended.
    ///
    /// # Errors
    /// When a file is faulty, with its place, and none was good before.
    pub fn devices(&self) -> Result<Arc<[LabDevice]>, LabError> {
        let stamps = self.farm_stamps();
        let mut known = self.known_devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref()
            && known.stamps == stamps
        {
            return Ok(Arc::clone(&known.devices));
        }
        let devices = match (self.read_devices(), known.take()) {
            (Ok(devices), _) => devices,
            (Err(error), Some(before)) => {
                tracing::warn!(%error, "the farm files are faulty; those of before stay in force here");
                before.devices
            }
            (Err(error), None) => return Err(error),
        };
        Ok(Arc::clone(&known.insert(KnownDevices { stamps, devices }).devices))
    }

    fn read_devices(&self) -> Result<Arc<[LabDevice]>, LabError> {
        let options = self.connect_options();
        let devices = self.inventory()?.devices.into_iter();
        Ok(devices
            .map(|device| LabDevice {
                address: transport::address(&device.transport, &options),
                device,
                hosts: Vec::new(),
            })
            .collect())
    }

    /// How a person would name the way to a device.
    pub fn address(&self, device: &Device) -> String {
        transport::address(&device.transport, &self.connect_options())
    }

    /// The device of this name, among those of this host's farm files, then those of the lab's other hosts.
    ///
    /// # Errors
    /// When there is none.
    pub fn device(&self, name: &str) -> Result<Device, LabError> {
        let own = self.inventory()?.devices;
        if let Some(device) = own.into_iter().find(|device| device.name == name) {
            return Ok(device);
        }
        let all: Vec<Device> = self.union_devices()?.into_iter().map(|it| it.device).collect();
        find_device(&all, name).cloned()
    }

    /// The devices of these names, whichever of the lab's hosts declares them; all that are not disabled without any.
    ///
    /// # Errors
    /// When there is none of a name.
    pub fn select_devices(&self, names: &[String]) -> Result<Vec<Device>, LabError> {
        let devices: Vec<Device> = self.union_devices()?.into_iter().map(|it| it.device).collect();
        if names.is_empty() {
            return Ok(devices.into_iter().filter(|device| device.disabled.is_none()).collect());
        }
        names.iter().map(|name| find_device(&devices, name).cloned()).collect()
    }

    /// The same among those that this host's own farm files declare: those that it reaches, and whose lines it has.
    ///
    /// # Errors
    /// When there is none of a name here. Where other hosts have it, they are named.
    pub fn select_own_devices(&self, names: &[String]) -> Result<Vec<Device>, LabError> {
        let devices = self.inventory()?.devices;
        if names.is_empty() {
            return Ok(devices.into_iter().filter(|device| device.disabled.is_none()).collect());
        }
        let own = |name: &String| match find_device(&devices, name) {
            Ok(device) => Ok(device.clone()),
            Err(unknown) => Err(self.of_other_hosts(name)?.unwrap_or(unknown)),
        };
        names.iter().map(own).collect()
    }

    /// What is told of a device that only other hosts have; `None` where these don't have it either.
    fn of_other_hosts(&self, name: &str) -> Result<Option<LabError>, LabError> {
        let found = self.union_devices()?.into_iter().find(|it| it.device.name == name);
        Ok(found.map(|it| {
            LabError::usage(format!("this host's farm files have no device {name:?}, and it is not reached from here"))
                .with_hint(format!("call it on a host that has it: {}", it.hosts.join(", ")))
        }))
    }

    /// What these devices do now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn device_views(&self, devices: Vec<Device>) -> Result<Vec<DeviceView>, LabError> {
        Ok(status::device_views(self.store()?.as_ref(), devices, &is_holder_gone, self.now())?)
    }

    /// What the time of these devices went into, over the last so many days.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn utilisation(&self, devices: &[Device], days: u16) -> Result<Vec<Utilisation>, LabError> {
        let devices: Vec<&Device> = devices.iter().collect();
        Ok(status::utilisation_of_days(self.store()?.as_ref(), &devices, days, self.now())?)
    }

    /// What happened to a device, with the number of each event, the newest last, at most so much; `with_runs`: also
    /// what happens in every run. One that no farm file has any more has a history all the same.
    ///
    /// # Errors
    /// When nothing is known of such a device.
    pub fn device_history(
        &self,
        name: &str,
        with_runs: bool,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Event)>, LabError> {
        let which = if with_runs { PastEvents::OfDevice(name) } else { PastEvents::NotableOfDevice(name) };
        let store = self.store()?;
        let mut events = store.past_events(which, before, limit)?;
        if events.is_empty() && store.first_event(name)?.is_none() {
            self.device(name)?;
        }
        events.reverse();
        Ok(events)
    }

    /// Who did what in this lab, with the number of each event, the newest last, at most so much.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn acts(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Event)>, LabError> {
        let mut events = self.store()?.past_events(PastEvents::Acts, before, limit)?;
        events.reverse();
        Ok(events)
    }

    /// Keeps every sweep off a device for this long; with `force`, in the place of another person. Returns until when,
    /// and who uses it now: a run under way ends first.
    ///
    /// # Errors
    /// When there is no such device, no reason, or somebody else has it locked.
    pub fn lock_device(
        &self,
        name: &str,
        time: SignedDuration,
        why: &str,
        force: bool,
    ) -> Result<(DeviceLock, Option<status::Use>), LabError> {
        let device = self.device(name)?;
        let why = why.trim();
        if let Err(wrong) = check_lock_reason(why) {
            return Err(LabError::usage(wrong));
        }
        let (store, by, since) = (self.store()?, self.person(), self.now());
        let until = since.saturating_add(time).map_err(|error| LabError::usage(error.to_string()))?;
        let lock = DeviceLock { device: device.name.clone(), by, why: why.to_owned(), since, until };
        if force {
            people::unlock_device(store.as_ref(), &lock.device, &lock.by, since)?;
        }
        if let Some(other) = people::lock_device(store.as_ref(), &lock)? {
            return Err(LabError::usage(other.to_string())
                .with_hint("wait for its end, ask them, or take it over with --force"));
        }
        let used = self.device_views(vec![device])?.into_iter().find_map(|view| view.used);
        Ok((lock, used))
    }

    /// Gives a device free; returns the lock that it had.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn unlock_device(&self, device: &Device) -> Result<Option<DeviceLock>, LabError> {
        Ok(people::unlock_device(self.store()?.as_ref(), &device.name, &self.person(), self.now())?)
    }

    /// Takes a device out of quarantine, and counts its failures from none; says whether it was there.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn release_device(&self, device: &Device) -> Result<bool, LabError> {
        Ok(people::release_device(self.store()?.as_ref(), &device.name, &self.person(), self.now())?)
    }

    /// The phones that an adb server knows, beside those of the farm files.
    ///
    /// # Errors
    /// When there is no such server.
    pub async fn discover(&self, server: Option<&str>) -> Result<Vec<Discovered>, LabError> {
        let (declared, options) = (self.inventory()?.devices, self.connect_options());
        inventory::discover(server, &declared, &options, DISCOVERY_TIMEOUT).await.map_err(|error| {
            let hint = error.hint.clone();
            let failed = LabError::failed(ErrorKind::NoDevice, error);
            hint.into_iter().fold(failed, LabError::with_hint)
        })
    }

    /// Asks devices that no sweep uses, each under its lease.
    ///
    /// # Errors
    /// When the store can't be used. What devices do not answer is in their answers.
    pub async fn ask(
        &self,
        devices: &[Device],
        question: Question,
        progress: &Progress,
    ) -> Result<Vec<ProbeResult>, LabError> {
        let probes = self.start_probes(Initiator::Person, progress)?;
        if question == Question::WhetherTheyAreFit {
            planner::remarks_on_machines(devices).iter().for_each(|remark| self.remark(remark));
        }
        Ok(match question {
            Question::WhatTheyAre => probes.ask(devices).await?,
            Question::WhetherTheyAreFit => probes.check(devices, None).await?,
        })
    }

    /// Asks all devices in service that nobody uses what they are, for somebody who is not there to see it.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn probe_all(&self, progress: &Progress) -> Result<(), LabError> {
        let devices = self.select_own_devices(&[])?;
        let probes = self.start_probes(Initiator::Daemon, progress)?;
        let answers = probes.ask(&devices).await?;
        tracing::info!(asked = answers.iter().filter(|answer| answer.is_asked()).count(), "devices were asked");
        Ok(())
    }

    /// What it takes to ask devices, for a task of this process.
    pub(super) fn start_probes(&self, initiator: Initiator, progress: &Progress) -> Result<Probes, LabError> {
        Ok(Probes {
            leases: self.start_lease_keeper()?,
            store: self.store()?,
            connect: Arc::new(self.connect_options()),
            runners: Arc::new(RunnerSource::new(self.runners(), progress.clone())),
            clock: self.clock.reader(),
            initiator,
        })
    }
}

/// The device of this name.
pub(super) fn find_device<'a>(devices: &'a [Device], name: &str) -> Result<&'a Device, LabError> {
    devices.iter().find(|device| device.name == name).ok_or_else(|| {
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        LabError::usage(format!("there is no device {name:?}")).with_hint(format!("devices: {}", names.join(", ")))
    })
}
