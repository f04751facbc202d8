//! Gives a device time to cool down before a run.
//!
//! What it was waited for is in the run's record. Whoever goes on with a sweep waits anew: nothing of it is kept.

mod decide;

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::domain::{Cooldown, CooledDown, EventKind, Failure, FailureKind, IdleTemperature, Record};
use crate::store::ClaimedRun;

use super::as_ns;
use super::jobs::{Work, subject};
use decide::{Look, Step, decide, floor, goal, limit};

/// Time between two looks at a device's temperature.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long it counts how cool a device was.
const DAYS: i64 = 7;

impl Work<'_, '_> {
    /// Waits until the device is cool enough for a run, as the sweep wants it; `None` where it wants no cool-down.
    ///
    /// # Errors
    /// When the device went away, or a person stops the sweep: the run has not begun.
    pub(super) async fn cool_down(&mut self, run: &ClaimedRun) -> Result<Option<CooledDown>, Failure> {
        let Some(settings) = self.agent.assignment.rules.cooldown else { return Ok(None) };
        let goal = goal(&settings, self.floor());
        let (begun, mut looks) = (Instant::now(), Vec::new());
        loop {
            let look = self.look(begun).await?;
            let is_first = looks.is_empty();
            looks.push(look);
            if let Step::Begin(reached) = decide(&settings, goal, &looks) {
                return Ok(Some(CooledDown { waited_ns: as_ns(begun.elapsed()), reached, goal_c: goal }));
            }
            if is_first {
                self.agent.events.emit(subject(run), cooling(&settings, goal, look)).await;
            }
            tokio::select! {
                () = tokio::time::sleep(rest_until(&settings, &looks, begun.elapsed())) => {}
                () = self.agent.stopped() => {
                    let what = "the sweep was stopped before the device had cooled down";
                    return Err(Failure::new(FailureKind::Cancelled, what));
                }
            }
        }
    }

    /// How hot the device is now. One that went away is waited for; one that does not say so is as one without a
    /// sensor.
    async fn look(&mut self, begun: Instant) -> Result<Look, Failure> {
        self.session.reconnect_if_lost().await?;
        let rest = match self.session.rest().await {
            Ok(rest) => rest,
            Err(failure) => {
                tracing::warn!(%failure, "how hot it is is not known");
                self.session.reconnect_if_lost().await?;
                Default::default()
            }
        };
        let thermal_status = self.session.thermal_status().await.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "its thermal status is not known");
            None
        });
        let celsius = rest.hottest.map(|hottest| hottest.celsius);
        Ok(Look { at: begun.elapsed(), celsius, thermal_status })
    }

    /// How cool the device is at rest, as far as that is known.
    fn floor(&self) -> Option<f64> {
        let now = self.agent.now();
        let since = now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now);
        let days = self.agent.store.idle_temperatures(&self.device.name, since).unwrap_or_else(|error| {
            tracing::warn!(%error, "how cool it is at rest is not known");
            Vec::new()
        });
        floor(&days)
    }

    /// Keeps how cool the device was before a run, if it was the coolest of the day.
    pub(super) fn note_temperature(&self, record: &Record) {
        let conditions = record.measurement.conditions.as_deref();
        let Some(told) = conditions.and_then(|told| told.temperature.as_ref()) else { return };
        let idle = IdleTemperature { at: record.finished_at, sensor: told.sensor.clone(), celsius: told.start_c };
        if let Err(error) = self.agent.store.note_idle_temperature(&self.device.name, &idle) {
            // It will be as cool another time.
            tracing::warn!(%error, "how cool it was is not kept");
        }
    }
}

/// What is told of a wait as it begins.
fn cooling(settings: &Cooldown, goal_c: Option<f64>, look: Look) -> EventKind {
    let longest = limit(settings, look.celsius.is_some() || look.is_severe());
    EventKind::RunCooling {
        celsius: look.celsius,
        goal_c: goal_c.filter(|_| look.celsius.is_some()),
        thermal_status: look.thermal_status.filter(|_| look.is_severe()),
        longest_ns: as_ns(longest),
    }
}

/// The time until the next look: sooner where the wait is over before.
fn rest_until(settings: &Cooldown, looks: &[Look], passed: Duration) -> Duration {
    let has_sensor = looks.iter().any(|look| look.celsius.is_some() || look.is_severe());
    let left = limit(settings, has_sensor).saturating_sub(passed);
    LOOK_INTERVAL.min(left).max(Duration::from_millis(1))
}
