use std::time::Duration;

use jiff::Timestamp;

/// The text on one line, without anything that moves a terminal's cursor or hides text: control characters, line
/// separators and marks that change the direction of writing become one space.
pub fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_unsafe(c) {
            line.push(c);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.trim().to_owned()
}

fn is_unsafe(c: char) -> bool {
    let is_direction_mark = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction_mark || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text as a cell of a CSV file: on one line, and text for whoever reads it. CSV has no types, so spreadsheets run a
/// cell that begins with `=`, `+`, `-` or `@` (and devices choose some of our texts), make 7 of a device `007`, and 1.1 of a
/// version `1.10`; pandas takes `NA` for nothing. Such a text gets an apostrophe in front. Numbers are not texts and stay
/// as they are.
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
    fn one_line_without_control_characters() {
        assert_eq!(single_line("a\r\n\tb\u{1b}[31mc\u{202e}d\0"), "a b [31mc d");
        assert_eq!(single_line(" naïve ☃ "), "naïve ☃");
        assert_eq!(single_line("\n"), "");
    }

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
    fn durations_for_people() {
        let text = |milliseconds| duration_text(Duration::from_millis(milliseconds));
        let expected =
            [(0, "0.0s"), (449, "0.4s"), (9_949, "9.9s"), (9_951, "10s"), (59_600, "1m 00s"), (185_000, "3m 05s")];
        expected.iter().for_each(|(milliseconds, expected)| assert_eq!(text(*milliseconds), *expected));
        assert_eq!(text(7_620_000), "2h 07m");
    }

    #[test]
    fn numbers_for_people() {
        let expected =
            [(0.0, "0"), (1234.5, "1234"), (20.125, "20.1"), (4.5678, "4.57"), (2.5e-7, "2.5e-7"), (0.01234, "0.0123")];
        expected.iter().for_each(|(number, expected)| assert_eq!(short_number(*number), *expected));
        assert_eq!(short_number(f64::INFINITY), "inf");
    }
}
