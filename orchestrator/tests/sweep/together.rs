//! Hosts of one lab carry out one sweep together: real daemons, each with a folder and a host name of its own, one
//! PostgreSQL, boards that one of them reaches or both.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farmctl::store::postgres::ServerAccess;
use farmctl::store::{Claim, LeaseOutcome, Store, StoreError};
use jiff::Timestamp;
use tempfile::TempDir;
use testlab::{Board, PostgresServer};

use super::daemon::{Daemon, schedule, wait_until};
use super::support::{Lab, Running, farm, lasting, ssh_device};

/// The hosts of a lab, and the server that they share.
struct Hosts {
    server: PostgresServer,
    url: String,
    /// `host-a` and `host-b`.
    labs: [Lab; 2],
    boards: Vec<(&'static str, Board)>,
    /// Files that they share.
    files: TempDir,
}

/// Calls of the store wait 30 s for its server.
const LONGER_THAN_ANYBODY_WAITS: Duration = Duration::from_secs(35);

/// Which boards each host reaches.
const REACHED: [&[&str]; 2] = [&["a1", "a2", "both"], &["b1", "b2", "both"]];

impl Hosts {
    fn new() -> Hosts {
        let server = PostgresServer::start().unwrap();
        let url = server.create("lab").unwrap();
        let boards: Vec<_> = ["a1", "a2", "b1", "b2", "both"].map(|name| (name, Board::start().unwrap())).into();
        let labs = ["host-a", "host-b"].map(|name| Lab::of_host(name, &url));
        let hosts = Hosts { server, url, labs, boards, files: tempfile::tempdir().unwrap() };
        for (lab, reached) in hosts.labs.iter().zip(REACHED) {
            lab.write("lab.yaml", &hosts.lab_yaml());
            lab.write("farms/lab.yaml", &hosts.farm(reached));
            lab.write("configs/quick.yaml", super::support::QUICK);
            lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
        }
        hosts
    }

    fn lab_yaml(&self) -> String {
        format!("artifacts: {}\n", self.files.path().display())
    }

    fn board(&self, name: &str) -> &Board {
        &self.boards.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn farm(&self, names: &[&str]) -> String {
        let device = |name: &&str| ssh_device(name, self.board(name), self.board(name).port);
        farm(&names.iter().map(device).collect::<Vec<_>>())
    }

    /// A sweep of this file over these devices, planned at a third host that reaches all of them, and that a person
    /// stops there at once.
    fn sweep(&self, file: &str, names: &[&str]) -> String {
        let planner = Lab::of_host("host-c", &self.url);
        planner.write("lab.yaml", &self.lab_yaml());
        planner.write("farms/lab.yaml", &self.farm(names));
        planner.write("configs/sweep.yaml", file);
        let mut running = planner.start(&["configs/sweep.yaml", "--local"]);
        let id = running.wait_for("device_ready", None)["sweep_id"].as_str().unwrap().to_owned();
        running.interrupt();
        running.finish().expect_code(130);
        id
    }

    fn daemon(&self, host: usize, name: &str) -> Daemon {
        let daemon = Daemon::start(&self.labs[host], name, &[]);
        daemon.wait_for("goes by");
        daemon
    }

    /// Gives a sweep to the lab's daemons, and follows it.
    fn submit(&self, sweep: &str) -> Running {
        self.labs[0].start(&["--resume", sweep])
    }

    fn ask(&self, sql: &str) -> String {
        self.server.run_sql("lab", sql).unwrap().trim().to_owned()
    }

    fn number(&self, sql: &str) -> u64 {
        self.ask(sql).parse().unwrap()
    }

    /// Jobs of a device without a record.
    fn open(&self, device: &str) -> u64 {
        self.number(&format!("SELECT count(*) FROM jobs WHERE device = '{device}' AND state <> 'recorded'"))
    }

    /// The hosts that had runs on a device, one after the other's name; without the one that planned.
    fn ran(&self, device: &str) -> String {
        self.ask(&format!(
            "SELECT coalesce(string_agg(DISTINCT substr(r.lease_holder, 1, 6), ' '), '') FROM runs r
             JOIN jobs j ON j.sweep_id = r.sweep_id AND j.job_id = r.job_id
             WHERE j.device = '{device}' AND r.lease_holder NOT LIKE 'host-c%'"
        ))
    }

    /// The run that is measured on a device, and the host that has it.
    fn live(&self, device: &str) -> Option<(String, String)> {
        let found = self.ask(&format!(
            "SELECT r.id, substr(r.lease_holder, 1, 6) FROM runs r
             JOIN jobs j ON j.sweep_id = r.sweep_id AND j.job_id = r.job_id
             WHERE j.device = '{device}' AND r.state = 'live' AND EXISTS (
                 SELECT 1 FROM events e WHERE e.kind = 'run_phase' AND e.event LIKE '%' || r.id || '%'
                 AND e.event LIKE '%\"measure\"%')"
        ));
        found.split_once('|').map(|(run, host)| (run.to_owned(), host.to_owned()))
    }

    /// Number of the attempt and status of a run's record.
    fn record_of(&self, run: &str) -> String {
        self.ask(&format!(
            "SELECT r.attempt, c.status FROM records c JOIN runs r ON r.id = c.run_id WHERE c.run_id = '{run}'"
        ))
    }

    /// Each job has one record, which is good; the store is sound, and the sweep was concluded once.
    fn check(&self, jobs: u64) {
        assert_eq!(self.ask("SELECT state FROM sweeps"), "finished");
        let of_records =
            "SELECT count(*) FROM records c JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id";
        assert_eq!(self.number("SELECT count(*) FROM jobs"), jobs);
        assert_eq!(self.number(of_records), jobs);
        assert_eq!(self.number(&format!("{of_records} WHERE c.status = 'ok'")), jobs, "{}", self.failures());
        assert_eq!(self.labs[0].run(&["store", "check"]).0, 0);
        // The third host's end, when it left, and the lab's.
        assert_eq!(self.number("SELECT count(*) FROM events WHERE kind = 'sweep_finished'"), 2);
    }

    fn failures(&self) -> String {
        self.ask("SELECT status, failure_kind, left(record, 800) FROM records WHERE status <> 'ok' LIMIT 3")
    }
}

/// The runs that a board knows.
fn runs_on(board: &Board) -> BTreeSet<String> {
    let entries = std::fs::read_dir(board.home.join("farmctl/runs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The table of a sweep, as a host renders it.
fn table(lab: &Lab, sweep: &str) -> String {
    let (code, stdout, stderr) = lab.run(&["report", sweep, "--format", "csv"]);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

#[test]
fn two_hosts_carry_one_sweep_out_and_each_job_has_its_one_record() {
    let hosts = Hosts::new();
    // One host has a board in its farm file that it does not reach: it is the other's.
    let unreached = ssh_device("b1", hosts.board("b1"), 1);
    // The board that both have is the second one's first.
    let order = "    hosts: [host-b, host-a]\n";
    hosts.labs[0].write("farms/lab.yaml", &format!("{}{order}{unreached}", hosts.farm(REACHED[0])));
    hosts.labs[1].write("farms/lab.yaml", &format!("{}{order}", hosts.farm(REACHED[1])));
    let id = hosts.sweep(&format!("{}repeats: 3\n", lasting(1)), &["a1", "a2", "b1", "b2", "both"]);
    let daemons = [hosts.daemon(0, "a"), hosts.daemon(1, "b")];
    let ended = hosts.submit(&id).finish();
    ended.expect_code(0);
    hosts.check(15);
    for device in ["a1", "a2"] {
        assert_eq!(hosts.ran(device), "host-a");
    }
    for device in ["b1", "b2"] {
        assert_eq!(hosts.ran(device), "host-b");
    }
    // The second one has half a minute to take it, which on a busy machine may not be enough.
    assert!(["host-a", "host-b", "host-a host-b"].contains(&hosts.ran("both").as_str()), "{}", hosts.ran("both"));
    assert_eq!(ended.named("sweep_joined").len(), 1, "the second one: {:?}", ended.named("sweep_resumed"));
    // Whoever follows it has its reports, wherever it was concluded, and they are the same from every host.
    assert_eq!(hosts.labs[0].rows().len(), 15);
    assert_eq!(table(&hosts.labs[0], &id), table(&hosts.labs[1], &id));
    daemons.into_iter().for_each(|daemon| assert!(daemon.stop().success()));
}

#[test]
fn a_host_that_dies_leaves_the_shared_board_to_the_other_and_its_own_wait_for_it() {
    let hosts = Hosts::new();
    let id = hosts.sweep(&format!("{}repeats: 5\n", lasting(3)), &["a1", "b1", "both"]);
    let mut daemons = [Some(hosts.daemon(0, "a")), Some(hosts.daemon(1, "b"))];
    let following = hosts.submit(&id);
    let own = ["a1", "b1"];
    let is_midway = || own.iter().all(|device| (1..5).contains(&hosts.open(device))) && hosts.live("both").is_some();
    wait_until(is_midway, || format!("the middle: {:?}", own.map(|device| hosts.open(device))));
    let (run, host) = hosts.live("both").unwrap();
    let dead = usize::from(host == "host-b");
    let alive = 1 - dead;
    daemons[dead].take().unwrap().kill();
    // The other one goes on with the run that was under way there, by its name, and with the rest.
    wait_until(
        || hosts.open("both") == 0 && hosts.open(own[alive]) == 0,
        || format!("the other host: {:?}, both: {}", own.map(|device| hosts.open(device)), hosts.open("both")),
    );
    assert_eq!(hosts.record_of(&run), "1|ok", "followed, not repeated");
    assert!(hosts.ran("both").contains(["host-a", "host-b"][alive]));
    // What only the dead one reaches waits, and says so.
    assert!(hosts.open(own[dead]) > 0);
    assert_eq!(hosts.ask("SELECT state FROM sweeps"), "open");
    let why = || hosts.labs[alive].run(&["why", &id]).1;
    let waits = format!("No host that works on the sweep reaches {}.", own[dead]);
    wait_until(|| why().contains(&waits) && why().contains("had it until"), why);
    daemons[dead] = Some(hosts.daemon(dead, "again"));
    wait_until(
        || hosts.ask("SELECT state FROM sweeps") == "finished",
        || format!("{:?}", own.map(|it| hosts.open(it))),
    );
    hosts.check(15);
    assert_eq!(hosts.ran(own[dead]), ["host-a", "host-b"][dead]);
    drop(following);
    daemons.into_iter().flatten().for_each(|daemon| assert!(daemon.stop().success()));
}

/// The server is gone for longer than anybody waits for it: nothing is begun meanwhile, and what was under way is
/// delivered.
#[test]
fn runs_end_on_their_devices_while_the_server_is_gone_and_are_delivered_after() {
    let hosts = Hosts::new();
    let id = hosts.sweep(&format!("{}repeats: 3\n", lasting(5)), &["a1", "b1", "both"]);
    let daemons = [hosts.daemon(0, "a"), hosts.daemon(1, "b")];
    let following = hosts.submit(&id);
    let own = ["a1", "b1"];
    wait_until(
        || own.iter().all(|device| hosts.open(device) < 3 && hosts.live(device).is_some()),
        || format!("runs on both: {:?}", own.map(|device| hosts.open(device))),
    );
    let live = own.map(|device| hosts.live(device).unwrap().0);
    let on_devices = || own.map(|device| runs_on(hosts.board(device)));
    let before = on_devices();
    hosts.server.stop_at_once();
    let gone_since = Instant::now();
    wait_until(|| gone_since.elapsed() > LONGER_THAN_ANYBODY_WAITS, || "the time".to_owned());
    assert_eq!(on_devices(), before, "nothing is begun");
    hosts.server.restart().unwrap();
    wait_until(
        || hosts.ask("SELECT state FROM sweeps") == "finished",
        || format!("{:?}, {}", own.map(|device| hosts.open(device)), hosts.open("both")),
    );
    hosts.check(9);
    for run in live {
        assert_eq!(hosts.record_of(&run), "1|ok", "{run} was measured once");
    }
    drop(following);
    daemons.into_iter().for_each(|daemon| assert!(daemon.stop().success()));
}

/// A host that was cut off comes back with the result of a run whose lease it has lost.
#[test]
fn a_late_result_of_a_lost_lease_is_refused_and_told() {
    let hosts = Hosts::new();
    let id = hosts.sweep(&format!("{}repeats: 2\n", lasting(1)), &["both"]);
    let user = "nobody".to_owned();
    let access = ServerAccess { variable: Arc::new(|_| None), home: None, user, trust: Default::default() };
    let store: Arc<dyn Store> = farmctl::store::open_at(&hosts.url, &access).unwrap();
    let sweep = store.sweeps().unwrap().remove(0).id;
    let (short, now) = (Duration::from_secs(2), Timestamp::now());
    let leased = store.lease_device("both", Some(&sweep), "cut off", short, now).unwrap();
    assert!(matches!(leased, LeaseOutcome::Taken { .. }));
    let Claim::Run(late) = store.claim(&sweep, "both", "cut off", short, now).unwrap() else { panic!("no job") };
    let daemon = hosts.daemon(0, "a");
    hosts.submit(&id).finish().expect_code(0);
    let mut record = store.records(&sweep).unwrap().remove(0);
    (record.job, record.run_id, record.attempt) = (late.job.clone(), Some(late.run_id.clone()), late.attempt);
    let refused = store.finish(late.epoch, &record, None, Timestamp::now());
    assert!(matches!(refused, Err(StoreError::StaleEpoch { .. })), "{refused:?}");
    let told = format!("SELECT count(*) FROM events WHERE kind = 'write_refused' AND event LIKE '%{}%'", late.run_id);
    assert_eq!(hosts.number(&told), 1);
    hosts.check(2);
    assert!(daemon.stop().success());
}

/// What ends a sweep at one host ends it at all: a failure under `on_failure: stop_sweep`, and a person.
#[test]
fn a_sweep_that_is_stopped_or_cancelled_is_so_at_every_host() {
    let hosts = Hosts::new();
    let daemons = [hosts.daemon(0, "a"), hosts.daemon(1, "b")];
    let id = hosts.sweep(&format!("{}repeats: 60\n", lasting(1)), &["a1", "b1"]);
    let following = hosts.submit(&id);
    let own = ["a1", "b1"];
    wait_until(|| own.iter().all(|device| hosts.live(device).is_some()), || "runs on both".to_owned());
    let (code, _, stderr) = hosts.labs[1].run(&["cancel", &id]);
    assert!(code == 0 || code == 6, "{code}: {stderr}");
    wait_until(|| hosts.ask("SELECT state FROM sweeps") == "cancelled", || hosts.ask("SELECT state FROM sweeps"));
    assert_eq!(own.map(|device| hosts.open(device)), [0, 0]);
    assert!(own.iter().all(|device| hosts.live(device).is_none()));
    drop(following);

    // A cell of one host's board can't be run: there are not so many processors.
    let stops = "repeats: 20\norder: listed\non_failure: stop_sweep\ninclude: { devices: a1, threads: 99 }\n";
    let id = hosts.sweep(&format!("{}{stops}", lasting(1)), &["a1", "b1"]);
    let following = hosts.submit(&id);
    let of_sweep = |sql: &str| hosts.number(&format!("{sql} AND sweep_id = '{id}'"));
    wait_until(|| of_sweep("SELECT count(*) FROM jobs WHERE state <> 'recorded'") == 0, || "the end".to_owned());
    let halted =
        "SELECT count(*) FROM records WHERE status = 'skipped' AND record LIKE '%on_failure: stop_sweep%on a1%'";
    assert!(of_sweep(&format!("{halted} AND record LIKE '%\"device\":\"b1\"%'")) > 0, "at the other host");
    drop(following);
    daemons.into_iter().for_each(|daemon| assert!(daemon.stop().success()));
}
