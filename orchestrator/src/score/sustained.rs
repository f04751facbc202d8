/// Parts that a run is looked at in.
const PARTS: u64 = 10;

/// What minutes of load left of a device's throughput.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sustained {
    /// Images in a second of the first tenth of the time.
    pub first_per_s: f64,
    /// The same of the last tenth.
    pub last_per_s: f64,
}

impl Sustained {
    /// Of samples that follow each other without a pause, each of `batch` images. An inference counts in the part that
    /// it ends in, with all its time. `None` where a part has none: then a tenth of the run is less than an inference.
    pub fn of(samples_ns: &[u64], batch: u32) -> Option<Sustained> {
        let total: u128 = samples_ns.iter().map(|sample| u128::from(*sample)).sum();
        let part = total / u128::from(PARTS);
        let mut ends = 0u128;
        let (mut first, mut last) = (Part::default(), Part::default());
        for &sample in samples_ns {
            ends += u128::from(sample);
            if ends <= part {
                first.add(sample);
            }
            if ends > total - part {
                last.add(sample);
            }
        }
        Some(Sustained { first_per_s: first.rate(batch)?, last_per_s: last.rate(batch)? })
    }

    /// The share of the first that the last is, in per cent.
    pub fn kept_percent(&self) -> f64 {
        self.last_per_s / self.first_per_s * 100.0
    }
}

#[derive(Default)]
struct Part {
    inferences: u64,
    time_ns: u64,
}

impl Part {
    fn add(&mut self, sample_ns: u64) {
        self.inferences += 1;
        self.time_ns = self.time_ns.saturating_add(sample_ns);
    }

    fn rate(&self, batch: u32) -> Option<f64> {
        let seconds = self.time_ns as f64 / 1e9;
        (seconds > 0.0).then(|| f64::from(batch) * self.inferences as f64 / seconds)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_last_tenth_by_the_first() {
        // 40 s at 10 ms, then 60 s at 20 ms.
        let mut samples = vec![10_000_000; 4_000];
        samples.extend(vec![20_000_000; 3_000]);
        let sustained = Sustained::of(&samples, 4).unwrap();
        assert_eq!(sustained, Sustained { first_per_s: 400.0, last_per_s: 200.0 });
        assert_eq!(sustained.kept_percent(), 50.0);
        let steady = Sustained::of(&[1_000_000; 999], 1).unwrap();
        assert!((steady.kept_percent() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn too_few_inferences_tell_nothing() {
        assert_eq!(Sustained::of(&[], 1), None);
        assert_eq!(Sustained::of(&[5; 9], 1), None);
        assert_eq!(Sustained::of(&[0; 50], 1), None);
        assert!(Sustained::of(&[5; 10], 1).is_some());
        assert!(Sustained::of(&[u64::MAX; 20], 1).is_some());
    }
}
