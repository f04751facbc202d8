//! farmctl is killed at any moment and gone on with: nothing is lost, nothing doubled, and nothing left behind.
//!
//! `FARMCTL_CRASH_SEED=N` has the moments of an earlier run again, as far as time lets it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use farmctl::domain::{SweepState, sha256_hex};
use farmctl::store::{self, Store};
use jiff::Timestamp;
use testlab::{AdbServer, Board, Phone};

use super::support::{Lab, Running, adb_device, farm, local_device, quick, ssh_device};
use super::workdir::{Workdir, expect_nothing_left};

/// How often farmctl is killed.
const KILLS: u32 = 25;
/// Of each of the three devices: two networks, by one thread and by all.
const JOBS: usize = 12;
const SAMPLES_A_RUN: usize = 2;

/// When it is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// With so many events of it.
    Event(u64),
}

/// Moments by a seed: the hash of it and a number.
struct Moments {
    seed: u64,
    drawn: u64,
    /// What an undisturbed sweep takes.
    length: Duration,
    events: u64,
}

impl Moments {
    /// In turns, moments of a sweep by its clock and by what it has done.
    fn next(&mut self) -> Moment {
        self.drawn += 1;
        let digits = &sha256_hex(format!("{} {}", self.seed, self.drawn).as_bytes())[..8];
        let share = f64::from(u32::from_str_radix(digits, 16).unwrap()) / f64::from(u32::MAX);
        if self.drawn.is_multiple_of(2) {
            Moment::After(self.length.mul_f64(share))
        } else {
            Moment::Event((self.events as f64 * share) as u64)
        }
    }
}

/// This host, a board and a phone.
struct LabInABox {
    lab: Lab,
    workdirs: [Workdir; 3],
    phone: Phone,
    _board: Board,
    _server: AdbServer,
}

impl LabInABox {
    fn new() -> LabInABox {
        let (server, phone, board) = (AdbServer::start().unwrap(), Phone::start().unwrap(), Board::start().unwrap());
        let lab = Lab::new();
        let phone_device = adb_device("phone", phone.address(), &server);
        lab.write("farms/lab.yaml", &farm(&[local_device(), ssh_device("board", &board, board.port), phone_device]));
        let tiny = "include: [{ models: digits, weights: trained, threads: [1, all] }]";
        lab.write("configs/box.yaml", &format!("{}threads: [1, all]\n{tiny}\n", quick("squeezenet1_0")));
        let workdirs = [Workdir::on_host(&lab), Workdir::on_board(&board), Workdir::on_phone(&phone)];
        LabInABox { lab, workdirs, phone, _board: board, _server: server }
    }

    fn store(&self) -> std::sync::Arc<dyn Store> {
        store::open(&self.lab.path(".farm/state.db").display().to_string()).unwrap()
    }

    /// How to go on with a sweep that is not among those known before: `None` when it is over.
    fn words(&self, known: &BTreeSet<String>) -> Option<&'static [&'static str]> {
        let sweeps = self.store().sweeps().unwrap();
        match sweeps.iter().find(|sweep| !known.contains(sweep.id.as_str())) {
            Some(sweep) if sweep.state.is_over() => None,
            Some(_) => Some(&["configs/box.yaml", "--resume"]),
            // It was killed before there was anything to go on with.
            None => Some(&["configs/box.yaml"]),
        }
    }

    fn sweeps(&self) -> BTreeSet<String> {
        self.store().sweeps().unwrap().into_iter().map(|sweep| sweep.id.0).collect()
    }

    /// Each job has its one result with all its samples, and nothing of the sweep is left anywhere.
    fn expect_all_done(&self) {
        let rows = self.lab.rows();
        let jobs: BTreeSet<&str> = rows.iter().map(|row| row["job_id"].as_str()).collect();
        let runs: BTreeSet<&str> = rows.iter().map(|row| row["run_id"].as_str()).collect();
        assert_eq!((rows.len(), jobs.len(), runs.len()), (JOBS, JOBS, JOBS), "{rows:?}");
        assert!(rows.iter().all(|row| row["status"] == "ok"), "{rows:?}");
        assert!(rows.iter().all(|row| !row["output_error"].is_empty()), "an output is missing: {rows:?}");

        let samples = std::fs::read(self.lab.path("reports/latest/samples.csv.zst")).unwrap();
        let samples = zstd::decode_all(samples.as_slice()).unwrap();
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for sample in csv::Reader::from_reader(samples.as_slice()).deserialize::<BTreeMap<String, String>>() {
            *counted.entry(sample.unwrap()["run_id"].clone()).or_default() += 1;
        }
        assert_eq!(counted, runs.iter().map(|run| ((*run).to_owned(), SAMPLES_A_RUN)).collect());

        let (store, now) = (self.store(), Timestamp::now());
        let sweep = store.sweeps().unwrap().remove(0);
        assert_eq!((sweep.state, sweep.id.as_str()), (SweepState::Finished, rows[0]["sweep_id"].as_str()));
        assert_eq!(store.records(&sweep.id).unwrap().len(), JOBS);
        assert!(store.live_runs(&sweep.id, None).unwrap().is_empty());
        assert_eq!((store.device_leases(now).unwrap(), store.sweep_holder(&sweep.id, now).unwrap()), (vec![], None));
        assert_eq!(store.open_device_changes(None).unwrap(), vec![], "the phone is as it was");
        expect_nothing_left(&self.workdirs);
    }

    fn forget(&self) {
        self.workdirs.iter().for_each(Workdir::forget);
    }
}

/// Lets farmctl work until the moment; whether it was killed, as it had not ended before.
fn killed_at(mut running: Running, moment: Moment) -> bool {
    let started = Instant::now();
    let (limit, most_events) = match moment {
        Moment::After(length) => (length, u64::MAX),
        Moment::Event(events) => (Duration::from_secs(300), events),
    };
    let mut events = 0;
    while events < most_events {
        let left = limit.saturating_sub(started.elapsed());
        match running.next_event(left) {
            Ok(_) => events += 1,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                running.finish().expect_code(0);
                return false;
            }
        }
    }
    running.kill();
    true
}

#[test]
fn killed_at_25_moments_each_job_has_one_result_and_nothing_is_left() {
    let seed = std::env::var("FARMCTL_CRASH_SEED").map_or_else(
        |_| u64::try_from(Timestamp::now().as_millisecond()).unwrap(),
        |seed| seed.parse().expect("FARMCTL_CRASH_SEED=N"),
    );
    println!("FARMCTL_CRASH_SEED={seed} has these moments again");
    let lab = LabInABox::new();
    let awake = lab.phone.state("global/stay_on_while_plugged_in");
    // The runners are there, and the models are built, when time is measured.
    assert_eq!(lab.lab.run(&["devices", "probe"]).0, 0);
    lab.lab.sweep(&["configs/box.yaml"]).expect_code(0);
    lab.forget();
    let started = Instant::now();
    let undisturbed = lab.lab.sweep(&["configs/box.yaml"]);
    undisturbed.expect_code(0);
    let mut moments = Moments { seed, drawn: 0, length: started.elapsed(), events: undisturbed.events.len() as u64 };
    lab.expect_all_done();

    let mut kills = 0;
    while kills < KILLS {
        lab.forget();
        let known = lab.sweeps();
        while let Some(words) = lab.words(&known) {
            let moment = if kills < KILLS { moments.next() } else { Moment::Event(u64::MAX) };
            println!("{kills}: {} at {moment:?}", words.join(" "));
            kills += u32::from(killed_at(lab.lab.start(words), moment));
        }
        lab.expect_all_done();
        assert_eq!(lab.phone.state("global/stay_on_while_plugged_in"), awake);
    }
}
