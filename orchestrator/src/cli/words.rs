//! Words of the command line that stand for values of the library.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::{SignedDuration, Span, SpanRelativeTo};

use crate::lab::LONGEST_LOCK;

/// The longest time that is looked back.
const LONGEST_PAST: SignedDuration = SignedDuration::from_hours(24 * 366 * 100);

/// Takes one of these values by its word; each has a help text, which may be empty.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    word: fn(T) -> &'static str,
    help: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let words = values.iter().map(move |value| {
        let possible = PossibleValue::new(word(*value));
        if help(*value).is_empty() { possible } else { possible.help(help(*value)) }
    });
    PossibleValuesParser::new(words)
        .try_map(move |wanted| values.iter().copied().find(|value| word(*value) == wanted).ok_or("no such word"))
}

/// A length of time, as people write it; `for_example` is shown to who writes something else.
fn time(text: &str, for_example: &str) -> Result<SignedDuration, String> {
    let span: Span = text.parse().map_err(|_| format!("it is no time: write for example {for_example}"))?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())
}

/// How far to look back: `90m`, `12h`, `30d`.
pub(super) fn past(text: &str) -> Result<SignedDuration, String> {
    let time = time(text, "12h, 30d or 8w")?;
    let is_past = time.is_positive() && time <= LONGEST_PAST;
    is_past.then_some(time).ok_or_else(|| "it is to be longer than nothing, and up to 100 years".to_owned())
}

/// How long a lock lasts: `90m`, `2h`, `3d`.
pub(super) fn lock_time(text: &str) -> Result<SignedDuration, String> {
    let time = time(text, "90m, 2h or 3d")?;
    let hint = "beyond that, set `disabled` in the farm file";
    let is_lock = time.is_positive() && time <= LONGEST_LOCK;
    is_lock.then_some(time).ok_or_else(|| format!("a lock lasts up to {} days; {hint}", LONGEST_LOCK.as_hours() / 24))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_of_the_past_are_what_people_write() {
        assert_eq!(past("30d").unwrap().as_hours(), 720);
        assert_eq!(past("12h").unwrap().as_hours(), 12);
        assert_eq!(past("8w").unwrap().as_hours(), 8 * 7 * 24);
        for wrong in ["", "soon", "-1d", "0s", "101y", "2"] {
            assert!(past(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_of_locks_are_what_people_write() {
        let seconds = |text: &str| lock_time(text).map(|time| time.as_secs());
        assert_eq!(seconds("90m").unwrap(), 5400);
        assert_eq!(seconds("2h").unwrap(), 7200);
        assert_eq!(seconds("2 hours 30 minutes").unwrap(), 9000);
        assert_eq!(seconds("3d").unwrap(), 3 * 86_400);
        for wrong in ["", "soon", "-1h", "0s", "32d", "2"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
