//! What is done about the clock of the host.

use jiff::SignedDuration;

use crate::clock::{ClockNews, Doubt};
use crate::domain::{Event, EventKind};
use crate::store::StoreError;
use crate::wording::clock_off_text;

use super::Daemon;

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
        let now = self.clock.now();
        if doubt.is_none() && self.clock_kept_at.is_none_or(|at| now.duration_since(at) >= KEEP_EVERY) {
            if let Some(believed) = self.clock.believed(self.store.last_event()?) {
                self.store.believe_clock(&believed, None)?;
            }
            self.clock_kept_at = Some(now);
        }
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
        self.probes.1 = self.probes.0.map(|_| now);
        if let Some((rules, due_at)) = &mut self.retention {
            *due_at = rules.next_at(now);
        }
    }

    fn tell_of_clock(&self, kind: EventKind) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.store.append_event(&Event { at, sweep_id: None, device: None, job_id: None, run_id: None, kind })
    }
}

fn doubt_text(Doubt { off, says, .. }: Doubt) -> String {
    format!(
        "it jumped {} and says {says:.0}: nothing that is due is begun and nothing is taken out until it has gone on \
         evenly for an hour; set it right, or, when it is right, say `farmctl clock accept`",
        clock_off_text(off.as_secs())
    )
}
