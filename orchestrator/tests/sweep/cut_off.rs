//! A host that does not reach the database begins nothing. Its runs end on their boards, where others find them once
//! its leases are over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use farmctl::lease::LEASE;

use super::hosts_lab::{BOARDS, HOSTS, HostsLab, is_soon};
use super::support::lasting;

/// Nothing that is waited for takes longer, however slow the machine.
const LIMIT: Duration = Duration::from_secs(240);
/// Nobody else may have begun on its boards by then.
const WITHIN_LEASE: Duration = Duration::from_secs(LEASE.as_secs() - 20);
const REPEATS: u64 = 4;

fn wait_until(lab: &HostsLab, what: &str, is_so: impl Fn() -> bool) {
    let state = || {
        lab.ask(
            "SELECT device, state, count(*) FROM jobs GROUP BY 1, 2; SELECT * FROM runs WHERE state = 'live';
             SELECT * FROM device_leases; SELECT right(event, 300) FROM events ORDER BY sequence DESC LIMIT 10",
        )
    };
    assert!(is_soon(LIMIT, is_so), "waited in vain for {what}:\n{}", state());
}

/// Runs under way whose lease a host has, on boards that others reach, too.
fn live(lab: &HostsLab, host: usize) -> BTreeSet<String> {
    let own = HOSTS[host];
    let sql = format!("SELECT id FROM runs WHERE state = 'live' AND lease_holder LIKE '{own}%'");
    lab.ask(&sql).lines().map(str::to_owned).collect()
}

/// Whether a host has a run that is being measured on this board.
fn is_measured(lab: &HostsLab, host: usize, board: &str) -> bool {
    let own = HOSTS[host];
    lab.number(&format!(
        "SELECT count(*) FROM runs r JOIN jobs j USING (sweep_id, job_id)
         WHERE j.device = '{board}' AND r.state = 'live' AND r.lease_holder LIKE '{own}%' AND EXISTS (
             SELECT 1 FROM events e WHERE e.kind = 'run_phase' AND e.event LIKE '%' || r.id || '%'
             AND e.event LIKE '%\"measure\"%')"
    )) > 0
}

/// The runs that have a folder on the boards.
fn on_boards(lab: &HostsLab) -> BTreeSet<String> {
    lab.workdirs().iter().flat_map(|workdir| workdir.runs()).collect()
}

#[test]
fn a_host_that_is_cut_off_begins_nothing_and_others_go_on_with_its_runs() {
    let lab = HostsLab::new(&format!("{}repeats: {REPEATS}\n", lasting(5)));
    // It is alone, and has all the boards that it reaches; the others come when it is cut off.
    let cut = 0;
    let alone = lab.hosts[cut].start();
    let following = lab.hosts[cut].lab.start(&["configs/story.yaml"]);
    let own: Vec<&str> = BOARDS.iter().filter(|board| board.hosts.contains(&cut)).map(|board| board.name).collect();
    wait_until(&lab, "runs that are measured", || own.iter().all(|board| is_measured(&lab, cut, board)));
    following.kill();
    lab.hosts[cut].to_database.stall();
    let since = Instant::now();
    let left = live(&lab, cut);
    let known: BTreeSet<String> = on_boards(&lab).union(&left).cloned().collect();
    assert!(!left.is_empty());
    let others = [lab.hosts[1].start(), lab.hosts[2].start()];
    // Its runs end long before its leases do, and nothing follows them.
    wait_until(&lab, "the lease's time", || since.elapsed() > WITHIN_LEASE);
    let begun_at = |board: &str| {
        let place = BOARDS.iter().position(|it| it.name == board).unwrap();
        lab.workdirs()[place].runs()
    };
    let begun: BTreeSet<String> = own.iter().flat_map(|board| begun_at(board)).collect();
    assert!(begun.is_subset(&known), "begun without the database: {begun:?}, known: {known:?}");

    // The others go on: with what it left by its name, and with the rest.
    let open = || lab.number("SELECT count(*) FROM jobs WHERE state <> 'recorded'");
    wait_until(&lab, "the others to do it all", || open() == 0);
    for run in &left {
        assert_eq!(lab.record_of(run), "1|ok", "{run} was measured once");
    }
    // It comes back, and finds that all is done.
    lab.hosts[cut].to_database.pass();
    let beat = "SELECT count(*) FROM hosts WHERE beat_at_ns > extract(epoch FROM clock_timestamp()) * 1e9 - 15e9";
    wait_until(&lab, "it to be there again", || lab.number(beat) == 3);
    // It was planned on the boards that were known then: its own.
    let jobs = REPEATS * own.len() as u64;
    let counts = ["jobs", "records", "records WHERE status = 'ok'"];
    assert_eq!(counts.map(|table| lab.number(&format!("SELECT count(*) FROM {table}"))), [jobs; 3]);
    wait_until(&lab, "the end of the sweep", || lab.ask("SELECT state FROM sweeps") == "finished");
    for daemon in [alone].into_iter().chain(others) {
        let told = daemon.told();
        assert!(daemon.stop().success(), "{told}");
    }
}
