use jiff::Timestamp;

use crate::wording::single_line;

/// A text as a cell of a CSV file: on one line, and text for whoever reads it. CSV has no types, so spreadsheets run a
/// cell that begins with `=`, `+`, `-` or `@` (and devices choose some of our texts), make 7 of a device `007`, and 1.1
/// of a version `1.10`; pandas takes `NA` for nothing. Such a text gets an apostrophe in front. Numbers are not texts
/// and stay as they are.
pub(super) fn csv_text(text: &str) -> String {
    let line = single_line(text);
    if is_mistakable(&line) { format!("'{line}") } else { line }
}

/// Whether a reader of CSV may take the text for something else: a formula, a number, a date, a truth value or nothing.
fn is_mistakable(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["true", "false", "t", "f", "yes", "no", "y", "n", "na", "n/a", "#n/a", "<na>", "null", "none"];
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_date = text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains(['-', '/', ':'])
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | ':' | '.' | ' '));
    text.starts_with(['=', '+', '-', '@', '\'']) || text.parse::<f64>().is_ok() || is_word || is_date
}

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
        _ => format!("{number:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1"] {
            assert!(csv_text(formula).starts_with('\''), "{formula:?}");
        }
        assert_eq!(csv_text("a=b"), "a=b");
    }

    #[test]
    fn texts_stay_texts() {
        for text in
            ["007", "1e3", ".5", "1.10", "inf", "NaN", "NA", "null", "t", "No", "2026-11-25", "10/12", "12:30", "'a"]
        {
            assert_eq!(csv_text(text), format!("'{text}"));
        }
        for text in ["0.23.9", "board-1", "v2", "4 5", "rk3588", "", "0a", "R58M123ABCD", "20261123-230000-all-7f3a"] {
            assert_eq!(csv_text(text), text);
        }
    }

    #[test]
    fn numbers_for_people() {
        let expected =
            [(0.0, "0"), (1234.5, "1234"), (20.125, "20.1"), (4.5678, "4.57"), (2.5e-7, "2.5e-7"), (0.01234, "0.0123")];
        expected.iter().for_each(|(number, expected)| assert_eq!(short_number(*number), *expected));
        assert_eq!(short_number(f64::INFINITY), "inf");
    }
}
