//! Phones: Android's own adb daemon, with the commands of Android that bring-up uses.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use farmctl::device::{change_settings, undo_settings};
use farmctl::domain::{Device, Setting};
use farmctl::transport::{ConnectOptions, connect};
use serde_json::json;
use testlab::{AdbServer, Board, FaultProxy, Phone, SmallDisk};

use super::support::{Lab, QUICK, farm, lasting, quick, ssh_device};

const LIMIT: Duration = Duration::from_secs(60);

/// One device of a farm file, known to this server at this address.
fn phone_device(name: &str, server: &AdbServer, address: SocketAddr) -> String {
    let server = server.address();
    format!("  - name: {name}\n    transport: {{ adb: {{ address: \"{address}\", server: \"{server}\" }} }}\n")
}

/// A phone that is awake and has its screen on, as it was before anybody came.
#[track_caller]
fn expect_untouched(phone: &Phone) {
    let state = |name| phone.state(name).unwrap();
    let found = ["global/stay_on_while_plugged_in", "wakefulness", "global/airplane_mode_on"].map(state);
    assert_eq!(found, ["0", "Awake", "0"], "{:?}", phone.commands());
}

#[track_caller]
fn expect_set_up(phone: &Phone) {
    let state = |name| phone.state(name).unwrap();
    assert_eq!(["global/stay_on_while_plugged_in", "wakefulness"].map(state), ["7", "Asleep"]);
}

#[test]
fn a_phone_is_set_up_for_measuring_and_set_back() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    let device = phone_device("phone", &server, phone.address());
    lab.write("farms/lab.yaml", &farm(&[format!("{device}    android: {{ airplane_mode: true }}\n")]));
    lab.write("configs/quick.yaml", &lasting(1));

    let mut running = lab.start(&["configs/quick.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    expect_set_up(&phone);
    let ended = running.finish();
    ended.expect_code(0);
    expect_untouched(&phone);
    for event in ["device_changed", "device_restored"] {
        let mut settings: Vec<&str> =
            ended.named(event).iter().map(|event| event["setting"].as_str().unwrap()).collect();
        settings.sort_unstable();
        assert_eq!(settings, ["screen", "stay_awake"], "{event}");
    }
    let warnings = ended.named("device_warning");
    assert!(warnings.len() == 1 && warnings[0]["message"].as_str().unwrap().contains("network"), "{warnings:?}");

    let row = lab.row("phone");
    assert_eq!((row["status"].as_str(), row["os"].as_str()), ("ok", "Android 14 (API 34)"), "{}", row["failure"]);
    assert_eq!((row["serial"].as_str(), row["powered_by"].as_str()), (phone.serial(), "usb"));
    assert!(row["build"].contains("release-keys") && row["soc"].starts_with("LS8"), "{row:?}");
    assert!(row["battery_percent"].parse::<u32>().is_ok() && row["battery_c"].parse::<f64>().is_ok(), "{row:?}");
}

/// What was written to the kernel's files that take and free wake locks.
fn lock(phone: &Phone) -> [String; 2] {
    ["power/wake_lock", "power/wake_unlock"]
        .map(|name| std::fs::read_to_string(phone.sys_path(name)).unwrap().trim().to_owned())
}

#[test]
fn settings_are_changed_as_root_where_the_farm_file_says_so_and_su_allows_it() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    let device = phone_device("phone", &server, phone.address());
    lab.write("configs/quick.yaml", QUICK);
    let sweep = |su: bool, answer: &str| {
        std::fs::write(phone.data_path("farmlab/state/su"), answer).unwrap();
        for name in ["power/wake_lock", "power/wake_unlock"] {
            std::fs::write(phone.sys_path(name), "").unwrap();
        }
        lab.write("farms/lab.yaml", &farm(&[format!("{device}    android: {{ su: {su} }}\n")]));
        let asked_before = times_asked(&phone);
        let ended = lab.sweep(&["configs/quick.yaml"]);
        ended.expect_code(0);
        expect_untouched(&phone);
        let warnings = ended.named("device_warning").into_iter().map(|event| event["message"].to_string());
        // Other programs of this machine may make the phone slower than it was.
        let warnings: Vec<String> = warnings.filter(|warning| !warning.contains("slower than usual")).collect();
        (times_asked(&phone) - asked_before, ended.named("device_changed").len(), lock(&phone), warnings)
    };
    let free = ["", ""].map(str::to_owned);
    assert_eq!(sweep(false, "grant"), (0, 2, free.clone(), vec![]), "nobody is asked unless that is wanted");
    assert_eq!(sweep(true, "grant"), (3, 3, ["farmctl", "farmctl"].map(str::to_owned), vec![]));
    for kind in ["own", "again", "name", "user"] {
        let (_, changed, taken, warnings) = sweep(true, kind);
        assert_eq!((changed, taken, warnings), (3, ["farmctl", "farmctl"].map(str::to_owned), vec![]), "{kind}");
    }
    for answer in ["deny", "none"] {
        let (_, changed, lock, warnings) = sweep(true, answer);
        assert_eq!((changed, lock, warnings.len()), (2, free.clone(), 1), "{answer}: set up all the same");
        assert!(warnings[0].contains("gives no root"), "{warnings:?}");
    }
    // After `adb root` there is nobody to ask.
    std::fs::write(phone.data_path("farmlab/state/adbd"), "root").unwrap();
    assert_eq!(sweep(true, "none"), (0, 3, ["farmctl", "farmctl"].map(str::to_owned), vec![]));
}

/// How often `su` was called.
fn times_asked(phone: &Phone) -> usize {
    phone.commands().iter().filter(|call| call.starts_with("su ")).count()
}

#[test]
fn what_a_killed_farmctl_left_is_undone_by_a_person_or_the_next_sweep() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[phone_device("phone", &server, phone.address())]));
    lab.write("configs/quick.yaml", &quick("squeezenet1_0"));
    let killed = || {
        let mut running = lab.start(&["configs/quick.yaml"]);
        running.wait_for("device_ready", None);
        running.kill();
        expect_set_up(&phone);
    };

    killed();
    let (code, stdout, stderr) = lab.run(&["devices", "restore"]);
    assert!(code == 0 && stdout.contains("stay_awake") && stdout.contains("restored"), "{stdout}{stderr}");
    expect_untouched(&phone);
    assert_eq!(lab.run(&["devices", "restore", "phone"]).0, 4, "nothing is left");

    killed();
    let next = lab.sweep(&["configs/quick.yaml"]);
    next.expect_code(0);
    expect_untouched(&phone);
    let left: Vec<bool> = next.named("device_restored").iter().map(|event| event["left_by"].is_string()).collect();
    assert_eq!(left, [true, true, false, false], "first what was left, then its own");
}

#[test]
fn what_a_running_farmctl_changed_is_left_alone() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[phone_device("phone", &server, phone.address())]));
    lab.write("configs/slow.yaml", &lasting(3));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    let (code, _, stderr) = lab.run(&["devices", "restore", "phone"]);
    assert!(code == 4 && stderr.contains("may still run"), "{stderr}");
    expect_set_up(&phone);
    running.finish().expect_code(0);
    expect_untouched(&phone);
}

#[test]
fn one_phone_is_one_device_however_often_it_is_declared() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let proxy = runtime.block_on(FaultProxy::start(phone.address())).unwrap();
    let lab = Lab::new();
    let devices = [phone_device("first", &server, phone.address()), phone_device("second", &server, proxy.address())];
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/quick.yaml", QUICK);

    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    let (first, second) = (lab.row("first"), lab.row("second"));
    assert_eq!((first["status"].as_str(), first["serial"].as_str()), ("ok", phone.serial()), "{}", first["failure"]);
    assert_eq!((second["status"].as_str(), second["failure_kind"].as_str()), ("skipped", "spare_device"));
    assert!(second["failure"].contains("same phone as first"), "{}", second["failure"]);
    assert_eq!(ended.named("run_started").len(), 1);
    expect_untouched(&phone);

    let (code, stdout, stderr) = lab.run(&["--format", "csv", "devices", "check"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("first,ok") && stdout.contains("second,spare"), "{stdout}");
}

#[test]
fn discovered_phones_are_added_to_a_farm_file_that_keeps_its_comments() {
    let server = AdbServer::start().unwrap();
    let (known, new, dead) = (Phone::start().unwrap(), Phone::start().unwrap(), Phone::start().unwrap());
    for phone in [&known, &new, &dead] {
        server.connect(phone.address()).unwrap();
    }
    dead.kill_daemon().unwrap();
    let lab = Lab::new();
    let before = format!("# my desk\ndevices: # all\n{}\n# the end\n", phone_device("desk", &server, known.address()));
    lab.write("farms/lab.yaml", &before);
    let address = server.address().to_string();
    let words = ["--format", "csv", "devices", "discover", "--server", &address, "--write", "farms/lab.yaml"];

    let (code, stdout, stderr) = lab.run(&words);
    assert_eq!(code, 6, "one can't be used: {stderr}");
    let line_of = |phone: &Phone| stdout.lines().find(|line| line.contains(&phone.address().to_string())).unwrap();
    assert!(line_of(&known).contains(",desk,"), "{stdout}");
    assert!(line_of(&new).contains(",new,") && line_of(&new).contains("Android 14"), "{stdout}");
    assert!(!line_of(&dead).contains(",device,") && stderr.contains("help: "), "{stdout}{stderr}");
    let after = std::fs::read_to_string(lab.path("farms/lab.yaml")).unwrap();
    let added = format!("lab-phone-x-{}", new.serial().to_lowercase());
    assert!(after.starts_with(before.split("\n\n").next().unwrap()) && after.ends_with("\n# the end\n"), "{after}");
    assert!(after.contains(&format!("  - name: \"{added}\"\n")), "{after}");

    let (_, _, stderr) = lab.run(&words);
    assert!(stderr.contains("nothing new"), "{stderr}");
    assert_eq!(std::fs::read_to_string(lab.path("farms/lab.yaml")).unwrap(), after);
    let (code, stdout, stderr) = lab.run(&["--format", "csv", "devices", "probe", &added]);
    assert!(code == 0 && stdout.contains("Android 14"), "{stdout}{stderr}");
}

#[test]
fn a_phone_that_is_gone_for_longer_than_its_grace_is_quarantined_not_waited_for() {
    let server = AdbServer::start().unwrap();
    let (lost, good) = (Phone::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    let devices = [("lost", &lost), ("good", &good)].map(|(name, phone)| phone_device(name, &server, phone.address()));
    lab.write("farms/lab.yaml", &farm(&devices));
    let slow = lasting(2);
    lab.write(
        "configs/slow.yaml",
        &format!("{slow}threads: [1, all]\ntimeouts: {{ connect_seconds: 2, reconnect_seconds: 3 }}\n"),
    );
    let mut running = lab.start(&["configs/slow.yaml"]);
    while running.wait_for("run_phase", Some("measure"))["device"] != "lost" {}
    lost.kill_daemon().unwrap();
    let ended = running.finish();
    ended.expect_code(6);
    let rows = lab.rows();
    let of = |device: &str| -> Vec<String> {
        rows.iter().filter(|row| row["device"] == device).map(|row| row["status"].clone()).collect()
    };
    assert_eq!((of("lost"), of("good")), (vec!["skipped".to_owned(); 2], vec!["ok".to_owned(); 2]));
    for row in rows.iter().filter(|row| row["device"] == "lost") {
        assert!(row["failure_kind"] == "quarantined" && !row["remedy"].is_empty(), "{row:?}");
    }
    let left = ended.named("run_left");
    assert!(left[0]["failure"]["message"].as_str().unwrap().contains("reconnect_seconds"), "{left:?}");
    let (_, why, _) = lab.run(&["why", "lost"]);
    assert!(why.contains("lost is quarantined") && why.contains("farmctl devices release lost"), "{why}");
    assert_eq!(ended.named("device_failed").len(), 1);
    let warnings = ended.named("device_warning");
    assert!(warnings.iter().any(|event| event["message"].as_str().unwrap().contains("devices restore lost")));
    expect_untouched(&good);

    lost.restart_daemon().unwrap();
    let (code, stdout, stderr) = lab.run(&["devices", "restore", "lost"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    expect_untouched(&lost);
}

#[test]
fn a_workdir_that_programs_may_not_run_from_has_its_own_kind() {
    let disk = SmallDisk::mount(64 << 20, false).unwrap();
    let remounted = Command::new("mount").args(["-o", "remount,noexec"]).arg(disk.path()).status().unwrap();
    assert!(remounted.success());
    let board = Board::start().unwrap();
    let lab = Lab::new();
    let device = ssh_device("board", &board, board.port)
        .replace(&board.home.join("farmctl").display().to_string(), &disk.path().join("farmctl").display().to_string());
    lab.write("farms/lab.yaml", &farm(&[device]));
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(5);
    let row = lab.row("board");
    assert_eq!(row["failure_kind"], "runner_not_executable", "{}", row["failure"]);
    assert!(row["remedy"].contains("noexec"), "{}", row["remedy"]);
}

#[test]
fn a_phone_that_booted_anew_is_set_up_again() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[phone_device("phone", &server, phone.address())]));
    let slow = lasting(2);
    lab.write("configs/slow.yaml", &format!("{slow}threads: [1, all]\norder: listed\n"));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    phone.reboot().unwrap();
    running.wait_for("run_phase", Some("measure"));
    expect_set_up(&phone);
    let ended = running.finish();
    ended.expect_code(0);
    let attempts: Vec<String> = lab.rows().iter().map(|row| row["attempt"].clone()).collect();
    assert_eq!(attempts, ["2", "1"]);
    assert_eq!(ended.named("run_given_back")[0]["failure"]["kind"], "rebooted");
    assert!(ended.named("device_restored").iter().all(|event| event["left_by"].is_null()));
    expect_untouched(&phone);
}

#[test]
fn airplane_mode_and_a_wake_lock_are_switched_on_and_back() {
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    server.connect(phone.address()).unwrap();
    let device: Device = serde_json::from_value(json!({
        "name": "phone", "farm": "test", "tags": [], "workdir": "/data/local/tmp/farmctl", "limits": {},
        "declared_at": "here:1",
        "transport": { "kind": "adb", "serial": phone.address(), "server": server.address() },
    }))
    .unwrap();
    let options = ConnectOptions {
        home: std::env::temp_dir(),
        user: "nobody".to_owned(),
        agent_socket: None,
        environment: Arc::new(|_| None),
        accept_new: false,
        connect_timeout: LIMIT,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let transport = connect(&device.transport, &options).await.unwrap();
        let settings = [Setting::AirplaneMode, Setting::WakeLock];
        let changed = change_settings(&device, transport.as_ref(), &settings, LIMIT).await.unwrap();
        assert!(changed.iter().all(Result::is_ok), "{changed:?}");
        assert_eq!(phone.state("global/airplane_mode_on").unwrap(), "1");
        assert_eq!(lock(&phone), ["farmctl", ""]);
        let changes = [(Setting::AirplaneMode, "0".to_owned()), (Setting::WakeLock, "free".to_owned())];
        let undone = undo_settings(&device, transport.as_ref(), &changes, LIMIT).await.unwrap();
        assert_eq!(undone, [Ok(()), Ok(())]);
        assert_eq!(lock(&phone)[1], "farmctl");
        expect_untouched(&phone);
    });
}
