//! What a device has still to do is found without a look at the jobs of all others.

use rusqlite::{Connection, params};

use super::fresh;
use crate::store::sql::sweeps::OPEN_JOBS_OF_DEVICE;

#[test]
fn open_jobs_of_a_device_are_found_by_their_index() {
    let (open, folder) = fresh();
    let _store = open();
    let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {OPEN_JOBS_OF_DEVICE}")).unwrap();
    let found = statement.query_map(params!["a sweep", "a device"], |row| row.get("detail")).unwrap();
    let steps: Vec<String> = found.map(Result::unwrap).collect();
    assert_eq!(steps, ["SEARCH jobs USING INDEX open_jobs (sweep_id=? AND device=?)"]);
}
