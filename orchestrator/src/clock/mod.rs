//! Whether the clock of this host can be believed, and what time it is for the lab.
//!
//! Main type: [`LabClock`]. It holds the clock that people set against the one that nobody can set, at each look; over
//! a restart, against what the store has. While it is in doubt, the lab's time goes on from where it was. Never decides
//! what is held back meanwhile, and never sets a clock.

mod watch;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::domain::{BelievedClock, Moment};

use watch::{Anchor, ClockWatch};
pub use watch::{ClockNews, Doubt, SANE_AFTER};

/// Where looks come from.
type Source = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The time of a lab. Clones share what they know.
#[derive(Clone)]
pub struct LabClock {
    source: Source,
    watch: Arc<Mutex<ClockWatch>>,
}

impl fmt::Debug for LabClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabClock").field("watch", &self.watch()).finish_non_exhaustive()
    }
}

impl LabClock {
    /// The clock of this host, as it is now.
    pub fn of_host() -> LabClock {
        let started = Instant::now();
        LabClock::of(Arc::new(move || look_at_host(started)))
    }

    /// A clock that is told what to say.
    pub fn of(source: Source) -> LabClock {
        let watch = Arc::new(Mutex::new(ClockWatch::new(source())));
        LabClock { source, watch }
    }

    /// The lab's time: that of the clock, or, while it is in doubt, where it would be without its jump.
    pub fn now(&self) -> Timestamp {
        let moment = (self.source)();
        self.watch().time(moment)
    }

    /// Tells the lab's time to whoever goes by it.
    pub fn reader(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    /// Holds it against what an earlier process believed, and against when events were written since, the earliest
    /// first.
    pub fn hold_against(&self, believed: Option<&BelievedClock>, events: &[Timestamp]) {
        let (now, boot) = ((self.source)(), boot());
        let anchor = Anchor::of_the_past(believed, events, now, boot.as_deref());
        if let Some(anchor) = anchor {
            self.watch().hold_against(anchor);
        }
    }

    /// Looks at it; says what is new.
    pub fn look(&self) -> Option<ClockNews> {
        let now = (self.source)();
        self.watch().look(now)
    }

    /// Why it can't be believed now, if it can't.
    pub fn doubt(&self) -> Option<Doubt> {
        let now = (self.source)();
        self.watch().doubt(now)
    }

    /// Whether the lab's time is that of a clock that is in doubt: one that is far ahead after a boot.
    pub fn dates_in_doubt(&self) -> bool {
        let now = (self.source)();
        self.watch().dates_in_doubt(now)
    }

    /// Believes it as it is now.
    pub fn believe(&self) {
        let now = (self.source)();
        self.watch().believe(now);
    }

    /// Whether a look that somebody believed says that it is right now.
    pub fn is_as(&self, believed: &BelievedClock) -> bool {
        let is_this_boot = boot().is_some_and(|boot| boot == believed.boot);
        is_this_boot && Anchor::exact(believed.wall, believed.since_boot).off((self.source)()).is_none()
    }

    /// For how long it has gone on evenly since a look of an earlier process; `None` where it has jumped since, or the
    /// host was booted.
    pub fn even_since(&self, look: &BelievedClock) -> Option<Duration> {
        let now = (self.source)();
        self.is_as(look).then(|| now.since_boot.checked_sub(look.since_boot)).flatten()
    }

    /// This look, for processes to come; `None` while it is in doubt, or where the kernel does not name its boots.
    pub fn believed(&self, last_event: u64) -> Option<BelievedClock> {
        let now = (self.source)();
        let is_believed = self.watch().doubt(now).is_none();
        is_believed.then(|| look_of(now, last_event)).flatten()
    }

    /// The same of a clock that is in doubt; `None` while it is believed.
    pub fn doubted(&self) -> Option<BelievedClock> {
        let now = (self.source)();
        let is_doubted = self.watch().doubt(now).is_some();
        is_doubted.then(|| look_of(now, 0)).flatten()
    }

    fn watch(&self) -> MutexGuard<'_, ClockWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clocks of this host. Where the kernel has none that counts sleep, that of the process has to do.
fn look_at_host(started: Instant) -> Moment {
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    Moment { wall: Timestamp::now(), since_boot: since_boot.unwrap_or_else(|_| started.elapsed()) }
}

fn look_of(now: Moment, last_event: u64) -> Option<BelievedClock> {
    Some(BelievedClock { wall: now.wall, since_boot: now.since_boot, boot: boot()?, last_event })
}

fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
