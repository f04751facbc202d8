//! `testlab up FOLDER --hosts`: several hosts of one lab, as they are used from a terminal.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const TESTLAB: &str = env!("CARGO_BIN_EXE_testlab");

/// A running `testlab up --hosts`.
struct Up {
    child: Child,
    lab: PathBuf,
    temporary: PathBuf,
    _folder: TempDir,
}

impl Up {
    fn start(arguments: &[&str]) -> Up {
        let folder = tempfile::tempdir().unwrap();
        let (lab, temporary) = (folder.path().join("lab"), folder.path().join("tmp"));
        std::fs::create_dir(&temporary).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = Command::new(TESTLAB);
        command.arg("up").arg(&lab).args(arguments).current_dir(repository).env("TMPDIR", &temporary);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.starts_with("Ctrl-C")).collect();
        assert!(said.iter().any(|line| line.contains("devices are up")), "{said:?}");
        Up { child, lab, temporary, _folder: folder }
    }

    fn fault(&self, order: &str) -> Output {
        Command::new(TESTLAB).arg("fault").arg(&self.lab).args(order.split(' ')).output().unwrap()
    }

    fn must(&self, order: &str) {
        let done = self.fault(order);
        assert!(done.status.success(), "{order}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A shell's command on a host.
    fn on(&self, host: &str, script: &str) -> Command {
        let mut command = Command::new(self.lab.join(host).join("enter"));
        command.args(["sh", "-c", script]).stdin(Stdio::null());
        command
    }

    fn says(&self, host: &str, script: &str) -> String {
        let output = self.on(host, script).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What the database answers a host; empty where it does not.
    fn database_says(&self, host: &str) -> String {
        let script = "PGCONNECT_TIMEOUT=2 psql -XAtq \"$(sed -n 's/^store: //p' lab.yaml)\" -c 'SELECT 1'";
        self.says(host, script)
    }

    /// What a host's farm file says of a device.
    fn entry(&self, host: &str, device: &str) -> String {
        let text = std::fs::read_to_string(self.lab.join(host).join("farms/testlab.yaml")).unwrap();
        text.split("  - name: ").find(|entry| entry.lines().next() == Some(device)).unwrap().to_owned()
    }

    /// The devices that a host's farm file names.
    fn reached(&self, host: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.lab.join(host).join("farms/testlab.yaml")).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("  - name: ")).map(str::to_owned).collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let is_empty = || std::fs::read_dir(&self.temporary).unwrap().next().is_none();
            eventually("an empty folder", is_empty);
        }
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_host_is_a_machine_of_its_own_with_ways_of_its_own() {
    let mut up = Up::start(&["--hosts", "3", "--boards", "3"]);
    assert_eq!(up.says("host-1", "cat /proc/sys/kernel/hostname; pwd"), format!("host-1\n{}/host-1", up.lab.display()));
    let identity = |host: &str| up.says(host, "cat /etc/machine-id");
    assert_eq!(identity("host-1").len(), 32);
    assert_ne!(identity("host-1"), identity("host-2"));
    assert_ne!(identity("host-1"), std::fs::read_to_string("/etc/machine-id").unwrap().trim());
    assert_eq!(up.says("host-2", "cat /proc/1/comm"), "sleep", "its own processes");
    assert_eq!(up.reached("host-1"), ["board-1", "board-3"]);
    assert_eq!(up.reached("host-2"), ["board-1", "board-2"]);
    assert_eq!(up.reached("host-3"), ["board-2", "board-3"]);
    // Both say the same of a board, and reach it.
    let entry = up.entry("host-1", "board-1");
    assert_eq!(up.entry("host-2", "board-1"), entry);
    let port = entry.lines().find_map(|line| line.trim().strip_prefix("port: ")).unwrap();
    let greeting = format!("timeout 5 bash -c 'head -c 4 < /dev/tcp/board-1/{port}'");
    for host in ["host-1", "host-2"] {
        assert_eq!(up.says(host, &greeting), "SSH-", "{host}");
    }
    up.must("host-1/board-1 stall");
    assert_eq!((up.says("host-1", &greeting), up.says("host-2", &greeting)), (String::new(), "SSH-".to_owned()));
    up.must("host-1/board-1 pass");

    // One way breaks, and no other.
    assert_eq!(up.database_says("host-1"), "1");
    up.must("host-1/database stall");
    assert_eq!(up.database_says("host-1"), "");
    assert_eq!(up.database_says("host-2"), "1");
    up.must("host-1 pass");
    assert_eq!(up.database_says("host-1"), "1");

    // What runs on a host dies with it, and comes back under the same identity.
    let before = identity("host-3");
    let mut sleeping = up.on("host-3", "exec sleep 1000").spawn().unwrap();
    up.must("host-3 kill");
    eventually("the end", || sleeping.try_wait().unwrap().is_some());
    assert!(!up.on("host-3", "true").output().unwrap().status.success());
    up.must("host-3 restart");
    assert_eq!(identity("host-3"), before);

    let refused = up.fault("host-1 fill");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("it is a host"), "{refused:?}");
    let unknown = up.fault("host-4 cut");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("host-3/database"), "{unknown:?}");

    let mut sleeping = up.on("host-1", "exec sleep 1000").spawn().unwrap();
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    eventually("the end", || sleeping.try_wait().unwrap().is_some());
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(TESTLAB);
    command.arg("up").arg(folder.path()).args(["--hosts", "1", "--boards", "1"]).current_dir(repository);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("make the hosts' folder"), "{output:?}");
    assert!(folder.path().is_dir());
}
