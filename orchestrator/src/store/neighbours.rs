//! Which programs may work with a store whose schema is newer than what they know. Hosts of two releases that follow
//! each other work side by side while a lab is brought up to date, where the newer one only adds to the schema.

use std::path::Path;

use super::StoreError;

/// Steps of the schema after which a program that knows only the step before works on, as it is, by their numbers. Each
/// other step keeps it out.
///
/// Such a step only adds: tables, indices, and columns that may be empty or have a default. A row that the older
/// program writes, which knows nothing of them, must mean the same to the newer one. Nothing that the older one reads
/// may have another meaning, or hold a word that it does not know.
const COMPATIBLE: &[u32] = &[];

/// The oldest version that a program may know to work with a store of this one.
pub(super) fn works_from(version: u32) -> u32 {
    oldest(version, COMPATIBLE)
}

fn oldest(version: u32, compatible: &[u32]) -> u32 {
    let mut oldest = version;
    while compatible.contains(&oldest) {
        oldest -= 1;
    }
    oldest
}

/// What a store says of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SchemaVersions {
    /// Its version.
    pub(super) found: u32,
    /// The oldest version that a program may know to work with it.
    pub(super) works_from: u32,
}

impl SchemaVersions {
    /// Makes sure that a program that knows this version may work with the store at `path`; returns the store's version
    /// where that is newer.
    pub(super) fn allows(self, known: u32, path: &Path) -> Result<Option<u32>, StoreError> {
        if self.is_beyond(known) {
            return Err(StoreError::Newer { path: path.to_owned(), found: self.found, known });
        }
        Ok(self.is_neighbours(known).then_some(self.found))
    }

    /// Whether a program that knows this version must leave the store alone: it is too old.
    pub(super) fn is_beyond(self, known: u32) -> bool {
        self.found > known && self.works_from > known
    }

    /// Whether the store has more than a program knows that may work with it.
    pub(super) fn is_neighbours(self, known: u32) -> bool {
        self.found > known && self.works_from <= known
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{COMPATIBLE, SchemaVersions, oldest};
    use crate::store::{postgres, sqlite};

    /// What of a step's SQL does more than add.
    fn changes(sql: &str) -> Vec<String> {
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join(" ");
        let statements = text.split(';').map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
        let only_adds = |statement: &str| {
            let adds_column = statement.starts_with("ALTER TABLE ")
                && statement.contains(" ADD COLUMN ")
                && (!statement.contains("NOT NULL") || statement.contains(" DEFAULT "));
            ["CREATE TABLE ", "CREATE INDEX "].iter().any(|word| statement.starts_with(word)) || adds_column
        };
        statements.filter(|statement| !statement.is_empty() && !only_adds(statement)).collect()
    }

    #[test]
    fn steps_that_are_said_to_be_compatible_only_add() {
        for version in COMPATIBLE {
            for step in [sqlite::step(*version), postgres::step(*version)] {
                assert_eq!(changes(step.unwrap()), Vec::<String>::new(), "version {version}");
            }
        }
        let added = "-- more;\nCREATE TABLE t (x TEXT);\nALTER TABLE s ADD COLUMN y TEXT; CREATE INDEX i ON t (x);\n\
                     ALTER TABLE s ADD COLUMN z TEXT NOT NULL DEFAULT ''";
        assert_eq!(changes(added), Vec::<String>::new());
        let refused = ["ALTER TABLE s ADD COLUMN y TEXT NOT NULL", "ALTER TABLE s DROP COLUMN y", "UPDATE s SET x = 1"];
        let more = ["DROP INDEX i", "CREATE UNIQUE INDEX i ON s (x)", "CREATE TRIGGER t BEFORE UPDATE ON s"];
        for sql in refused.iter().chain(&more) {
            assert_eq!(changes(sql).len(), 1, "{sql}");
        }
    }

    #[test]
    fn a_program_works_with_what_was_only_added_to_and_with_nothing_else() {
        assert_eq!([27, 28, 29, 30, 31].map(|version| oldest(version, &[29, 30])), [27, 28, 28, 28, 31]);
        let versions = |found, works_from| SchemaVersions { found, works_from };
        assert!(versions(30, 28).is_neighbours(28) && !versions(30, 28).is_beyond(28));
        assert!(versions(30, 28).is_beyond(27) && !versions(30, 28).is_neighbours(27));
        // As new as the program, or older.
        assert!([28, 30].iter().all(|found| !versions(*found, *found).is_beyond(30)));
        assert!(!versions(30, 28).is_neighbours(30));
    }
}
