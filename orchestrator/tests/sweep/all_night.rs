//! The lab runs itself: three nights of a real daemon on this host, a board and a phone, to which things happen as they
//! do in a lab. In the morning each night has each of its jobs once, with its reports, and nothing is left anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use farmctl::domain::{FailureKind, Record, RunStatus, ScheduledStart, StartState, SweepId, SweepState};
use farmctl::store::{self, Store};
use jiff::Timestamp;
use serde_json::Value;
use testlab::{AdbServer, Board, FaultProxy, Phone};
use tokio::runtime::Runtime;

use super::daemon::{Daemon, json, wait_until};
use super::support::{Lab, adb_device, farm, lasting, local_device, runtime, ssh_device};
use super::workdir::{Workdir, expect_nothing_left};

const DEVICES: usize = 3;
/// Of each device in each night.
const JOBS: usize = 2;
/// How long the way to the board is cut once that was noticed.
const OUTAGE: Duration = Duration::from_secs(4);
/// Due when no test runs.
const NEVER: &str = "0 0 29 2 *";
/// A setting of the phone that is another one while it is measured.
const AWAKE: &str = "global/stay_on_while_plugged_in";

/// This host, a board behind a path that can be cut, and a phone.
struct LabInABox {
    lab: Lab,
    store: Arc<dyn Store>,
    way_to_board: FaultProxy,
    phone: Phone,
    workdirs: [Workdir; DEVICES],
    _board: Board,
    _server: AdbServer,
    _runtime: Runtime,
}

impl LabInABox {
    fn new() -> LabInABox {
        let (server, phone, board) = (AdbServer::start().unwrap(), Phone::start().unwrap(), Board::start().unwrap());
        let runtime = runtime();
        let way_to_board = runtime.block_on(FaultProxy::start(board.address())).unwrap();
        let lab = Lab::new();
        let board_device = ssh_device("board", &board, way_to_board.address().port());
        let phone_device = adb_device("phone", phone.address(), &server);
        lab.write("farms/lab.yaml", &farm(&[local_device(), board_device, phone_device]));
        let runs = lasting(3);
        let timeouts = "timeouts: { connect_seconds: 30 }";
        lab.write("configs/night.yaml", &format!("{runs}repeats: {JOBS}\n{timeouts}\n"));
        let store = store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
        let workdirs = [Workdir::on_host(&lab), Workdir::on_board(&board), Workdir::on_phone(&phone)];
        LabInABox { lab, store, way_to_board, phone, workdirs, _board: board, _server: server, _runtime: runtime }
    }

    fn schedule(&self, cron: &str) {
        let schedule = format!("{{ name: nightly, cron: '{cron}', timezone: Etc/UTC, sweep: night.yaml }}");
        self.lab.write("configs/daemon.yaml", &format!("listen: 127.0.0.1:0\nschedules:\n  - {schedule}\n"));
    }

    /// Starts that were due, the oldest first.
    fn starts(&self) -> Vec<ScheduledStart> {
        let mut starts = self.store.scheduled_starts(Some("nightly"), 1000).unwrap();
        starts.reverse();
        starts
    }

    /// The sweeps of the nights that were begun.
    fn nights(&self) -> Vec<SweepId> {
        let begun = self.starts().into_iter().filter(|start| start.state == StartState::Begun);
        begun.map(|start| start.sweep_id.unwrap()).collect()
    }

    /// Waits until the night of this number begins.
    fn night(&self, number: usize, daemon: &Daemon) -> SweepId {
        wait_until(|| self.nights().len() >= number, || format!("night {number}: {}", daemon.told()));
        self.nights().remove(number - 1)
    }

    fn events(&self, night: &SweepId) -> Vec<Value> {
        let events = self.store.events(night).unwrap();
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    /// What happened to a device in this way.
    fn happened(&self, night: &SweepId, device: &str, event: &str) -> Vec<Value> {
        let mut events = self.events(night);
        events.retain(|it| it["device"] == device && it["event"] == event);
        events
    }

    fn wait_for(&self, night: &SweepId, device: &str, event: &str) {
        let has_happened = || !self.happened(night, device, event).is_empty();
        wait_until(has_happened, || format!("{event} of {device}: {:#?}", self.events(night)));
    }

    /// Waits until a run that is under way on a device is being measured.
    fn wait_for_measuring(&self, night: &SweepId, device: &str) {
        let is_measured = || {
            let phases = self.happened(night, device, "run_phase");
            let is_it = |run: &str| phases.iter().any(|it| it["phase"] == "measure" && it["run_id"] == run);
            self.store.live_runs(night, Some(device)).unwrap().iter().any(|live| is_it(live.run_id.as_str()))
        };
        wait_until(is_measured, || format!("a run on {device}: {:#?}", self.events(night)));
    }

    /// Kills the daemon in the middle of a night, when some of it is done and some is under way, and starts the next.
    fn replace(&self, daemon: Daemon, night: &SweepId, name: &str) -> Daemon {
        let is_halfway = || {
            let counts = self.store.counts(night).unwrap();
            counts.ok > 0 && !self.store.live_runs(night, None).unwrap().is_empty()
        };
        wait_until(is_halfway, || format!("the middle of the night: {}", daemon.told()));
        daemon.kill();
        Daemon::start(&self.lab, name, &[])
    }

    fn wait_until_over(&self, night: &SweepId, daemon: &Daemon) {
        let is_over = || self.store.sweep_state(night).unwrap() == SweepState::Finished;
        wait_until(is_over, || format!("the end of {night}: {}\n{:#?}", daemon.told(), self.events(night)));
    }

    /// Each job has its one record, and its row in the reports.
    fn expect_whole(&self, night: &SweepId) -> Vec<Record> {
        let records = self.store.records(night).unwrap();
        let jobs: BTreeSet<String> = self.store.jobs(night).unwrap().into_iter().map(|job| job.id.0).collect();
        let recorded: BTreeSet<String> = records.iter().map(|record| record.job.id.0.clone()).collect();
        assert_eq!((records.len(), jobs.len(), &recorded), (DEVICES * JOBS, DEVICES * JOBS, &jobs), "{night}");
        let folder = self.lab.path("reports").join(night.as_str());
        for file in ["index.html", "results.json", "results.md", "results.parquet", "samples.csv.zst", "log.jsonl"] {
            assert!(folder.join(file).is_file(), "{file} of {night}");
        }
        let mut table = csv::Reader::from_path(folder.join("results.csv")).unwrap();
        let rows: Vec<std::collections::BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
        let told: BTreeSet<String> = rows.iter().map(|row| row["job_id"].clone()).collect();
        assert_eq!((rows.len(), told), (DEVICES * JOBS, jobs), "{night}");
        records
    }

    /// Nobody has or holds anything any more, on this host or a device.
    fn expect_nothing_left(&self) {
        let now = Timestamp::now;
        wait_until(
            || self.store.lease_holders(now()).unwrap().is_empty(),
            || format!("the leases of {:?}", self.store.lease_holders(now())),
        );
        assert_eq!(self.store.device_locks(None, now()).unwrap(), []);
        assert_eq!(self.store.open_device_changes(None).unwrap(), []);
        expect_nothing_left(&self.workdirs);
        let (code, stdout, stderr) = self.lab.run(&["store", "check"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        for device in json(&self.lab, &["devices", "list"]) {
            let is_kept = ["busy", "locked", "quarantined"].iter().any(|status| device["status"] == *status);
            assert!(!is_kept, "{device}");
        }
    }
}

/// The records of a device, by how they ended.
fn of<'a>(records: &'a [Record], device: &str, status: RunStatus) -> Vec<&'a Record> {
    records.iter().filter(|record| record.job.device == device && record.status == status).collect()
}

#[test]
fn three_nights_with_devices_cut_locked_and_rebooted_and_the_daemon_killed_twice() {
    let lab = LabInABox::new();
    let awake = lab.phone.state(AWAKE);
    // Each minute, a few seconds from now for the first time.
    lab.schedule(&format!("{} * * * * *", (Timestamp::now().as_second() + 4) % 60));
    let daemon = Daemon::start(&lab.lab, "one", &[]);

    let first = lab.night(1, &daemon);
    lab.wait_for_measuring(&first, "board");
    lab.way_to_board.refuse();
    lab.way_to_board.cut();
    lab.wait_for(&first, "board", "device_reconnecting");
    std::thread::sleep(OUTAGE);
    lab.way_to_board.pass();
    let daemon = lab.replace(daemon, &first, "two");
    lab.wait_until_over(&first, &daemon);

    let second = lab.night(2, &daemon);
    lab.wait_for_measuring(&second, "board");
    let (code, _, stderr) = lab.lab.run(&["devices", "lock", "board", "--for", "1h", "--why", "soldering"]);
    assert_eq!(code, 0, "{stderr}");
    lab.wait_until_over(&second, &daemon);

    let third = lab.night(3, &daemon);
    lab.schedule(NEVER);
    lab.wait_for_measuring(&third, "phone");
    lab.phone.reboot().unwrap();
    lab.wait_for(&third, "phone", "run_given_back");
    let daemon = lab.replace(daemon, &third, "three");
    lab.wait_until_over(&third, &daemon);
    assert_eq!(lab.lab.run(&["devices", "unlock", "board"]).0, 0);
    assert!(daemon.stop().success());

    let nights = lab.nights();
    assert_eq!(nights, [&first, &second, &third].map(SweepId::clone), "{:?}", lab.starts());
    assert_eq!(lab.store.sweeps().unwrap().len(), nights.len(), "each due time has one sweep");
    let left_out = lab.starts().into_iter().filter(|start| start.state != StartState::Begun);
    left_out.for_each(|start| assert!(start.state == StartState::Skipped && start.why.is_some(), "{start:?}"));

    let all_ok = |records: &[Record], device: &str| {
        assert_eq!(of(records, device, RunStatus::Ok).len(), JOBS, "{device}: {records:#?}");
    };
    let records = lab.expect_whole(&first);
    ["this-host", "board", "phone"].iter().for_each(|device| all_ok(&records, device));
    for (night, is_locked_all_night) in [(&second, false), (&third, true)] {
        let records = lab.expect_whole(night);
        ["this-host", "phone"].iter().for_each(|device| all_ok(&records, device));
        let skipped = of(&records, "board", RunStatus::Skipped);
        let done = of(&records, "board", RunStatus::Ok).len();
        assert!(done + skipped.len() == JOBS && (done == 0) == is_locked_all_night, "{records:#?}");
        for record in skipped {
            let failure = record.failure.as_ref().unwrap();
            assert!(failure.kind == FailureKind::Locked && failure.message.contains("soldering"), "{failure:?}");
        }
    }
    let rebooted = lab.happened(&third, "phone", "run_given_back");
    assert_eq!(rebooted[0]["failure"]["kind"], "rebooted", "{rebooted:?}");
    for (night, resumed) in [(&first, 1), (&second, 0), (&third, 1)] {
        let events = lab.events(night);
        assert_eq!(events.iter().filter(|event| event["event"] == "sweep_resumed").count(), resumed, "{events:#?}");
    }
    lab.expect_nothing_left();
    assert_eq!(lab.phone.state(AWAKE), awake, "the phone is as it was");
}
