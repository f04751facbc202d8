//! Each run has a fair chance: the order is shuffled, and a hot device cools down before.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testlab::Board;

use super::support::{Lab, Outcome, QUICK, Running, farm, local_device, ssh_device};

/// A root of made-up sensors, which the runner on this host reads in place of the kernel's.
struct Sensors(PathBuf);

impl Sensors {
    fn of(lab: &Lab) -> Sensors {
        let root = lab.path("root");
        std::fs::create_dir_all(&root).unwrap();
        Sensors(root)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // At once, as the kernel has it: the runner never reads half a file.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    }

    fn heat(&self, celsius: f64) {
        self.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
        self.file("sys/class/thermal/thermal_zone0/temp", &format!("{:.0}\n", celsius * 1e3));
    }

    fn start(&self, lab: &Lab, words: &[&str]) -> Running {
        lab.start_with(words, &[("DEVICE_RUNNER_ROOT", &self.0)])
    }

    fn sweep(&self, lab: &Lab, words: &[&str]) -> Outcome {
        self.start(lab, words).finish()
    }
}

fn lab(devices: &[String], cooldown: &str) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(devices));
    lab.write("configs/quick.yaml", &format!("{QUICK}{cooldown}\n"));
    lab
}

fn cooldown(row: &HashMap<String, String>) -> (f64, &str, &str) {
    (row["cooldown_s"].parse().unwrap(), &row["cooldown_reached"], &row["cooldown_goal_c"])
}

#[test]
fn a_hot_device_cools_down_before_its_run_and_others_do_not_wait() {
    let board = Board::start().unwrap();
    let devices = [local_device(), ssh_device("board", &board, board.port)];
    let lab = lab(&devices, "cooldown: { start_temp_c: 95, max_seconds: 3600, pause_seconds: 0 }");
    let sensors = Sensors::of(&lab);
    sensors.heat(120.0);
    let mut running = sensors.start(&lab, &["configs/quick.yaml"]);
    let (mut is_cooling, mut is_board_done) = (false, false);
    while !is_cooling || !is_board_done {
        let event = running.next_event(Duration::from_secs(300)).unwrap();
        is_cooling |= event["event"] == "run_cooling" && event["celsius"] == 120.0 && event["goal_c"] == 95.0;
        is_board_done |= event["event"] == "run_finished" && event["device"] == "board";
        assert!(event["event"] != "run_finished" || event["device"] == "board", "{event:?}");
    }
    sensors.heat(44.5);
    running.finish().expect_code(0);
    let row = lab.row("this-host");
    let (waited, reached, goal) = cooldown(&row);
    assert!(waited > 0.0 && reached == "yes" && goal == "95.0", "{row:?}");
    assert_eq!((row["temp_start_c"].as_str(), row["attempt"].as_str()), ("44.5", "1"));
    // The board's own sensors are this host's, where it has some: cool enough for anybody who is at work.
    assert!(!lab.row("board")["cooldown_reached"].is_empty());
}

#[test]
fn a_wait_ends_with_its_limit_and_a_device_without_a_sensor_has_its_pause() {
    let lab = lab(&[local_device()], "cooldown: { start_temp_c: 45, max_seconds: 1, pause_seconds: 2 }");
    let sensors = Sensors::of(&lab);
    let silent = sensors.sweep(&lab, &["configs/quick.yaml"]);
    silent.expect_code(0);
    let row = lab.row("this-host");
    let (waited, reached, _) = cooldown(&row);
    assert!((2.0..60.0).contains(&waited) && reached == "unknown", "{row:?}");
    assert!(silent.named("run_cooling")[0]["celsius"].is_null(), "{:?}", silent.events);
    sensors.heat(70.0);
    sensors.sweep(&lab, &["configs/quick.yaml"]).expect_code(0);
    let row = lab.row("this-host");
    let (waited, reached, goal) = cooldown(&row);
    assert!((1.0..60.0).contains(&waited) && reached == "no" && goal == "45.0", "{row:?}");
    assert_eq!(row["temp_start_c"], "70.0");
}

#[test]
fn a_device_is_to_be_as_cool_as_it_once_was() {
    let lab = lab(&[local_device()], "cooldown: { max_seconds: 3600 }");
    lab.write("configs/plain.yaml", QUICK);
    let sensors = Sensors::of(&lab);
    for celsius in [62.0, 40.0, 55.0] {
        sensors.heat(celsius);
        sensors.sweep(&lab, &["configs/plain.yaml"]).expect_code(0);
    }
    assert_eq!(lab.row("this-host")["cooldown_s"], "", "nobody asked for it");
    let mut running = sensors.start(&lab, &["configs/quick.yaml"]);
    assert_eq!(running.wait_for("run_cooling", None)["goal_c"], 41.5);
    sensors.heat(41.5);
    running.finish().expect_code(0);
    let row = lab.row("this-host");
    assert_eq!((row["cooldown_reached"].as_str(), row["cooldown_goal_c"].as_str()), ("yes", "41.5"), "{row:?}");
}

#[test]
fn a_cool_down_is_stopped_at_once_and_waited_for_anew() {
    let lab = lab(&[local_device()], "cooldown: { start_temp_c: 45, max_seconds: 3600 }");
    let sensors = Sensors::of(&lab);
    sensors.heat(70.0);
    let mut running = sensors.start(&lab, &["configs/quick.yaml"]);
    running.wait_for("run_cooling", None);
    let asked = Instant::now();
    running.interrupt();
    running.finish().expect_code(130);
    assert!(asked.elapsed() < Duration::from_secs(60));
    // One that is killed has nobody who gives its run back.
    let mut running = sensors.start(&lab, &["--resume"]);
    running.wait_for("run_cooling", None);
    running.kill();
    let mut running = sensors.start(&lab, &["--resume"]);
    running.wait_for("run_cooling", None);
    sensors.heat(40.0);
    running.finish().expect_code(0);
    let row = lab.row("this-host");
    assert_eq!((row["status"].as_str(), row["cooldown_reached"].as_str()), ("ok", "yes"), "{row:?}");
}

#[test]
fn a_sweep_that_is_cancelled_ends_while_a_device_cools_down() {
    let lab = lab(&[local_device()], "cooldown: { start_temp_c: 45, max_seconds: 3600 }");
    let sensors = Sensors::of(&lab);
    sensors.heat(70.0);
    let mut running = sensors.start(&lab, &["configs/quick.yaml"]);
    let cooling = running.wait_for("run_cooling", None);
    let (code, _, stderr) = lab.run(&["cancel", cooling["sweep_id"].as_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    running.finish();
    assert_eq!(lab.row("this-host")["status"], "cancelled");
}

/// A device that booted 20 s ago, whose processors have no pause until it is told.
struct Booting {
    is_busy: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Booting {
    fn start(sensors: &Sensors) -> Booting {
        let (is_busy, is_over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (busy, over, sensors) = (Arc::clone(&is_busy), Arc::clone(&is_over), Sensors(sensors.0.clone()));
        for name in ["present", "online"] {
            sensors.file(&format!("sys/devices/system/cpu/{name}"), "0-1\n");
        }
        let thread = std::thread::spawn(move || {
            let (begun, mut used) = (Instant::now(), 0);
            while !over.load(Ordering::Relaxed) {
                let passed = begun.elapsed().as_secs_f64();
                if busy.load(Ordering::Relaxed) {
                    used = (passed * 100.0) as u64;
                }
                sensors.file("proc/uptime", &format!("{:.2} 0.00\n", 20.0 + passed));
                let cpu = |index| format!("cpu{index} {used} 0 0 0 0 0 0 0 0 0\n");
                sensors.file("proc/stat", &format!("cpu  1 1 1 1 1 1 1 1 1 1\n{}{}", cpu(0), cpu(1)));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Booting { is_busy, is_over, thread: Some(thread) }
    }
}

impl Drop for Booting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_device_that_has_just_booted_is_waited_for_until_it_is_quiet() {
    let lab = lab(&[local_device()], "");
    let sensors = Sensors::of(&lab);
    let booting = Booting::start(&sensors);
    let mut running = sensors.start(&lab, &["configs/quick.yaml"]);
    let waiting = running.wait_for("device_waiting", None);
    let cause = waiting["cause"].as_str().unwrap();
    assert!(cause.starts_with("it booted 2") && cause.contains(" % of its processors' time is used"), "{cause}");
    booting.is_busy.store(false, Ordering::Relaxed);
    let ended = running.finish();
    ended.expect_code(0);
    assert_eq!(ended.named("device_warning").len(), 0, "{:?}", ended.events);
    // One that does not become quiet is measured all the same, and that is said.
    booting.is_busy.store(true, Ordering::Relaxed);
    lab.write("configs/soon.yaml", &format!("{QUICK}timeouts: {{ arrive_seconds: 1 }}\n"));
    let ended = sensors.sweep(&lab, &["configs/soon.yaml"]);
    ended.expect_code(0);
    let warnings = ended.named("device_warning");
    let mut messages = warnings.iter().map(|event| event["message"].as_str().unwrap());
    let expected = "(timeouts.arrive_seconds): it is measured all the same";
    assert!(messages.any(|message| message.contains(expected)), "{warnings:?}");
}

/// Positions by what was measured, and what was begun in which order.
fn order(lab: &Lab, ended: &Outcome) -> (Vec<String>, Vec<String>) {
    let rows = lab.rows();
    let place = |row: &HashMap<String, String>| row["position"].parse::<u32>().unwrap();
    let mut by_position: Vec<&HashMap<String, String>> = rows.iter().collect();
    by_position.sort_by_key(|row| place(row));
    let planned = by_position.iter().map(|row| row["job_id"].clone()).collect();
    let begun = ended.named("run_started").iter().map(|event| event["job_id"].as_str().unwrap().to_owned()).collect();
    (planned, begun)
}

#[test]
fn jobs_are_run_in_their_order_and_rows_stay_as_listed() {
    let lab = lab(&[local_device()], "batch: [1, 2, 3, 4, 5]\nrepeats: 2");
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    let (planned, begun) = order(&lab, &ended);
    assert_eq!(planned, begun);
    let rows = lab.rows();
    let batches: Vec<&str> = rows.iter().map(|row| row["batch"].as_str()).collect();
    assert_eq!(batches, ["1", "2", "3", "4", "5", "1", "2", "3", "4", "5"]);
    let positions: Vec<u32> = rows.iter().map(|row| row["position"].parse().unwrap()).collect();
    assert!(positions != (1..=10).collect::<Vec<_>>(), "shuffled: {positions:?}");
    assert!(positions[..5].iter().all(|place| *place <= 5), "the first repeat before the second: {positions:?}");
    lab.write("configs/listed.yaml", &format!("{QUICK}batch: [1, 2, 3, 4, 5]\nrepeats: 2\norder: listed\n"));
    let ended = lab.sweep(&["configs/listed.yaml"]);
    ended.expect_code(0);
    let (planned, begun) = order(&lab, &ended);
    assert_eq!(planned, begun);
    let listed: Vec<String> = lab.rows().iter().map(|row| row["job_id"].clone()).collect();
    assert_eq!(listed, begun);
}

#[test]
fn threads_are_on_the_cores_that_a_sweep_lists_and_one_that_is_not_there_is_told() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let threads = "threads: [little, { cores: [0] }, { cores: [7, 0] }, prime]\norder: listed\n";
    lab.write("configs/cores.yaml", &format!("{QUICK}{threads}"));
    let sensors = Sensors::of(&lab);
    sensors.file("sys/devices/system/cpu/present", "0-1\n");
    sensors.file("sys/devices/system/cpu/online", "0-1\n");
    sensors.file("sys/devices/system/cpu/cpu0/cpu_capacity", "400\n");
    sensors.file("sys/devices/system/cpu/cpu1/cpu_capacity", "1024\n");
    sensors.sweep(&lab, &["configs/cores.yaml"]).expect_code(6);
    let rows = lab.rows();
    let told = |row: &HashMap<String, String>| {
        ["threads_requested", "status", "threads", "cpus"].map(|column| row[column].clone()).join(", ")
    };
    let expected = ["little, ok, 1, 0", "cores 0, ok, 1, 0", "cores 0 7, failed, , ", "prime, failed, , "];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    let why = |row: usize| rows[row]["failure"].clone();
    assert!(why(2).contains("core 7 is asked of this-host, which has the cores 0 1"), "{}", why(2));
    assert!(why(3).contains("prime cores are asked of this-host, which tells of none"), "{}", why(3));
}
