//! Virtual phones, through the real adb.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testlab::{AdbServer, LabError, Phone, PhoneArch, PhoneOptions};

const LIMIT: Duration = Duration::from_secs(60);

/// A phone that an adb server of its own knows.
struct Lab {
    server: AdbServer,
    phone: Phone,
}

impl Lab {
    fn start_with(options: &PhoneOptions) -> Lab {
        let (server, phone) = (AdbServer::start().unwrap(), Phone::start_with(options).unwrap());
        server.connect(phone.address()).unwrap();
        Lab { server, phone }
    }

    fn start() -> Lab {
        Lab::start_with(&PhoneOptions::default())
    }

    fn adb(&self, words: &[&str]) -> Command {
        adb(&self.server, &self.phone, words)
    }

    /// Output of a shell command, without the line's end.
    fn shell(&self, command: &str) -> String {
        text(&output(self.adb(&["shell", command])))
    }

    fn reconnect(&self) {
        self.server.disconnect(self.phone.address()).unwrap();
        self.server.connect(self.phone.address()).unwrap();
    }
}

fn adb(server: &AdbServer, phone: &Phone, words: &[&str]) -> Command {
    let mut command = Command::new("adb");
    command.args(["-P", &server.port().to_string(), "-s", &phone.address().to_string()]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// adb has no time limits of its own.
fn output(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    assert!(ends_within(&mut child, LIMIT), "{command:?} does not end");
    child.wait_with_output().unwrap()
}

fn ends_within(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout)).trim().to_owned()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn commands_run_and_their_exit_codes_come_back() {
    let lab = Lab::start();
    assert_eq!(lab.shell("echo here; pwd"), "here\n/");
    assert_eq!(output(lab.adb(&["shell", "exit 7"])).status.code(), Some(7));
    assert_eq!(lab.shell("echo $HOME; cat /proc/sys/kernel/hostname"), format!("/\n{}", lab.phone.serial()));
    assert_eq!(lab.shell("getprop ro.serialno"), lab.phone.serial());
    assert!(lab.shell("getprop").contains("[ro.product.model]: [Lab Phone"));
    assert_eq!(lab.shell("getprop no.such; getprop no.such other"), "other");
}

#[test]
fn two_phones_have_files_properties_and_processes_of_their_own() {
    let (server, options) = (AdbServer::start().unwrap(), PhoneOptions::default());
    let other_options = PhoneOptions {
        serial: Some("SECOND".to_owned()),
        properties: vec![("ro.product.model".to_owned(), "Another".to_owned())],
        ..PhoneOptions::default()
    };
    let phones = [Phone::start_with(&options).unwrap(), Phone::start_with(&other_options).unwrap()];
    let mut local = tempfile::NamedTempFile::new().unwrap();
    local.write_all(&[7; 300_000]).unwrap();
    for phone in &phones {
        server.connect(phone.address()).unwrap();
    }
    let path = local.path().to_str().unwrap();
    let pushed = output(adb(&server, &phones[0], &["push", path, "/data/local/tmp/pushed"]));
    assert!(pushed.status.success(), "{}", text(&pushed));
    assert_eq!(std::fs::metadata(phones[0].data_path("local/tmp/pushed")).unwrap().len(), 300_000);
    let shell = |phone, command| text(&output(adb(&server, phone, &["shell", command])));
    assert_eq!(shell(&phones[0], "wc -c < /data/local/tmp/pushed"), "300000");
    assert_eq!(shell(&phones[1], "ls /data/local/tmp"), "");
    assert_eq!(shell(&phones[1], "getprop ro.serialno; getprop ro.product.model"), "SECOND\nAnother");
    assert_ne!(shell(&phones[0], "touch /etc/own; getprop ro.product.model"), "Another");
    assert_ne!(shell(&phones[1], "ls /etc/own"), "/etc/own");
}

#[test]
fn androids_commands_keep_their_state() {
    let lab = Lab::start();
    assert_eq!(lab.phone.state("global/stay_on_while_plugged_in").unwrap(), "0");
    lab.shell("svc power stayon true; cmd connectivity airplane-mode enable; input keyevent 223");
    assert_eq!(lab.phone.state("global/stay_on_while_plugged_in").unwrap(), "7");
    assert_eq!(lab.phone.state("global/airplane_mode_on").unwrap(), "1");
    assert_eq!(lab.phone.state("wakefulness").unwrap(), "Asleep");
    assert_eq!(lab.shell("settings get global stay_on_while_plugged_in; settings get global nothing"), "7\nnull");
    assert!(lab.shell("dumpsys power").contains("mWakefulness=Asleep"));
    assert!(lab.shell("dumpsys battery").contains("  level: 87\n"));
    assert_eq!(lab.shell("input keyevent 26; cmd connectivity airplane-mode"), "enabled");
    assert_eq!(lab.phone.state("wakefulness").unwrap(), "Awake");
    assert_eq!(output(lab.adb(&["shell", "cmd nothing"])).status.code(), Some(20));
    assert_eq!(lab.phone.commands()[0], "svc power stayon true");
}

#[test]
fn its_sysfs_can_be_changed_from_outside() {
    let lab = Lab::start();
    std::fs::write(lab.phone.sys_path("class/thermal/thermal_zone0/temp"), "77000\n").unwrap();
    assert_eq!(lab.shell("cat /sys/class/thermal/thermal_zone0/temp"), "77000");
    assert_eq!(lab.shell("cat /data/farmlab/sys/class/thermal/thermal_zone0/temp"), "77000");
    let frequency: u32 = lab.shell("cat /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").parse().unwrap();
    assert!(frequency > 0);
}

#[test]
fn a_frozen_phone_does_not_answer_until_it_is_thawed() {
    let lab = Lab::start();
    lab.phone.freeze();
    let mut asked = lab.adb(&["shell", "echo awake"]).spawn().unwrap();
    // Long against the some 30 ms that it takes otherwise.
    std::thread::sleep(Duration::from_millis(500));
    assert!(asked.try_wait().unwrap().is_none());
    lab.phone.thaw();
    assert!(ends_within(&mut asked, LIMIT));
    assert_eq!(text(&asked.wait_with_output().unwrap()), "awake");
}

#[test]
fn the_daemon_can_die_and_what_runs_goes_on() {
    let lab = Lab::start();
    lab.shell("cat /proc/sys/kernel/random/boot_id > /tmp/before; (sleep 1000 > /dev/null 2>&1 & echo $! > /tmp/pid)");
    lab.phone.kill_daemon().unwrap();
    eventually("offline", || lab.server.state_of(lab.phone.address()).unwrap().as_deref() != Some("device"));
    lab.phone.restart_daemon().unwrap();
    lab.reconnect();
    assert_eq!(
        lab.shell("kill -0 $(cat /tmp/pid) && cmp /tmp/before /proc/sys/kernel/random/boot_id && echo same"),
        "same"
    );
}

#[test]
fn a_reboot_ends_processes_empties_tmp_and_keeps_data() {
    let lab = Lab::start();
    let boot_id = lab.shell("cat /proc/sys/kernel/random/boot_id");
    let host_boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_ne!(boot_id, host_boot_id.trim());
    lab.shell(
        "echo kept > /data/local/tmp/file; echo lost > /tmp/file; input keyevent 223; sleep 1000 > /dev/null 2>&1 &",
    );
    assert_ne!(lab.shell("pidof sleep"), "");
    lab.phone.reboot().unwrap();
    lab.reconnect();
    assert_ne!(lab.shell("cat /proc/sys/kernel/random/boot_id"), boot_id);
    assert_eq!(lab.shell("cat /data/local/tmp/file; ls /tmp; pidof sleep"), "kept");
    assert_eq!(lab.phone.state("wakefulness").unwrap(), "Awake");
}

#[test]
fn an_unplugged_phone_is_silent_until_it_is_plugged_in() {
    let lab = Lab::start();
    lab.phone.unplug().unwrap();
    let mut asked = lab.adb(&["shell", "echo back"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(asked.try_wait().unwrap().is_none());
    lab.phone.replug().unwrap();
    assert!(ends_within(&mut asked, LIMIT));
    assert_eq!(text(&asked.wait_with_output().unwrap()), "back");
}

#[test]
fn a_small_data_gets_full() {
    let lab = Lab::start_with(&PhoneOptions { data_size_bytes: Some(2 << 20), ..PhoneOptions::default() });
    lab.phone.fill_disk().unwrap();
    assert!(lab.shell("echo x > /data/local/tmp/file").contains("No space left"));
    lab.phone.free_disk().unwrap();
    assert_eq!(lab.shell("echo x > /data/local/tmp/file && echo ok"), "ok");
    assert!(matches!(Lab::start().phone.fill_disk(), Err(LabError::Program { .. })));
}

#[test]
fn the_cpu_of_a_phone_can_be_arm() {
    let lab = Lab::start_with(&PhoneOptions { arch: PhoneArch::Aarch64, ..PhoneOptions::default() });
    assert_eq!(lab.shell("uname -m"), "aarch64");
    assert_eq!(lab.shell("getprop ro.product.cpu.abi"), "arm64-v8a");
    assert_eq!(output(lab.adb(&["shell", "exit 137"])).status.code(), Some(137));
    lab.phone.reboot().unwrap();
    lab.reconnect();
    assert_eq!(lab.shell("uname -m"), "aarch64");
}

#[test]
fn an_adb_server_can_be_killed_frozen_and_restarted() {
    let lab = Lab::start();
    let port = lab.server.port();
    lab.server.freeze();
    let mut asked = lab.adb(&["shell", "echo here"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(asked.try_wait().unwrap().is_none());
    lab.server.thaw();
    assert!(ends_within(&mut asked, LIMIT));
    lab.server.kill();
    assert!(lab.server.state_of(lab.phone.address()).is_err());
    lab.server.restart().unwrap();
    assert_eq!(lab.server.port(), port);
    assert_eq!(lab.server.state_of(lab.phone.address()).unwrap(), None);
    lab.server.connect(lab.phone.address()).unwrap();
    assert_eq!(lab.shell("echo here"), "here");
}
