use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Length of `2026-11-30T22:00:00`.
const SECONDS_LENGTH: usize = "2026-11-30T22:00:00".len();

/// A text for people with all its moments (RFC 3339, in UTC) as the clocks of a zone have them, which is named:
/// `2026-11-30 23:00:00 CET`. In UTC they stay as they are.
///
/// It is done where a text reaches its reader, like the guard: sentences come from many places, the store among them,
/// and whose clocks count is known to the reader's side alone.
pub fn in_zone<'a>(text: &'a str, zone: &TimeZone) -> Cow<'a, str> {
    if *zone == TimeZone::UTC || zone.iana_name().is_some_and(|name| matches!(name, "UTC" | "Etc/UTC")) {
        return Cow::Borrowed(text);
    }
    let mut told = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices('T') {
        let Some(start) = at.checked_sub("2026-11-30".len()).filter(|start| *start >= from) else { continue };
        let Some((length, moment)) = moment(text, start) else { continue };
        told.push_str(&text[from..start]);
        told.push_str(&moment.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string());
        // Parts of a second are the same everywhere.
        told.push_str(&text[start + SECONDS_LENGTH..start + length - 1]);
        told.push_str(&moment.to_zoned_datetime(zone.clone()).strftime(" %Z").to_string());
        from = start + length;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    told.push_str(&text[from..]);
    Cow::Owned(told)
}

/// The moment that begins there and is a word of its own, with its length.
fn moment(text: &str, start: usize) -> Option<(usize, Timestamp)> {
    let rest = text.get(start..)?;
    let is_whole = !text[..start].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '+' | '_'));
    let fits = |(c, form): (char, char)| if form == '0' { c.is_ascii_digit() } else { c == form };
    let form = "0000-00-00T00:00:00".chars();
    if !is_whole || rest.len() <= SECONDS_LENGTH || !rest.chars().zip(form).all(fits) {
        return None;
    }
    let after = &rest[SECONDS_LENGTH..];
    let fraction = after.strip_prefix('.').map_or(0, |digits| {
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if end == 0 { 0 } else { end + 1 }
    });
    let after = after[fraction..].strip_prefix('Z')?;
    if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let length = SECONDS_LENGTH + fraction + 1;
    Some((length, rest[..length].parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_told_by_the_clocks_of_a_zone_that_is_named() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let said = |text| in_zone(text, &zone).into_owned();
        assert_eq!(said("locked until 2026-11-30T22:00:00Z: why"), "locked until 2026-11-30 23:00:00 CET: why");
        assert_eq!(said("2026-07-01T23:30:00Z"), "2026-07-02 01:30:00 CEST");
        assert_eq!(said("2026-11-30T22:00:00.123456Z WARN"), "2026-11-30 23:00:00.123456 CET WARN");
        let two = "from 2026-11-30T22:00:00Z to 2026-12-01T05:00:00Z.";
        assert_eq!(said(two), "from 2026-11-30 23:00:00 CET to 2026-12-01 06:00:00 CET.");
        // What is no moment, or is one for programs, stays.
        for same in [
            "20261130-220000-all-7f3a",
            "2026-11-30T22:00:00",
            "2026-11-30T22:00:00+01:00",
            "x2026-11-30T22:00:00Z",
            "2026-11-30T22:00:00Zx",
            "2026-13-30T22:00:00Z",
            "2026-11-30T22:00:00.Z",
            "T",
            "ä2026-11-30T22:00:00ö",
            "",
        ] {
            assert_eq!(said(same), same);
        }
        for utc in [TimeZone::UTC, TimeZone::get("Etc/UTC").unwrap()] {
            assert_eq!(in_zone(two, &utc), two);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_form_in_a_zone(text in "[0-9T:Z. ä-]{0,60}") {
            in_zone(&text, &TimeZone::get("Asia/Kolkata").unwrap());
        }
    }
}
