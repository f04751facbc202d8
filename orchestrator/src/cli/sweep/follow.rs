//! Follows a sweep that the daemon carries out, from what the store has of it, until its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::domain::{Event, EventKind, SweepId};
use crate::lease::live_holder;
use crate::progress::Progress;
use crate::store::Store;

use super::super::{CliError, Context, close_progress, daemon, exit, say};
use super::drive::show_published;

/// How often it is looked what is new.
const LOOK: Duration = Duration::from_millis(200);
/// Events that are read at once.
const AT_ONCE: u32 = 1000;
/// How long nobody may carry the sweep out before that is said: a daemon begins within a second or two.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
/// How long there may be no daemon before it is said how to go on without.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(15);

/// Shows a sweep live until it is over, then its table; Ctrl-C leaves it with the daemon.
pub(super) async fn run(context: &Context, sweep: &SweepId, progress: Progress) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let mut follower = Follower::new(context, Arc::clone(&store), sweep.clone(), progress.clone())?;
    let ended = follower.follow().await;
    close_progress(context, &progress);
    let with_daemon = format!(
        "`farmctl sweeps show {sweep}` shows how far it is, `farmctl sweep --resume {sweep}` follows it again, \
         `farmctl cancel {sweep}` ends it"
    );
    match ended {
        Ok(End::Over) => show_published(context, store.as_ref(), sweep),
        Ok(End::Left) => {
            say(&format!("sweep {sweep} goes on in the daemon: {with_daemon}"));
            Ok(exit::INTERRUPTED)
        }
        Ok(End::Stuck(trouble)) => {
            let text = format!("the daemon can't go on with sweep {sweep}: {trouble}");
            Err(CliError::internal(text).with_hint(format!("it tries again by and by: {with_daemon}")))
        }
        Err(error) => {
            say(&format!("sweep {sweep} stays with the daemon: {with_daemon}"));
            Err(error)
        }
    }
}

/// How following ended.
enum End {
    /// The sweep is over.
    Over,
    /// A person does not want to wait.
    Left,
    /// The daemon says why it can't go on.
    Stuck(String),
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
    context: &'a Context,
    store: Arc<dyn Store>,
    sweep: SweepId,
    progress: Progress,
    /// Number of the last event that was shown.
    shown: u64,
    carrier: Carrier,
    /// Since when it is so, and whether that was said.
    since: Instant,
    is_told: bool,
}

impl<'a> Follower<'a> {
    fn new(
        context: &'a Context,
        store: Arc<dyn Store>,
        sweep: SweepId,
        progress: Progress,
    ) -> Result<Follower<'a>, CliError> {
        // Of a sweep that is under way, from where it last began: that tells the view what there is to do.
        let is_carried = live_holder(store.as_ref(), &sweep)?.is_some();
        let events = store.events_after(&sweep, 0, u32::MAX)?;
        let begun = events.iter().rposition(|(_, event)| is_beginning(event)).filter(|_| is_carried);
        let next = begun.unwrap_or(events.len());
        let shown = next.checked_sub(1).and_then(|last| events.get(last)).map_or(0, |(sequence, _)| *sequence);
        let (carrier, since) = (Carrier::Somebody, Instant::now());
        Ok(Follower { context, store, sweep, progress, shown, carrier, since, is_told: true })
    }

    async fn follow(&mut self) -> Result<End, CliError> {
        let mut signals = Signals::listen()?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = signals.next() => return Ok(End::Left),
            }
            // Looked at before the events are: what it is over by is among them then.
            let state = self.store.sweep_state(&self.sweep)?;
            self.show_events().await?;
            if state.is_over() {
                return Ok(End::Over);
            }
            if let Some(trouble) = self.look_who_carries_it_out()? {
                return Ok(End::Stuck(trouble));
            }
        }
    }

    async fn show_events(&mut self) -> Result<(), CliError> {
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

    /// Says when nobody carries the sweep out; returns the daemon's reason, when it has one.
    fn look_who_carries_it_out(&mut self) -> Result<Option<String>, CliError> {
        let carrier = match live_holder(self.store.as_ref(), &self.sweep)? {
            Some(_) => Carrier::Somebody,
            None if daemon::is_running(self.context) => Carrier::NobodyYet,
            None => Carrier::NoDaemon,
        };
        if carrier != self.carrier {
            match (self.carrier, carrier) {
                (_, Carrier::NoDaemon) => {
                    self.say("no daemon runs any more: this waits for the next one, which goes on")
                }
                (Carrier::NoDaemon, _) => self.say("a daemon runs again"),
                _ => {}
            }
            (self.carrier, self.since, self.is_told) = (carrier, Instant::now(), false);
        }
        let lasts = self.since.elapsed();
        match carrier {
            Carrier::NobodyYet if lasts >= BEGINS_WITHIN => {
                let troubles = daemon::troubles_of(self.context, &self.sweep);
                if !troubles.is_empty() {
                    return Ok(Some(troubles.join("; ")));
                }
                self.say_once("the daemon has not begun yet");
            }
            Carrier::NoDaemon if lasts >= COMES_BACK_WITHIN => {
                let id = self.sweep.clone();
                self.say_once(&format!(
                    "still no daemon: `farmctl daemon` goes on with it, and so does `farmctl sweep --resume {id} --local`"
                ));
            }
            _ => {}
        }
        Ok(None)
    }

    fn say_once(&mut self, text: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        if !self.progress.print_line(text) {
            say(text);
        }
    }
}

/// Whether a sweep begins by this event, or goes on.
pub(super) fn is_beginning(event: &Event) -> bool {
    matches!(event.kind, EventKind::SweepStarted { .. } | EventKind::SweepResumed { .. })
}

/// What a person says «enough» by.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, CliError> {
        let listen =
            |kind| signal(kind).map_err(|error| CliError::internal(format!("failed to listen to signals: {error}")));
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
