//! Nights of a real daemon on a host whose clocks are set by seconds, hours and years, put forward and back for summer,
//! or stand still while the host sleeps. Three nights each: each due time has its one sweep, and nothing is taken out.
//!
//! libfaketime sets the clock of the day. No test can put a whole host to sleep: what a process sees of that is made.
//! The daemon is stopped (SIGSTOP), and when it goes on, the clock of the day and the one that counts sleep
//! (CLOCK_BOOTTIME) are as much later (`clock/asleep.c`); the one that does not count it (CLOCK_MONOTONIC) went on only
//! for the moment that the daemon stood still. What is not so: devices, and runs on this host, do not sleep with it.
//! Days pass in that way, too.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use farmctl::domain::{RunStatus, ScheduledStart, StartState, SweepId, SweepState};
use farmctl::store::{self, Store};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::daemon::{Daemon, wait_until};
use super::keeper::wrong_clock;
use super::support::{Lab, QUICK, farm, lasting, local_device};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Half an hour: what clocks for summer are told in.
const HALF: SignedDuration = SignedDuration::from_mins(30);
/// A look that is so much later than the last one is kept in the store.
const LOOK: SignedDuration = SignedDuration::from_secs(61);
const MOMENT: SignedDuration = SignedDuration::from_secs(30);
const TEN_YEARS: SignedDuration = SignedDuration::from_hours(87_660);

/// A host with a lab whose daemon has one schedule, and one sweep from before.
struct Host {
    lab: Lab,
    store: Arc<dyn Store>,
    daemon: Daemon,
    before: SweepId,
    events_before: usize,
    slept: Cell<SignedDuration>,
}

impl Host {
    /// Its daemon starts ten minutes before the first due time.
    fn new(first: Timestamp, cron: &str, zone: &str, runs: &str) -> Host {
        let lab = Lab::new();
        lab.write("farms/lab.yaml", &farm(&[local_device()]));
        lab.write("configs/night.yaml", runs);
        // It is looked at each night, and would take out all that years have gone by for.
        let retention = "{ at: '02:00', sweeps: { days: 730 }, events_days: 730, most_percent: 100 }";
        let nightly = format!("{{ name: nightly, cron: '{cron}', timezone: {zone}, sweep: night.yaml }}");
        let rules = format!("listen: 127.0.0.1:0\nprobe_minutes: 0\nretention: {retention}\nschedules: [{nightly}]\n");
        lab.write("configs/daemon.yaml", &rules);
        lab.sweep(&["configs/night.yaml"]).expect_code(0);
        // A look of this boot: from now on it counts what is set, and not how long the host sleeps.
        assert_eq!(lab.run(&["clock", "accept"]).0, 0);
        let store = store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
        let before = store.sweeps().unwrap().remove(0).id;
        let events_before = store.events(&before).unwrap().len();
        let asleep = build_asleep(&lab);
        let slept = first.duration_since(Timestamp::now()) - SignedDuration::from_mins(10);
        write_clocks(&lab, slept, SignedDuration::ZERO);
        let (slept_file, off_file) = (lab.path("slept"), lab.path("off"));
        let environment = [
            ("LD_PRELOAD", &*format!("{asleep}:{}", wrong_clock())),
            ("SLEPT_FILE", slept_file.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", off_file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let daemon = Daemon::start(&lab, "d", &environment);
        daemon.wait_for("page and API");
        Host { lab, store, daemon, before, events_before, slept: Cell::new(slept) }
    }

    /// What a right clock says.
    fn time(&self) -> Timestamp {
        Timestamp::now() + self.slept.get()
    }

    /// Sleeps until then; when it wakes, its clock is so much off.
    fn sleep_until(&self, at: Timestamp, off: SignedDuration) {
        self.daemon.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.daemon.pid());
        let is_stopped = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
        wait_until(is_stopped, || "the daemon to stop".to_owned());
        let sleeps = at.duration_since(self.time()).max(SignedDuration::ZERO);
        self.slept.set(self.slept.get() + sleeps);
        write_clocks(&self.lab, self.slept.get(), off);
        self.daemon.signal(Signal::SIGCONT);
    }

    /// Sets its clock.
    fn set_off(&self, off: SignedDuration) {
        self.sleep_until(self.time(), off);
    }

    /// Sleeps until then, and waits until the daemon has looked at what is due.
    fn look_at(&self, at: Timestamp) {
        self.sleep_until(at, SignedDuration::ZERO);
        let looked_at = || self.store.believed_clock().unwrap().is_some_and(|believed| believed.wall >= at);
        wait_until(looked_at, || format!("a look at {at}: {}", self.daemon.told()));
    }

    /// What the daemon is at.
    fn said(&self) -> Value {
        let said = std::fs::read(self.lab.path(".farm/daemon.json")).unwrap_or_default();
        serde_json::from_slice(&said).unwrap_or_default()
    }

    /// When it says that its schedule is due next.
    fn next_due(&self) -> Option<Timestamp> {
        self.said()["next"][1].as_str()?.parse().ok()
    }

    fn wait_for_doubt(&self, is_in_doubt: bool) {
        let is_so = || {
            let troubles = self.said()["troubles"].to_string();
            if is_in_doubt { troubles.contains("clock: it jumped") } else { troubles == "[]" }
        };
        wait_until(is_so, || format!("doubt is {is_in_doubt}: {}", self.daemon.told()));
    }

    /// What has become of a due time.
    fn start_of(&self, due: Timestamp) -> Option<ScheduledStart> {
        let starts = self.store.scheduled_starts(Some("nightly"), 1000).unwrap();
        starts.into_iter().find(|start| start.due.due_at == due)
    }

    fn sweep_of(&self, due: Timestamp) -> Option<SweepId> {
        self.start_of(due)?.sweep_id
    }

    fn wait_until_begun(&self, due: Timestamp) -> SweepId {
        wait_until(|| self.sweep_of(due).is_some(), || format!("the sweep of {due}: {}", self.daemon.told()));
        self.sweep_of(due).unwrap()
    }

    fn wait_until_over(&self, due: Timestamp) {
        let sweep = self.wait_until_begun(due);
        let is_over = || self.store.sweep_state(&sweep).unwrap() == SweepState::Finished;
        wait_until(is_over, || format!("the end of {sweep}: {}", self.daemon.told()));
    }

    /// Each of these due times had its one sweep, each job of which has its one record, and nothing has left.
    fn expect(self, dues: &[Timestamp]) {
        assert!(self.daemon.stop().success());
        let mut starts = self.store.scheduled_starts(Some("nightly"), 1000).unwrap();
        starts.reverse();
        let begun: Vec<Timestamp> = starts.iter().map(|start| start.due.due_at).collect();
        assert!(begun == dues && starts.iter().all(|start| start.state == StartState::Begun), "{starts:#?}");
        let sweeps = self.store.sweeps().unwrap();
        assert_eq!(sweeps.len(), 1 + dues.len(), "{sweeps:#?}");
        for sweep in &sweeps {
            let (records, jobs) = (self.store.records(&sweep.id).unwrap(), self.store.jobs(&sweep.id).unwrap());
            assert_eq!((records.len(), jobs.len()), (1, 1), "{records:#?}");
            assert_eq!(records[0].status, RunStatus::Ok, "{records:#?}");
            assert!(self.lab.path("reports").join(sweep.id.as_str()).join("results.csv").is_file());
        }
        assert!(self.store.events(&self.before).unwrap().len() >= self.events_before);
        assert_eq!(self.store.check().unwrap().faults, Vec::<String>::new());
    }
}

/// Whole or not at all: the daemon reads them at each look.
fn write_clocks(lab: &Lab, slept: SignedDuration, off: SignedDuration) {
    for (name, text) in [("slept", slept.as_millis().to_string()), ("off", format!("{:+}\n", off.as_secs()))] {
        lab.write("clock.new", &text);
        std::fs::rename(lab.path("clock.new"), lab.path(name)).unwrap();
    }
}

fn build_asleep(lab: &Lab) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sweep/clock/asleep.c");
    let library = lab.path("asleep.so");
    let mut compile = Command::new("cc");
    compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
    assert!(compile.arg("-o").arg(&library).arg(source).status().expect("a C compiler (scripts/prepare)").success());
    library.to_str().unwrap().to_owned()
}

/// Three nights from tomorrow on, at two o'clock.
fn nights() -> [Timestamp; 3] {
    let today = Timestamp::now().as_second().div_euclid(86_400);
    [1, 2, 3].map(|night| Timestamp::from_second((today + night) * 86_400 + 2 * 3_600).unwrap())
}

fn at_two(dues: &[Timestamp], runs: &str) -> Host {
    Host::new(dues[0], "0 2 * * *", "Etc/UTC", runs)
}

#[test]
fn a_clock_that_is_set_four_seconds_ahead_over_a_due_time() {
    let dues = nights();
    let host = at_two(&dues, QUICK);
    for due in dues {
        host.look_at(due - MOMENT);
        host.sleep_until(due - SignedDuration::from_secs(2), SignedDuration::from_secs(4));
        host.wait_until_over(due);
        host.look_at(due + LOOK);
    }
    host.expect(&dues);
}

#[test]
fn a_clock_that_is_set_four_seconds_back_over_a_due_time() {
    let dues = nights();
    let host = at_two(&dues, QUICK);
    for due in dues {
        host.look_at(due - MOMENT);
        host.sleep_until(due, SignedDuration::ZERO);
        host.wait_until_begun(due);
        // As much more as a slow machine took: it is before the due time again.
        let passed = host.time().duration_since(due) + SignedDuration::from_secs(2);
        let back = passed.max(SignedDuration::from_secs(4));
        host.set_off(-back);
        let is_seen = || host.next_due() == Some(due) || host.time() > due + back;
        wait_until(is_seen, || format!("{due} to be still to come: {}", host.daemon.told()));
        host.sleep_until(due + LOOK, -back);
        host.wait_until_over(due);
        host.look_at(due + LOOK + LOOK);
    }
    host.expect(&dues);
}

fn clock_that_jumps_over_due_times(off: SignedDuration) {
    let dues = nights();
    let host = at_two(&dues, QUICK);
    for due in dues {
        host.look_at(due - MOMENT);
        host.set_off(off);
        host.wait_for_doubt(true);
        host.sleep_until(due + MOMENT, off);
        // It has looked: what it says is next is the night after this one.
        wait_until(
            || host.next_due() == Some(due + DAY),
            || format!("{due} to pass: {}\n{}", host.said(), host.daemon.told()),
        );
        // A due time is settled in the look that sees it, and its sweep begins later.
        assert!(host.start_of(due).is_none(), "nothing is settled by a clock in doubt: {:?}", host.start_of(due));
        host.set_off(SignedDuration::ZERO);
        host.wait_for_doubt(false);
        host.wait_until_over(due);
    }
    host.expect(&dues);
}

#[test]
fn a_clock_that_is_three_hours_ahead_over_a_due_time() {
    clock_that_jumps_over_due_times(SignedDuration::from_hours(3));
}

#[test]
fn a_clock_that_is_three_hours_behind_over_a_due_time() {
    clock_that_jumps_over_due_times(SignedDuration::from_hours(-3));
}

#[test]
fn a_clock_that_is_ten_years_ahead_over_a_due_time() {
    clock_that_jumps_over_due_times(TEN_YEARS);
}

#[test]
fn a_clock_that_is_ten_years_behind_over_a_due_time() {
    clock_that_jumps_over_due_times(-TEN_YEARS);
}

#[test]
fn a_host_that_sleeps_over_due_times_and_in_the_middle_of_a_run() {
    let dues = nights();
    let host = at_two(&dues, &lasting(3));
    let long = SignedDuration::from_hours(5);
    // It wakes a minute late, and hours late.
    for (due, late) in [(dues[0], LOOK), (dues[1], long)] {
        host.look_at(due - MOMENT);
        host.look_at(due + late);
        host.wait_until_over(due);
    }
    // All leases have run out when it wakes.
    host.look_at(dues[2]);
    let sweep = host.wait_until_begun(dues[2]);
    let is_measured = || {
        let events = host.store.events(&sweep).unwrap();
        events.iter().any(|event| serde_json::to_value(event).unwrap()["phase"] == "measure")
    };
    wait_until(is_measured, || format!("a run: {}", host.daemon.told()));
    host.look_at(dues[2] + long);
    host.wait_until_over(dues[2]);
    host.expect(&dues);
}

/// The three nights around the next change of clocks, in which 02:30 comes twice, or never.
fn nights_around_a_change(is_to_summer: bool) {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let soon = Timestamp::now() + DAY + DAY;
    let change = zone.following(soon).find(|change| change.dst().is_dst() == is_to_summer).unwrap().timestamp();
    // In half hours from the change. Where 02:30 is left out, the first moment after it is meant.
    let halves = if is_to_summer { [-47, 0, 47] } else { [-49, -1, 49] };
    let dues = halves.map(|halves| change + HALF * halves);
    let host = Host::new(dues[0], "30 2 * * *", "Europe/Berlin", QUICK);
    for due in dues {
        host.look_at(due - MOMENT);
        host.look_at(due + LOOK);
        host.wait_until_over(due);
        // The second 02:30 of that night, and the time at which 02:30 would have been.
        host.look_at(due + HALF + LOOK);
        host.look_at(due + HALF + HALF + LOOK);
    }
    host.expect(&dues);
}

#[test]
fn clocks_that_are_put_forward_for_summer() {
    nights_around_a_change(true);
}

#[test]
fn clocks_that_are_put_back_for_winter() {
    nights_around_a_change(false);
}
