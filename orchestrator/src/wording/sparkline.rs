/// What a sparkline is made of, from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A series of numbers as a line of bars, at most `width` of them: of more numbers each bar is the median of some.
/// Equal numbers are the lowest bar.
pub fn sparkline(numbers: &[f64], width: usize) -> String {
    let bars = numbers.len().min(width);
    let bar = |index: usize| {
        let mut part = numbers[index * numbers.len() / bars..(index + 1) * numbers.len() / bars].to_vec();
        part.sort_by(f64::total_cmp);
        part[part.len() / 2]
    };
    let levels: Vec<f64> = (0..bars).map(bar).collect();
    let low = levels.iter().copied().fold(f64::INFINITY, f64::min);
    let span = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
    let height = |level: &f64| if span > 0.0 { ((level - low) / span * (BARS.len() - 1) as f64).round() } else { 0.0 };
    levels.iter().map(|level| BARS[(height(level) as usize).min(BARS.len() - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_and_the_highest_are_the_ends() {
        assert_eq!(sparkline(&[1.0, 2.0, 8.0, 4.5], 10), "▁▂█▅");
        assert_eq!(sparkline(&[3.0, 3.0], 10), "▁▁");
        assert_eq!(sparkline(&[], 10), "");
        assert_eq!(sparkline(&[1.0, 1.0, 99.0, 2.0, 2.0, 2.0], 2), "▁█", "one that is far off is no bar");
    }
}
