//! Finds out whether devices are fit for work: beforehand, so that a night is not spent on finding out.

use std::time::Duration;

use crate::device::Session;
use crate::domain::{CheckFigures, DeviceCheck, Event, EventKind, Failure, FailureKind, Pace};
use crate::store::StoreError;

use super::probe::{Initiator, ProbeResult, Probes};
use super::verdict::{Baseline, CHECKS_LOOKED_AT, judge};

/// How long the daemon checks one device. Who waits for a check may give it up by hand.
const DEADLINE: Duration = Duration::from_secs(300);

/// Measures what a check measures.
pub(super) async fn measure(
    session: &Session,
    answer: &mut ProbeResult,
    figures: &mut CheckFigures,
) -> Result<(), Failure> {
    figures.target = Some(session.hello.target.clone());
    figures.free_bytes = Some(session.hello.store.free_bytes);
    figures.battery = session.battery.clone();
    figures.clock_off_ms = session.heard.clock_off_ms;
    figures.user_without_lingering = session.user_without_lingering().await?;
    figures.round_trip_ms = Some(session.round_trip().await?.as_secs_f64() * 1e3);
    figures.push_bytes_per_second = Some(session.push_bytes_per_second().await?);
    answer.sensors = Some(session.thermal_sensors().await?);
    figures.calibration = Some(session.calibrate().await?);
    Ok(())
}

/// Waits for the end of a check, for as long as whoever asked would.
pub(super) async fn in_time(
    initiator: Initiator,
    device: &str,
    check: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    if initiator == Initiator::Person {
        return check.await;
    }
    tokio::time::timeout(DEADLINE, check).await.unwrap_or_else(|_| {
        let message = format!("the check of {device} did not end within {} s", DEADLINE.as_secs());
        Err(Failure::new(FailureKind::Timeout, message))
    })
}

impl Probes {
    /// Holds what was measured against what is usual, and keeps what was found out.
    pub(super) fn conclude(
        &self,
        answer: &mut ProbeResult,
        figures: CheckFigures,
        schedule: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = (self.clock)();
        let checks = self.store.device_checks(&answer.device, CHECKS_LOOKED_AT)?;
        let mut past: Vec<CheckFigures> = checks.into_iter().map(|past| past.check.figures).collect();
        past.extend(self.store.device_paces(&answer.device, CHECKS_LOOKED_AT)?.iter().map(Pace::figures));
        let baseline = Baseline::of(&figures, &past);
        let (verdict, findings) = judge(&figures, &baseline, answer.failure.as_ref());
        let check = DeviceCheck { verdict, findings, schedule: schedule.map(str::to_owned), figures };
        let event = Event {
            at: now,
            sweep_id: None,
            device: Some(answer.device.clone()),
            job_id: None,
            run_id: None,
            kind: EventKind::DeviceChecked(Box::new(check.clone())),
        };
        self.store.append_event(&event)?;
        (answer.check, answer.baseline) = (Some(check), Some(baseline));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::agent::LeaseKeeper;
    use crate::agent::turns::Turn;
    use crate::device::{RunnerFile, RunnerProvider};
    use crate::domain::{CheckVerdict, Device, DeviceLock, TransportConfig, sample};
    use crate::store::Store;
    use crate::store::sqlite::SqliteStore;
    use crate::transport::{Connect, ErrorKind, Transport, TransportError};

    /// Takes every connection, and then nothing happens.
    struct Frozen;

    #[async_trait]
    impl Connect for Frozen {
        async fn connect(&self, _: &TransportConfig, _: Duration) -> Result<Arc<dyn Transport>, TransportError> {
            std::future::pending().await
        }
    }

    #[async_trait]
    impl RunnerProvider for Frozen {
        async fn runner(&self, _: &str) -> Result<RunnerFile, Failure> {
            std::future::pending().await
        }
    }

    /// Refuses each connection after a while, and counts how many are tried at once.
    #[derive(Default)]
    struct Slow {
        now: AtomicUsize,
        most_at_once: AtomicUsize,
    }

    #[async_trait]
    impl Connect for Slow {
        async fn connect(&self, _: &TransportConfig, _: Duration) -> Result<Arc<dyn Transport>, TransportError> {
            self.most_at_once.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Err(TransportError::new(ErrorKind::Refused, "nothing listens"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn devices_of_one_machine_are_checked_one_after_the_other_and_none_beside_a_sweep() {
        let local = ["a", "b", "c"].map(sample::device).to_vec();
        let boards = ["a", "b", "c"].map(sample::board);
        let sharing = boards.clone().map(|board| Device { exclusive: Some("bench-pc".to_owned()), ..board }).to_vec();
        let one_place = boards.clone().map(|board| Device { max_parallel: Some(1), ..board }).to_vec();
        let two_places = boards.clone().map(|board| Device { max_parallel: Some(2), ..board }).to_vec();
        for (devices, most) in [(local, 1), (sharing, 1), (one_place, 1), (two_places, 2), (boards.to_vec(), 3)] {
            let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
            let clock: crate::agent::Clock = Arc::new(|| sample::at(0));
            let start = |holder: &str| LeaseKeeper::start(Arc::clone(&store), holder.to_owned(), Arc::clone(&clock));
            let (leases, of_sweep) = (start("test").unwrap(), start("a sweep").unwrap());
            let slow = Arc::new(Slow::default());
            let (connect, runners, initiator) = (Arc::clone(&slow), Arc::new(Frozen), Initiator::Person);
            let probes = Probes { store, leases, connect, runners, clock, initiator };
            let answers = probes.check(&devices, None).await.unwrap();
            assert!(answers.iter().all(|answer| answer.failure.is_some()), "{answers:?}");
            assert_eq!(slow.most_at_once.load(Ordering::SeqCst), most, "{devices:?}");
            // Whoever works beside them is not disturbed.
            let Some(Ok(turn)) = (most == 1).then(|| Turn::take(&of_sweep, &devices[0], None).unwrap()) else {
                continue;
            };
            let answers = probes.check(&devices, None).await.unwrap();
            let used_by =
                |answer: &ProbeResult| answer.used_by.as_ref().is_some_and(|text| text.contains("a sweep uses it"));
            assert!(answers.iter().all(used_by), "{answers:?}");
            turn.give_back().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_device_does_not_hold_up_the_night_and_a_locked_one_is_left_alone() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let clock: crate::agent::Clock = Arc::new(|| sample::at(0));
        let leases = LeaseKeeper::start(Arc::clone(&store), "test".to_owned(), Arc::clone(&clock)).unwrap();
        let (device, by, why) = ("locked".to_owned(), "ann".to_owned(), "debugging".to_owned());
        let lock = DeviceLock { device, by, why, since: sample::at(0), until: sample::at(60) };
        crate::store::people::lock_device(store.as_ref(), &lock).unwrap();
        let (connect, runners, initiator) = (Arc::new(Frozen), Arc::new(Frozen), Initiator::Daemon);
        let probes = Probes { store: Arc::clone(&store), leases, connect, runners, clock, initiator };
        let devices = ["frozen", "locked"].map(sample::device);
        let check = tokio::time::timeout(2 * DEADLINE, probes.check(&devices, Some("nightly")));
        let [frozen, locked] = check.await.expect("it ends").unwrap().try_into().unwrap();
        assert_eq!(frozen.failure.unwrap().kind, FailureKind::Timeout);
        assert_eq!(frozen.check.unwrap().verdict, CheckVerdict::Failed);
        let [past] = store.device_checks("frozen", 9).unwrap().try_into().unwrap();
        assert_eq!(past.check.schedule.as_deref(), Some("nightly"));
        assert!(past.check.findings[0].what.contains("within 300 s"), "{past:?}");
        assert!(store.sighting("frozen").unwrap().unwrap().failure.is_some());
        assert!(probes.leases.device("frozen", None).is_ok(), "its lease was given back");
        assert!(locked.used_by.unwrap().contains("ann keeps locked locked"));
        assert!(locked.check.is_none() && store.device_checks("locked", 9).unwrap().is_empty());
    }
}
