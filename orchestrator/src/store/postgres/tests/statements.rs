//! Every statement of the store, as it stands in its source, is one that both databases take.

use std::path::Path;
use std::time::Duration;

use super::{fresh, open};
use crate::store::sql::Database as _;
use crate::store::sqlite::SqliteStore;

/// The statements in a source text: its texts that begin as one. Those with parts that are put in are left out; they
/// are run by the conformance suite.
fn statements(source: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(start) = rest.find(['"', '\'', '/']) {
        let (at, after) = rest[start..].split_at(1);
        rest = match at {
            "/" if after.starts_with('/') => after.split_once('\n').map_or("", |(_, next)| next),
            "'" if after.starts_with('\\') => after.get(3..).unwrap_or_default(),
            "'" if after.chars().nth(1) == Some('\'') => after.split_once('\'').map_or("", |(_, next)| next),
            "\"" => {
                let end = text_end(after);
                found.push(after[..end].to_owned());
                &after[(end + 1).min(after.len())..]
            }
            _ => after,
        };
    }
    let begins = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let is_whole = |text: &String| begins.iter().any(|word| text.trim_start().starts_with(word)) && !text.contains('{');
    found.retain(is_whole);
    found
}

/// Where a text ends that begins here.
fn text_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            '"' if !is_escaped => return index,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[test]
fn every_statement_is_one_of_both_databases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
    let sources = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let sources = sources.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let all: Vec<String> = sources.flat_map(|path| statements(&std::fs::read_to_string(path).unwrap())).collect();
    assert!(all.len() > 120, "{} statements", all.len());
    let (lite, server) = (SqliteStore::in_memory().unwrap(), open(&fresh()));
    let mut refused = Vec::new();
    for sql in &all {
        let prepared = lite.with_connection(|connection| connection.prepare(sql).map(drop));
        refused.extend(prepared.err().map(|error| format!("SQLite: {error}\n{sql}")));
        let prepared = server.database.with_session(Duration::ZERO, |session| session.prepare(sql));
        let prepared = prepared.map_err(|fault| server.database.error("prepare", fault));
        refused.extend(prepared.err().map(|error| format!("PostgreSQL: {error}\n{sql}")));
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn statements_are_found_in_a_source() {
    let source = "// \"SELECT no\"\nlet x = 'a'; const A: &str = \"\n  SELECT 'x' FROM t\";\n\
                  f(\"DELETE FROM {t}\", '\\'');\n\
                  fn y<'a>() { q(\"UPDATE t SET a = ?1\") }";
    assert_eq!(statements(source), ["\n  SELECT 'x' FROM t", "UPDATE t SET a = ?1"]);
}
