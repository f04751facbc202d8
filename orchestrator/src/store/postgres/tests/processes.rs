//! Several processes at the same time, and one after the other killed: each job once, and no event lost.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{fresh, open};
use crate::domain::{Event, EventKind, RunStatus, SweepId};
use crate::store::conformance::{record, sweep};
use crate::store::postgres::PostgresStore;
use crate::store::{
    Claim, ClaimedRun, EventStore as _, LeaseOutcome, LeaseStore as _, MaintenanceStore as _, RunStore as _,
    SweepStore as _,
};

/// What a child is to do: a file in its folder, its words a line each.
const ORDER: &str = "order";
/// What it has done: a line each, written after the server has said yes.
const DONE: &str = "done";
/// Whom the last event names.
const LAST: &str = "the last";
const LEASE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(120);
const DEVICES: [&str; 2] = ["a", "bb"];
const JOBS: usize = 40;
const WORKERS: usize = 4;
/// A worker is killed each time that so many jobs have a record.
const KILLS_AT: [usize; 3] = [8, 24, 48];

/// A process of this program, which works as its order says.
struct Process {
    holder: String,
    folder: tempfile::TempDir,
    child: Child,
}

impl Process {
    fn start(url: &str, sweep: &SweepId, holder: &str) -> Process {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DONE), "").unwrap();
        std::fs::write(folder.path().join(ORDER), [url, sweep.as_str(), holder].join("\n")).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::postgres::tests::processes::child",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Process { holder: holder.to_owned(), folder, child }
    }

    /// Kills it; gives what it had said until then.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.done()
    }

    /// Whether it has ended, which it must do well.
    fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none_or(|status| status.success()), "{}: {ended:?}", self.holder);
        ended.is_some()
    }

    /// Whole lines: the last one may have been cut.
    fn done(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(DONE)).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a process of the test below"]
fn child() {
    // Only in the folder that the test made for it.
    let order = std::fs::read_to_string(ORDER).unwrap();
    let [url, sweep, holder] = order.lines().collect::<Vec<_>>()[..] else { panic!("{order}") };
    let (store, sweep) = (open(url), SweepId(sweep.to_owned()));
    let mut done = std::fs::OpenOptions::new().append(true).open(DONE).unwrap();
    match holder {
        "reader" => read(&store, &mut done),
        _ => work(&store, &sweep, holder, &mut done),
    }
}

/// Reads on behind the last number until the last event is there.
fn read(store: &PostgresStore, done: &mut std::fs::File) {
    let (mut last, give_up_at) = (0, Instant::now() + LIMIT);
    while Instant::now() < give_up_at {
        for (number, event) in store.new_events(last, 1000).unwrap() {
            last = number;
            if let EventKind::DeviceReleased { by } = event.kind {
                writeln!(done, "event {by}").unwrap();
                if by == LAST {
                    return;
                }
            }
        }
    }
    panic!("there is no last event");
}

fn appended(by: &str) -> Event {
    let kind = EventKind::DeviceReleased { by: by.to_owned() };
    Event { at: Timestamp::now(), sweep_id: None, device: Some("a".into()), job_id: None, run_id: None, kind }
}

/// Claims what there is, and takes over what others have left, until all has a record.
fn work(store: &PostgresStore, sweep: &SweepId, holder: &str, done: &mut std::fs::File) {
    let (mut turn, give_up_at) = (0, Instant::now() + LIMIT);
    while !DEVICES.iter().all(|device| store.open_jobs(sweep, Some(device)).unwrap().is_empty()) {
        assert!(Instant::now() < give_up_at, "there are jobs left");
        for device in DEVICES {
            let leased = store.lease_device(device, Some(sweep), holder, LEASE, Timestamp::now()).unwrap();
            let LeaseOutcome::Taken { epoch } = leased else { continue };
            if let Some(run) = next(store, sweep, device, holder) {
                turn += 1;
                let by = format!("{holder} {turn}");
                store.append_event(&appended(&by)).unwrap();
                writeln!(done, "event {by}").unwrap();
                store.prolong_leases(holder, LEASE, Timestamp::now()).unwrap();
                let ended = record(sweep, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
                store.finish(run.epoch, &ended, None, Timestamp::now()).unwrap();
                writeln!(done, "run {}", run.run_id.0).unwrap();
            }
            store.release_device(device, epoch).unwrap();
        }
    }
}

fn next(store: &PostgresStore, sweep: &SweepId, device: &str, holder: &str) -> Option<ClaimedRun> {
    let now = Timestamp::now();
    match store.claim(sweep, device, holder, LEASE, now).unwrap() {
        Claim::Run(run) => Some(*run),
        // It ran out, and another took it.
        Claim::LeaseLost => None,
        Claim::Nothing => {
            let left = store.live_runs(sweep, Some(device)).unwrap().into_iter().filter(|run| run.lease.until <= now);
            left.into_iter().find_map(|run| store.take_over(&run.run_id, holder, LEASE, now).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn processes_that_work_at_once_and_are_killed_lose_nothing_and_do_nothing_twice() {
    let url = fresh();
    let store = open(&url);
    let (row, plan) = sweep(&store, "s", &DEVICES, JOBS);
    let start = |holder: String| Process::start(&url, &row.id, &holder);
    let mut reader = start("reader".to_owned());
    let mut workers: Vec<Process> = (0..WORKERS).map(|number| start(format!("worker-{number}"))).collect();
    let (mut done, give_up_at) = (Vec::new(), Instant::now() + LIMIT);
    let mut killed = Vec::new();
    // As the daemon does of a process that is gone. What such a one asked for last may be done a moment later.
    let expire = |holder: &String| store.expire_leases(holder, Timestamp::now()).unwrap();
    for (number, count) in KILLS_AT.into_iter().enumerate() {
        while store.records(&row.id).unwrap().len() < count {
            assert!(Instant::now() < give_up_at, "the workers do not go on");
        }
        let victim = workers.remove(0);
        killed.push(victim.holder.clone());
        done.extend(victim.kill());
        killed.iter().for_each(expire);
        workers.push(start(format!("later-{number}")));
    }
    while !workers.iter_mut().all(Process::has_ended) {
        assert!(Instant::now() < give_up_at, "the workers do not end");
        killed.iter().for_each(expire);
    }
    workers.iter().for_each(|worker| done.extend(worker.done()));
    store.append_event(&appended(LAST)).unwrap();
    while !reader.has_ended() {
        assert!(Instant::now() < give_up_at, "the reader does not end");
        std::thread::yield_now();
    }
    let read: BTreeSet<String> = reader.done().into_iter().collect();

    let records = store.records(&row.id).unwrap();
    let jobs: BTreeSet<&str> = records.iter().map(|record| record.job.id.0.as_str()).collect();
    assert_eq!((records.len(), jobs.len()), (plan.jobs.len(), plan.jobs.len()), "each job once");
    let runs: BTreeSet<String> = records.into_iter().filter_map(|record| record.run_id.map(|run| run.0)).collect();
    assert_eq!(runs.len(), plan.jobs.len());
    for line in &done {
        match line.split_once(' ').unwrap() {
            ("run", run) => assert!(runs.contains(run), "{run} was acknowledged"),
            _ => assert!(read.contains(line), "{line} was acknowledged, and not read"),
        }
    }
    assert!(store.finish_sweep(&row.id, Timestamp::now()).unwrap());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
