use jiff::Timestamp;

/// A moment for programs (RFC 3339), to milliseconds.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A number for people: three digits, more only before the point.
pub(super) fn short_number(number: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
