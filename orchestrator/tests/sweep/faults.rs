//! What goes wrong on one device is a row with its kind, and no other device's business.

use testlab::{BlackHole, Board, BoardOptions, ClosedPort, Direction, FaultProxy, KeyPair, SmallDisk};

use super::support::{Lab, QUICK, farm, lasting, local_device, quick, runtime, ssh_device};

#[test]
fn each_broken_device_has_its_kind_and_the_good_one_its_result() {
    let good = Board::start().unwrap();
    let asking = Board::start_with(&BoardOptions { passwords: true, ..BoardOptions::default() }).unwrap();
    let hole = BlackHole::open().unwrap();
    let (full, read_only) = (SmallDisk::mount(1 << 20, false).unwrap(), SmallDisk::mount(1 << 20, true).unwrap());
    let small = Board::start().unwrap();
    let lab = Lab::new();
    lab.write_secret("password", "certainly not this one\n");

    let other_key = KeyPair::generate(&lab.path("other"), "ed25519", "").unwrap().public().unwrap();
    let other_key = other_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let good_key = good.host_key.public().unwrap();
    let good_key = good_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let refused = ClosedPort::take().unwrap();
    let home = |board: &Board| board.home.join("farmctl").display().to_string();
    let identity = |board: &Board| format!("identity_file: {}", board.identity.path.display());

    let devices = [
        ssh_device("good", &good, good.port),
        ssh_device("changed-key", &good, good.port).replace(&good_key, &other_key),
        ssh_device("wrong-password", &asking, asking.port)
            .replace(&identity(&asking), &format!("password: {{ file: {} }}", lab.path("password").display())),
        ssh_device("refused-port", &good, refused.port()),
        ssh_device("black-hole", &good, hole.port()),
        ssh_device("unknown-name", &good, good.port).replace("host: 127.0.0.1", "host: nobody.invalid"),
        ssh_device("full-disk", &small, small.port).replace(&home(&small), &full.path().display().to_string()),
        ssh_device("read-only", &small, small.port)
            .replace(&home(&small), &read_only.path().join("farmctl").display().to_string()),
    ];
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/quick.yaml", &format!("{QUICK}timeouts: {{ connect_seconds: 3, arrive_seconds: 1 }}\n"));

    lab.sweep(&["configs/quick.yaml"]).expect_code(6);
    assert_eq!(lab.row("good")["status"], "ok");
    for (device, kind) in [
        ("changed-key", "host_key_changed"),
        ("wrong-password", "login_refused"),
        ("refused-port", "refused"),
        ("black-hole", "unreachable"),
        ("unknown-name", "name_unknown"),
        ("full-disk", "disk_full"),
        ("read-only", "workdir_unusable"),
    ] {
        let row = lab.row(device);
        assert_eq!(row["status"], "skipped", "{row:?}");
        // What may pass by itself is tried again, until the device is quarantined.
        let is_quarantined = matches!(kind, "refused" | "unreachable");
        assert_eq!(row["failure_kind"], if is_quarantined { "quarantined" } else { kind }, "{row:?}");
        assert!(!is_quarantined || row["failure"].contains(&format!("{kind}: ")), "{row:?}");
        assert!(!row["remedy"].is_empty() && row["failure"].starts_with(&format!("device {device}")), "{row:?}");
    }
    let everything: String = std::fs::read_to_string(lab.path("reports/latest/log.jsonl")).unwrap();
    assert!(!everything.contains("certainly not this one"), "a secret reached the log");
}

#[test]
fn no_device_usable_is_an_exit_code_of_its_own() {
    let board = Board::start().unwrap();
    let refused = ClosedPort::take().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("gone", &board, refused.port())]));
    lab.write("configs/quick.yaml", &format!("{QUICK}timeouts: {{ arrive_seconds: 1 }}\n"));
    lab.sweep(&["configs/quick.yaml"]).expect_code(5);
}

#[test]
fn a_runner_that_talks_nonsense_or_dies_is_a_failed_row() {
    // What ends a program from outside may pass by itself, as nonsense may: both are tried again until the device is
    // quarantined.
    for (script, kind, tried_again_for) in [
        ("#!/bin/sh\necho 'Segmentation fault, probably'\n", "quarantined", "runner_protocol: "),
        ("#!/bin/sh\nexit 137\n", "quarantined", "killed: "),
        ("#!/bin/sh\nkill -9 $$\n", "quarantined", "killed: "),
        ("#!/bin/sh\nexit 139\n", "runner_unusable", ""),
        ("not a program at all\n", "runner_unusable", ""),
    ] {
        let board = Board::start().unwrap();
        let lab = Lab::with_runner(script);
        lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
        lab.write("configs/quick.yaml", QUICK);
        lab.sweep(&["configs/quick.yaml"]).expect_code(5);
        let row = lab.row("board");
        assert_eq!(row["failure_kind"], kind, "{row:?}");
        assert!(row["failure"].contains(tried_again_for), "{row:?}");
    }
}

#[test]
fn a_push_that_is_cut_goes_on_where_it_broke_off() {
    const RESNET50_BYTES: u64 = 102_146_000;
    let runtime = runtime();
    let board = Board::start().unwrap();
    let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, proxy.address().port())]));
    // The runner goes over first, so that the cut meets the model.
    assert_eq!(lab.run(&["devices", "probe"]).0, 0);
    proxy.cut_after(Direction::ToServer, RESNET50_BYTES * 2 / 5);
    lab.write("configs/big.yaml", &quick("resnet50"));
    let mut running = lab.start(&["configs/big.yaml"]);
    running.wait_for("device_reconnecting", None);
    proxy.pass();
    let ended = running.finish();
    ended.expect_code(0);

    let starts: Vec<u64> =
        ended.named("push_started").iter().map(|event| event["resumed_bytes"].as_u64().unwrap()).collect();
    assert_eq!((starts.len(), starts[0]), (2, 0), "{starts:?}");
    let resumed = starts[1];
    assert!((RESNET50_BYTES / 4..RESNET50_BYTES / 2).contains(&resumed), "went on at {resumed}");
    // The device verified the whole before it used it.
    let row = lab.row("board");
    assert_eq!(row["status"], "ok");
    let stored = board.home.join("farmctl/store").join(&row["model_sha256"]);
    assert_eq!(farmctl::domain::sha256_hex(&std::fs::read(stored).unwrap()), row["model_sha256"]);
}

#[test]
fn a_push_that_goes_on_from_other_bytes_is_repeated_from_its_start() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let sha256 = lab.row("this-host")["model_sha256"].clone();
    let stored = lab.path("here/store").join(&sha256);
    let half = std::fs::metadata(&stored).unwrap().len() / 2;
    std::fs::remove_file(&stored).unwrap();
    let lab_id = farmctl::store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap().lab_id().unwrap();
    let tag = &farmctl::domain::sha256_hex(format!("{lab_id}\nthis-host").as_bytes())[..12];
    let part = lab.path("here/partial").join(format!("{sha256}.{tag}"));
    std::fs::write(part, vec![0; half as usize]).unwrap();
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    assert_eq!(ended.named("push_started")[0]["resumed_bytes"], half);
    let row = lab.row("this-host");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
    assert_eq!(farmctl::domain::sha256_hex(&std::fs::read(stored).unwrap()), sha256);
}

#[test]
fn a_file_that_changed_since_the_plan_is_not_the_devices_fault() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let (code, built, stderr) = lab.run(&["--format", "csv", "models", "build", "squeezenet1_0"]);
    assert_eq!(code, 0, "{stderr}");
    let mut rows = csv::Reader::from_reader(built.as_bytes());
    let row: std::collections::HashMap<String, String> = rows.deserialize().next().unwrap().unwrap();
    let mut network = std::fs::read(lab.path(&row["file"])).unwrap();
    let mine = lab.path("configs/mine.onnx");
    let (sha256, size_bytes) = (farmctl::domain::sha256_hex(&network), network.len());
    // A file of its own, by a doc string of one letter: what the device has already would not be pushed.
    network.extend([6 << 3 | 2, 1, b'x']);
    std::fs::write(&mine, &network).unwrap();
    lab.write(
        "configs/models.yaml",
        &format!(
            "models:
  - name: squeezenet1_0
    input_range: [0, 1]
    weights:
      synthetic: {{ builtin: squeezenet1_0, sha256: {sha256}, size_bytes: {size_bytes} }}
  - {{ name: mine, weights: {{ trained: {{ path: mine.onnx }} }} }}
"
        ),
    );
    let sweep = lasting(3).replace("[squeezenet1_0]", "[squeezenet1_0, mine]");
    lab.write("configs/mine.yaml", &format!("{sweep}weights: [synthetic, trained]\norder: listed\n"));
    let mut running = lab.start(&["configs/mine.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    // While the first network is measured, the second one gets its next training.
    let last = network.len() - 1;
    network[last] ^= 1;
    std::fs::write(&mine, &network).unwrap();
    running.finish().expect_code(6);
    let rows = lab.rows();
    let row = rows.iter().find(|row| row["model"] == "mine").unwrap();
    assert_eq!((row["status"].as_str(), row["failure_kind"].as_str()), ("failed", "artifact_unavailable"), "{row:?}");
    assert!(row["failure"].contains("is another file than when the plan was made"), "{row:?}");
    assert_eq!(rows.iter().filter(|row| row["status"] == "ok").count(), 1, "{rows:?}");
}

#[test]
fn a_run_survives_a_cut_connection() {
    let runtime = runtime();
    let board = Board::start().unwrap();
    let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, proxy.address().port())]));
    lab.write(
        "configs/slow.yaml",
        &quick("squeezenet1_0").replace("min_runs: 2, max_runs: 2", "min_runs: 15, max_runs: 15"),
    );
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    proxy.cut();
    let ended = running.finish();
    ended.expect_code(0);
    assert_eq!(ended.named("device_reconnecting").len(), 1);
    assert_eq!(ended.named("run_started").len(), 1, "the run was followed, not started again");
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str(), row["runs"].as_str()), ("ok", "1", "15"));
}

#[test]
fn stop_sweep_leaves_the_rest_as_skipped_rows() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
    // More threads than there are processors can't be had; what follows is not tried.
    lab.write("configs/stop.yaml", &format!("{QUICK}threads: [99, 1]\norder: listed\non_failure: stop_sweep\n"));
    lab.sweep(&["configs/stop.yaml"]).expect_code(6);
    let statuses: Vec<String> = lab.rows().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "skipped"]);
}
