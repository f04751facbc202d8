/// The median of some numbers, the mean of the middle two where there are two; `None` without any. Their order is lost.
pub fn median(numbers: &mut [f64]) -> Option<f64> {
    let middle = numbers.len().checked_sub(1)? / 2;
    let is_even = numbers.len().is_multiple_of(2);
    let (_, &mut low, above) = numbers.select_nth_unstable_by(middle, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).filter(|_| is_even);
    Some(high.map_or(low, |high| low + (high - low) / 2.0))
}

/// Consecutive stretches of a series, `count` of them, as equal in length as can be.
pub(crate) fn stretches(length: usize, count: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Clone {
    let start = move |index: usize| (index as u128 * length as u128 / count as u128) as usize;
    (0..count).map(move |index| start(index)..start(index + 1))
}

/// The level of a series in a part of its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelAt {
    /// The middle of the part, from the begin of the series in nanoseconds. Each sample begins when the one before
    /// ends.
    pub at_ns: f64,
    /// The median of its samples, in nanoseconds.
    pub p50_ns: f64,
}

/// The level of a series over its time, in at most so many parts with equally many samples.
pub fn over_time(series: &[u64], parts: usize) -> Vec<LevelAt> {
    let count = series.len().min(parts);
    if count == 0 {
        return Vec::new();
    }
    let mut now_ns = 0.0;
    let mut levels = Vec::with_capacity(count);
    for (range, p50_ns) in stretches(series.len(), count).zip(medians_of_stretches(series, count)) {
        let took_ns: f64 = series[range].iter().map(|sample| *sample as f64).sum();
        levels.push(LevelAt { at_ns: now_ns + took_ns / 2.0, p50_ns });
        now_ns += took_ns;
    }
    levels
}

/// The median of each of `count` stretches of a series that is at least as long.
pub(crate) fn medians_of_stretches(series: &[u64], count: usize) -> Vec<f64> {
    let of = |range: std::ops::Range<usize>| {
        let mut numbers: Vec<f64> = series[range].iter().map(|sample| *sample as f64).collect();
        median(&mut numbers).unwrap_or_default()
    };
    stretches(series.len(), count).map(of).collect()
}
