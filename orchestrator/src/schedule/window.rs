use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// The part of a day in which jobs may be started, by the clocks of a zone. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: Time,
    to: Time,
}

/// Whether a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// There is none: jobs may be started at any time.
    Always,
    /// It is open until then.
    OpenUntil(Timestamp),
    /// It is closed until then.
    ClosedUntil(Timestamp),
}

impl Opening {
    /// Whether jobs may be started.
    pub fn is_open(self) -> bool {
        !matches!(self, Opening::ClosedUntil(_))
    }
}

impl Window {
    /// Whether it is open at this moment.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Opening {
        let time = now.to_zoned_datetime(zone.clone()).time();
        let is_open = if self.from < self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        };
        match is_open {
            true => Opening::OpenUntil(next(self.to, now, zone)),
            false => Opening::ClosedUntil(next(self.from, now, zone)),
        }
    }
}

/// When clocks next say this time, after `now`. A time that is left out when they are put forward is so much later
/// then.
fn next(time: Time, now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = now.to_zoned_datetime(zone.clone()).date();
    let days = (0..3).filter_map(|days| today.checked_add(days.days()).ok());
    let moments = days.filter_map(|day| zone.to_timestamp(day.to_datetime(time)).ok());
    moments.into_iter().find(|moment| *moment > now).unwrap_or(Timestamp::MAX)
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Window, String> {
        let form = || "write it as `22:00-06:00`".to_owned();
        let (from, to) = text.split_once(['-', '–', '—']).ok_or_else(form)?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let is_short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let part = |part: &str| part.parse().ok().filter(|_| is_short(part));
            Time::new(part(hour)?, part(minute)?, 0, 0).ok()
        };
        let window = Window { from: time(from).ok_or_else(form)?, to: time(to).ok_or_else(form)? };
        if window.from == window.to {
            return Err("it ends when it begins: leave it out if jobs may start at any time".to_owned());
        }
        Ok(window)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn windows_are_what_people_write() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let day: Window = "8:00 - 17:30".parse().unwrap();
        assert_eq!(day.to_string(), "08:00-17:30");
        assert_eq!(day.at(at("2026-01-01T06:59:59Z"), &zone), Opening::ClosedUntil(at("2026-01-01T07:00:00Z")));
        assert_eq!(day.at(at("2026-01-01T07:00:00Z"), &zone), Opening::OpenUntil(at("2026-01-01T16:30:00Z")));
        assert_eq!(day.at(at("2026-01-01T16:30:00Z"), &zone), Opening::ClosedUntil(at("2026-01-02T07:00:00Z")));
        for wrong in ["", "22:00", "22-06", "25:00-06:00", "22:60-06:00", "22:00-22:00", "-1:00-2:00", "022:00-06:00"] {
            wrong.parse::<Window>().unwrap_err();
        }
    }
}
