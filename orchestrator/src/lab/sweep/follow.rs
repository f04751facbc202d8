//! Follows a sweep that another process carries out, from what the store has of it, until its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::domain::{SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::lease::live_holder;
use crate::progress::Progress;
use crate::store::Store;

/// How often it is looked what is new.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Events that are read at once.
const AT_ONCE: u32 = 1000;
/// How long nobody may carry the sweep out before that is said: a daemon begins within a second or two.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
/// How long there may be no daemon before it is said how to go on without.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(15);

/// How following ended.
pub enum FollowEnd {
    /// The sweep is over.
    Over,
    /// The daemon says why it can't go on.
    Stuck(String),
    /// Whoever carried it out has ended before it was over, and it is not the daemon's to go on with.
    Stopped,
}

impl Lab {
    /// Shows a sweep that the daemon carries out until it is over.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn follow(&self, sweep: &SweepId, progress: &Progress) -> Result<FollowEnd, LabError> {
        Follower::new(self, sweep.clone(), progress.clone(), true)?.follow().await
    }

    /// Shows a sweep that whichever process carries out, until it is over or stopped.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn watch(&self, sweep: &SweepId, progress: &Progress) -> Result<FollowEnd, LabError> {
        let is_daemons = self.is_daemons(sweep)?;
        Follower::new(self, sweep.clone(), progress.clone(), is_daemons)?.follow().await
    }

    /// The sweep to watch: the one that is wanted, or the newest that is under way.
    ///
    /// # Errors
    /// When there is none.
    pub fn sweep_to_watch(&self, wanted: Option<&str>) -> Result<SweepRow, LabError> {
        if let Some(wanted) = wanted {
            return self.sweep_meant(wanted);
        }
        for sweep in self.store()?.open_sweeps()? {
            if self.holder(&sweep.id)?.is_some() || self.is_daemons(&sweep.id)? {
                return Ok(sweep);
            }
        }
        Err(LabError::nothing("no sweep is under way")
            .with_hint("`farmctl sweeps list` has those of before, and `farmctl report` the table of the last one"))
    }

    /// Whether the daemon goes on with a sweep that nobody carries out.
    fn is_daemons(&self, sweep: &SweepId) -> Result<bool, LabError> {
        let definition = self.store()?.definition(sweep)?;
        let is_scheduled = definition.is_some_and(|definition| definition.schedule().is_some());
        Ok(is_scheduled || self.submissions()?.contains_key(sweep))
    }
}

/// Who carries the sweep out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// Somebody: the daemon, as a rule.
    Somebody,
    /// Nobody, and a daemon runs.
    NobodyYet,
    /// Nobody, and no daemon runs.
    NoDaemon,
}

struct Follower<'a> {
    lab: &'a Lab,
    store: Arc<dyn Store>,
    sweep: SweepId,
    progress: Progress,
    /// Whether the daemon goes on with it where nobody carries it out.
    is_daemons: bool,
    /// Number of the last event that was shown.
    shown: u64,
    carrier: Carrier,
    /// Since when it is so, and whether that was said.
    since: Instant,
    is_told: bool,
}

impl<'a> Follower<'a> {
    fn new(lab: &'a Lab, sweep: SweepId, progress: Progress, is_daemons: bool) -> Result<Follower<'a>, LabError> {
        let store = lab.store()?;
        // Of a sweep that is under way, from where it last began: that tells the view what there is to do.
        let is_carried = live_holder(store.as_ref(), &sweep, lab.now())?.is_some();
        let begun = if is_carried { store.last_start(&sweep)? } else { None };
        let shown = match begun {
            Some(start) => start.saturating_sub(1),
            None => store.last_event()?,
        };
        let (carrier, since) = (Carrier::Somebody, Instant::now());
        Ok(Follower { lab, store, sweep, progress, is_daemons, shown, carrier, since, is_told: true })
    }

    async fn follow(&mut self) -> Result<FollowEnd, LabError> {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Looked at before the events are: what it is over by is among them then.
            let state = self.store.sweep_state(&self.sweep)?;
            self.show_events()?;
            if state.is_over() {
                return Ok(FollowEnd::Over);
            }
            if !self.is_daemons {
                if self.is_left()? {
                    return Ok(FollowEnd::Stopped);
                }
            } else if let Some(trouble) = self.look_who_carries_it_out()? {
                return Ok(FollowEnd::Stuck(trouble));
            }
        }
    }

    fn show_events(&mut self) -> Result<(), LabError> {
        loop {
            let events = self.store.events_after(&self.sweep, self.shown, AT_ONCE)?;
            let is_all = events.len() < AT_ONCE as usize;
            for (sequence, event) in events {
                self.progress.event(&event);
                self.shown = sequence;
            }
            if is_all {
                return Ok(());
            }
        }
    }

    /// Whether nobody carries the sweep out, for longer than one process needs to take it over from another.
    fn is_left(&mut self) -> Result<bool, LabError> {
        if live_holder(self.store.as_ref(), &self.sweep, self.lab.now())?.is_some() {
            self.since = Instant::now();
        }
        Ok(self.since.elapsed() >= BEGINS_WITHIN)
    }

    /// Says when nobody carries the sweep out; returns the daemon's reason, when it has one.
    fn look_who_carries_it_out(&mut self) -> Result<Option<String>, LabError> {
        let carrier = match live_holder(self.store.as_ref(), &self.sweep, self.lab.now())? {
            Some(_) => Carrier::Somebody,
            None if self.lab.daemon_is_running() => Carrier::NobodyYet,
            None => Carrier::NoDaemon,
        };
        if carrier != self.carrier {
            match (self.carrier, carrier) {
                (_, Carrier::NoDaemon) => {
                    self.lab.remark("no daemon runs any more: this waits for the next one, which goes on");
                }
                (Carrier::NoDaemon, _) => self.lab.remark("a daemon runs again"),
                _ => {}
            }
            (self.carrier, self.since, self.is_told) = (carrier, Instant::now(), false);
        }
        let lasts = self.since.elapsed();
        match carrier {
            Carrier::NobodyYet if lasts >= BEGINS_WITHIN => {
                let troubles = self.lab.troubles_of(&self.sweep);
                if !troubles.is_empty() {
                    return Ok(Some(troubles.join("; ")));
                }
                self.remark_once("the daemon has not begun yet");
            }
            Carrier::NoDaemon if lasts >= COMES_BACK_WITHIN => {
                let id = self.sweep.clone();
                self.remark_once(&format!(
                    "still no daemon: `farmctl daemon` goes on with it, and so does `farmctl sweep --resume {id} \
                     --local`"
                ));
            }
            _ => {}
        }
        Ok(None)
    }

    fn remark_once(&mut self, text: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.lab.remark(text);
        }
    }
}
