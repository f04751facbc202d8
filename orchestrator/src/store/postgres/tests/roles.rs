//! Two roles: one owns the tables, another works with them. The statements are the book's.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{access, all_cases_hold, open, server};
use crate::store::conformance::{claim, sweep};
use crate::store::postgres::{PostgresStore, schema};
use crate::store::sql::value::params;
use crate::store::{MaintenanceStore as _, StoreError};

const OWNER: &str = "farmctl_owner";
const WORKER: &str = "farmctl_work";

/// The statements that a section of the page has.
fn of_the_book(section: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/store-on-a-server.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rest = page.split_once(&format!("\n## {section}\n")).unwrap().1;
    rest.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// The same for a database of another name; the roles are there.
fn for_database(script: &str, name: &str) -> String {
    let kept = script.lines().filter(|line| !line.starts_with("CREATE ROLE")).collect::<Vec<_>>().join("\n");
    let other = kept.replace("DATABASE lab ", &format!("DATABASE {name} "));
    other.replace("\\connect lab", &format!("\\connect {name}"))
}

fn not_allowed(error: &StoreError, words: &[&str]) {
    let said = error.to_string();
    assert!(matches!(error, StoreError::NotAllowed { .. }), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} in: {said}"));
}

#[test]
fn who_works_needs_no_more_than_the_book_gives() {
    let script = of_the_book("Two roles");
    server().run_script("postgres", &script).unwrap();
    let (owner, worker) = (server().url_of(OWNER, "lab"), server().url_of(WORKER, "lab"));
    let error = PostgresStore::open(&worker, &access()).err().unwrap();
    not_allowed(&error, &["no tables of a lab", WORKER, "`farmctl store check`"]);
    drop(open(&owner));

    // All that a store does, in copies of that database.
    let count = AtomicUsize::new(0);
    all_cases_hold(server(), &|| {
        let name = format!("work{}", count.fetch_add(1, Ordering::SeqCst));
        server().run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE lab")).unwrap();
        server().url_of(WORKER, &name)
    });

    let store = open(&worker);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    not_allowed(&store.vacuum().unwrap_err(), &[OWNER, WORKER]);
    open(&owner).vacuum().unwrap();
    let later = format!("SET ROLE {OWNER}; CREATE TABLE later (number BIGSERIAL, what TEXT)");
    server().run_sql("lab", &later).unwrap();
    let run = |sql: &str| store.execute("try", sql, params!["x"]);
    assert_eq!(run("INSERT INTO later (what) VALUES (?1)").unwrap(), 1);
    assert_eq!(run("UPDATE later SET what = 'y' WHERE what = ?1").unwrap(), 1);
    assert_eq!(run("DELETE FROM later WHERE what <> ?1").unwrap(), 1);
    for sql in ["DROP TABLE later", "ALTER TABLE runs ADD COLUMN x BIGINT", "CREATE TABLE mine (x BIGINT)"] {
        let refused = store.connected("try", |connection| connection.execute(sql, &[]));
        not_allowed(&refused.unwrap_err(), &["«The store on a server»"]);
    }
    server().run_sql("lab", &format!("REVOKE INSERT ON sweeps FROM {WORKER}")).unwrap();
    let refused = store.execute("try", "INSERT INTO sweeps (id) VALUES (?1)", params!["x"]);
    not_allowed(&refused.unwrap_err(), &["permission denied for table sweeps", "let its owner grant"]);
    a_store_of_an_older_version_is_its_owners_to_change(&script);
}

fn a_store_of_an_older_version_is_its_owners_to_change(script: &str) {
    server().run_script("postgres", &for_database(script, "older")).unwrap();
    let first = format!(
        "SET ROLE {OWNER};\n{}\nINSERT INTO farmctl_store (one, version) VALUES (1, 22);",
        schema::MIGRATIONS[0]
    );
    server().run_script("older", &first).unwrap();
    let worker = server().url_of(WORKER, "older");
    let error = PostgresStore::open(&worker, &access()).err().unwrap();
    let known = format!("works with {}", schema::known_version());
    let words = ["version 22", &known, WORKER, "let its owner `farmctl_owner` run `farmctl store check`"];
    not_allowed(&error, &words);
    drop(open(&server().url_of(OWNER, "older")));
    let store = open(&worker);
    let (row, _) = sweep(&store, "s", &["a"], 1);
    claim(&store, &row, "a", "host", 0);
}
