//! A server that says nothing: every call ends, says why, and the next one is answered once the server is.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use testlab::{Authority, BlackHole, PostgresServer};

use super::access;
use crate::domain::{Event, EventKind};
use crate::store::conformance::{at, sweep};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::limits::Limits;
use crate::store::sql::value::params;
use crate::store::sql::{Outcome, Transaction};
use crate::store::{EventStore as _, MaintenanceStore as _, RunStore as _, StoreError};

const LIMIT: Duration = Duration::from_secs(2);
const LIMITS: Limits = Limits { connect: LIMIT, answer: LIMIT, repeat: LIMIT };

/// Is late, and no later than a silent server lets it be.
fn late<T>(longest: Duration, call: impl FnOnce() -> Result<T, StoreError>) -> String {
    let began_at = Instant::now();
    let error = call().err().unwrap();
    let took = began_at.elapsed();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("the server is silent") && said.contains("within 2 s"), "{said}");
    assert!(took >= LIMIT && took < longest, "{took:?}: {said}");
    said
}

#[test]
fn a_server_that_takes_a_connection_and_says_nothing_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (hole, authority) = (BlackHole::open().unwrap(), Authority::create().unwrap());
    let root = authority.file();
    let silent = listener.local_addr().unwrap().port();
    let urls = [
        format!("postgres://ann@localhost:{silent}/lab?sslmode=disable"),
        format!("postgres://ann@127.0.0.1:{silent}/lab?sslrootcert={}", root.display()),
        format!("postgres://ann@127.0.0.1:{}/lab?sslmode=disable", hole.port()),
    ];
    std::thread::scope(|scope| {
        for url in &urls {
            scope.spawn(move || {
                let said = late(2 * LIMIT, || PostgresStore::open_within(url, &access(), LIMITS));
                assert!(said.contains("ann@") && said.contains("look whether the server runs"), "{said}");
            });
        }
    });
}

fn event() -> Event {
    let kind = EventKind::DeviceReleased { by: "ann".into() };
    Event { at: at(1), sweep_id: None, device: None, job_id: None, run_id: None, kind }
}

#[test]
fn a_server_that_falls_silent_keeps_nobody_and_is_used_again() {
    let own = PostgresServer::start().unwrap_or_else(|error| panic!("failed to {error}"));
    let store = PostgresStore::open_within(&own.create("lab").unwrap(), &access(), LIMITS).unwrap();
    let (row, _) = sweep(&store, "s", &["a"], 4);
    let calls: [&(dyn Fn() -> Result<(), StoreError> + Sync); 5] = [
        &|| store.last_event().map(drop),
        &|| store.append_event(&event()),
        &|| store.claim(&row.id, "a", "host", Duration::from_secs(60), at(0)).map(drop),
        &|| store.check().map(drop),
        &|| store.transaction("try", |transaction| read_and_read(transaction, &|| ())),
    ];
    // As many connections as calls at once, which are kept.
    let barrier = std::sync::Barrier::new(calls.len());
    std::thread::scope(|scope| {
        for call in calls {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                call().unwrap();
            });
        }
    });

    // In the midst of a transaction: nobody waits for its end, too.
    let frozen = || store.transaction("try", |transaction| read_and_read(transaction, &|| own.freeze()));
    let said = late(2 * LIMIT, frozen);
    assert!(said.contains("did not answer"), "{said}");
    // Connections that were idle are not waited for one after the other.
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let waiting = calls.map(|call| scope.spawn(move || late(4 * LIMIT, call)));
            waiting.into_iter().for_each(|call| assert!(call.join().unwrap().contains("no connection to it")));
        });
    }
    assert_eq!(store.database.pool.counts(), (0, 0), "none is lost to the pool");

    own.thaw();
    let back = |call: &dyn Fn() -> Result<(), StoreError>| (0..10).any(|_| call().is_ok());
    calls.iter().for_each(|call| assert!(back(call)));
    let (idle, all) = store.database.pool.counts();
    assert!(idle == all && all > 0, "{idle} of {all}");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

/// Reads twice, with something in between.
fn read_and_read(transaction: &Transaction<'_>, between: &dyn Fn()) -> Outcome<()> {
    let read = || transaction.one("SELECT count(*) FROM events WHERE sequence > ?1", params![0_i64], |_| Ok(()));
    read()?;
    between();
    read()
}
