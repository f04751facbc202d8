use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Direction, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};

/// A cron expression: minute, hour, day of the month, month, day of the week, and seconds before them where it has six
/// fields.
///
/// Where clocks are put forward, a time that is left out (02:30) is due at the first moment after it; where they are
/// put back, a time that is there twice is due the first time. So a fixed time is due exactly once on each day. An
/// expression with `*` or `/` in its hours or minutes means steps of elapsed time: it is due in both hours, and not in
/// the one left out.
#[derive(Debug, Clone)]
pub struct Cron(croner::Cron);

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Cron, String> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        parser.parse(text).map(Cron).map_err(|error| {
            let text = error.to_string();
            text.split_once(": ").map_or(text.clone(), |(_, cause)| cause.to_owned()).trim_end_matches('.').to_owned()
        })
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Cron {
    /// The first due time after this moment.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.search(after, zone, Direction::Forward)
    }

    /// The last due time before this moment.
    pub fn previous(&self, before: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.search(before, zone, Direction::Backward)
    }

    fn search(&self, from: Timestamp, zone: &TimeZone, direction: Direction) -> Option<Timestamp> {
        let from = Moment(from.to_zoned_datetime(zone.clone()));
        let found = match direction {
            Direction::Forward => self.0.find_next_occurrence(&from, false),
            Direction::Backward => self.0.find_previous_occurrence(&from, false),
        };
        found.ok().map(|found| found.0.timestamp())
    }
}

/// A moment in a zone, as the search for due times takes it.
#[derive(Debug, Clone)]
struct Moment(ZonedDateTime);

fn small(number: u32) -> Result<i8, CronError> {
    i8::try_from(number).map_err(|_| CronError::InvalidTime)
}

impl CronDateTime for Moment {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.0.datetime();
        let unsigned = |part: i8| u32::from(part.unsigned_abs());
        let date = CivilDate::from_ymd_opt(i32::from(at.year()), unsigned(at.month()), unsigned(at.day()));
        let time = CivilTime::from_hms_opt(unsigned(at.hour()), unsigned(at.minute()), unsigned(at.second()));
        CivilDateTime::new(date.expect("it is a date"), time.expect("it is a time"))
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (small(civil.month())?, small(civil.day())?);
        let (hour, minute, second) = (small(civil.hour())?, small(civil.minute())?, small(civil.second())?);
        let time = DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| CronError::InvalidDate)?;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(time);
        let moment = |zoned: Result<ZonedDateTime, jiff::Error>| zoned.map(Moment).map_err(|_| CronError::InvalidTime);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(moment(ambiguous.unambiguous())?),
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(moment(ambiguous.clone().earlier())?, moment(ambiguous.later())?)
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Moment)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_expressions_are_told() {
        for wrong in ["", "* * * *", "61 * * * *", "0 25 * * *", "0 0 * * MOO", "nightly", "* * * * * * *"] {
            let fault = wrong.parse::<Cron>().unwrap_err();
            assert!(!fault.is_empty() && !fault.ends_with('.'), "{wrong}: {fault}");
        }
    }
}
