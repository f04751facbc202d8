use std::time::Instant;

use super::*;
use farmctl_protocol::{MAX_MOMENTS, Throttled};

use crate::conditions::tree::Tree;
use farmctl_protocol::CoreKind;

const PID: u32 = 77;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watch(tree: &Tree, cpus: &[u32], uses_all: bool) -> Watch {
    Watch::new(tree.root(), WatchedRun { cpus: cpus.to_vec(), uses_all, has_children: false, ticks_per_second: 100 })
}

/// The measuring process, on this core, after it has used so much.
fn process(tree: &Tree, core: u32, ticks: u64, faults: u64) {
    let stat = format!(
        "{PID} (runner) R 1 7 7 0 -1 4194304 100 0 {faults} 0 {ticks} 0 0 0 20 0 2 0 100 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 \
         17 {core} 0 0 0 0 0"
    );
    tree.file(&format!("proc/{PID}/stat"), &stat).file(&format!("proc/{PID}/task/{PID}/stat"), &stat);
    let switches = format!("nonvoluntary_ctxt_switches:\t{}\n", ticks / 10);
    tree.file(&format!("proc/{PID}/task/{PID}/status"), &switches);
}

/// A watch of ten seconds with a look in between; `change` is what happens before it.
fn watched(tree: &Tree, cpus: &[u32], change: impl FnOnce(&Tree)) -> Conditions {
    process(tree, cpus[0], 0, 0);
    let mut watch = watch(tree, cpus, true);
    watch.begin(seconds(1), PID, Phase::Measure);
    change(tree);
    watch.look(seconds(6));
    watch.end(seconds(11)).unwrap()
}

#[test]
fn a_phone_is_told_by_the_cores_that_the_run_uses() {
    let phone = Tree::phone();
    let told = watched(&phone, &[6, 7], |phone| {
        process(phone, 6, 1500, 2);
        let mut busy = [(0, 0); 8];
        (busy[0], busy[6], busy[7]) = ((900, 0), (900, 0), (700, 0));
        phone.stat(&busy).zone(0, "BIG", "70500\n");
        phone.file("sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq", "2400000\n");
    });
    assert_eq!((told.watched_ns, told.looks, told.watched_from), (10_000_000_000, 3, Phase::Measure));
    let temperature = told.temperature.unwrap();
    assert_eq!((temperature.sensor.as_str(), temperature.start_c, temperature.max_c), ("BIG", 41.0, 70.5));
    assert_eq!(told.frequency, Some(FrequencyRange { mean_khz: 2_601_000, min_khz: 2_400_000 }));
    assert_eq!((told.throttled, told.throttled_by), (Throttled::No, vec![]));
    // 16 s of these two cores, of which the run's own are 15.
    assert_eq!((told.other_ns, told.stolen_ns), (Some(1_000_000_000), Some(0)));
    assert_eq!((told.major_faults, told.involuntary_switches), (Some(2), Some(150)));
    assert_eq!(told.cpuset.as_deref(), Some("/foreground"));
    assert_eq!(told.before.cores[7].kind, Some(CoreKind::Big));
    assert_eq!(told.before.cooling[0].name, "thermal-gpufreq-0");
    assert_eq!(told.after.battery.unwrap().level_percent, Some(83));
    // It gives 2.054144 W, at each of three looks.
    let energy = told.energy.unwrap();
    assert_eq!((energy.sensor.as_str(), energy.energy_uj), ("power_supply battery", 20_541_440));
}

#[test]
fn power_that_was_not_looked_at_is_not_guessed() {
    let phone = Tree::phone();
    let mut watch = watch(&phone, &[7], true);
    watch.begin(seconds(0), PID, Phase::Measure);
    assert_eq!(watch.end(seconds(4)).unwrap().energy, None, "two looks");
    watch.begin(seconds(0), PID, Phase::Measure);
    watch.look(seconds(20));
    assert_eq!(watch.end(seconds(21)).unwrap().energy, None, "twenty seconds of which nothing is known");
}

#[test]
fn energy_that_is_counted_needs_no_looks_in_between() {
    let server = Tree::x86();
    let mut watch = watch(&server, &[0, 1], true);
    watch.begin(seconds(0), PID, Phase::WarmUp);
    server.file("sys/class/powercap/intel-rapl:0/energy_uj", "130000000\n");
    let energy = watch.end(seconds(4)).unwrap().energy.unwrap();
    assert_eq!((energy.sensor.as_str(), energy.energy_uj), ("rapl package (1)", 30_000_000));
}

/// A device, the file that is written while it is watched, and what that means.
struct SignCase {
    device: Tree,
    file: &'static str,
    text: &'static str,
    sign: ThrottleSign,
}

#[test]
fn each_sign_of_throttling_is_named() {
    let case = |device: Tree, file, text, sign| SignCase { device, file, text, sign };
    let cases = [
        case(
            Tree::phone(),
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
            "1200000\n",
            ThrottleSign::LimitLowered,
        ),
        case(Tree::phone(), "sys/class/thermal/cooling_device0/cur_state", "1\n", ThrottleSign::Cooling),
        case(
            Tree::raspberry_pi(),
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "80000\n",
            ThrottleSign::SoftTemperatureLimit,
        ),
        case(
            Tree::x86(),
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
            "8\n",
            ThrottleSign::ThermalCounter,
        ),
        case(Tree::x86(), "sys/fs/cgroup/system.slice/cpu.stat", "throttled_usec 7\n", ThrottleSign::Quota),
    ];
    for SignCase { device, file, text, sign } in cases {
        let quiet = watched(&device, &[0], |_| ());
        assert_eq!((quiet.throttled, quiet.throttled_by), (Throttled::No, vec![]), "{sign}");
        assert_eq!(quiet.throttled_after_ms, None, "{sign}");
        let told = watched(&device, &[0], |device| {
            device.file(file, text);
        });
        assert_eq!((told.throttled, told.throttled_by), (Throttled::Yes, vec![sign]));
        assert!(told.throttled_after_ms.is_some_and(|after_ms| after_ms <= told.watched_ns / 1_000_000), "{sign}");
    }
}

#[test]
fn a_limit_that_was_low_before_is_not_said_to_be_heat() {
    let phone = Tree::phone();
    phone.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "1200000\n");
    let told = watched(&phone, &[0], |_| ());
    assert_eq!((told.throttled, told.throttled_by), (Throttled::Unknown, vec![ThrottleSign::Capped]));
    assert_eq!(told.before.cores[0].allowed_khz, Some(1_200_000));
}

#[test]
fn a_machine_without_sensors_says_unknown_and_what_it_has() {
    let told = watched(&Tree::virtual_machine(), &[0, 1], |tree| {
        process(tree, 0, 500, 0);
        tree.stat(&[(510, 103), (10, 3)]);
    });
    assert_eq!((told.throttled, told.throttled_by), (Throttled::Unknown, vec![]));
    assert_eq!((told.other_ns, told.stolen_ns), (Some(0), Some(1_000_000_000)));
    assert_eq!((told.temperature, told.frequency, told.energy, told.cpuset), (None, None, None, None));
    assert_eq!((told.pressure, told.after.battery.as_ref()), (Pressure::default(), None));
    let quota = watched(&Tree::virtual_machine(), &[0], |_| ());
    assert_eq!(quota.throttled, Throttled::Unknown);
}

#[test]
fn a_short_watch_tells_no_shares() {
    let machine = Tree::virtual_machine();
    process(&machine, 0, 0, 0);
    let mut watch = watch(&machine, &[0], true);
    watch.begin(seconds(0), PID, Phase::Measure);
    let told = watch.end(Duration::from_millis(300)).unwrap();
    assert_eq!((told.other_ns, told.stolen_ns), (None, None));
}

#[test]
fn cores_that_are_not_pinned_are_those_the_run_is_seen_on() {
    let phone = Tree::phone();
    process(&phone, 2, 0, 0);
    let mut watch = watch(&phone, &[0, 1, 2, 3, 4, 5, 6, 7], false);
    watch.begin(seconds(0), PID, Phase::Measure);
    assert!(watch.cores_in_use().is_empty());
    watch.look(seconds(1));
    assert_eq!(watch.cores_in_use(), [2]);
    process(&phone, 7, 100, 0);
    watch.look(seconds(2));
    let told = watch.end(seconds(3)).unwrap();
    assert_eq!(told.frequency, Some(FrequencyRange { mean_khz: 2_302_500, min_khz: 1_803_000 }));
    assert_eq!(
        told.series.iter().map(|it| it.frequency_khz).collect::<Vec<_>>(),
        [None, Some(1_803_000), Some(2_802_000), Some(2_802_000)]
    );
}

#[test]
fn a_core_that_goes_offline_is_noted() {
    let told = watched(&Tree::phone(), &[6, 7], |phone| {
        phone.file("sys/devices/system/cpu/online", "0-6\n").remove("sys/devices/system/cpu/cpu7/cpufreq");
    });
    assert_eq!(told.went_offline, [7]);
    assert_eq!(told.frequency, Some(FrequencyRange { mean_khz: 2_802_000, min_khz: 2_802_000 }));
}

#[test]
fn of_a_machine_with_many_cores_those_of_the_run_are_told() {
    let server = Tree::new();
    server.file("sys/devices/system/cpu/present", "0-299\n").core(299, None, 3_000_000);
    let told = watch(&server, &[299], true).before.cores;
    let indices = |cores: &[farmctl_protocol::CoreState]| cores.iter().map(|core| core.index).collect::<Vec<_>>();
    assert_eq!((told.len(), indices(&told[126..])), (128, vec![126, 299]));
    assert_eq!(told[127].governor.as_deref(), Some("schedutil"));
}

#[test]
fn a_process_that_is_gone_leaves_unknown_what_was_its() {
    let told = watched(&Tree::virtual_machine(), &[0], |tree| {
        tree.remove(&format!("proc/{PID}"));
    });
    assert_eq!((told.other_ns, told.major_faults, told.involuntary_switches), (None, None, None));
    assert_eq!(told.stolen_ns, Some(0));
}

#[test]
fn a_program_that_the_kernel_does_not_list_is_no_load_of_others() {
    let phone = Tree::phone();
    process(&phone, 7, 0, 0);
    let mut watch = watch(&phone, &[7], true);
    watch.run.has_children = true;
    let mut loads = Vec::new();
    for is_listed in [false, true] {
        if is_listed {
            phone.file(&format!("proc/{PID}/task/{PID}/children"), "\n");
        }
        watch.begin(seconds(0), PID, Phase::Measure);
        watch.look(seconds(1));
        loads.push(watch.end(seconds(2)).unwrap().series[1].other_load);
    }
    assert_eq!(loads, [None, Some(0.0)]);
}

#[test]
fn nothing_is_told_of_a_run_that_never_began() {
    let machine = Tree::virtual_machine();
    let mut watch = watch(&machine, &[0], true);
    watch.look(seconds(1));
    assert_eq!(watch.end(seconds(2)), None);
}

#[test]
fn a_series_of_any_length_stays_within_its_bound_and_keeps_the_hottest() {
    let phone = Tree::phone();
    let mut watch = watch(&phone, &[7], true);
    watch.begin(seconds(0), PID, Phase::Measure);
    for second in 1..=(3 * MAX_MOMENTS as u64) {
        if second == 100 {
            phone.zone(0, "BIG", "88000\n");
        } else if second == 101 {
            phone.zone(0, "BIG", "41000\n");
        }
        watch.look(seconds(second));
    }
    let told = watch.end(seconds(4 * MAX_MOMENTS as u64)).unwrap();
    assert!((MAX_MOMENTS / 2..=MAX_MOMENTS).contains(&told.series.len()), "{}", told.series.len());
    assert!(told.series.iter().any(|moment| moment.celsius == Some(88.0)));
    assert!(told.series.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
    assert_eq!(told.looks as usize, 3 * MAX_MOMENTS + 2);
}

/// Garbage, numbers that are too large or below 0, what vanishes, and what would block.
#[test]
fn a_hostile_device_is_looked_at_without_harm_and_without_end() {
    let texts = [
        "",
        "\0\0",
        "-1",
        "-9223372036854775808",
        "9223372036854775807",
        "18446744073709551615",
        "1e9",
        "nan",
        "\u{202e}",
        "0-4294967295",
        "cpu0 1 2 3 4 5 6 7 18446744073709551615",
    ];
    let begun = Instant::now();
    for (number, text) in texts.iter().enumerate() {
        // Each text on two devices, which is quicker than each on all.
        for place in [number, number + 1] {
            let tree = [Tree::phone, Tree::raspberry_pi, Tree::x86, Tree::virtual_machine][place % 4]();
            process(&tree, 0, 0, 0);
            let mut watch = watch(&tree, &[0, 1], number % 2 == 0);
            watch.begin(seconds(1), PID, Phase::Measure);
            spoil(tree.folder(), text);
            watch.look(seconds(2));
            // Of time that goes back nothing is told.
            watch.look(seconds(1));
            let told = watch.end(seconds(3)).unwrap();
            assert!(told.other_ns.is_none_or(|ns| ns <= 4_000_000_000), "{text:?}");
            // And a watch that finds all of it so.
            let mut watch = self::watch(&tree, &[0, 1], true);
            watch.begin(seconds(1), PID, Phase::Measure);
            let told = watch.end(seconds(3)).unwrap();
            assert!(told.temperature.is_none_or(|it| (-40.0..=150.0).contains(&it.max_c)), "{text:?}");
            assert!(told.before.cores.len() <= 128 && told.before.temperatures.len() <= 128);
            assert_ne!(told.throttled, Throttled::Yes, "{text:?}");
        }
    }
    assert!(begun.elapsed() < seconds(60));
}

/// Puts the text into each file, and a FIFO in place of every third.
fn spoil(folder: &std::path::Path, text: &str) {
    for (number, entry) in std::fs::read_dir(folder).unwrap().flatten().enumerate() {
        let path = entry.path();
        if path.is_dir() {
            spoil(&path, text);
        } else if number % 3 == 2 {
            std::fs::remove_file(&path).unwrap();
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        } else {
            std::fs::write(&path, text).unwrap();
        }
    }
}
