//! Phones through Android's own daemon and adb's own server, and what happens to them in the middle of things.

use testlab::{AdbServer, Board, BoardOptions, FaultProxy, Phone, PhoneArch, PhoneOptions, Server};

use super::support::{Lab, QUICK, adb_device, farm, lasting, local_device, quick, room, runtime, ssh_device};

const NETWORKS: &str = "resnet50, inception_v3, densenet121, squeezenet1_0, mobilenet_v2, mnasnet1_0";

const ARM: &str = "aarch64-unknown-linux-gnu";

#[test]
fn phones_boards_and_this_host_in_one_sweep() {
    let _room = room();
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
    // Each inference takes the ARM phone seconds.
    let once = quick("squeezenet1_0")
        .replace("warmup: { min_runs: 1", "warmup: { min_runs: 0")
        .replace("min_runs: 2, max_runs: 2", "min_runs: 1, max_runs: 1");
    lab.write(
        "configs/all.yaml",
        &format!("{once}include:\n  - {{ devices: [this-host, phone-0, board-0], models: [{others}] }}\n"),
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
        assert_eq!((row["status"].as_str(), row["runs"].as_str()), ("ok", "1"), "{row:?}");
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

#[test]
fn two_farmctl_never_measure_on_a_phone_at_once() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    // Neither knows the other's store: the phone alone can tell.
    let [first, second] = ["configs/slow.yaml", "configs/quick.yaml"].map(|_| Lab::new());
    for lab in [&first, &second] {
        lab.write("farms/lab.yaml", &farm(&[adb_device("phone", phone.address(), &server)]));
        lab.write("configs/quick.yaml", QUICK);
    }
    first.write("configs/slow.yaml", &lasting(50));
    let mut running = first.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    let mut waiting = second.start(&["configs/quick.yaml"]);
    let told = waiting.wait_for("device_waiting", None);
    assert!(told["cause"].as_str().unwrap().contains("goes on there, which is not this sweep's"), "{told}");
    let runs = || std::fs::read_dir(phone.data_path("local/tmp/farmctl/runs")).unwrap().count();
    assert_eq!(runs(), 1, "the second has not begun");

    // Ended by its host, the run leaves the phone to the next one.
    running.interrupt();
    running.wait_for("stop_requested", None);
    running.interrupt();
    running.finish().expect_code(130);
    waiting.finish().expect_code(0);
    assert_eq!((second.row("phone")["status"].as_str(), second.row("phone")["attempt"].as_str()), ("ok", "1"));
}

#[test]
fn a_phone_that_hangs_is_told_in_time_and_holds_up_no_other() {
    let server = AdbServer::start().unwrap();
    let (hung, well) = (Phone::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    let devices = [("hung", &hung), ("well", &well)];
    lab.write("farms/lab.yaml", &farm(&devices.map(|(name, phone)| adb_device(name, phone.address(), &server))));
    assert_eq!(lab.run(&["devices", "probe"]).0, 0);
    hung.freeze();
    for command in ["check", "probe"] {
        let (code, stdout, stderr) = lab.run(&["--format", "csv", "devices", command]);
        assert_eq!(code, 6, "{stdout}{stderr}");
        // Which one depends on whether the server still believes in its connection.
        let kinds = ["timeout", "unreachable"].map(|kind| format!("{kind}: failed to connect on hung: "));
        let told = stderr.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
        assert_eq!(told.count(), 1, "{stdout}{stderr}");
        assert!(stdout.lines().any(|line| line.starts_with("well,")), "{stdout}{stderr}");
    }
    hung.thaw();
    assert_eq!(lab.run(&["devices", "check"]).0, 0, "it is found again");
}
