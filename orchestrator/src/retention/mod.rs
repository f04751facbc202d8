//! What is kept, and what may leave.
//!
//! Main function: [`leaving`]; main types: [`Retention`], what a lab's file says, and [`Rule`]. Pure: whoever asks
//! takes out what is named here, or only shows it. Never takes anything out itself.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What a lab keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// When a daemon looks at it, each day.
    pub at: Time,
    /// By the clocks of this zone.
    pub time_zone: TimeZone,
    /// Folders of reports; they can be written anew while their sweep is there.
    pub reports: Rule,
    /// Sweeps with their records, samples, events and reports.
    pub sweeps: Rule,
    /// Events that are older leave; those of sweeps that stay too.
    pub events_days: Option<u32>,
    /// Most bytes of files that can be had again: models, engines, datasets.
    pub artifacts_bytes: Option<u64>,
    /// Largest share of all sweeps, reports or events that leaves in one go by itself, in percent.
    pub most_percent: u8,
}

/// The share where the lab's file says none.
pub const MOST_PERCENT: u8 = 20;

impl Retention {
    /// When it is next looked at, after this moment.
    pub fn next_at(&self, after: Timestamp) -> Timestamp {
        let today = after.to_zoned_datetime(self.time_zone.clone()).date();
        let days = std::iter::successors(Some(today), |day| day.tomorrow().ok()).take(3);
        let mut times = days.filter_map(|day| self.time_zone.to_timestamp(day.to_datetime(self.at)).ok());
        let next = times.find(|time| *time > after);
        next.unwrap_or_else(|| after.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX))
    }

    /// Whether so many of all may leave in one go without a person's word: a share of them, and always one.
    pub fn may_leave(&self, leaving: u64, of_all: u64) -> bool {
        leaving <= 1 || leaving.saturating_mul(100) <= of_all.saturating_mul(u64::from(self.most_percent))
    }
}

/// How much is kept of one kind of things. Whatever breaks one of its parts leaves; a rule of no parts keeps all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// For so long.
    pub days: Option<u32>,
    /// The newest ones.
    pub count: Option<u32>,
    /// The newest ones that have room in so much.
    pub bytes: Option<u64>,
}

/// A thing that rules are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// When it was made, or last used.
    pub at: Timestamp,
    /// Its size.
    pub bytes: u64,
    /// Whether it stays, whatever the rules say; it then counts for none.
    pub is_kept: bool,
}

/// A thing that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// By which part of the rule.
    pub why: String,
}

/// Which of these things leave, the oldest first.
pub fn leaving(items: &[Item], rule: &Rule, now: Timestamp) -> Vec<Leaving> {
    let mut newest_first: Vec<&Item> = items.iter().filter(|item| !item.is_kept).collect();
    newest_first.sort_by(|one, other| (other.at, &other.name).cmp(&(one.at, &one.name)));
    let (mut count, mut bytes) = (0u32, 0u64);
    let mut leaving = Vec::new();
    for item in newest_first {
        let age_days = now.duration_since(item.at).as_hours() / 24;
        let with_it = bytes.saturating_add(item.bytes);
        let why = if let Some(days) = rule.days.filter(|days| age_days >= i64::from(*days)) {
            let word = if age_days == 1 { "day" } else { "days" };
            format!("{age_days} {word} old, {days} are kept")
        } else if let Some(most) = rule.count.filter(|most| count >= *most) {
            format!("older than the newest {most}")
        } else if let Some(most) = rule.bytes.filter(|most| with_it > *most) {
            format!("newer ones fill the {} MB that are kept", most / 1_000_000)
        } else {
            (count, bytes) = (count + 1, with_it);
            continue;
        };
        leaving.push(Leaving { name: item.name.clone(), bytes: item.bytes, why });
    }
    leaving.reverse();
    leaving
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::sample::at;

    const DAY: i64 = 86_400;

    fn item(name: &str, days_old: i64, bytes: u64, is_kept: bool) -> Item {
        Item { name: name.to_owned(), at: at(-days_old * DAY), bytes, is_kept }
    }

    fn names(items: &[Item], rule: Rule) -> Vec<String> {
        leaving(items, &rule, at(0)).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn each_part_of_a_rule_takes_out_the_oldest_and_what_is_kept_counts_for_none() {
        let items = [
            item("c", 3, 400, false),
            item("pinned", 99, 9_000, true),
            item("a", 1, 500, false),
            item("d", 10, 200, false),
            item("b", 2, 300, false),
        ];
        assert_eq!(names(&items, Rule::default()), Vec::<String>::new());
        assert_eq!(names(&items, Rule { days: Some(10), ..Rule::default() }), ["d"]);
        assert_eq!(names(&items, Rule { days: Some(11), ..Rule::default() }), Vec::<String>::new());
        assert_eq!(names(&items, Rule { count: Some(2), ..Rule::default() }), ["d", "c"]);
        assert_eq!(names(&items, Rule { bytes: Some(800), ..Rule::default() }), ["d", "c"]);
        assert_eq!(names(&items, Rule { days: Some(3), count: Some(1), bytes: None }), ["d", "c", "b"]);
        assert_eq!(names(&items, Rule { count: Some(0), ..Rule::default() }).len(), 4);
    }

    #[test]
    fn it_is_looked_at_once_a_day_by_the_clocks_of_its_zone() {
        let retention = Retention {
            at: jiff::civil::time(2, 30, 0, 0),
            time_zone: TimeZone::get("Europe/Berlin").unwrap(),
            reports: Rule::default(),
            sweeps: Rule::default(),
            events_days: None,
            artifacts_bytes: None,
            most_percent: MOST_PERCENT,
        };
        assert!(retention.may_leave(1, 3) && retention.may_leave(2, 10) && !retention.may_leave(3, 10));
        let mut now: Timestamp = "2026-03-28T00:00:00Z".parse().unwrap();
        let mut told = Vec::new();
        for _ in 0..3 {
            now = retention.next_at(now);
            told.push(now.to_string());
        }
        // In the night of the change there is no 02:30: it is looked at right after.
        assert_eq!(told, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
    }
}
