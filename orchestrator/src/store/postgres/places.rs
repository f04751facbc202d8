//! Places for values in a statement, as PostgreSQL counts them. What time it is for leases is the server's to say.

use crate::store::sql::value::{Bound, Value};

/// The place of the time that decides about leases, as the caller gives it.
const LEASE_NOW: &str = ":lease_now";

/// A statement whose places are `$1`, `$2` …
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) sql: String,
    /// What each place is in the store's own form.
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// With its colon.
    Named(String),
    /// From 1.
    Counted(usize),
}

impl Numbered {
    /// Of a statement whose places are `:name` or `?1`.
    pub(super) fn of(sql: &str) -> Numbered {
        let mut numbered = Numbered { sql: String::with_capacity(sql.len()), places: Vec::new() };
        let (mut rest, mut is_text) = (sql, false);
        while let Some(character) = rest.chars().next() {
            let after = &rest[character.len_utf8()..];
            let length = after.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(after.len());
            let place = match character {
                _ if is_text || length == 0 => None,
                ':' => Some(Place::Named(rest[..=length].to_owned())),
                '?' => after[..length].parse().ok().map(Place::Counted),
                _ => None,
            };
            if let Some(place) = place {
                numbered.add(place);
                rest = &after[length..];
                continue;
            }
            is_text ^= character == '\'';
            numbered.sql.push(character);
            rest = after;
        }
        numbered
    }

    fn add(&mut self, place: Place) {
        let known = self.places.iter().position(|known| *known == place);
        let index = known.unwrap_or(self.places.len());
        if known.is_none() {
            self.places.push(place);
        }
        let is_lease_now = self.places.get(index).is_some_and(|place| *place == Place::Named(LEASE_NOW.to_owned()));
        let number = index + 1;
        // In a query of its own it is asked for once, and an index can be gone by.
        self.sql.push_str(&if is_lease_now { format!("(SELECT lease_now(${number}))") } else { format!("${number}") });
    }

    /// The values in the order of the places; an error names what has none.
    pub(super) fn values<'a>(&self, bound: &'a [Bound<'a>]) -> Result<Vec<&'a Value<'a>>, String> {
        let found = |place: &Place| match place {
            Place::Named(name) => bound.iter().find(|bound| bound.name == Some(name.as_str())),
            Place::Counted(number) => bound.get(number.checked_sub(1)?).filter(|bound| bound.name.is_none()),
        };
        if bound.len() != self.places.len() {
            return Err(format!("{} values for {} places", bound.len(), self.places.len()));
        }
        let value = |place| found(place).map(|bound| &bound.value).ok_or_else(|| format!("no value for {place:?}"));
        self.places.iter().map(value).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bound<'a>(name: Option<&'a str>, number: i64) -> Bound<'a> {
        Bound { name, value: Value::Integer(number) }
    }

    #[test]
    fn the_time_of_leases_is_the_servers() {
        let numbered = Numbered::of("UPDATE t SET u = :lease_now + :lease_ns WHERE u <= :lease_now AND h = :h");
        let expected = "UPDATE t SET u = (SELECT lease_now($1)) + $2 WHERE u <= (SELECT lease_now($1)) AND h = $3";
        assert_eq!(numbered.sql, expected);
    }

    #[test]
    fn names_and_numbers_become_places_and_texts_stay() {
        let named = Numbered::of("SELECT ':x?1' WHERE a = :a AND b = :b_ns OR a > :a");
        assert_eq!(named.sql, "SELECT ':x?1' WHERE a = $1 AND b = $2 OR a > $1");
        let values = [bound(Some(":b_ns"), 2), bound(Some(":a"), 1)];
        assert_eq!(named.values(&values).unwrap(), [&Value::Integer(1), &Value::Integer(2)]);
        let counted = Numbered::of("a < ?2 AND b = ?1 LIMIT ?2");
        assert_eq!(counted.sql, "a < $1 AND b = $2 LIMIT $1");
        let values = [bound(None, 10), bound(None, 20)];
        assert_eq!(counted.values(&values).unwrap(), [&Value::Integer(20), &Value::Integer(10)]);
        assert!(counted.values(&values[..1]).is_err());
        assert!(named.values(&values).is_err());
    }
}
