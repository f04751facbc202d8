//! The oldest and the newest PostgreSQL. Those in between: `scripts/check-postgres`.

use std::sync::atomic::{AtomicUsize, Ordering};

use testlab::{PostgresOptions, PostgresServer};

use super::all_cases_hold;

fn does_what_every_store_must_on(version: u32) {
    let options = PostgresOptions { version: Some(version), ..PostgresOptions::default() };
    let server = PostgresServer::start_with(options).unwrap_or_else(|error| panic!("failed to {error}"));
    let found = server.run_sql("postgres", "SHOW server_version_num").unwrap();
    assert!(found.trim().starts_with(&version.to_string()), "{found}");
    let count = AtomicUsize::new(0);
    all_cases_hold(&server, &|| server.create(&format!("lab{}", count.fetch_add(1, Ordering::SeqCst))).unwrap());
}

#[test]
fn it_does_what_every_store_must_on_the_oldest() {
    does_what_every_store_must_on(13);
}

#[test]
fn it_does_what_every_store_must_on_the_newest() {
    does_what_every_store_must_on(18);
}
