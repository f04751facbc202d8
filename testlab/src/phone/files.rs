//! What a virtual phone has of its own: properties, Android's commands, settings, and a made-up sysfs.
//!
//! Main functions: [`write_system`] and [`write_data`]. The commands are small scripts that keep their state in files
//! of the phone and record each call.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{PhoneArch, PhoneOptions};
use crate::LabError;

/// Android's commands that bring-up and its undoing use.
const COMMANDS: [(&str, &str); 11] = [
    ("getprop", include_str!("android/getprop")),
    ("setprop", include_str!("android/setprop")),
    ("settings", include_str!("android/settings")),
    ("svc", include_str!("android/svc")),
    ("input", include_str!("android/input")),
    ("dumpsys", include_str!("android/dumpsys")),
    ("cmd", include_str!("android/cmd")),
    ("wm", include_str!("android/wm")),
    ("getenforce", include_str!("android/getenforce")),
    ("id", include_str!("android/id")),
    ("su", include_str!("android/su")),
];

/// State of a phone that was just taken out of its box.
const SETTINGS: [(&str, &str); 7] = [
    ("global/stay_on_while_plugged_in", "0"),
    ("global/airplane_mode_on", "0"),
    ("global/wifi_on", "1"),
    ("global/bluetooth_on", "1"),
    ("global/window_animation_scale", "1.0"),
    ("system/screen_off_timeout", "60000"),
    ("su", "none"),
];

/// Lowest and highest frequency of the two kinds of cores.
const LITTLE_KHZ: [u32; 2] = [300_000, 1_800_000];
const BIG_KHZ: [u32; 2] = [700_000, 2_400_000];

/// Thermal zones with their temperature, in thousandths of a degree.
const THERMAL_ZONES: [(&str, u32); 3] = [("cpu-0-0-usr", 41_000), ("gpuss-0-usr", 39_500), ("battery", 30_500)];

/// Puts Android's commands and the properties below `own`, which lies over the shared files.
pub(super) fn write_system(own: &Path, serial: &str, options: &PhoneOptions) -> Result<(), LabError> {
    let commands = own.join("system/bin");
    for (name, script) in COMMANDS {
        write(&commands.join(name), script)?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(commands.join(name), mode).map_err(LabError::file("make executable", name))?;
    }
    symlink("/usr/bin/sh", commands.join("sh")).map_err(LabError::file("create", commands.join("sh")))?;
    write(&own.join("etc/props"), &properties(serial, options))
}

/// `NAME=VALUE` lines; a later one replaces an earlier one of the same name.
fn properties(serial: &str, options: &PhoneOptions) -> String {
    let is_arm = options.arch == PhoneArch::Aarch64 || cfg!(target_arch = "aarch64");
    let abi = if is_arm { "arm64-v8a" } else { "x86_64" };
    let (model, device) = if is_arm { ("Lab Phone A", "labphone_arm64") } else { ("Lab Phone X", "labphone_x86_64") };
    let fingerprint = format!("farmlab/{device}/{device}:14/LAB1.240101.001/1:user/release-keys");
    let own = [
        ("ro.serialno", serial),
        ("ro.boot.serialno", serial),
        ("ro.product.manufacturer", "Farmlab"),
        ("ro.product.brand", "farmlab"),
        ("ro.product.model", model),
        ("ro.product.name", device),
        ("ro.product.device", device),
        ("ro.build.product", device),
        ("ro.product.board", "labboard"),
        ("ro.board.platform", "labsoc"),
        ("ro.hardware", "labsoc"),
        ("ro.soc.manufacturer", "Farmlab"),
        ("ro.soc.model", if is_arm { "LS8A53" } else { "LS8X64" }),
        ("ro.product.cpu.abi", abi),
        ("ro.product.cpu.abilist", abi),
        ("ro.product.cpu.abilist64", abi),
        ("ro.build.version.release", "14"),
        ("ro.build.version.sdk", "34"),
        ("ro.build.fingerprint", &fingerprint),
        ("ro.build.type", "user"),
        ("ro.debuggable", "0"),
        ("sys.boot_completed", "1"),
    ];
    let is_replaced = |name: &str| options.properties.iter().any(|(own, _)| own == name);
    let kept = own.iter().filter(|(name, _)| !is_replaced(name)).map(|(name, value)| format!("{name}={value}\n"));
    kept.chain(options.properties.iter().map(|(name, value)| format!("{name}={value}\n"))).collect()
}

/// Fills the phone's /data.
pub(super) fn write_data(data: &Path) -> Result<(), LabError> {
    let temporary = data.join("local/tmp");
    fs::create_dir_all(&temporary).map_err(LabError::file("create", &temporary))?;
    let mode = fs::Permissions::from_mode(0o771);
    fs::set_permissions(&temporary, mode).map_err(LabError::file("protect", &temporary))?;
    let lab = data.join("farmlab");
    for (name, value) in SETTINGS {
        write(&lab.join("state").join(name), &format!("{value}\n"))?;
    }
    let secure = lab.join("state/secure");
    fs::create_dir_all(&secure).map_err(LabError::file("create", &secure))?;
    write(&lab.join("commands"), "")?;
    write_sysfs(&lab.join("sys"))
}

fn write_sysfs(sys: &Path) -> Result<(), LabError> {
    for (index, (kind, temperature)) in THERMAL_ZONES.iter().enumerate() {
        let zone = sys.join(format!("class/thermal/thermal_zone{index}"));
        write(&zone.join("type"), &format!("{kind}\n"))?;
        write(&zone.join("temp"), &format!("{temperature}\n"))?;
        write(&zone.join("trip_point_0_type"), "passive\n")?;
        write(&zone.join("trip_point_0_temp"), "95000\n")?;
    }
    for name in ["wake_lock", "wake_unlock"] {
        write(&sys.join("power").join(name), "")?;
    }
    let battery = sys.join("class/power_supply/battery");
    let values =
        [("capacity", "87"), ("status", "Charging"), ("temp", "305"), ("voltage_now", "4200000"), ("type", "Battery")];
    for (name, value) in values {
        write(&battery.join(name), &format!("{value}\n"))?;
    }
    write_cpus(&sys.join("devices/system/cpu"))
}

/// As many CPUs as the host lets us use, the upper half of them big, each half one frequency policy.
fn write_cpus(cpu: &Path) -> Result<(), LabError> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let first_big = count / 2;
    let range = |first: usize, last: usize| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    for name in ["online", "possible", "present"] {
        write(&cpu.join(name), &format!("{}\n", range(0, count - 1)))?;
    }
    let clusters = [(0..first_big, LITTLE_KHZ), (first_big..count, BIG_KHZ)];
    for (cores, [lowest, highest]) in clusters {
        let Some(last) = cores.clone().last() else { continue };
        let policy = format!("policy{}", cores.start);
        let members: Vec<String> = cores.clone().map(|core| core.to_string()).collect();
        let values = [
            ("cpuinfo_min_freq", lowest.to_string()),
            ("cpuinfo_max_freq", highest.to_string()),
            ("scaling_min_freq", lowest.to_string()),
            ("scaling_max_freq", highest.to_string()),
            ("scaling_cur_freq", highest.to_string()),
            ("scaling_available_frequencies", format!("{lowest} {highest}")),
            ("scaling_governor", "schedutil".to_owned()),
            ("scaling_available_governors", "schedutil performance powersave".to_owned()),
            ("related_cpus", members.join(" ")),
            ("affected_cpus", members.join(" ")),
        ];
        for (name, value) in values {
            write(&cpu.join("cpufreq").join(&policy).join(name), &format!("{value}\n"))?;
        }
        for core in cores.start..=last {
            let folder = cpu.join(format!("cpu{core}"));
            fs::create_dir_all(&folder).map_err(LabError::file("create", &folder))?;
            let link = folder.join("cpufreq");
            symlink(format!("../cpufreq/{policy}"), &link).map_err(LabError::file("create", &link))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
    }
    fs::write(path, text).map_err(LabError::file("write", path))
}
