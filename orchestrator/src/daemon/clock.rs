//! What is done about the clock of the host.

use jiff::{SignedDuration, Timestamp};

use crate::clock::{ClockNews, Doubt};
use crate::domain::{Event, EventKind};
use crate::lab::ACCEPT_CLOCK;
use crate::store::StoreError;
use crate::wording::clock_off_text;

use super::{Daemon, LOOK_AT_FILES_EVERY, TELL_EVERY};

/// How often it is kept what the clock says.
const KEEP_EVERY: SignedDuration = SignedDuration::from_secs(60);

impl Daemon {
    /// Looks whether the clock can be believed; notes what became of it, for people and for processes to come.
    pub(super) fn look_at_clock(&mut self) -> Result<(), StoreError> {
        if self.clock.doubt().is_some() && self.is_accepted()? {
            self.clock.believe();
            self.begin_anew();
        }
        match self.clock.look() {
            Some(ClockNews::Jumped(Doubt { off, says, .. })) => {
                self.tell_of_clock(EventKind::ClockJumped { off_seconds: off.as_secs(), says })?;
            }
            Some(ClockNews::Returned) => {
                self.wait_no_longer();
                self.tell_of_clock(EventKind::ClockBelieved { by: "it is back where it was expected".to_owned() })?;
            }
            Some(ClockNews::Steady) => {
                self.begin_anew();
                self.tell_of_clock(EventKind::ClockBelieved { by: "it has gone on evenly for an hour".to_owned() })?;
            }
            None => {}
        }
        let doubt = self.clock.doubt();
        self.note("clock", doubt.map(doubt_text));
        self.keep_clock()
    }

    /// Keeps what the clock says, for processes to come, where it is believed and that is some time ago.
    pub(super) fn keep_clock(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_recent = self.clock_kept_at.is_some_and(|at| now.duration_since(at) < KEEP_EVERY);
        if is_recent || self.clock.doubt().is_some() {
            return Ok(());
        }
        if let Some(believed) = self.clock.believed(self.store.last_event()?) {
            self.store.believe_clock(&believed, None)?;
        }
        self.clock_kept_at = Some(now);
        Ok(())
    }

    /// Whether a person has said that the clock is right.
    fn is_accepted(&self) -> Result<bool, StoreError> {
        Ok(self.store.believed_clock()?.is_some_and(|believed| self.clock.is_as(&believed)))
    }

    /// The lab's time is another: what was to be done at a time of before is looked at anew.
    fn begin_anew(&mut self) {
        let now = self.clock.now();
        self.again_at.clear();
        self.clock_kept_at = None;
        self.channels.1 = None;
        self.files_at = None;
        self.probes.1 = self.probes.0.map(|_| now);
        if let Some((rules, due_at)) = &mut self.retention {
            *due_at = rules.next_at(now);
        }
    }

    /// The clock was ahead, and is not: what was put off until a time of then waits no longer than it ever would.
    fn wait_no_longer(&mut self) {
        let now = self.clock.now();
        let soonest = |at: Timestamp, pause: SignedDuration| at.min(now.checked_add(pause).unwrap_or(now));
        for (at, pause) in self.again_at.values_mut() {
            *at = soonest(*at, *pause);
        }
        self.clock_kept_at = self.clock_kept_at.map(|at| at.min(now));
        self.channels.1 = self.channels.1.map(|at| soonest(at, TELL_EVERY));
        self.files_at = self.files_at.map(|at| soonest(at, LOOK_AT_FILES_EVERY));
        let pause = self.probes.0.and_then(|pause| SignedDuration::try_from(pause).ok());
        self.probes.1 = self.probes.1.map(|at| soonest(at, pause.unwrap_or_default()));
        if let Some((rules, due_at)) = &mut self.retention {
            *due_at = rules.next_at(now).min(*due_at);
        }
    }

    fn tell_of_clock(&self, kind: EventKind) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.store.append_event(&Event { at, sweep_id: None, device: None, job_id: None, run_id: None, kind })
    }
}

/// Without what the clock says now: a trouble is told when it is another.
fn doubt_text(Doubt { off, .. }: Doubt) -> String {
    format!(
        "it jumped {}: nothing that is due is begun and nothing is taken out until it has gone on evenly for an hour; \
         {ACCEPT_CLOCK}",
        clock_off_text(off.as_secs())
    )
}
