use std::time::Duration;

/// Time that the rest of some work takes when it goes on as it went so far; `None` as long as nothing is done, when all
/// is, or where the answer is no time a clock can hold.
pub fn remaining(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || done >= total {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * (total - done) as f64 / done as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn goes_on_as_it_went() {
        assert_eq!(remaining(1, 4, Duration::from_secs(10)), Some(Duration::from_secs(30)));
        assert_eq!(remaining(0, 4, Duration::from_secs(10)), None);
        assert_eq!(remaining(4, 4, Duration::from_secs(10)), None);
        assert_eq!(remaining(5, 4, Duration::from_secs(10)), None);
        assert_eq!(remaining(1, u64::MAX, Duration::MAX), None);
    }

    proptest! {
        #[test]
        fn shrinks_as_more_is_done(total in 3u64..1000, seconds in 1u64..100_000) {
            let at = |done| remaining(done, total, Duration::from_secs(seconds));
            prop_assert!(at(2) < at(1));
            prop_assert!((1..total).all(|done| at(done).is_some()));
        }
    }
}
