//! The lab's time, and whether the clock of this host can be believed.

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::LabClock;
use crate::domain::{BelievedClock, Event, EventKind};
use crate::store::Store;
use crate::wording::clock_off_text;

use super::{Lab, LabError};

/// What ends a doubt.
pub const ACCEPT_CLOCK: &str = "set it right, or, when it is right, say `farmctl clock accept`";

/// How the clock of this host is.
#[derive(Debug, Serialize)]
pub struct ClockState {
    /// What it says.
    pub says: Timestamp,
    /// The lab's time.
    pub lab_time: Timestamp,
    /// Whether it is believed.
    pub is_believed: bool,
    /// By how much it is off: ahead, or back where it is negative; `null` while it is believed.
    pub off_seconds: Option<i64>,
}

impl Lab {
    /// The lab's time: that of this host's clock, or, while that is in doubt, where it would be without its jump.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The lab's clock.
    pub fn clock(&self) -> LabClock {
        self.clock.clone()
    }

    /// How the clock of this host is, held against what the store knows.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn clock_state(&self) -> Result<ClockState, LabError> {
        self.store()?;
        let doubt = self.clock.doubt();
        Ok(ClockState {
            says: doubt.map_or_else(|| self.now(), |doubt| doubt.says),
            lab_time: self.now(),
            is_believed: doubt.is_none(),
            off_seconds: doubt.map(|doubt| doubt.off.as_secs()),
        })
    }

    /// Believes the clock of this host as it is now, because a person says so; a daemon of the lab does so, too.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn accept_clock(&self) -> Result<ClockState, LabError> {
        let store = self.store()?;
        self.clock.believe();
        let Some(believed) = self.clock.believed(store.last_event()?) else {
            return Err(LabError::internal("this host's kernel does not name its boots: is /proc mounted?"));
        };
        let kind = EventKind::ClockBelieved { by: self.person() };
        let event = Event { at: believed.wall, sweep_id: None, device: None, job_id: None, run_id: None, kind };
        // Whatever was written while the clock was wrong is older than what is believed now.
        let believed = BelievedClock { last_event: believed.last_event + 1, ..believed };
        store.believe_clock(&believed, Some(&event))?;
        self.clock_state()
    }

    /// Refuses what can't be undone while the clock is in doubt.
    ///
    /// # Errors
    /// When it is.
    pub(super) fn needs_clock(&self, what: &str) -> Result<(), LabError> {
        let Some(doubt) = self.clock.doubt() else { return Ok(()) };
        let off = clock_off_text(doubt.off.as_secs());
        let message = format!("{what} is held back: the clock of this host jumped {off}, it says {:.0}", doubt.says);
        Err(LabError::unavailable(message).with_hint(ACCEPT_CLOCK))
    }

    /// What a person who begins something by a clock that is in doubt has to know: what date it gets.
    pub(super) fn remark_on_clock(&self) -> Option<String> {
        let doubt = self.clock.doubt()?;
        let off = clock_off_text(doubt.off.as_secs());
        let what = match self.clock.dates_in_doubt() {
            true => "what begins now has that date, and neither `latest` nor reports/latest go by it",
            false => "what begins now has the date that it would be without the jump",
        };
        let (says, now) = (doubt.says, self.now());
        Some(format!(
            "the clock of this host jumped {off}: it says {says:.0}, and for the lab it is {now:.0}; {what}: \
             {ACCEPT_CLOCK}"
        ))
    }

    /// The lab's time, where it can be told by it what is new; `None` where it is that of a clock in doubt.
    pub(super) fn dated_now(&self) -> Option<Timestamp> {
        (!self.clock.dates_in_doubt()).then(|| self.now())
    }

    /// Holds the clock of this host against what a store has.
    pub(super) fn hold_clock_against(&self, store: &dyn Store) -> Result<(), LabError> {
        let believed = store.believed_clock()?;
        let events = store.event_times(believed.as_ref().map_or(0, |believed| believed.last_event))?;
        self.clock.hold_against(believed.as_ref(), &events);
        Ok(())
    }
}
