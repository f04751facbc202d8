//! How often somebody may do something: a bucket each that fills again with time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most of whom it is remembered.
const MAX_KNOWN: usize = 4096;

/// What somebody has left.
struct Bucket {
    left: f64,
    at: Instant,
}

/// A limit for each of many.
pub(super) struct Limit<K> {
    most: u32,
    /// Until one more is there.
    each: Duration,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Limit<K> {
    /// So many at once, and one more after each of these times.
    pub(super) fn new(most: u32, each: Duration) -> Limit<K> {
        Limit { most, each, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one; says whether there was one.
    pub(super) fn take(&self, who: K, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let most = f64::from(self.most);
        let left = |bucket: &Bucket| {
            let filled = now.saturating_duration_since(bucket.at).as_secs_f64() / self.each.as_secs_f64();
            (bucket.left + filled).min(most)
        };
        if buckets.len() >= MAX_KNOWN && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| left(bucket) < most);
            // So many at once are an attack: who is new waits until some are forgotten.
            if buckets.len() >= MAX_KNOWN {
                return false;
            }
        }
        let left = buckets.get(&who).map_or(most, left);
        let (is_there, left) = if left >= 1.0 { (true, left - 1.0) } else { (false, left) };
        buckets.insert(who, Bucket { left, at: now });
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back_with_time() {
        let limit = Limit::new(3, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([0, 0, 0, 0].map(|seconds| limit.take("a", at(seconds))), [true, true, true, false]);
        assert!(limit.take("b", at(0)), "each has their own");
        assert_eq!([9, 10, 10, 19, 20].map(|seconds| limit.take("a", at(seconds))), [false, true, false, false, true]);
        assert_eq!(
            [900; 4].map(|seconds| limit.take("a", at(seconds))),
            [true, true, true, false],
            "no more is saved up"
        );
    }

    #[test]
    fn the_memory_is_bounded() {
        let limit = Limit::new(1, Duration::from_secs(10));
        let start = Instant::now();
        let taken = (0..2 * MAX_KNOWN).filter(|who| limit.take(*who, start)).count();
        assert_eq!(taken, MAX_KNOWN);
        assert!(limit.take(2 * MAX_KNOWN, start + Duration::from_secs(11)), "who has all again is forgotten");
    }
}
