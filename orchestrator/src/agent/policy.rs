//! What a failure means for a job and its device: pure.

use std::time::Duration;

use crate::domain::{FailureKind, Retry, RetryPolicy, sha256_hex};

/// Pause before the first health probe of a quarantined device; it doubles with each one that fails.
const FIRST_PROBE: Duration = Duration::from_secs(30);
/// Longest pause between health probes.
const LONGEST_PROBE: Duration = Duration::from_secs(30 * 60);

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
    use crate::domain::Blame;

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
