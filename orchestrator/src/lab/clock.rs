//! The lab's time, and whether the clock of this host can be believed.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::{LabClock, SANE_AFTER};
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
        self.forget_doubt();
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

    /// Holds the clock of this host against what a store has. Where no daemon looks all the time, each process looks
    /// once: two of them that are an hour apart, and between which it went on evenly, end a doubt.
    pub(super) fn hold_clock_against(&self, store: &dyn Store) -> Result<(), LabError> {
        let believed = store.believed_clock()?;
        let events = store.event_times(believed.as_ref().map_or(0, |believed| believed.last_event))?;
        self.clock.hold_against(believed.as_ref(), &events);
        match self.clock.doubted() {
            None => self.forget_doubt(),
            Some(look) => self.settle_doubt(store, &look),
        }
        Ok(())
    }

    /// Ends a doubt that is an hour old, or notes where it begins. Whoever only wants to read is not kept from it: what
    /// can't be noted is noted by the next process.
    fn settle_doubt(&self, store: &dyn Store, look: &BelievedClock) {
        let first: Option<BelievedClock> =
            std::fs::read(self.doubt_file()).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let outcome = match first.as_ref().and_then(|first| self.clock.even_since(first)) {
            None => self.note_doubt(look).map_err(LabError::internal),
            Some(passed) if passed < SANE_AFTER => Ok(()),
            Some(_) => self.believe_steady(store),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "what became of the clock is not noted");
        }
    }

    fn believe_steady(&self, store: &dyn Store) -> Result<(), LabError> {
        let last_event = store.last_event()?;
        self.clock.believe();
        let Some(believed) = self.clock.believed(last_event + 1) else { return Ok(()) };
        let kind = EventKind::ClockBelieved { by: "it has gone on evenly for an hour".to_owned() };
        let event = Event { at: believed.wall, sweep_id: None, device: None, job_id: None, run_id: None, kind };
        store.believe_clock(&believed, Some(&event))?;
        self.forget_doubt();
        Ok(())
    }

    /// Where this host's lab keeps since when its clock goes on evenly, while it is in doubt.
    fn doubt_file(&self) -> PathBuf {
        self.daemon_file("clock-in-doubt.json")
    }

    fn note_doubt(&self, look: &BelievedClock) -> Result<(), String> {
        let folder = self.root.join(".farm");
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(|error| error.to_string())?;
        serde_json::to_writer(&mut file, look).map_err(|error| error.to_string())?;
        file.persist(self.doubt_file()).map(drop).map_err(|error| error.to_string())
    }

    fn forget_doubt(&self) {
        // Mostly there is none.
        let _ = std::fs::remove_file(self.doubt_file());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::domain::Moment;
    use crate::lab::{Environment, Overrides, SweepLogs};

    const DAY: u64 = 86_400;

    /// A host that runs no daemon: how long ago it was booted, and by how much its clock was set forth since, in
    /// seconds.
    #[derive(Clone)]
    struct Host {
        folder: std::path::PathBuf,
        passed: Arc<AtomicU64>,
        ahead: Arc<AtomicU64>,
    }

    impl Host {
        fn new(folder: &tempfile::TempDir) -> Host {
            Host { folder: folder.path().to_owned(), passed: Arc::default(), ahead: Arc::default() }
        }

        fn moment(&self) -> Moment {
            let (passed, ahead) = (self.passed.load(Ordering::Relaxed), self.ahead.load(Ordering::Relaxed));
            let second = 1_800_000_000 + passed + ahead;
            let wall = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            Moment { wall, since_boot: Duration::from_secs(1_000 + passed) }
        }

        fn pass(&self, seconds: u64) {
            self.passed.fetch_add(seconds, Ordering::Relaxed);
        }

        /// The next command in this lab: whether it believes the clock.
        fn command(&self) -> Lab {
            let environment = Environment::sample();
            let logs = SweepLogs::default();
            let mut lab = Lab::open(&self.folder, Overrides::default(), environment, logs, Arc::new(|_| {})).unwrap();
            let host = self.clone();
            lab.clock = LabClock::of(Arc::new(move || host.moment()));
            lab
        }

        fn believes(&self) -> bool {
            self.command().clock_state().unwrap().is_believed
        }

        /// An event of now, as each sweep leaves some.
        fn leave_event(&self) {
            let kind = EventKind::ClockBelieved { by: "the test".to_owned() };
            let at = self.moment().wall;
            let store = self.command().store().unwrap();
            let event = Event { at, sweep_id: None, device: None, job_id: None, run_id: None, kind };
            store.append_event(&event).unwrap();
        }
    }

    /// A lab whose newest event is older than any pause that is believed.
    fn after_a_long_pause(folder: &tempfile::TempDir) -> Host {
        let host = Host::new(folder);
        host.leave_event();
        host.ahead.store(100 * DAY, Ordering::Relaxed);
        assert!(!host.believes());
        host
    }

    #[test]
    fn two_commands_an_hour_apart_end_a_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let host = after_a_long_pause(&folder);
        host.pass(3_000);
        assert!(!host.believes());
        host.leave_event();
        host.pass(599);
        assert!(!host.believes(), "a second is missing, and the look in between begins nothing anew");
        host.pass(1);
        let lab = host.command();
        assert!(lab.clock_state().unwrap().is_believed);
        let events = lab.store().unwrap().new_events(0, 99).unwrap();
        let told = events.iter().filter(|(_, event)| match &event.kind {
            EventKind::ClockBelieved { by } => by.contains("evenly for an hour"),
            _ => false,
        });
        assert_eq!(told.count(), 1);
        assert!(!lab.doubt_file().exists());
        host.pass(60);
        assert!(host.believes(), "the next one knows it, too");
    }

    #[test]
    fn a_clock_that_jumps_in_between_stays_in_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let host = after_a_long_pause(&folder);
        host.pass(3_000);
        host.ahead.fetch_add(600, Ordering::Relaxed);
        host.pass(700);
        assert!(!host.believes(), "the hour begins here");
        host.pass(3_599);
        assert!(!host.believes());
        host.pass(1);
        assert!(host.believes());
    }

    #[test]
    fn a_look_of_another_boot_or_a_damaged_one_ends_no_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let host = after_a_long_pause(&folder);
        let file = host.command().doubt_file();
        let mut look: BelievedClock = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        look.boot = "another".to_owned();
        host.pass(7_200);
        for text in [serde_json::to_vec(&look).unwrap(), b"{".to_vec()] {
            std::fs::write(&file, text).unwrap();
            assert!(!host.believes());
        }
        // The last look was noted in its place.
        host.pass(3_600);
        assert!(host.believes());
    }
}
