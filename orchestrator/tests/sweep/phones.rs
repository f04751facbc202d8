//! Phones through Android's own daemon and adb's own server, and what happens to them in the middle of things.

use std::time::Duration;

use testlab::{AdbServer, Board, BoardOptions, FaultProxy, Phone, PhoneArch, PhoneOptions, Server};

use super::support::{Lab, Outcome, QUICK, Running, adb_device, farm, local_device, runtime, ssh_device};

const NETWORKS: &str = "resnet50, inception_v3, densenet121, squeezenet1_0, mobilenet_v2, mnasnet1_0";

const ARM: &str = "aarch64-unknown-linux-gnu";
/// How long a cable is out.
const OUTAGE: Duration = Duration::from_secs(2);

#[test]
fn phones_boards_and_this_host_in_one_sweep() {
    let server = AdbServer::start().unwrap();
    let phones = [PhoneArch::Host, PhoneArch::Host, PhoneArch::Aarch64].map(|arch| {
        let properties = vec![("ro.soc.model".to_owned(), format!("soc-{arch:?}"))];
        Phone::start_with(&PhoneOptions { arch, properties, ..PhoneOptions::default() }).unwrap()
    });
    let servers = [Server::OpenSsh, Server::OpenSsh, Server::OpenSsh, Server::Dropbear];
    let boards = servers.map(|server| Board::start_with(&BoardOptions { server, ..BoardOptions::default() }).unwrap());
    let runtime = runtime();
    let second_way = runtime.block_on(FaultProxy::start(phones[0].address())).unwrap();

    let mut devices = vec![local_device()];
    for (index, phone) in phones.iter().enumerate() {
        devices.push(adb_device(&format!("phone-{index}"), phone.address(), &server));
    }
    devices.push(adb_device("phone-0-again", second_way.address(), &server));
    for (index, board) in boards.iter().enumerate() {
        devices.push(ssh_device(&format!("board-{index}"), board, board.port));
    }
    let lab = Lab::new();
    lab.add_runner_for(ARM);
    lab.write("farms/lab.yaml", &farm(&devices));
    let others = NETWORKS.replace("squeezenet1_0, ", "");
    lab.write(
        "configs/all.yaml",
        &format!("{QUICK}include:\n  - {{ devices: [this-host, phone-0, board-0], models: [{others}] }}\n"),
    );

    let ended = lab.sweep(&["configs/all.yaml"]);
    ended.expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.len(), 9 + 3 * 5, "each cell is a row");
    for row in &rows {
        if row["device"] == "phone-0-again" {
            assert_eq!(row["status"], "skipped", "{row:?}");
            assert!(row["failure"].contains("phone-0"), "{row:?}");
            continue;
        }
        assert_eq!((row["status"].as_str(), row["runs"].as_str()), ("ok", "2"), "{row:?}");
        assert!(row["output_error"].parse::<f64>().unwrap() < 1e-4, "{row:?}");
    }
    let row = |device: &str| rows.iter().find(|row| row["device"] == device).unwrap();
    assert_eq!((row("phone-2")["target"].as_str(), row("phone-2")["transport"].as_str()), (ARM, "adb"));
    assert_eq!(row("phone-2")["soc"], "soc-Aarch64");
    assert_ne!(row("phone-1")["target"], row("phone-2")["target"], "two architectures");

    let second = lab.sweep(&["configs/all.yaml"]);
    second.expect_code(0);
    assert_eq!(second.pushed_bytes(), 0, "a second sweep sends nothing");
}

/// A phone, the server it hangs on, and a lab that knows it.
struct Bench {
    phone: Phone,
    server: AdbServer,
    lab: Lab,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy)]
enum During {
    Push,
    Run,
}

impl Bench {
    fn new() -> Bench {
        let (phone, server, lab) = (Phone::start().unwrap(), AdbServer::start().unwrap(), Lab::new());
        lab.write("farms/lab.yaml", &farm(&[adb_device("phone", phone.address(), &server)]));
        // The runner goes over first, so that the fault meets what it is meant for.
        let (code, _, stderr) = lab.run(&["devices", "probe"]);
        assert_eq!(code, 0, "{stderr}");
        let measure = QUICK.replace("min_runs: 2, max_runs: 2, min_seconds: 0", "min_runs: 2, min_seconds: 4");
        lab.write("configs/fault.yaml", &measure.replace("squeezenet1_0", "resnet50"));
        Bench { phone, server, lab }
    }

    /// Starts the sweep and lets it come to where the fault is to strike.
    fn start(&self, during: During) -> Running {
        let mut running = self.lab.start(&["configs/fault.yaml"]);
        match during {
            During::Push => running.wait_for("push_started", None),
            During::Run => running.wait_for("run_phase", Some("measure")),
        };
        running
    }

    /// The sweep ended with its one result, which was measured once.
    fn expect_one_result(&self, ended: &Outcome) {
        ended.expect_code(0);
        let row = self.lab.row("phone");
        assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
        assert_eq!(ended.named("run_started").len(), 1);
        assert_eq!(runs_on(&self.phone), 1, "the phone was asked to run once");
        let stored = self.phone.data_path(&format!("local/tmp/farmctl/store/{}", row["model_sha256"]));
        assert_eq!(farmctl::domain::sha256_hex(&std::fs::read(stored).unwrap()), row["model_sha256"]);
    }
}

fn runs_on(phone: &Phone) -> usize {
    std::fs::read_dir(phone.data_path("local/tmp/farmctl/runs")).map_or(0, Iterator::count)
}

fn survives(during: During, fault: impl FnOnce(&Bench, &mut Running)) {
    let bench = Bench::new();
    let mut running = bench.start(during);
    fault(&bench, &mut running);
    bench.expect_one_result(&running.finish());
}

#[test]
fn a_cable_that_is_out_for_two_seconds() {
    for during in [During::Push, During::Run] {
        survives(during, |bench, _| {
            bench.phone.unplug().unwrap();
            std::thread::sleep(OUTAGE);
            bench.phone.replug().unwrap();
        });
    }
}

#[test]
fn a_daemon_that_is_killed_and_comes_back() {
    for during in [During::Push, During::Run] {
        survives(during, |bench, running| {
            bench.phone.kill_daemon().unwrap();
            running.wait_for("device_reconnecting", None);
            bench.phone.restart_daemon().unwrap();
        });
    }
}

#[test]
fn an_adb_server_that_is_killed() {
    for during in [During::Push, During::Run] {
        survives(during, |bench, running| {
            bench.server.kill();
            running.wait_for("device_reconnecting", None);
        });
    }
}
