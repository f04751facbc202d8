//! A lab of several hosts is brought up to date one after the other: a newer farmctl takes the schema of the store
//! further while older ones are at work. What is older here is this program, by the versions that the store has.

use std::time::Duration;

use super::hosts_lab::{BOARDS, HostsLab, is_soon};
use super::support::lasting;

/// Nothing that is waited for takes longer, however slow the machine.
const LIMIT: Duration = Duration::from_secs(240);
const REPEATS: u64 = 6;

/// What a release could add that its neighbour works beside.
const ADDED: &str = "
    BEGIN;
    CREATE TABLE later (x TEXT); ALTER TABLE sweeps ADD COLUMN later TEXT; ALTER TABLE runs ADD COLUMN later BIGINT;
    ALTER TABLE jobs ADD COLUMN later TEXT NOT NULL DEFAULT ''; ALTER TABLE events ADD COLUMN later TEXT;
    ALTER TABLE records ADD COLUMN later BIGINT; ALTER TABLE hosts ADD COLUMN later TEXT;
    UPDATE farmctl_store SET version = version + 1;
    COMMIT";
/// A release that its neighbour can't work beside, and one that can, as far as it says.
const TOO_NEW: &str = "UPDATE works_from SET version = (SELECT version FROM farmctl_store)";
const NEIGHBOUR: &str = "UPDATE works_from SET version = (SELECT version - 1 FROM farmctl_store)";

fn wait_until(what: &str, is_so: impl Fn() -> bool, told: impl Fn() -> String) {
    assert!(is_soon(LIMIT, is_so), "waited in vain for {what}:\n{}", told());
}

#[test]
fn one_releases_neighbour_works_on_and_a_host_that_is_too_old_stands_aside() {
    let lab = HostsLab::new(&format!("{}repeats: {REPEATS}\n", lasting(3)));
    let mut daemons = vec![lab.hosts[0].start(), lab.hosts[1].start()];
    let following = lab.hosts[0].lab.start(&["configs/story.yaml"]);
    let live = || {
        let runs = lab.ask("SELECT id FROM runs WHERE state = 'live' ORDER BY id");
        runs.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let recorded = || lab.number("SELECT count(*) FROM jobs WHERE state = 'recorded'");
    wait_until("runs", || live().len() == BOARDS.len(), || daemons[0].told());
    following.kill();

    // The first host is brought up to date. The others work on, and may be started anew.
    lab.ask(ADDED);
    let before = recorded();
    wait_until("records beside the newer release", || recorded() > before + 1, || daemons[0].told());
    assert!(daemons.remove(0).stop().success());
    daemons.insert(0, lab.hosts[0].start());
    daemons[0].wait_for("of a newer farmctl: this one works beside it");

    // The next release has changed more than that: who is too old ends, and leaves its runs where they are.
    wait_until("runs again", || live().len() == BOARDS.len(), || daemons[0].told());
    lab.ask(TOO_NEW);
    for daemon in daemons {
        daemon.wait_for("stands aside");
        daemon.wait_for("use the newer farmctl");
        assert_eq!(daemon.ended().code(), Some(3));
    }
    let (left, done) = (live(), recorded());
    assert!(!left.is_empty());
    let refused = lab.hosts[0].start_only();
    refused.wait_for("use the newer farmctl");
    assert_eq!(refused.ended().code(), Some(3));
    let on_boards = || lab.workdirs().iter().flat_map(|workdir| workdir.runs()).collect::<Vec<_>>();
    assert!(left.iter().all(|run| on_boards().contains(run)), "{left:?} of {:?}", on_boards());
    assert_eq!((live(), recorded()), (left.clone(), done), "nothing is written");

    // The newer farmctl comes.
    lab.ask(NEIGHBOUR);
    let daemons = [lab.hosts[0].start(), lab.hosts[1].start()];
    let is_over = || lab.ask("SELECT state FROM sweeps") == "finished";
    wait_until("the end of the sweep", is_over, || daemons.iter().map(|daemon| daemon.told()).collect());
    for run in &left {
        assert_eq!(lab.record_of(run), "1|ok", "{run} was collected");
    }
    let jobs = REPEATS * BOARDS.len() as u64;
    let counts = ["jobs", "records", "records WHERE status = 'ok'"];
    assert_eq!(counts.map(|table| lab.number(&format!("SELECT count(*) FROM {table}"))), [jobs; 3]);
    for daemon in daemons {
        let told = daemon.told();
        assert!(daemon.stop().success(), "{told}");
    }
}
