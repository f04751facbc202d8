#![allow(clippy::unwrap_used)]

mod clocks;
mod concurrency;
mod frozen;
mod guarded;
mod hosts;
mod neighbours;
mod processes;
mod roles;
mod server;
mod silent;
mod statements;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use testlab::PostgresServer;

use super::{PostgresStore, ServerAccess};
use crate::store::conformance::{Open, store_conformance};
use crate::tls::Trust;

/// One server for this process: each test has a database of its own.
fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start().unwrap_or_else(|error| panic!("failed to {error}")))
}

fn access() -> ServerAccess {
    ServerAccess { variable: Arc::new(|_| None), home: None, user: "nobody".into(), trust: Trust::default() }
}

fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, &access()).unwrap_or_else(|error| panic!("failed to {error}"))
}

/// An address of an empty database.
fn fresh() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    server().create(&format!("lab{}", COUNT.fetch_add(1, Ordering::SeqCst))).unwrap()
}

/// The time that callers give counts from now on, as in a store that is one host's: a suite says what time it is.
fn count_callers_time(server: &PostgresServer, url: &str) {
    let sql = "CREATE OR REPLACE FUNCTION lease_now(callers BIGINT) RETURNS BIGINT LANGUAGE sql AS 'SELECT callers'";
    server.run_sql(database_of(url), sql).unwrap();
}

fn database_of(url: &str) -> &str {
    url.split('?').next().and_then(|address| address.rsplit('/').next()).unwrap()
}

/// All cases of the conformance suite, each with an address of an empty database of this server. In one test: where
/// each test is a process, each would start a server.
fn all_cases_hold(server: &PostgresServer, fresh: &(dyn Fn() -> String + Sync)) {
    let cases = store_conformance!(list);
    let next = AtomicUsize::new(0);
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                let url = fresh();
                open(&url);
                count_callers_time(server, &url);
                let opened: Open = Arc::new(move || Arc::new(open(&url)));
                if catch_unwind(AssertUnwindSafe(|| case(&opened))).is_err() {
                    failed.push(*name);
                }
            }
            failed
        };
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), cases.len());
}

#[test]
fn it_does_what_every_store_must() {
    all_cases_hold(server(), &fresh);
}
