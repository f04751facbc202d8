use jiff::Timestamp;

use super::StoreError;
use crate::domain::{DeclaredDevice, Event, Host, HostFigures, HostState, HostStep, NewHost};

/// What became of a daemon that registers its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// It is the host of its name.
    Done,
    /// Another daemon is the host of that name.
    Refused(Box<Host>),
}

/// What became of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// The host is there, in this state.
    Kept {
        /// What it is to the lab.
        state: HostState,
        /// Who made it that.
        by: Option<String>,
    },
    /// A person had the host forgotten meanwhile, or there is none.
    Forgotten,
    /// Another daemon is the host of that name by now.
    Taken(Box<Host>),
}

/// What became of a step that a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostChange {
    /// It was taken.
    Done,
    /// There is no such host.
    Unknown,
    /// The host, as it is, does not take it.
    NotSo(Box<Host>),
}

/// The hosts that share the lab, and what their farm files declare. Times are by the database's clock, where it has
/// one; SQLite goes by the time that is passed.
pub trait HostStore {
    /// Registers the host of a daemon. One that was forgotten begins anew; one that is drained stays so. `is_alone`: no
    /// other host can use this store, and all that are known leave. `is_gone` tells of a process whether it has ended
    /// for sure. Refused is a name that another daemon has: one that beats, or that of another machine, whether it
    /// beats or not.
    ///
    /// # Errors
    /// When the store can't be written.
    fn register_host(
        &self,
        host: &NewHost,
        is_alone: bool,
        is_gone: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Registration, StoreError>;

    /// Notes that the daemon of a host runs, and what it tells of itself.
    ///
    /// # Errors
    /// When the store can't be written.
    fn beat_host(&self, name: &str, process: &str, figures: &HostFigures, now: Timestamp) -> Result<Beat, StoreError>;

    /// Notes that the daemon of a host ends. One that is not the host's any more is left alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn end_host(&self, name: &str, process: &str, now: Timestamp) -> Result<(), StoreError>;

    /// The hosts that are not forgotten, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn hosts(&self, now: Timestamp) -> Result<Vec<Host>, StoreError>;

    /// Takes a step of a host, and appends the event of it in the same transaction. A host that is there is not
    /// forgotten. What one declared leaves with it.
    ///
    /// # Errors
    /// When the store can't be written.
    fn step_host(
        &self,
        name: &str,
        step: HostStep,
        by: &str,
        now: Timestamp,
        event: &Event,
    ) -> Result<HostChange, StoreError>;

    /// Replaces what a host declares; says whether the process is still the host's.
    ///
    /// # Errors
    /// When the store can't be written.
    fn publish_devices(&self, host: &str, process: &str, devices: &[DeclaredDevice]) -> Result<bool, StoreError>;

    /// What hosts declare that are not forgotten, by device, then by host.
    ///
    /// # Errors
    /// When the store can't be read.
    fn declared_devices(&self) -> Result<Vec<DeclaredDevice>, StoreError>;
}
