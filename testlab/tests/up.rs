//! `testlab up` and `testlab fault`, as they are used from a terminal.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const TESTLAB: &str = env!("CARGO_BIN_EXE_testlab");

/// A running `testlab up` whose temporary files lie in a folder of the test's.
struct Up {
    child: Child,
    file: PathBuf,
    folder: TempDir,
}

impl Up {
    fn start(arguments: &[&str]) -> Up {
        let folder = tempfile::tempdir().unwrap();
        let (file, temporary) = (folder.path().join("farm.yaml"), folder.path().join("tmp"));
        std::fs::create_dir(&temporary).unwrap();
        let mut command = Command::new(TESTLAB);
        command.arg("up").arg(&file).args(arguments).env("TMPDIR", &temporary).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.starts_with("Ctrl-C")).collect();
        assert!(said.iter().any(|line| line.contains("devices are up")), "{said:?}");
        Up { child, file, folder }
    }

    fn inventory(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// A field of a device's entry in the farm file.
    fn field(&self, device: &str, field: &str) -> String {
        let text = self.inventory();
        let entry = text.split("  - name: ").find(|entry| entry.lines().next() == Some(device)).unwrap();
        let line = entry.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")));
        line.unwrap().trim_matches('"').to_owned()
    }

    fn fault(&self, order: &str) -> Output {
        let mut command = Command::new(TESTLAB);
        command.arg("fault").arg(&self.file).args(order.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        output(command)
    }

    fn must(&self, order: &str) {
        let done = self.fault(order);
        assert!(done.status.success(), "{order}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn adb(&self, device: &str, field: &str, command: &str) -> String {
        let (server, address) = (self.field(device, "server"), self.field(device, field));
        let port = server.rsplit_once(':').unwrap().1.to_owned();
        let run = |words: &[&str]| {
            let mut command = Command::new("adb");
            command.args(["-P", &port]).args(words).stdin(Stdio::null());
            String::from_utf8(output(command).stdout).unwrap().trim().to_owned()
        };
        if field == "address" {
            run(&["connect", &address]);
        }
        run(&["-s", &address, "shell", command])
    }

    fn ssh(&self, device: &str, remote: &str) -> Output {
        self.ssh_within(20, device, remote)
    }

    /// Whether it can't be logged in. Short, since it waits for something that does not come.
    fn is_dead(&self, device: &str) -> bool {
        !self.ssh_within(1, device, "true").status.success()
    }

    fn ssh_within(&self, seconds: u32, device: &str, remote: &str) -> Output {
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            &format!("ConnectTimeout={seconds}"),
            "-p",
            &self.field(device, "port"),
        ]);
        command.args(["-o", &format!("UserKnownHostsFile={}", self.field(device, "known_hosts"))]);
        command.args([
            "-i",
            &self.field(device, "identity_file"),
            "-l",
            &self.field(device, "user"),
            "127.0.0.1",
            remote,
        ]);
        command.stdin(Stdio::null());
        output(command)
    }

    fn says(&self, device: &str, remote: &str) -> String {
        String::from_utf8(self.ssh(device, remote).stdout).unwrap().trim().to_owned()
    }

    /// Files of the farm that are still there.
    fn leftovers(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            eventually("an empty folder", || self.leftovers().is_empty());
        }
    }
}

fn output(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All processes below one.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            Some((id, stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}

fn interfaces(process: u32) -> usize {
    let own = format!("tl{process:x}.");
    let names = std::fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with(&own)).count()
}

#[test]
fn the_farm_file_leads_to_every_device() {
    let up = Up::start(&["--phones", "2", "--boards", "4", "--duplicate"]);
    assert_eq!(up.adb("phone-1", "serial", "uname -m"), std::env::consts::ARCH);
    assert_eq!(up.adb("phone-2", "address", "uname -m"), "aarch64");
    let serial = up.adb("phone-1", "serial", "getprop ro.serialno");
    assert_eq!(up.adb("phone-1-again", "serial", "getprop ro.serialno"), serial);
    assert_ne!(up.adb("phone-2", "address", "getprop ro.serialno"), serial);
    for board in ["board-1", "board-4"] {
        assert_eq!(up.says(board, "echo here"), "here", "{board}");
    }
    assert_ne!(
        up.says("board-1", "cat /proc/sys/kernel/random/boot_id"),
        up.says("board-2", "cat /proc/sys/kernel/random/boot_id")
    );
}

#[test]
fn faults_hit_boards_and_are_undone() {
    let up = Up::start(&["--boards", "4"]);
    for board in ["board-1", "board-4"] {
        let boot_id = up.says(board, "cat /proc/sys/kernel/random/boot_id");
        up.must(&format!("{board} kill"));
        assert!(up.is_dead(board), "{board}");
        up.must(&format!("{board} restart"));
        assert_eq!(up.says(board, "cat /proc/sys/kernel/random/boot_id"), boot_id, "{board}");
        up.must(&format!("{board} reboot"));
        assert_ne!(up.says(board, "cat /proc/sys/kernel/random/boot_id"), boot_id, "{board}");
        up.must(&format!("{board} fill"));
        assert!(!up.ssh(board, "echo x > file").status.success(), "{board}");
        up.must(&format!("{board} free"));
        assert_eq!(up.says(board, "echo x > file && echo ok"), "ok", "{board}");
        for fault in ["stall", "stop", "garble"] {
            up.must(&format!("{board} {fault}"));
            assert!(up.is_dead(board), "{board} {fault}");
            up.must(&format!("{board} {}", if fault == "stop" { "cont" } else { "pass" }));
            assert!(up.ssh(board, "true").status.success(), "{board} {fault}");
        }
    }
    let refused = up.fault("board-1 unplug");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("use stall"), "{refused:?}");
    let unknown = up.fault("board-9 cut");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("only board-1, board-2"), "{unknown:?}");
}

#[test]
fn commands_on_a_board_outlive_its_server() {
    let up = Up::start(&["--boards", "1"]);
    let process = up.says("board-1", "sleep 1000 > /dev/null 2>&1 & echo $!");
    up.must("board-1 kill");
    up.must("board-1 restart");
    assert!(up.ssh("board-1", &format!("kill -0 {process}")).status.success());
    up.must("board-1 reboot");
    eventually("no process", || !Path::new(&format!("/proc/{process}")).exists());
}

#[test]
fn nothing_stays_after_a_sigkill() {
    let mut up = Up::start(&["--phones", "1", "--boards", "2"]);
    let process = up.child.id();
    let sleeping = up.says("board-1", "sleep 1000 > /dev/null 2>&1 & echo $!").parse().unwrap();
    up.adb("phone-1", "serial", "sleep 1000 > /dev/null 2>&1 &");
    let mut family = descendants(process);
    family.push(sleeping);
    assert!(family.len() > 8 && interfaces(process) == 1 && !up.leftovers().is_empty(), "{family:?}");
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    eventually("no folder", || up.leftovers().is_empty());
    eventually("no interface", || interfaces(process) == 0);
    eventually("no process", || family.iter().all(|id| !Path::new(&format!("/proc/{id}")).exists()));
    assert!(!up.fault("board-1 cut").status.success());
}

#[test]
fn an_emulated_board_is_a_machine_of_its_own() {
    let up = Up::start(&["--emulated-boards", "1"]);
    assert_eq!(up.says("emulated-1", "uname -m; pwd"), "aarch64\n/root");
    let boot_id = up.says("emulated-1", "cat /proc/sys/kernel/random/boot_id");
    assert!(up.ssh("emulated-1", "dd if=/dev/zero of=file bs=1M count=100").status.success());
    assert_eq!(up.ssh("emulated-1", "exit 7").status.code(), Some(7));
    up.must("emulated-1 reboot");
    assert_ne!(up.says("emulated-1", "cat /proc/sys/kernel/random/boot_id"), boot_id);
    let refused = up.fault("emulated-1 kill");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("use reboot"), "{refused:?}");
}
