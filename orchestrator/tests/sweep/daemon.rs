//! The daemon as a process: it starts what is due, is killed, goes on, is told of new files, and stops.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testlab::Board;

use super::support::{Lab, QUICK, farm, lasting, local_device, ssh_device};

/// Nothing that is waited for takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A schedule that is due every so many seconds.
pub fn schedule(seconds: u32, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nschedules:\n  - name: often\n    cron: '*/{seconds} * * * * *'\n    \
         timezone: Etc/UTC\n    sweep: quick.yaml\n{more}"
    )
}

/// A daemon of the test.
pub struct Daemon {
    child: Child,
    stderr: std::path::PathBuf,
}

impl Daemon {
    pub fn start(lab: &Lab, name: &str, environment: &[(&str, &str)]) -> Daemon {
        Daemon::start_with(lab, name, &["daemon"], environment)
    }

    pub fn start_with(lab: &Lab, name: &str, words: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let stderr = lab.path(&format!("stderr-{name}"));
        let mut command = lab.command(words);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(std::fs::File::create(&stderr).unwrap());
        Daemon { child: command.spawn().unwrap(), stderr }
    }

    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn wait_for(&self, text: &str) {
        wait_until(|| self.told().contains(text), || format!("{text} in:\n{}", self.told()));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Of a test that failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait_until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let give_up_at = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < give_up_at, "waited in vain for {}", what());
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn json(lab: &Lab, words: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = lab.run(&[words, &["--format", "json"]].concat());
    assert!(code == 0 || code == 4, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn sweeps(lab: &Lab) -> Vec<Value> {
    json(lab, &["sweeps", "list"])
}

fn finished(lab: &Lab) -> usize {
    sweeps(lab).iter().filter(|sweep| sweep["state"] == "finished").count()
}

#[test]
fn killed_twice_it_goes_on_and_every_job_has_its_one_record() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device(), ssh_device("board", &board, board.port)]));
    let runs = lasting(1);
    lab.write("configs/quick.yaml", &format!("{runs}repeats: 2\n"));
    lab.write("configs/daemon.yaml", &schedule(5, ""));
    for round in ["one", "two"] {
        let daemon = Daemon::start(&lab, round, &[]);
        // In the middle of a sweep: some of it is done, some is not.
        let is_halfway = || {
            sweeps(&lab).first().is_some_and(|sweep| {
                let of = |field: &str| sweep[field].as_u64().unwrap();
                of("open") > 0 && of("open") < of("jobs")
            })
        };
        wait_until(is_halfway, || format!("a sweep under way:\n{}", daemon.told()));
        daemon.kill();
    }
    let before = finished(&lab);
    let daemon = Daemon::start(&lab, "three", &[]);
    wait_until(|| finished(&lab) >= before + 2, || format!("two sweeps more:\n{}", daemon.told()));
    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    daemon.wait_for("was read again");
    wait_until(|| sweeps(&lab).iter().all(|sweep| sweep["standing"] != "running"), || "the last runs".to_owned());
    assert!(daemon.stop().success());
    // What the pause cut off is gone on with by a person.
    while sweeps(&lab).iter().any(|sweep| sweep["state"] == "open") {
        assert_eq!(lab.run(&["sweep", "--resume"]).0, 0);
    }

    let mut of_due: BTreeMap<String, usize> = BTreeMap::new();
    for start in json(&lab, &["schedules", "history"]).iter().filter(|start| start["state"] == "begun") {
        *of_due.entry(start["due_at"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let all = sweeps(&lab);
    assert!(of_due.values().all(|count| *count == 1) && of_due.len() == all.len(), "{of_due:?}");
    assert!(all.len() >= 2, "{all:?}");
    for sweep in &all {
        let id = sweep["id"].as_str().unwrap();
        let mut rows = csv::Reader::from_path(lab.path("reports").join(id).join("results.csv")).unwrap();
        let rows: Vec<std::collections::HashMap<String, String>> = rows.deserialize().map(Result::unwrap).collect();
        let jobs: BTreeSet<&str> = rows.iter().map(|row| row["job_id"].as_str()).collect();
        assert_eq!((rows.len(), jobs.len()), (4, 4), "{id}: each job has one row");
        assert!(rows.iter().all(|row| row["status"] == "ok"), "{id}: {rows:?}");
    }
    for runs in [lab.path("here/runs"), board.home.join("farmctl/runs")] {
        assert_eq!(std::fs::read_dir(&runs).unwrap().count(), 0, "{} is left behind", runs.display());
    }
    for device in json(&lab, &["devices", "list"]) {
        assert_eq!(device["status"], "idle", "{device}");
    }
}

#[test]
fn a_faulty_new_file_is_refused_with_its_place_and_the_old_one_stays_in_force() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", &schedule(5, "").replace("*/5 *", "*/5 99"));
    let (code, _, stderr) = lab.run(&["daemon"]);
    assert!(code == 3 && stderr.contains("configs/daemon.yaml:4:11"), "{code} {stderr}");

    lab.write("configs/daemon.yaml", &schedule(5, ""));
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("goes by");
    let (code, _, stderr) = lab.run(&["daemon"]);
    assert!(code == 2 && stderr.contains("runs in this lab already"), "{code} {stderr}");
    lab.write("configs/daemon.yaml", &schedule(5, "    overlap: jump\n"));
    daemon.wait_for("is refused, and the schedules of before stay in force");
    // The place stands in a line of its own behind it.
    daemon.wait_for("configs/daemon.yaml:7:14");
    wait_until(|| finished(&lab) >= 1, || daemon.told());

    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    daemon.wait_for("was read again");
    daemon.wait_for("all is well again");
    let reads = daemon.told().matches("was read again").count();
    daemon.signal(Signal::SIGHUP);
    wait_until(|| daemon.told().matches("was read again").count() > reads, || daemon.told());
    assert!(daemon.stop().success());
}

#[test]
fn systemd_hears_that_it_is_ready_well_and_stopping() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    let path = lab.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let hear = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{wanted} was not heard: {error}"));
            if String::from_utf8_lossy(&bytes[..length]).contains(wanted) {
                return;
            }
        }
    };
    let daemon = Daemon::start(&lab, "d", &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    hear("READY=1");
    hear("STATUS=nothing is due");
    hear("WATCHDOG=1");
    daemon.signal(Signal::SIGTERM);
    hear("STOPPING=1");
    assert!(daemon.stop().success());

    let (code, unit, _) = lab.run(&["daemon", "install"]);
    assert_eq!(code, 0);
    assert!(unit.contains("Type=notify") && unit.contains("WatchdogSec="), "{unit}");
    let (code, _, told) = lab.run(&["daemon", "install", "--user"]);
    assert_eq!(code, 0, "{told}");
    let written = std::fs::read_to_string(lab.path(".config/systemd/user/farmctl.service")).unwrap();
    assert_eq!(written, unit);
    assert_eq!(lab.run(&["daemon", "install", "--user"]).0, 0, "again is no harm");

    // What the daemon could not start with is no unit.
    for words in [["--farm", "nosuch"], ["--models", "nosuch"]] {
        let (code, unit, told) = lab.run(&[words[0], words[1], "daemon", "install"]);
        assert!(code >= 2 && unit.is_empty() && told.contains("nosuch"), "{words:?}: {code}: {told}");
    }
    let (code, unit, told) = lab.run(&["daemon", "--config", "nosuch", "install"]);
    assert!(code >= 2 && unit.is_empty() && told.contains("nosuch"), "{code}: {told}");
    // A part of a text goes with the unit, a secret does not, and that is told.
    let right = std::fs::read_to_string(lab.path("configs/daemon.yaml")).unwrap();
    let mail = "notifications:\n  - email: { host: mail.example, user: lab, password: { environment: LAB_MAIL }, \
                from: lab@mail.example, to: me@mail.example }\n";
    lab.write("configs/daemon.yaml", &format!("{mail}{right}"));
    let with_user = "defaults: { ssh: { user: \"${BENCH}\" } }\ndevices:";
    lab.write("farms/lab.yaml", &farm(&[local_device()]).replace("devices:", with_user));
    let mut install = lab.command(&["daemon", "install"]);
    let ended = install.envs([("LAB_MAIL", "s3cret"), ("BENCH", "b-1")]).output().unwrap();
    let [unit, told] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(unit.contains("Environment=\"BENCH=b-1\"") && !unit.contains("s3cret"), "{unit}{told}");
    assert!(told.contains("LAB_MAIL is named for a secret"), "{told}");
}

#[test]
fn a_persons_sweep_overtakes_the_scheduled_one_between_two_jobs() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let runs = lasting(2);
    lab.write("configs/quick.yaml", &format!("{runs}repeats: 30\n"));
    lab.write("configs/mine.yaml", QUICK);
    lab.write("configs/daemon.yaml", &schedule(2, ""));
    let daemon = Daemon::start(&lab, "d", &[]);
    let ok = || sweeps(&lab).first().and_then(|sweep| sweep["ok"].as_u64()).unwrap_or(0);
    wait_until(|| ok() > 0, || daemon.told());
    let ended = lab.sweep(&["configs/mine.yaml"]);
    ended.expect_code(0);
    let cause = ended.named("device_waiting")[0]["cause"].as_str().unwrap();
    assert!(cause.contains("uses it"), "{cause}");
    let scheduled = || sweeps(&lab).into_iter().find(|sweep| sweep["config"] == "configs/quick.yaml").unwrap();
    let (done, open) = (scheduled()["ok"].as_u64().unwrap(), scheduled()["open"].as_u64().unwrap());
    assert!(open > 0, "it did not have to wait for the whole of the other");
    daemon.wait_for("goes before");
    wait_until(|| scheduled()["ok"].as_u64().unwrap() > done, || format!("the other to go on:\n{}", daemon.told()));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.stop().success());
    let id = scheduled()["id"].as_str().unwrap().to_owned();
    lab.run(&["cancel", &id]);
}

#[test]
fn devices_are_asked_by_the_daemon_and_one_that_is_well_again_leaves_quarantine() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    let devices = [local_device(), ssh_device("board", &board, board.port), ssh_device("away", &board, 1)];
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    assert_eq!(lab.run(&["devices", "lock", "this-host", "--for", "1h", "--why", "mine"]).0, 0);
    let store = farmctl::store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
    let failure = farmctl::domain::Failure::new(farmctl::domain::FailureKind::Unreachable, "it was away");
    let past = jiff::Timestamp::UNIX_EPOCH;
    store.quarantine_device("board", &failure, past, past).unwrap();
    let daemon = Daemon::start(&lab, "d", &[]);
    let status = |name: &str| {
        let devices = json(&lab, &["devices", "list"]);
        devices.iter().find(|device| device["name"] == name).unwrap()["status"].as_str().unwrap().to_owned()
    };
    wait_until(|| status("board") == "idle" && status("away") == "offline", || daemon.told());
    assert_eq!(status("this-host"), "locked");
    let (_, why, _) = lab.run(&["why", "away"]);
    assert!(why.contains("It has not answered since") && why.contains("devices check away"), "{why}");
    let seen: Vec<String> = store.sightings().unwrap().into_iter().map(|sighting| sighting.device).collect();
    assert_eq!(seen, ["away", "board"], "a locked device is left alone");
    assert!(daemon.stop().success());
}
