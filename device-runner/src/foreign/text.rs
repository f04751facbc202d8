//! Finding numbers in text that is meant for people.

/// Nanoseconds in the units that programs print.
pub(super) const SECONDS: f64 = 1e9;
pub(super) const MILLISECONDS: f64 = 1e6;
pub(super) const MICROSECONDS: f64 = 1e3;

/// The number right after `key` in `text`, whatever blanks, colons and equals signs are between.
pub(super) fn number_after(text: &str, key: &str) -> Option<f64> {
    let rest = &text[text.find(key)? + key.len()..];
    let rest = rest.trim_start_matches([' ', '\t', ':', '=', '"']);
    let end = rest.find(|character: char| !matches!(character, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    let number = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
    number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// As [`number_after`], in nanoseconds, of a number in units of `unit` nanoseconds.
pub(super) fn time_after(text: &str, key: &str, unit: f64) -> Option<u64> {
    number_after(text, key).and_then(|number| nanoseconds(number, unit))
}

/// `number` units in whole nanoseconds.
pub(super) fn nanoseconds(number: f64, unit: f64) -> Option<u64> {
    let nanoseconds = (number * unit).round();
    // A float above this is no exact number of nanoseconds any more; no latency is so long.
    (nanoseconds <= (1u64 << 53) as f64).then_some(nanoseconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_programs_print_them() {
        assert_eq!(number_after("avg=2.95034e+06 std=1", "avg="), Some(2_950_340.0));
        assert_eq!(number_after("per iter: 121318. Iters", "per iter:"), Some(121_318.0));
        assert_eq!(number_after("min =   30.03  max", "min"), Some(30.03));
        assert_eq!(number_after("avg=nan", "avg="), None);
        assert_eq!(number_after("avg=-3", "avg="), None);
        assert_eq!(number_after("nothing", "avg="), None);
        assert_eq!(time_after("t: 1e300", "t", SECONDS), None);
    }
}
