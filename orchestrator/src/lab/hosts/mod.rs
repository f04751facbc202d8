//! The hosts that share the lab: what each is at, and what a person does to one.

mod declared;
mod keeper;
mod union;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{Host, HostState, HostStatus};
use crate::lease::holder_in_words;
use crate::store::{HostChange, people};
use crate::wording::duration_text;

use super::{Lab, LabError};

pub use keeper::{HostKeeper, HostNews};
use union::Declarations;

/// A clock that is further off is told. Nothing goes by it.
const CLOCK_LIMIT_SECONDS: f64 = 5.0;

/// A host of the lab, as a person asks for it. Times are those of the database's clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostOverview {
    /// Its name.
    pub host: String,
    /// What it does.
    pub status: HostStatus,
    /// In a few words: since when, and by whom.
    pub detail: String,
    /// Devices in service that its farm files declare.
    pub devices: u32,
    /// The machine's load average of the last minute: tasks that ran or waited for a processor.
    pub load: f64,
    /// Processors.
    pub cores: u32,
    /// Version of farmctl.
    pub version: String,
    /// When its daemon registered.
    pub registered_at: Timestamp,
    /// When it last beat.
    pub beat_at: Timestamp,
    /// How long that is ago, in whole seconds.
    pub beat_seconds_ago: u64,
    /// How far its clock is ahead of the database's, in seconds; behind where it is negative.
    pub clock_ahead_seconds: f64,
    /// Which machine it is, as a hash; empty where that has no identity.
    pub machine: String,
    /// Its daemon's process.
    pub process: String,
}

impl From<&Host> for HostOverview {
    fn from(host: &Host) -> HostOverview {
        let (registered, figures) = (&host.registered, host.registered.figures);
        HostOverview {
            host: registered.name.clone(),
            status: host.status(),
            detail: detail(host),
            devices: figures.devices,
            load: f64::from(figures.load_milli) / 1e3,
            cores: figures.cores,
            version: registered.version.clone(),
            registered_at: host.registered_at,
            beat_at: host.beat_at,
            beat_seconds_ago: host.since_beat.as_secs(),
            clock_ahead_seconds: host.clock_ahead_ms as f64 / 1e3,
            machine: registered.machine.clone(),
            process: holder_in_words(&registered.process),
        }
    }
}

/// A device that a host declares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostDevice {
    /// Its name.
    pub device: String,
    /// `local`, `ssh` or `adb`.
    pub transport: String,
    /// Where it is declared: `file:line`.
    pub declared_at: String,
    /// The hosts that declare it, the one that goes first first.
    pub hosts: Vec<String>,
    /// Why its name means no device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// A host with what it declares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostDetails {
    /// What it does.
    #[serde(flatten)]
    pub overview: HostOverview,
    /// What it declares, as far as that is published.
    pub declared: Vec<HostDevice>,
}

/// What more there is to be known of a host than what it does.
fn detail(host: &Host) -> String {
    let drained = (host.state == HostState::Draining)
        .then(|| format!("drained by {}", host.state_by.as_deref().unwrap_or("somebody")));
    let gone = match host.status() {
        HostStatus::Silent => Some(format!("no beat for {}", duration_text(host.since_beat))),
        HostStatus::Stopped => Some(format!("its daemon ended {} ago", duration_text(host.since_beat))),
        HostStatus::Working | HostStatus::Draining => None,
    };
    gone.into_iter().chain(drained).collect::<Vec<_>>().join("; ")
}

/// Who a host is, for a message about two of one name.
fn identity(machine: &str, process: &str) -> String {
    let machine = if machine.is_empty() { "a machine without an identity".to_owned() } else { machine.to_owned() };
    format!("{}, machine {machine}", holder_in_words(process))
}

impl Lab {
    /// Name of this host in the lab: as `lab.yaml` has it, else that of the machine.
    ///
    /// # Errors
    /// When that file is faulty.
    pub fn host_name(&self) -> Result<String, LabError> {
        Ok(self.lab_config()?.host.unwrap_or_else(|| self.environment.host.clone()))
    }

    /// Whether other hosts can use the lab's store: it is on a server.
    ///
    /// # Errors
    /// When it is not known where the store is.
    pub fn shares_store(&self) -> Result<bool, LabError> {
        Ok(self.store_server()?.is_some())
    }

    /// The hosts of the lab, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn hosts(&self) -> Result<Vec<HostOverview>, LabError> {
        Ok(self.store()?.hosts(self.now())?.iter().map(HostOverview::from).collect())
    }

    /// The host of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn host(&self, name: &str) -> Result<HostOverview, LabError> {
        let hosts = self.hosts()?;
        let names = hosts.iter().map(|host| host.host.as_str()).collect::<Vec<_>>().join(", ");
        hosts.into_iter().find(|host| host.host == name).ok_or_else(|| {
            let hint = if names.is_empty() {
                "no daemon has registered one yet: `farmctl daemon` does".to_owned()
            } else {
                format!("hosts: {names}")
            };
            LabError::usage(format!("there is no host {name:?}")).with_hint(hint)
        })
    }

    /// The host of this name, with what it declares.
    ///
    /// # Errors
    /// When there is none.
    pub fn host_details(&self, name: &str) -> Result<HostDetails, LabError> {
        let overview = self.host(name)?;
        let declarations = Declarations::of(self.store()?.declared_devices()?);
        let declared = declarations.of_host(name).map(|one| HostDevice {
            device: one.device.name.clone(),
            transport: one.device.transport.name().to_owned(),
            declared_at: one.device.declared_at.clone(),
            hosts: declarations.hosts(&one.device.name),
            conflict: declarations.conflict(&one.device.name),
        });
        Ok(HostDetails { overview, declared: declared.collect() })
    }

    /// What is wrong with the hosts of the lab as this one sees it, by what it is about: names that mean two devices,
    /// and hosts that are silent.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) fn faults_of_hosts(&self, own: &str) -> Result<BTreeMap<String, String>, LabError> {
        let mut faults = BTreeMap::new();
        for (device, conflict) in self.declarations()?.iter().flat_map(|all| all.conflicts()) {
            faults.insert(format!("device {device}"), conflict);
        }
        let hosts = self.store()?.hosts(self.now())?;
        for host in hosts.iter().filter(|host| host.name() != own && host.status() == HostStatus::Silent) {
            let name = host.name();
            let fault = format!(
                "silent since {:.0}: look after it, or, if it is gone for good, `farmctl host remove {name}`",
                host.beat_at
            );
            faults.insert(format!("host {name}"), fault);
        }
        Ok(faults)
    }

    /// Whether the hosts of the lab are well, in a few words; `None` where this is the only one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::lab) fn examine_hosts(&self) -> Result<Option<Result<String, String>>, LabError> {
        if !self.shares_store()? {
            return Ok(None);
        }
        let hosts = self.hosts()?;
        if hosts.len() < 2 {
            return Ok(None);
        }
        let off = hosts.iter().filter(|host| host.clock_ahead_seconds.abs() >= CLOCK_LIMIT_SECONDS);
        let off = off.map(|host| format!("{}: its clock is {:.0} s off", host.host, host.clock_ahead_seconds));
        let faults = self.faults_of_hosts("")?;
        let faults = faults.iter().map(|(about, fault)| format!("{about}: {fault}"));
        let faults: Vec<String> = faults.chain(off).collect();
        if !faults.is_empty() {
            return Ok(Some(Err(faults.join("; "))));
        }
        let told = hosts.iter().map(|host| format!("{} {}", host.host, host.status.as_str()));
        Ok(Some(Ok(told.collect::<Vec<_>>().join(", "))))
    }

    /// Has the daemon of a host begin no further run; those under way end. Says whether that is new.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn drain_host(&self, name: &str) -> Result<bool, LabError> {
        let change = people::drain_host(self.store()?.as_ref(), name, &self.person(), self.now())?;
        Ok(self.kept(name, change)?.is_none())
    }

    /// Has the daemon of a host begin runs again; says whether that is new.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn resume_host(&self, name: &str) -> Result<bool, LabError> {
        let change = people::resume_host(self.store()?.as_ref(), name, &self.person(), self.now())?;
        Ok(self.kept(name, change)?.is_none())
    }

    /// Forgets a host that is not there any more, with what it declared.
    ///
    /// # Errors
    /// When there is no such host, or its daemon runs.
    pub fn remove_host(&self, name: &str) -> Result<(), LabError> {
        let change = people::remove_host(self.store()?.as_ref(), name, &self.person(), self.now())?;
        let Some(other) = self.kept(name, change)? else { return Ok(()) };
        let (running, beat) = (holder_in_words(&other.registered.process), duration_text(other.since_beat));
        Err(LabError::usage(format!("the host {name} is there: {running}, which beat {beat} ago"))
            .with_hint(format!("end its daemon first; `farmctl host drain {name}` has it begin no further run")))
    }

    /// The host that a change was refused of, as it is.
    fn kept(&self, name: &str, change: HostChange) -> Result<Option<Host>, LabError> {
        match change {
            HostChange::Done => Ok(None),
            HostChange::NotSo(host) => Ok(Some(*host)),
            // Which there are is told.
            HostChange::Unknown => self.host(name).map(|_| None),
        }
    }
}
