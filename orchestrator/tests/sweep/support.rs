//! A lab in a temporary folder, and `farmctl` run in it as a person would.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testlab::{AdbServer, Board};

/// No sweep of a test takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(900);
pub const HOST_TARGET: &str = farmctl::runners::HOST_TARGET;

/// A sweep of a network so small that its run is over in a moment.
pub const QUICK: &str = "
models: [digits]
weights: [trained]
limits:
  warmup: { min_runs: 1, min_seconds: 0, max_seconds: 5 }
  measure: { min_runs: 2, max_runs: 2, min_seconds: 0, max_seconds: 60 }
";

/// The same of other networks, each of which takes a second or so.
pub fn quick(networks: &str) -> String {
    QUICK.replace("digits", networks).replace("weights: [trained]\n", "")
}

/// A sweep of one network whose run measures so many seconds long.
pub fn lasting(seconds: u32) -> String {
    let measured = format!("min_runs: 2, min_seconds: {seconds}");
    quick("squeezenet1_0").replace("min_runs: 2, max_runs: 2, min_seconds: 0", &measured)
}

/// A lab of its own, with a runner that is built already.
pub struct Lab {
    folder: TempDir,
    runners: TempDir,
    /// Whether farmctl knows only the names of its own `hosts` file, and has no name server.
    has_own_names: bool,
    /// The name of the host that farmctl believes to be on.
    host: Option<String>,
    /// The server that has its store.
    store: Option<String>,
}

/// How a farmctl ended.
pub struct Outcome {
    pub code: i32,
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Lab {
    pub fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        for name in ["configs", "farms", "reports", ".farm"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        // Networks are built once for all tests, into a cache that any number of processes can share.
        let artifacts = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts");
        std::fs::create_dir_all(&artifacts).unwrap();
        std::os::unix::fs::symlink(artifacts, folder.path().join(".farm/artifacts")).unwrap();
        let runners = tempfile::tempdir().unwrap();
        add_runner(runners.path(), HOST_TARGET, &built_runner(HOST_TARGET));
        Lab { folder, runners, has_own_names: false, host: None, store: None }
    }

    /// A host of a lab: a folder and a name of its own, and the store on a server. Needs root.
    pub fn of_host(name: &str, store: &str) -> Lab {
        Lab { host: Some(name.to_owned()), store: Some(store.to_owned()), ..Lab::new() }
    }

    /// The same on a host that knows no name until [`Lab::name`] says one. Needs root.
    pub fn with_own_names() -> Lab {
        let lab = Lab { has_own_names: true, ..Lab::new() };
        // Nobody answers there: each name that the file has not is one that can't be looked up for now.
        lab.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        lab.name(None);
        lab
    }

    /// Lets the host know this name of its own, or none.
    pub fn name(&self, name: Option<&str>) {
        let line = name.map_or_else(String::new, |name| format!("127.0.0.1 {name}\n"));
        self.write("hosts", &format!("127.0.0.1 localhost\n{line}"));
    }

    /// The program itself, in namespaces of its own where that is needed.
    fn program(&self) -> Command {
        let farmctl = env!("CARGO_BIN_EXE_farmctl");
        if let Some(host) = &self.host {
            // Where the lab has files of that name, they are the machine's.
            let script = "echo \"$1\" > /proc/sys/kernel/hostname && shift
                for own in machine-id hosts; do [ ! -f $own ] || mount --bind $own /etc/$own || exit; done
                exec \"$@\"";
            let mut command = Command::new("unshare");
            command.args(["--uts", "-m", "--propagation", "private", "sh", "-c", script, "sh", host, farmctl]);
            return command;
        }
        if !self.has_own_names {
            return Command::new(farmctl);
        }
        let script = "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh", farmctl]);
        command
    }

    /// The same with a program of the test's as its runner.
    pub fn with_runner(script: &str) -> Lab {
        let lab = Lab::new();
        lab.change_runner(Some(script));
        lab
    }

    /// Has a program of the test's as its runner from now on, or again the one that is built.
    pub fn change_runner(&self, script: Option<&str>) {
        let program = match script {
            None => built_runner(HOST_TARGET),
            Some(script) => {
                let path = self.path("runner.sh");
                std::fs::write(&path, script).unwrap();
                path
            }
        };
        self.change_runner_to(&program);
    }

    /// Has this file as its runner from now on.
    pub fn change_runner_to(&self, program: &Path) {
        std::fs::remove_dir_all(self.runners.path().join(HOST_TARGET)).unwrap();
        add_runner(self.runners.path(), HOST_TARGET, program);
    }

    /// Has a runner for devices of another machine, too.
    pub fn add_runner_for(&self, target: &str) {
        add_runner(self.runners.path(), target, &built_runner(target));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a file that only its owner may use.
    pub fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.path(name), only_mine).unwrap();
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.program();
        command
            .current_dir(self.folder.path())
            .arg("--runner-dir")
            .arg(self.runners.path())
            .args(words)
            .env("HOME", self.folder.path())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("FARMCTL_LOG")
            .stdin(Stdio::null());
        if let Some(store) = &self.store {
            command.env("FARMCTL_STORE", store);
        }
        command
    }

    /// Runs farmctl to its end, with its output as it is.
    pub fn run(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs a sweep to its end.
    pub fn sweep(&self, words: &[&str]) -> Outcome {
        self.start(words).finish()
    }

    /// Starts a sweep, to do something while it runs.
    pub fn start(&self, words: &[&str]) -> Running {
        self.start_with(words, &[])
    }

    /// The same, with these in its environment.
    pub fn start_with(&self, words: &[&str], environment: &[(&str, &Path)]) -> Running {
        let words = [&["--format", "json", "sweep"], words].concat();
        let stderr_path = self.path("stderr");
        let stderr = File::create(&stderr_path).unwrap();
        let mut command = self.command(&words);
        command.envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let (sender, lines) = sync_channel(1024);
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // One that is killed may leave half a line.
                let Ok(event) = serde_json::from_str(&line.unwrap()) else { return };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Running { child, lines, events: Vec::new(), stderr_path }
    }

    /// The rows of the newest `results.csv`, whether it has a result or none, by device and model.
    pub fn rows(&self) -> Vec<HashMap<String, String>> {
        let entries = std::fs::read_dir(self.path("reports")).unwrap().map(|entry| entry.unwrap().path());
        let is_sweep = |path: &PathBuf| path.is_dir() && !path.is_symlink() && path.join("results.csv").is_file();
        let newest = entries.filter(is_sweep).max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap();
        let mut reader = csv::Reader::from_path(newest.join("results.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// The row of a device, which has one.
    pub fn row(&self, device: &str) -> HashMap<String, String> {
        let mut rows = self.rows();
        rows.retain(|row| row["device"] == device);
        assert_eq!(rows.len(), 1, "rows of {device}");
        rows.remove(0)
    }
}

/// A farmctl that runs.
pub struct Running {
    child: Child,
    lines: Receiver<Value>,
    events: Vec<Value>,
    stderr_path: PathBuf,
}

impl Running {
    /// Waits for an event of this name, and of this phase if one is given.
    pub fn wait_for(&mut self, event: &str, phase: Option<&str>) -> Value {
        loop {
            let next = self.lines.recv_timeout(TIMEOUT).unwrap_or_else(|error| {
                let stderr = std::fs::read_to_string(&self.stderr_path).unwrap();
                panic!("no event {event}: {error}\n{stderr}\nlast: {:?}", self.events.last())
            });
            self.events.push(next.clone());
            if next["event"] == event && phase.is_none_or(|phase| next["phase"] == phase) {
                return next;
            }
        }
    }

    /// The next event, when there is one within this time and farmctl has not ended.
    pub fn next_event(&mut self, patience: Duration) -> Result<Value, RecvTimeoutError> {
        let event = self.lines.recv_timeout(patience)?;
        self.events.push(event.clone());
        Ok(event)
    }

    pub fn interrupt(&self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// Kills it, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn finish(mut self) -> Outcome {
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(event) => self.events.push(event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let stderr = std::fs::read_to_string(&self.stderr_path).unwrap();
                    panic!(
                        "nothing happened for {TIMEOUT:?}; the last was {:?}; stderr:\n{stderr}",
                        self.events.last()
                    );
                }
            }
        }
        let status = self.child.wait().unwrap();
        let stderr = std::fs::read_to_string(&self.stderr_path).unwrap();
        Outcome { code: status.code().unwrap(), events: std::mem::take(&mut self.events), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    pub fn named(&self, event: &str) -> Vec<&Value> {
        self.events.iter().filter(|it| it["event"] == event).collect()
    }

    /// Bytes of models that went to devices.
    pub fn pushed_bytes(&self) -> u64 {
        self.named("push_finished").iter().map(|event| event["sent_bytes"].as_u64().unwrap()).sum()
    }

    #[track_caller]
    pub fn expect_code(&self, code: i32) {
        assert_eq!(self.code, code, "stderr:\n{}\nfailures: {:?}", self.stderr, self.named("run_finished"));
    }
}

/// One device of a farm file, reached at this port.
pub fn ssh_device(name: &str, board: &Board, port: u16) -> String {
    format!(
        "  - name: {name}
    workdir: {}
    transport:
      ssh:
        host: 127.0.0.1
        port: {port}
        user: {}
        identity_file: {}
        host_key: {}
",
        board.home.join("farmctl").display(),
        board.user,
        board.identity.path.display(),
        board.host_key.public().unwrap().split(' ').take(2).collect::<Vec<_>>().join(" "),
    )
}

/// One phone of a farm file, by its daemon's address.
pub fn adb_device(name: &str, address: SocketAddr, server: &AdbServer) -> String {
    format!("  - name: {name}\n    transport: {{ adb: {{ address: '{address}', server: '{}' }} }}\n", server.address())
}

/// This host, as a farm file's device.
pub fn local_device() -> String {
    "  - { name: this-host, transport: local, workdir: here, price_per_hour: 0.25 }\n".to_owned()
}

/// Kept by a test whose devices get all six networks, more than a gigabyte together: one after the other, so that a
/// small disk has room for them. To be taken before the lab is made, whose end empties it. A file's lock, since a test
/// may have a process of its own.
pub fn room() -> File {
    let room = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("room")).unwrap();
    room.lock().unwrap();
    room
}

/// Runs a proxy's side of a test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A farm file of these devices.
pub fn farm(devices: &[String]) -> String {
    format!("farm: test\ndevices:\n{}", devices.concat())
}

/// The runner that `scripts/test` built for a target.
pub fn built_runner(target: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let profile = if target == HOST_TARGET { "release" } else { "emulated" };
    let path = workspace.join("target/runners").join(target).join(profile).join("device-runner");
    assert!(path.is_file(), "there is no runner for {target}: run the tests by scripts/test, which builds it");
    path
}

/// A folder of runners that has this program as the one for a target.
fn add_runner(folder: &Path, target: &str, program: &Path) {
    let place = folder.join(target);
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::symlink(program, place.join("device-runner")).unwrap();
}
