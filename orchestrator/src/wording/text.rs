use std::time::Duration;

use super::indented_line;

/// A length of time for people: `0.4s`, `12s`, `3m 05s`, `2h 07m`.
pub fn duration_text(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = (duration.as_millis() + 500) / 1000;
    match seconds {
        _ if tenths < 100 => format!("{}.{}s", tenths / 10, tenths % 10),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Bytes in a megabyte, in all that people write and read.
pub const BYTES_PER_MB: u64 = 1_000_000;

/// A latency for people, with three figures that count: `1.23 ms`, `0.691 µs`.
pub fn latency_text(nanoseconds: u64) -> String {
    match nanoseconds as f64 {
        ns if ns < 1e5 => format!("{} µs", short_number(ns / 1e3)),
        ns => format!("{} ms", short_number(ns / 1e6)),
    }
}

/// A number for people: three digits, more only before the point.
pub fn short_number(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => number.to_string(),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        size if size >= 0.1 => format!("{number:.3}"),
        size if size >= 0.01 => format!("{number:.4}"),
        _ => format!("{number:.2e}"),
    }
}

/// An amount of data for people, in powers of ten.
pub fn bytes_text(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

/// How far a clock is off, for people.
pub fn clock_off_text(seconds: i64) -> String {
    const YEAR: u64 = 31_556_952;
    let (amount, way) = (seconds.unsigned_abs(), if seconds < 0 { "back" } else { "ahead" });
    let nearest = |unit: u64| (amount + unit / 2) / unit;
    let amount = match amount {
        0..7_200 => format!("{} min", nearest(60)),
        7_200..172_800 => format!("{} h", nearest(3_600)),
        172_800..63_072_000 => format!("{} days", nearest(86_400)),
        _ => format!("{} years", nearest(YEAR)),
    };
    format!("{amount} {way}")
}

/// A line of a list of what something is: what is said of it stays on the line, whoever chose it.
pub fn field_line(what: &str, width: usize, value: &str) -> String {
    format!("{what:<width$} {}\n", indented_line(value).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_the_nearest_amount() {
        let expected =
            [(10_799, "3 h ahead"), (-35_990, "10 h back"), (149, "2 min ahead"), (315_569_519, "10 years ahead")];
        expected.iter().for_each(|(seconds, expected)| assert_eq!(clock_off_text(*seconds), *expected));
    }

    #[test]
    fn no_latency_is_zero() {
        let expected = [(691, "0.691 µs"), (44_600, "44.6 µs"), (444_000, "0.444 ms"), (1_234_567, "1.23 ms")];
        expected.iter().for_each(|(ns, expected)| assert_eq!(latency_text(*ns), *expected));
        assert_eq!(latency_text(123_456_789), "123 ms");
    }

    #[test]
    fn how_far_a_clock_is_off() {
        let told = [240, -3 * 3_600, -86_400 * 5, 315_569_520].map(clock_off_text);
        assert_eq!(told, ["4 min ahead", "3 h back", "5 days back", "10 years ahead"]);
    }

    #[test]
    fn durations_for_people() {
        let text = |milliseconds| duration_text(Duration::from_millis(milliseconds));
        let expected =
            [(0, "0.0s"), (449, "0.4s"), (9_949, "9.9s"), (9_951, "10s"), (59_600, "1m 00s"), (185_000, "3m 05s")];
        expected.iter().for_each(|(milliseconds, expected)| assert_eq!(text(*milliseconds), *expected));
        assert_eq!(text(7_620_000), "2h 07m");
    }

    #[test]
    fn numbers_for_people() {
        let expected = [
            (0.0, "0"),
            (1234.5, "1234"),
            (20.125, "20.1"),
            (4.5678, "4.57"),
            (2.5e-7, "2.50e-7"),
            (0.01234, "0.0123"),
        ];
        expected.iter().for_each(|(number, expected)| assert_eq!(short_number(*number), *expected));
        assert_eq!(short_number(f64::INFINITY), "inf");
    }
}
