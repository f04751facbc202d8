use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{BelievedClock, Moment};

/// Clocks that are set right by a time server jump by less.
const JUMP: SignedDuration = SignedDuration::from_mins(3);
/// A clock that has gone on evenly for so long is believed again.
pub const SANE_AFTER: Duration = Duration::from_secs(3_600);
/// A lab that nobody used over a boot is not older than this: more is a clock that is wrong.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Where the clock was believed, and how much later it may be since: the host may have been off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    moment: Moment,
    pause: SignedDuration,
}

impl Anchor {
    /// A look that nothing came after but time.
    pub(super) fn exact(wall: Timestamp, since_boot: Duration) -> Anchor {
        Anchor { moment: Moment { wall, since_boot }, pause: SignedDuration::ZERO }
    }

    /// What is known of before this process began; `None` where nothing is.
    pub(super) fn of_the_past(
        believed: Option<&BelievedClock>,
        events: &[Timestamp],
        now: Moment,
        boot: Option<&str>,
    ) -> Option<Anchor> {
        let of_this_boot = believed.filter(|it| Some(it.boot.as_str()) == boot && it.since_boot <= now.since_boot);
        if let Some(believed) = of_this_boot {
            return Some(Anchor::exact(believed.wall, believed.since_boot));
        }
        let wall = newest_believed(believed.map(|believed| believed.wall), events)?;
        Some(Anchor { moment: Moment { wall, ..now }, pause: LONGEST_PAUSE })
    }

    /// What the clock would say now without a pause.
    fn expected(&self, now: Moment) -> Timestamp {
        let passed = now.since_boot.saturating_sub(self.moment.since_boot);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.moment.wall.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// By how much the clock is off; `None`: it may be right.
    pub(super) fn off(&self, now: Moment) -> Option<SignedDuration> {
        let off = now.wall.duration_since(self.expected(now));
        (off < -JUMP || off > self.pause + JUMP).then_some(off)
    }
}

/// The newest of these times that can be believed: each is at most the longest pause later than the one before. What
/// lies beyond was written by a clock that was in doubt, and is no reason to believe it the next time.
fn newest_believed(believed: Option<Timestamp>, events: &[Timestamp]) -> Option<Timestamp> {
    let first = believed.or(events.first().copied())?;
    let is_near = |from: Timestamp, at: Timestamp| at.duration_since(from) <= LONGEST_PAUSE;
    Some(events.iter().fold(first, |newest, at| if is_near(newest, *at) { newest.max(*at) } else { newest }))
}

/// Why a clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// By how much it is off.
    pub off: SignedDuration,
    /// What it says.
    pub says: Timestamp,
    /// How much longer it is in doubt, when it goes on evenly.
    pub ends_in: Duration,
}

/// What became of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockNews {
    /// It jumped.
    Jumped(Doubt),
    /// It is back where it was expected.
    Returned,
    /// It has gone on evenly for so long that it is believed.
    Steady,
}

/// The clock, held against the one that nobody can set.
#[derive(Debug)]
pub(super) struct ClockWatch {
    anchor: Anchor,
    /// Since when it goes on evenly, while it is in doubt; and by how much it was off then.
    in_doubt: Option<Anchor>,
    /// Whether it was held against what is known of before; once is enough.
    is_held: bool,
}

impl ClockWatch {
    pub(super) fn new(now: Moment) -> ClockWatch {
        ClockWatch { anchor: Anchor::exact(now.wall, now.since_boot), in_doubt: None, is_held: false }
    }

    pub(super) fn hold_against(&mut self, anchor: Anchor) {
        if !self.is_held {
            *self = ClockWatch { anchor, in_doubt: None, is_held: true };
        }
    }

    pub(super) fn believe(&mut self, now: Moment) {
        *self = ClockWatch { is_held: true, ..ClockWatch::new(now) };
    }

    /// What is new at this look.
    pub(super) fn look(&mut self, now: Moment) -> Option<ClockNews> {
        let Some(off) = self.anchor.off(now) else {
            let was_in_doubt = self.in_doubt.is_some();
            // Over a boot, it may be right; from now on it is known by how much it moves.
            self.believe(now);
            return was_in_doubt.then_some(ClockNews::Returned);
        };
        let evenly = self.in_doubt.filter(|since| since.off(now).is_none());
        let Some(since) = evenly else {
            self.in_doubt = Some(Anchor::exact(now.wall, now.since_boot));
            return Some(ClockNews::Jumped(Doubt { off, says: now.wall, ends_in: SANE_AFTER }));
        };
        if now.since_boot.saturating_sub(since.moment.since_boot) >= SANE_AFTER {
            self.believe(now);
            return Some(ClockNews::Steady);
        }
        None
    }

    /// Why the clock can't be believed, if it can't.
    pub(super) fn doubt(&self, now: Moment) -> Option<Doubt> {
        let off = self.anchor.off(now)?;
        let evenly = self.in_doubt.filter(|since| since.off(now).is_none());
        let passed = evenly.map_or(Duration::ZERO, |since| now.since_boot.saturating_sub(since.moment.since_boot));
        Some(Doubt { off, says: now.wall, ends_in: SANE_AFTER.saturating_sub(passed) })
    }

    /// The lab's time. A clock that seems to be ahead after a boot may be right after a very long pause: what is dated
    /// now has the date that people see.
    pub(super) fn time(&self, now: Moment) -> Timestamp {
        match self.anchor.off(now) {
            Some(_) if !self.dates_in_doubt(now) => self.anchor.expected(now),
            _ => now.wall,
        }
    }

    /// Whether the lab's time is that of a clock that is in doubt.
    pub(super) fn dates_in_doubt(&self, now: Moment) -> bool {
        self.anchor.off(now).is_some_and(|off| off.is_positive()) && !self.anchor.pause.is_zero()
    }
}
