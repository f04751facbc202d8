//! This process as the daemon of its host: registers, beats, and says goodbye.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::domain::{DeclaredDevice, Host, HostFigures, HostState, NewHost};
use crate::lease::{Holder, is_holder_gone, machine_identity};
use crate::store::{Beat, Registration};
use crate::wording::duration_text;

use super::identity;
use crate::lab::{Lab, LabError, VERSION};

/// How often a daemon tells that it is there.
const BEAT: Duration = Duration::from_secs(10);

/// What a daemon knows of its host and the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNews {
    /// Who wants no more runs begun here.
    pub drained_by: Option<String>,
    /// What is wrong, by what it is about.
    pub troubles: BTreeMap<String, String>,
    /// Why this daemon is not the host's any more.
    pub lost: Option<String>,
}

/// The word that this process is the daemon of its host. It is told again and again until this is dropped.
pub struct HostKeeper {
    member: Member,
    news: watch::Receiver<HostNews>,
    beat: JoinHandle<()>,
}

impl HostKeeper {
    /// Name of the host.
    pub fn name(&self) -> &str {
        &self.member.name
    }

    /// What is known now.
    pub fn news(&self) -> HostNews {
        self.news.borrow().clone()
    }

    /// Says goodbye. Where that can't be told, the host is silent after a while.
    pub fn leave(self) {
        self.beat.abort();
        let Member { lab, name, process, .. } = &self.member;
        let told = lab.store().and_then(|store| Ok(store.end_host(name, process, lab.now())?));
        if let Err(error) = told {
            tracing::warn!(%error, "the other hosts are not told that this one leaves");
        }
    }
}

impl Drop for HostKeeper {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

/// This host, as its daemon tells of it.
#[derive(Clone)]
struct Member {
    lab: Lab,
    name: String,
    process: String,
    /// Whether there may be others.
    is_shared: bool,
    /// What was last published of it.
    published: Option<Vec<DeclaredDevice>>,
}

impl Lab {
    /// Registers this process as the daemon of its host, and tells from now on that it is there.
    ///
    /// # Errors
    /// When another daemon has the name of this host. A lab that has its store in a file has no other host: there
    /// nothing keeps a daemon from its work.
    pub fn join_hosts(&self) -> Result<HostKeeper, LabError> {
        let process = Holder::for_this_process()
            .map_err(|error| LabError::internal(format!("failed to name this process: {error}")).caused_by(error))?;
        let (name, is_shared) = (self.host_name()?, self.shares_store()?);
        let process = process.to_string();
        let member = Member { lab: self.clone(), name, process, is_shared, published: None };
        match member.register() {
            Err(error) if !is_shared => tracing::warn!(%error, "this host was not registered"),
            registered => registered?,
        }
        let (sender, news) = watch::channel(HostNews::default());
        let beat = tokio::spawn(member.clone().keep(sender));
        Ok(HostKeeper { member, news, beat })
    }
}

impl Member {
    fn register(&self) -> Result<(), LabError> {
        let Member { lab, name, process, is_shared, .. } = self;
        let host = NewHost {
            name: name.clone(),
            machine: machine_identity(),
            process: process.clone(),
            version: VERSION.to_owned(),
            figures: self.figures(),
        };
        match lab.store()?.register_host(&host, !is_shared, &is_holder_gone, lab.now())? {
            Registration::Done => Ok(()),
            Registration::Refused(other) => Err(refusal(&host, &other)),
        }
    }

    /// Tells again and again that this host is there.
    async fn keep(mut self, news: watch::Sender<HostNews>) {
        let mut is_told = !self.is_shared;
        loop {
            match self.look() {
                Ok(new) => {
                    is_told = !self.is_shared;
                    news.send_if_modified(|known| {
                        let is_new = *known != new;
                        *known = new;
                        is_new
                    });
                }
                // Once: it is tried again and again.
                Err(error) if !std::mem::replace(&mut is_told, true) => {
                    tracing::warn!(%error, "the other hosts are not told that this one is there");
                }
                Err(error) => tracing::debug!(%error, "no beat"),
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Tells once that this host is there.
    fn look(&mut self) -> Result<HostNews, LabError> {
        let (lab, name, process) = (self.lab.clone(), self.name.clone(), self.process.clone());
        let (name, process) = (name.as_str(), process.as_str());
        let beat = lab.store()?.beat_host(name, process, &self.figures(), lab.now())?;
        let drained_by = match beat {
            Beat::Kept { state, by } => {
                (state == HostState::Draining).then(|| by.unwrap_or_else(|| "somebody".to_owned()))
            }
            Beat::Forgotten => match self.register() {
                Ok(()) => {
                    self.published = None;
                    None
                }
                Err(error) => return Ok(HostNews { lost: Some(error.text()), ..HostNews::default() }),
            },
            Beat::Taken(other) => {
                let other = identity(&other.registered.machine, &other.registered.process);
                let lost = format!("the host {name} is another daemon's by now: {other}");
                return Ok(HostNews { lost: Some(lost), ..HostNews::default() });
            }
        };
        self.publish()?;
        let mut troubles = if self.is_shared { lab.faults_of_hosts(name)? } else { BTreeMap::new() };
        if let Some(by) = &drained_by {
            let trouble = format!("drained by {by}: nothing is begun here until `farmctl host resume {name}`");
            troubles.insert(format!("host {name}"), trouble);
        }
        Ok(HostNews { drained_by, troubles, lost: None })
    }

    /// Publishes what the farm files declare, where that is not published yet. Where they are faulty, what was
    /// published before stays.
    fn publish(&mut self) -> Result<(), LabError> {
        let Member { lab, name, process, .. } = self;
        let declared = lab.own_declarations(name)?;
        let is_published = self.published.as_ref() == Some(&declared);
        if !is_published && lab.store()?.publish_devices(name, process, &declared)? {
            self.published = Some(declared);
        }
        Ok(())
    }

    fn figures(&self) -> HostFigures {
        let devices =
            self.lab.devices().map_or(0, |devices| devices.iter().filter(|it| it.device.disabled.is_none()).count());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        HostFigures {
            devices: u32::try_from(devices).unwrap_or(u32::MAX),
            load_milli: load_milli(&std::fs::read_to_string("/proc/loadavg").unwrap_or_default()),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
        }
    }
}

/// The load average of the last minute, in thousandths, as the kernel has it in its first word.
fn load_milli(text: &str) -> u32 {
    let load: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    // A cast saturates.
    (load * 1e3).round() as u32
}

/// Why a daemon may not be the host of its name.
fn refusal(new: &NewHost, other: &Host) -> LabError {
    let (name, registered) = (&new.name, &other.registered);
    let (that, this) = (identity(&registered.machine, &registered.process), identity(&new.machine, &new.process));
    let beat = duration_text(other.since_beat);
    let error = LabError::usage(format!(
        "this lab has another host {name}: {that}, farmctl {}, which beat {beat} ago; this is {this}",
        registered.version
    ));
    let error = error.with_hint("give this host a name of its own in lab.yaml: `host: NAME`");
    if other.is_there() {
        return error.with_hint("or end the other daemon, if this one takes its place");
    }
    error.with_hint(format!("or, if the other one is gone for good: `farmctl host remove {name}`"))
}

#[cfg(test)]
mod tests {
    use super::load_milli;

    #[test]
    fn the_load_is_the_first_word_of_the_kernels_line() {
        assert_eq!(load_milli("1.25 0.90 0.80 2/345 6789\n"), 1_250);
        assert_eq!((load_milli(""), load_milli("x 1"), load_milli("-1 2")), (0, 0, 0));
    }
}
