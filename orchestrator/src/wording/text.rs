use std::time::Duration;

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
    let (amount, way) = (seconds.unsigned_abs(), if seconds < 0 { "back" } else { "ahead" });
    let amount = match amount {
        0..7_200 => format!("{} min", amount / 60),
        7_200..172_800 => format!("{} h", amount / 3_600),
        172_800..63_072_000 => format!("{} days", amount / 86_400),
        _ => format!("{} years", amount / 31_556_952),
    };
    format!("{amount} {way}")
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
}
