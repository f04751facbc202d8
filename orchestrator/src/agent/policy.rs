//! What a failure means for a job and its device: pure.

use std::time::Duration;

use crate::domain::{FailureKind, Refusal, Retry, RetryPolicy, Timeouts, sha256_hex};

use super::SweepRules;

/// Pause before the first health probe of a quarantined device; it doubles with each one that fails.
const FIRST_PROBE: Duration = Duration::from_secs(30);
/// Longest pause between health probes.
const LONGEST_PROBE: Duration = Duration::from_secs(30 * 60);

/// Pause before a device that refuses is looked for again; it doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// Longest pause between two looks at it.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How a device that failed stands with its sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailedDevice {
    /// Whether it answered in this sweep.
    pub answered: bool,
    /// Whether it ever answered this lab.
    pub is_known: bool,
    /// Whether it is in quarantine.
    pub is_quarantined: bool,
    /// For how long it has failed now.
    pub failed_for: Duration,
    /// How often it was looked for in that time, the last look included.
    pub looks: u32,
    /// Failures in a row, the last one included.
    pub failures: u32,
}

/// What becomes of a device that failed outside of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DeviceDecision {
    /// It is looked for again after this pause, which is no failure to be counted: it has the time for what passes.
    Wait(Duration),
    /// Its failure counts, and it is tried again after this pause.
    Again(Duration),
    /// It is brought back by its farm entry's commands where it has some, else quarantined.
    Rest,
    /// Its jobs get their records.
    GiveUp,
}

/// How long a device may refuse in this way before that counts. Once it has answered in a sweep, all that it refuses
/// may pass. Before that, only what passes by itself may; of a device that answered earlier sweeps, all that it refuses
/// may have its cause in a boot that is not over, or in a network that is not up.
fn patience(kind: FailureKind, failed: &FailedDevice, timeouts: &Timeouts) -> Duration {
    let seconds = match kind.refusal() {
        Refusal::None => 0.0,
        _ if failed.answered => timeouts.reconnect_seconds,
        Refusal::Passing => timeouts.arrive_seconds,
        // One that was given up as dead has had its time.
        Refusal::Lasting if failed.is_quarantined && kind.is_infrastructure() => 0.0,
        Refusal::Lasting if failed.is_known => timeouts.arrive_seconds,
        Refusal::Lasting | Refusal::OwnLack => 0.0,
    };
    Duration::from_secs_f64(seconds)
}

/// What becomes of a device that failed outside of a run.
pub(super) fn after_refusal(
    kind: FailureKind,
    failed: &FailedDevice,
    rules: &SweepRules,
    salt: &str,
) -> DeviceDecision {
    let (timeouts, retry) = (&rules.timeouts, &rules.retry);
    let left = patience(kind, failed, timeouts).saturating_sub(failed.failed_for);
    if !left.is_zero() {
        // The last look is at the end of its time.
        return DeviceDecision::Wait(doubled(FIRST_LOOK, failed.looks, LONGEST_LOOK, salt).min(left));
    }
    let was_well = failed.answered && kind.may_pass();
    if !kind.is_infrastructure() && !was_well {
        return DeviceDecision::GiveUp;
    }
    if was_well || failed.is_quarantined || failed.failures >= retry.quarantine_after {
        return DeviceDecision::Rest;
    }
    DeviceDecision::Again(pause(failed.failures, retry, salt))
}

/// How long a device refuses runs that answers all the same: its disk is full, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusing {
    /// Since its first refusal.
    pub lasts: Duration,
    /// How often it refused, the last time included.
    pub times: u32,
}

/// Whether the device took no run, though it answered, for a reason that may pass by itself.
pub(super) fn is_refused_run(kind: FailureKind) -> bool {
    !kind.may_retry() && matches!(kind.refusal(), Refusal::Lasting | Refusal::Passing)
}

/// The pause before a run that its device did not take is tried again, which is no attempt to be counted; `None` when
/// that has lasted as long as a device may be away.
pub(super) fn after_refused_run(refusing: Refusing, timeouts: &Timeouts, salt: &str) -> Option<Duration> {
    let left = Duration::from_secs_f64(timeouts.reconnect_seconds).saturating_sub(refusing.lasts);
    (!left.is_zero()).then(|| doubled(FIRST_LOOK, refusing.times, LONGEST_LOOK, salt).min(left))
}

/// What becomes of a job whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RetryDecision {
    /// It gets its record.
    Record,
    /// It is tried again, not before this pause.
    Again(Duration),
    /// Its attempts are used up here, and another device may do it.
    Elsewhere,
}

/// What becomes of a job after an attempt that failed in this way; `failed_attempts` are those before it.
pub(super) fn after_attempt(
    kind: FailureKind,
    failed_attempts: u32,
    policy: &RetryPolicy,
    salt: &str,
) -> RetryDecision {
    match kind.retry() {
        Retry::Never => RetryDecision::Record,
        _ if failed_attempts + 1 < policy.max_attempts => {
            RetryDecision::Again(pause(failed_attempts + 1, policy, salt))
        }
        Retry::Infrastructure if policy.equal_by.is_some() => RetryDecision::Elsewhere,
        _ => RetryDecision::Record,
    }
}

/// The pause after so many failures in a row: doubles with each, up to the policy's longest.
pub(super) fn pause(failures: u32, policy: &RetryPolicy, salt: &str) -> Duration {
    let first = Duration::from_secs_f64(policy.pause_seconds);
    doubled(first, failures, Duration::from_secs_f64(policy.max_pause_seconds), salt)
}

/// The pause before the next health probe of a device that was quarantined so many times in a row.
pub(super) fn probe_pause(quarantines: u32, salt: &str) -> Duration {
    doubled(FIRST_PROBE, quarantines, LONGEST_PROBE, salt)
}

/// `first` for the first time, twice that for the second, and so on; a quarter more or less, by the salt, so that
/// devices that failed together are not tried together. The same salt gives the same pause.
fn doubled(first: Duration, times: u32, longest: Duration, salt: &str) -> Duration {
    let doublings = times.saturating_sub(1).min(20);
    let pause = first.saturating_mul(1 << doublings).min(longest);
    let digits = &sha256_hex(format!("{salt} {times}").as_bytes())[..8];
    let share = f64::from(u32::from_str_radix(digits, 16).unwrap_or(0)) / f64::from(u32::MAX);
    pause.mul_f64(0.75 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Blame, OnFailure};

    fn rules(timeouts: Timeouts) -> SweepRules {
        let (retry, trust) = (RetryPolicy::default(), crate::domain::TrustPolicy::default());
        SweepRules { timeouts, cooldown: None, on_failure: OnFailure::Continue, retry, trust, side_by_side: None }
    }

    const EQUAL: fn() -> RetryPolicy = || RetryPolicy { equal_by: Some("pool".to_owned()), ..RetryPolicy::default() };

    #[test]
    fn models_and_people_are_never_tried_again() {
        for kind in FailureKind::ALL {
            let again = matches!(after_attempt(*kind, 0, &RetryPolicy::default(), "r"), RetryDecision::Again(_));
            assert_eq!(again, kind.may_retry(), "{kind}");
            let blames = [Blame::Model, Blame::Backend];
            assert!(!again || !blames.contains(&kind.blame()), "{kind}");
        }
    }

    /// What becomes of a device that never answered, of one that answered an earlier sweep, and of one that answered in
    /// this one, after so many seconds.
    fn decided(kind: FailureKind, failed_for: u64) -> [&'static str; 3] {
        [(false, false), (false, true), (true, true)].map(|(answered, is_known)| {
            let failed_for = Duration::from_secs(failed_for);
            let failed = FailedDevice { answered, is_known, is_quarantined: false, failed_for, looks: 9, failures: 3 };
            match after_refusal(kind, &failed, &rules(Timeouts::default()), "d") {
                DeviceDecision::Wait(_) => "wait",
                DeviceDecision::Again(_) => "again",
                DeviceDecision::Rest => "rest",
                DeviceDecision::GiveUp => "give up",
            }
        })
    }

    #[test]
    fn what_was_there_a_moment_ago_is_waited_for_and_only_what_is_final_ends_at_once() {
        use FailureKind as K;
        let table = [
            // Refuses for                       1 s                             61 s                         121 s
            (K::ConnectionLost, ["wait", "wait", "wait"], ["wait", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::NameUnavailable, ["wait", "wait", "wait"], ["wait", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::LoginClosed, ["wait", "wait", "wait"], ["wait", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::HostKeyChanged, ["wait", "wait", "wait"], ["wait", "wait", "rest"], ["give up", "give up", "rest"]),
            (K::NameUnknown, ["give up", "wait", "wait"], ["give up", "wait", "rest"], ["give up", "give up", "rest"]),
            (K::LoginRefused, ["give up", "wait", "wait"], ["give up", "wait", "rest"], ["give up", "give up", "rest"]),
            (
                K::LoginRunsNothing,
                ["give up", "wait", "wait"],
                ["give up", "wait", "rest"],
                ["give up", "give up", "rest"],
            ),
            (
                K::HostKeyUnknown,
                ["give up", "wait", "wait"],
                ["give up", "wait", "rest"],
                ["give up", "give up", "rest"],
            ),
            (
                K::WorkdirUnusable,
                ["give up", "wait", "wait"],
                ["give up", "wait", "rest"],
                ["give up", "give up", "rest"],
            ),
            (
                K::LoginMissing,
                ["give up", "give up", "wait"],
                ["give up", "give up", "rest"],
                ["give up", "give up", "rest"],
            ),
            (K::Unreachable, ["rest", "wait", "wait"], ["rest", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::Refused, ["wait", "wait", "wait"], ["wait", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::TransportProtocol, ["rest", "wait", "wait"], ["rest", "wait", "rest"], ["rest", "rest", "rest"]),
            (K::RunnerProtocol, ["rest", "rest", "rest"], ["rest", "rest", "rest"], ["rest", "rest", "rest"]),
            (K::RunnerMissing, ["give up"; 3], ["give up"; 3], ["give up"; 3]),
            (K::RunnerNotExecutable, ["give up"; 3], ["give up"; 3], ["give up"; 3]),
        ];
        for (kind, soon, later, last) in table {
            let decided = [1, 61, 121].map(|seconds| decided(kind, seconds));
            assert_eq!(decided, [soon, later, last], "{kind}");
        }
    }

    #[test]
    fn looks_come_less_often_and_the_last_is_at_the_end_of_the_time() {
        let timeouts = Timeouts { reconnect_seconds: 20.0, ..Timeouts::default() };
        let (mut failed_for, mut looks) = (Duration::ZERO, 1);
        let failed = |failed_for, looks| FailedDevice {
            answered: true,
            is_known: true,
            is_quarantined: false,
            failed_for,
            looks,
            failures: 1,
        };
        while let DeviceDecision::Wait(pause) =
            after_refusal(FailureKind::Refused, &failed(failed_for, looks), &rules(timeouts), "d")
        {
            assert!(pause <= LONGEST_LOOK.mul_f64(1.25), "{pause:?}");
            failed_for += pause;
            looks += 1;
        }
        assert_eq!(failed_for, Duration::from_secs(20));
        assert!((7..12).contains(&looks), "{looks} looks");
    }

    #[test]
    fn a_device_that_never_answered_is_tried_a_few_times_before_it_rests() {
        let decision = |failures, is_quarantined| {
            let failed_for = Duration::ZERO;
            let failed =
                FailedDevice { answered: false, is_known: false, is_quarantined, failed_for, looks: 1, failures };
            after_refusal(FailureKind::Unreachable, &failed, &rules(Timeouts::default()), "d")
        };
        assert!(matches!(decision(1, false), DeviceDecision::Again(_)));
        assert_eq!(decision(3, false), DeviceDecision::Rest);
        assert_eq!(decision(1, true), DeviceDecision::Rest);
    }

    #[test]
    fn one_that_was_given_up_as_dead_is_looked_at_once() {
        let failed = |is_quarantined| FailedDevice {
            answered: false,
            is_known: true,
            is_quarantined,
            failed_for: Duration::ZERO,
            looks: 1,
            failures: 1,
        };
        let decision = |is_quarantined| {
            after_refusal(FailureKind::Unreachable, &failed(is_quarantined), &rules(Timeouts::default()), "d")
        };
        assert!(matches!(decision(false), DeviceDecision::Wait(_)));
        assert_eq!(decision(true), DeviceDecision::Rest);
    }

    #[test]
    fn a_run_that_its_device_does_not_take_is_tried_until_the_device_has_had_its_time() {
        let timeouts = Timeouts { reconnect_seconds: 20.0, ..Timeouts::default() };
        let mut refusing = Refusing { lasts: Duration::ZERO, times: 1 };
        while let Some(pause) = after_refused_run(refusing, &timeouts, "d") {
            assert!(pause <= LONGEST_LOOK.mul_f64(1.25), "{pause:?}");
            refusing = Refusing { lasts: refusing.lasts + pause, times: refusing.times + 1 };
        }
        assert_eq!(refusing.lasts, Duration::from_secs(20));
        assert!((7..12).contains(&refusing.times), "{} times", refusing.times);
        for (kind, is_refused) in [
            (FailureKind::DiskFull, true),
            (FailureKind::WorkdirUnusable, true),
            (FailureKind::ModelLoad, false),
            (FailureKind::Crashed, false),
            (FailureKind::Timeout, false),
            (FailureKind::LoginMissing, false),
        ] {
            assert_eq!(is_refused_run(kind), is_refused, "{kind}");
        }
    }

    #[test]
    fn attempts_are_used_up_and_then_the_job_ends_or_moves() {
        let lost = FailureKind::ConnectionLost;
        let policy = RetryPolicy::default();
        assert!(matches!(after_attempt(lost, 1, &policy, "r"), RetryDecision::Again(_)));
        assert_eq!(after_attempt(lost, 2, &policy, "r"), RetryDecision::Record);
        assert_eq!(after_attempt(lost, 2, &EQUAL(), "r"), RetryDecision::Elsewhere);
        assert_eq!(after_attempt(FailureKind::ModelLoad, 2, &EQUAL(), "r"), RetryDecision::Record);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_a_little() {
        let policy = RetryPolicy { pause_seconds: 2.0, max_pause_seconds: 30.0, ..RetryPolicy::default() };
        for (failures, seconds) in [(1, 2.0), (2, 4.0), (4, 16.0), (5, 30.0), (4_000_000_000, 30.0)] {
            let pause = pause(failures, &policy, "r").as_secs_f64();
            assert!((seconds * 0.75..=seconds * 1.25).contains(&pause), "{failures}: {pause}");
        }
        assert_eq!(pause(3, &policy, "a"), pause(3, &policy, "a"));
        assert_ne!(pause(3, &policy, "a"), pause(3, &policy, "b"));
        assert!(probe_pause(99, "d") <= LONGEST_PROBE.mul_f64(1.25));
    }
}
