//! Devices that look alike, and those that lack what most have: none is taken for another, and none is lost for it.

use std::time::Duration;

use testlab::{AdbFront, AdbServer, Board, FrontName, Phone, PhoneOptions};

use super::support::{Lab, QUICK, adb_device, farm, lasting, ssh_device};

#[test]
fn two_phones_of_one_image_are_two() {
    let server = AdbServer::start().unwrap();
    let serial = Some("EMULATOR34X1X9X0".to_owned());
    let phones = [0, 1].map(|_| Phone::start_with(&PhoneOptions { serial: serial.clone(), ..PhoneOptions::default() }));
    let phones = phones.map(Result::unwrap);
    let lab = Lab::new();
    let devices = [0, 1].map(|index| adb_device(&format!("phone-{index}"), phones[index].address(), &server));
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/quick.yaml", QUICK);
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    for name in ["phone-0", "phone-1"] {
        assert_eq!(lab.row(name)["status"], "ok", "{:?}", lab.row(name));
    }
    assert_eq!(ended.named("device_spare").len(), 0);
    let (code, stdout, stderr) = lab.run(&["--format", "csv", "devices", "check"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("spare"), "{stdout}");
}

#[test]
fn one_board_under_two_names_is_worked_on_under_one() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&["one", "two"].map(|name| ssh_device(name, &board, board.port))));
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let rows = ["one", "two"].map(|name| lab.row(name));
    let (used, spare) = if rows[0]["status"] == "ok" { (&rows[0], &rows[1]) } else { (&rows[1], &rows[0]) };
    assert_eq!((used["status"].as_str(), used["attempt"].as_str()), ("ok", "1"), "{used:?}");
    assert_eq!((spare["status"].as_str(), spare["failure_kind"].as_str()), ("skipped", "spare_device"), "{spare:?}");
    assert!(spare["failure"].contains(&format!("same machine as {}", used["device"])), "{spare:?}");
    let (code, stdout, stderr) = lab.run(&["--format", "csv", "devices", "check"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.matches("spare").count(), 1, "{stdout}");
}

#[test]
fn two_labs_push_the_same_files_to_one_board_at_once() {
    let board = Board::start().unwrap();
    let labs = [0, 1].map(|_| Lab::new());
    for lab in &labs {
        lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
        lab.write("configs/quick.yaml", QUICK);
    }
    let running = labs.each_ref().map(|lab| lab.start(&["configs/quick.yaml"]));
    for running in running {
        running.finish().expect_code(0);
    }
    for lab in &labs {
        let row = lab.row("board");
        assert_eq!(row["status"], "ok", "{row:?}");
    }
    let left: Vec<_> = std::fs::read_dir(board.home.join("farmctl/partial")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_phone_without_tools_to_hash_or_unpack_runs_all_the_same() {
    let server = AdbServer::start().unwrap();
    let without = ["sha256sum", "openssl", "gzip", "gunzip"].map(str::to_owned).to_vec();
    let phone = Phone::start_with(&PhoneOptions { without, ..PhoneOptions::default() }).unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[adb_device("phone", phone.address(), &server)]));
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    assert_eq!(lab.row("phone")["status"], "ok");
    // A runner that rotted there says so itself, and is pushed anew.
    let programs = phone.data_path("local/tmp/farmctl/bin");
    let runner = std::fs::read_dir(programs).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&runner).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&runner, bytes).unwrap();
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    assert_eq!(lab.row("phone")["status"], "ok");
}

#[test]
fn a_phone_that_waits_for_a_tap_is_waited_for() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    server.connect(phone.address()).unwrap();
    let front = AdbFront::start(server.address()).unwrap();
    let (real, shown, usb) = (phone.address().to_string(), "R58M123".to_owned(), Some("1-5".to_owned()));
    let name = FrontName { real, shown, usb, state: Some("unauthorized".to_owned()) };
    front.set_names(vec![name.clone()]);
    let lab = Lab::new();
    let transport = format!("{{ adb: {{ serial: R58M123, server: '{}' }} }}", front.address());
    lab.write("farms/lab.yaml", &farm(&[format!("  - name: phone\n    transport: {transport}\n")]));
    lab.write("configs/quick.yaml", QUICK);
    let mut running = lab.start(&["configs/quick.yaml"]);
    let retrying = running.wait_for("device_retrying", None);
    assert_eq!(retrying["failure"]["kind"], "unauthorized", "{retrying}");
    assert!(retrying["failure"]["message"].as_str().unwrap().contains("accept this host's key"), "{retrying}");
    front.set_names(vec![FrontName { state: None, ..name }]);
    running.finish().expect_code(0);
    assert_eq!(lab.row("phone")["status"], "ok");
}

#[test]
fn another_phone_at_the_address_is_not_measured_under_the_name_of_the_first() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[adb_device("phone", phone.address(), &server)]));
    lab.write("configs/slow.yaml", &lasting(2));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    phone.set_property("ro.serialno", Some("ANOTHER1")).unwrap();
    phone.reboot().unwrap();
    while let Ok(event) = running.next_event(Duration::from_secs(4)) {
        assert_ne!(event["event"], "run_started", "{event}");
    }
    // With the cable of the first one back, the sweep goes on; its system is what it booted.
    phone.set_property("ro.serialno", Some(phone.serial())).unwrap();
    phone.set_property("ro.build.fingerprint", Some("lab/updated")).unwrap();
    phone.reboot().unwrap();
    running.finish().expect_code(0);
    let row = lab.row("phone");
    assert_eq!((row["status"].as_str(), row["serial"].as_str()), ("ok", phone.serial()), "{row:?}");
    assert_eq!((row["attempt"].as_str(), row["build"].as_str()), ("2", "lab/updated"), "{row:?}");

    // A sweep that finds none but the other one, gives up; the next one takes it for what it is.
    let timeouts = "timeouts: { reconnect_seconds: 2 }\n";
    lab.write("configs/slow.yaml", &format!("{}{timeouts}", lasting(2)));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    phone.set_property("ro.serialno", Some("ANOTHER1")).unwrap();
    phone.reboot().unwrap();
    let ended = running.finish();
    ended.expect_code(5);
    let why = &lab.row("phone")["failure"];
    assert!(why.contains("another phone answers for phone") && why.contains("ANOTHER1"), "{why}");
    assert_eq!(lab.run(&["devices", "release", "phone"]).0, 0);
    lab.sweep(&["configs/slow.yaml"]).expect_code(0);
    assert_eq!(lab.row("phone")["serial"], "ANOTHER1");
}

#[test]
fn a_phone_that_boots_is_waited_for() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[adb_device("phone", phone.address(), &server)]));
    lab.write("configs/slow.yaml", &lasting(2));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    phone.set_property("sys.boot_completed", None).unwrap();
    phone.reboot().unwrap();
    // Its daemon answers, and nothing is measured.
    while let Ok(event) = running.next_event(Duration::from_secs(4)) {
        assert_ne!(event["event"], "run_started", "{event}");
    }
    phone.set_property("sys.boot_completed", Some("1")).unwrap();
    running.wait_for("run_phase", Some("measure"));
    running.finish().expect_code(0);
    let row = lab.row("phone");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "2"), "{row:?}");
}
