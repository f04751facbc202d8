//! What happens to a device, or to the way to it, in the middle of a push or a run: no result is lost, none is measured
//! twice, nothing hangs, and other devices go on.

use std::time::Duration;

use tokio::runtime::Runtime;

use testlab::{AdbServer, Board, FaultProxy, Phone};

use super::support::{Lab, Outcome, Running, adb_device, farm, lasting, quick, runtime, ssh_device};
use super::workdir::Workdir;

/// How long a cable is out.
const OUTAGE: Duration = Duration::from_secs(2);
/// Slow enough for a fault to strike while five megabytes are pushed.
const SLOW_BYTES_PER_SECOND: u64 = 1 << 20;
/// What the fault strikes.
const STRUCK: &str = "struck";
/// What sweeps along.
const OTHER: &str = "other";

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum During {
    Push,
    Run,
}

impl During {
    /// The sweep that is struck.
    fn config(self) -> &'static str {
        match self {
            During::Push => "configs/push.yaml",
            During::Run => "configs/run.yaml",
        }
    }
}

enum Machine {
    Phone(Phone),
    Board(Board),
}

impl Machine {
    fn workdir(&self) -> Workdir {
        match self {
            Machine::Phone(phone) => Workdir::on_phone(phone),
            Machine::Board(board) => Workdir::on_board(board),
        }
    }

    fn freeze_daemon(&self) {
        match self {
            Machine::Phone(phone) => phone.freeze_daemon(),
            Machine::Board(board) => board.freeze_daemon(),
        }
    }

    fn thaw_daemon(&self) {
        match self {
            Machine::Phone(phone) => phone.thaw_daemon(),
            Machine::Board(board) => board.thaw_daemon(),
        }
    }

    fn kill_daemon(&self) {
        match self {
            Machine::Phone(phone) => phone.kill_daemon().unwrap(),
            Machine::Board(board) => board.kill_daemon().unwrap(),
        }
    }

    fn restart_daemon(&self) {
        match self {
            Machine::Phone(phone) => phone.restart_daemon().unwrap(),
            Machine::Board(board) => board.restart_daemon().unwrap(),
        }
    }
}

/// Two devices of a kind, the way to one of them, and a lab that knows both. They have their runner already, so that a
/// fault meets what it is meant for.
struct Bench {
    struck: Machine,
    other: Machine,
    server: Option<AdbServer>,
    proxy: FaultProxy,
    lab: Lab,
    _runtime: Runtime,
}

impl Bench {
    fn with_phones() -> Bench {
        let (server, struck, other) = (AdbServer::start().unwrap(), Phone::start().unwrap(), Phone::start().unwrap());
        let runtime = runtime();
        let proxy = runtime.block_on(FaultProxy::start(struck.address())).unwrap();
        let devices = [adb_device(STRUCK, proxy.address(), &server), adb_device(OTHER, other.address(), &server)];
        let (struck, other) = (Machine::Phone(struck), Machine::Phone(other));
        Bench { struck, other, server: Some(server), proxy, lab: lab_of(&devices), _runtime: runtime }
    }

    fn with_boards() -> Bench {
        let (struck, other) = (Board::start().unwrap(), Board::start().unwrap());
        let runtime = runtime();
        let proxy = runtime.block_on(FaultProxy::start(struck.address())).unwrap();
        let devices = [ssh_device(STRUCK, &struck, proxy.address().port()), ssh_device(OTHER, &other, other.port)];
        let (struck, other) = (Machine::Board(struck), Machine::Board(other));
        Bench { struck, other, server: None, proxy, lab: lab_of(&devices), _runtime: runtime }
    }

    fn phone(&self) -> &Phone {
        let Machine::Phone(phone) = &self.struck else { panic!("it is no phone") };
        phone
    }

    fn server(&self) -> &AdbServer {
        self.server.as_ref().unwrap()
    }

    /// Starts the sweep and lets the device come to where the fault is to strike.
    fn start(&self, during: During) -> Running {
        for machine in [&self.struck, &self.other] {
            machine.workdir().forget();
        }
        if let Some(server) = &self.server {
            server.restart().unwrap();
        }
        if during == During::Push {
            self.proxy.slow(SLOW_BYTES_PER_SECOND);
        }
        let mut running = self.lab.start(&[during.config()]);
        match during {
            During::Push => wait_for(&mut running, "push_started", None),
            During::Run => wait_for(&mut running, "run_phase", Some("measure")),
        }
        running
    }

    /// Both devices have their one result, which was measured once.
    fn expect_one_result_each(&self, ended: &Outcome) {
        ended.expect_code(0);
        for (device, machine) in [(STRUCK, &self.struck), (OTHER, &self.other)] {
            let row = self.lab.row(device);
            assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
            assert_eq!(events_of(ended, device, "run_started"), 1);
            assert_eq!(machine.workdir().runs().len(), 0, "{device} keeps nothing of a run that has its record");
            let stored = std::fs::read(machine.workdir().path("store").join(&row["model_sha256"])).unwrap();
            assert_eq!(farmctl::domain::sha256_hex(&stored), row["model_sha256"]);
        }
    }

    /// Lets a fault strike during a push and during a run, which both go on when it is over.
    fn survives(&self, fault: impl Fn(&Bench, &mut Running)) -> [Outcome; 2] {
        [During::Push, During::Run].map(|during| {
            let mut running = self.start(during);
            fault(self, &mut running);
            self.proxy.pass();
            let ended = running.finish();
            self.expect_one_result_each(&ended);
            ended
        })
    }
}

fn lab_of(devices: &[String]) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(devices));
    let (code, _, stderr) = lab.run(&["devices", "probe"]);
    assert_eq!(code, 0, "{stderr}");
    let timeouts = "timeouts: { connect_seconds: 4, push_stall_seconds: 2 }\n";
    lab.write(During::Push.config(), &format!("{}{timeouts}", quick("squeezenet1_0")));
    lab.write(During::Run.config(), &format!("{}{timeouts}", lasting(3)));
    lab
}

/// Waits for an event of the device that is struck.
fn wait_for(running: &mut Running, event: &str, phase: Option<&str>) {
    while running.wait_for(event, phase)["device"] != STRUCK {}
}

fn events_of(ended: &Outcome, device: &str, event: &str) -> usize {
    ended.named(event).iter().filter(|event| event["device"] == device).count()
}

/// Whether the other device never noticed anything.
fn other_was_untouched(ended: &[Outcome]) -> bool {
    ended.iter().all(|ended| events_of(ended, OTHER, "device_reconnecting") == 0)
}

#[test]
fn a_phones_cable_that_is_out_for_two_seconds() {
    let ended = Bench::with_phones().survives(|bench, _| {
        bench.phone().unplug().unwrap();
        std::thread::sleep(OUTAGE);
        bench.phone().replug().unwrap();
    });
    assert!(other_was_untouched(&ended));
}

#[test]
fn a_boards_cable_that_is_out_for_two_seconds() {
    let ended = Bench::with_boards().survives(|bench, _| {
        bench.proxy.stall();
        std::thread::sleep(OUTAGE);
        bench.proxy.pass();
    });
    assert!(other_was_untouched(&ended));
}

#[test]
fn a_daemon_that_is_killed_and_comes_back() {
    for bench in [Bench::with_phones(), Bench::with_boards()] {
        let ended = bench.survives(|bench, running| {
            bench.struck.kill_daemon();
            wait_for(running, "device_reconnecting", None);
            bench.struck.restart_daemon();
        });
        assert!(other_was_untouched(&ended));
    }
}

/// A daemon that stands still closes nothing: the host has to notice by itself. A run ends on the device meanwhile.
fn daemon_stopped_for_longer_than_anybody_waits(bench: &Bench) {
    let ended = bench.survives(|bench, running| {
        bench.struck.freeze_daemon();
        wait_for(running, "device_reconnecting", None);
        bench.struck.thaw_daemon();
    });
    assert!(other_was_untouched(&ended));
}

#[test]
fn a_phones_daemon_that_is_stopped_for_longer_than_anybody_waits_and_goes_on() {
    daemon_stopped_for_longer_than_anybody_waits(&Bench::with_phones());
}

#[test]
fn a_boards_daemon_that_is_stopped_for_longer_than_anybody_waits_and_goes_on() {
    daemon_stopped_for_longer_than_anybody_waits(&Bench::with_boards());
}

#[test]
fn an_adb_server_that_is_killed() {
    Bench::with_phones().survives(|bench, running| {
        bench.server().kill();
        wait_for(running, "device_reconnecting", None);
    });
}

#[test]
fn an_adb_server_that_is_stopped_is_restarted_and_each_step_is_an_event() {
    let ended = Bench::with_phones().survives(|bench, _| bench.server().freeze());
    for ended in ended {
        let steps = ended.named("transport_healing");
        let restarts = steps.iter().filter(|step| step["step"].as_str().unwrap().contains("restarting the adb server"));
        assert_eq!(restarts.count(), 1, "{steps:?}");
    }
}

#[test]
fn a_push_that_stands_still_can_be_ended() {
    let bench = Bench::with_boards();
    let config = During::Push.config();
    let patient = std::fs::read_to_string(bench.lab.path(config)).unwrap();
    bench.lab.write(config, &patient.replace("push_stall_seconds: 2", "push_stall_seconds: 600"));
    let mut running = bench.start(During::Push);
    bench.proxy.stall();
    running.interrupt();
    running.wait_for("stop_requested", None);
    running.interrupt();
    running.finish().expect_code(130);
    assert_eq!(bench.lab.row(STRUCK)["status"], "cancelled");
}

#[test]
fn a_board_that_boots_anew_has_lost_its_run_and_does_it_again() {
    let bench = Bench::with_boards();
    bench.lab.write(During::Run.config(), &format!("{}threads: [1, all]\norder: listed\n", lasting(3)));
    let running = bench.start(During::Run);
    let Machine::Board(board) = &bench.struck else { unreachable!() };
    board.reboot().unwrap();
    let ended = running.finish();
    ended.expect_code(0);
    let rows = bench.lab.rows();
    let of = |device: &str| -> Vec<(&str, &str)> {
        let rows = rows.iter().filter(|row| row["device"] == device);
        rows.map(|row| (row["status"].as_str(), row["attempt"].as_str())).collect()
    };
    assert_eq!((of(STRUCK), of(OTHER)), (vec![("ok", "2"), ("ok", "1")], vec![("ok", "1"), ("ok", "1")]), "{rows:?}");
    let given_back = ended.named("run_given_back");
    assert_eq!((given_back.len(), &given_back[0]["failure"]["kind"]), (1, &"rebooted".into()));
}
