//! Runners for other machines really run: each target's is what one device of a sweep gets, under qemu, and its answers
//! are those of this host's runner. `FARMCTL_TEST_TARGETS` names the targets, separated by spaces; `scripts/test`
//! builds their runners first.
//!
//! The device is this host, as it looks to programs of the other machine: `uname` names it, and the kernel starts its
//! programs by qemu. That is set up in a user namespace of its own where the system isn't set up so (Linux 6.7).

use std::collections::HashMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use farmctl::runners::HOST_TARGET;
use testlab::Board;

const SWEEP: &str = "
models: [mobilenet_v2]
limits:
  warmup: { min_runs: 0, min_seconds: 0, max_seconds: 0 }
  measure: { min_runs: 1, max_runs: 1, min_seconds: 0, max_seconds: 600 }
";

/// Differences above this are more than the rounding of 32-bit floats.
const OUTPUT_TOLERANCE: f64 = farmctl::score::OUTPUT_TOLERANCE;

/// A machine that qemu emulates.
struct Machine {
    target: &'static str,
    uname: &'static str,
    qemu: &'static str,
    /// Without vector extensions that qemu is slow with.
    cpu: &'static str,
    /// What the engine can't see under qemu, which shows programs this host's /proc/cpuinfo.
    known: Option<(&'static str, &'static str)>,
    /// ELF class and machine of its programs.
    class: u8,
    machine: u8,
    /// How the names of the engine's assembly kernels begin; none where that has only portable ones for such a
    /// processor.
    kernel: Option<&'static str>,
}

const MACHINES: &[Machine] = &[
    Machine {
        target: "aarch64-unknown-linux-gnu",
        uname: "aarch64",
        qemu: "qemu-aarch64-static",
        cpu: "cortex-a53",
        known: None,
        class: 2,
        machine: 0xb7,
        kernel: Some("arm64simd_"),
    },
    Machine {
        target: "armv7-unknown-linux-gnueabihf",
        uname: "armv7l",
        qemu: "qemu-arm-static",
        cpu: "cortex-a15",
        known: Some(("TRACT_CPU_ARM32_NEON", "true")),
        class: 1,
        machine: 0x28,
        kernel: Some("armv7neon_"),
    },
    Machine {
        target: "riscv64gc-unknown-linux-gnu",
        uname: "riscv64",
        qemu: "qemu-riscv64-static",
        cpu: "rv64",
        known: None,
        class: 2,
        machine: 0xf3,
        kernel: None,
    },
];

impl Machine {
    fn runner(&self) -> PathBuf {
        built_runner(self.target)
    }

    fn qemu(&self) -> PathBuf {
        let folders = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&folders).map(|folder| folder.join(self.qemu)).find(|path| path.is_file());
        found.unwrap_or_else(|| panic!("{} is missing: apt-get install qemu-user-static", self.qemu))
    }

    /// The line that has the kernel start this machine's programs by qemu, opened now (F).
    fn handler(&self) -> String {
        let Machine { class, machine, uname, .. } = self;
        let magic = format!(r"\x7fELF\x{class:02x}\x01\x01{}\x02\x00\x{machine:02x}\x00", r"\x00".repeat(9));
        let mask = format!(r"{}\x00{}\xfe\xff\xff\xff", r"\xff".repeat(7), r"\xff".repeat(8));
        format!(":farmctl-{uname}:M::{magic}:{mask}:{}:F", self.qemu().display())
    }

    /// Runs a command where programs of this machine start.
    fn command(&self, program: &Path) -> Command {
        let runs =
            |command: &mut Command| command.env("QEMU_CPU", self.cpu).output().is_ok_and(|out| out.status.success());
        let mut command;
        if runs(Command::new(self.runner()).arg("--version")) {
            command = Command::new(program);
        } else {
            const SET_UP: &str = "mount -t binfmt_misc farmctl /proc/sys/fs/binfmt_misc && \
                                  printf %s \"$1\" > /proc/sys/fs/binfmt_misc/register && shift && exec \"$@\"";
            command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SET_UP, "sh"]);
            command.arg(self.handler()).arg(program);
        }
        command.env("QEMU_CPU", self.cpu).envs(self.known).stdin(Stdio::null());
        command
    }
}

fn built_runner(target: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let profile = if target == HOST_TARGET { "release" } else { "emulated" };
    let path = workspace.join("target/runners").join(target).join(profile).join("device-runner");
    assert!(path.is_file(), "no runner is built for {target}: run the tests by scripts/test, which builds it");
    path
}

/// Whether a little-endian ELF program has a segment that names a dynamic linker.
fn has_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number =
        |place: usize, bytes: usize| elf[place..place + bytes].iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b));
    let (table, entry_bytes, entries) = match elf[4] {
        1 => (number(0x1c, 4), number(0x2a, 2), number(0x2c, 2)),
        _ => (number(0x20, 8), number(0x36, 2), number(0x38, 2)),
    };
    assert!(entries > 0);
    (0..entries).any(|index| number((table + index * entry_bytes) as usize, 4) == PT_INTERP)
}

#[test]
fn this_program_itself_is_no_static_one() {
    assert!(has_interpreter(&std::fs::read("/proc/self/exe").unwrap()));
}

fn machines() -> Vec<&'static Machine> {
    let wanted = std::env::var("FARMCTL_TEST_TARGETS").unwrap_or_else(|_| "aarch64-unknown-linux-gnu".to_owned());
    let find = |target: &str| {
        MACHINES.iter().find(|machine| machine.target == target).unwrap_or_else(|| panic!("no machine for {target}"))
    };
    wanted.split_whitespace().map(find).collect()
}

fn succeeded(output: Output) -> Output {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    output
}

#[test]
fn runners_are_static_and_say_what_they_are() {
    for machine in machines() {
        let bytes = std::fs::read(machine.runner()).unwrap();
        assert_eq!((&bytes[..4], bytes[4], bytes[18]), (b"\x7fELF".as_slice(), machine.class, machine.machine));
        assert!(!has_interpreter(&bytes), "{} wants a dynamic linker", machine.target);

        let folder = tempfile::tempdir().unwrap();
        let hello =
            machine.command(&machine.runner()).arg("hello").arg("--workdir").arg(folder.path()).output().unwrap();
        let hello: serde_json::Value = serde_json::from_slice(&succeeded(hello).stdout).unwrap();
        assert_eq!(hello["target"], machine.target);
        assert_eq!(hello["machine"], machine.uname);
        let kernel = hello["backends"][0]["kernel"].as_str().unwrap();
        assert!(
            kernel.starts_with(machine.kernel.unwrap_or("generic_")),
            "{} multiplies with {kernel}",
            machine.target
        );
        println!("{}: {:.1} MB, kernel {kernel}", machine.target, bytes.len() as f64 / 1e6);
    }
}

#[test]
fn a_sweep_over_two_machines_gets_the_same_answers() {
    for machine in machines() {
        let board = Board::start().unwrap();
        let lab = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = lab.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for target in [machine.target, HOST_TARGET] {
            let folder = lab.path().join("runners").join(target);
            std::fs::create_dir_all(&folder).unwrap();
            symlink(built_runner(target), folder.join("device-runner")).unwrap();
        }
        write("bin/uname", &format!("#!/bin/sh\necho Linux {}\n", machine.uname));
        let uname = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(lab.path().join("bin/uname"), uname).unwrap();
        write("sweep.yaml", SWEEP);
        write("farms/lab.yaml", &farm(&board));

        let mut path = lab.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut farmctl = machine.command(Path::new(env!("CARGO_BIN_EXE_farmctl")));
        farmctl.args(["--runner-dir", "runners", "sweep", "sweep.yaml"]).current_dir(lab.path());
        farmctl.env("PATH", path).env("HOME", lab.path()).env_remove("SSH_AUTH_SOCK");
        succeeded(farmctl.output().unwrap());

        let mut reader = csv::Reader::from_path(lab.path().join("reports/latest/results.csv")).unwrap();
        let rows: Vec<HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        let targets: Vec<&str> = rows.iter().map(|row| row["target"].as_str()).collect();
        assert_eq!(targets, [HOST_TARGET, machine.target]);
        for row in &rows {
            assert_eq!(row["status"], "ok", "{row:?}");
            let error: f64 = row["output_error"].parse().unwrap();
            assert!(error < OUTPUT_TOLERANCE, "{row:?}");
            println!("{}: {} ms, output error {error}", row["target"], row["p50_ms"]);
        }
    }
}

/// A board of this host's architecture, and this host as the other machine.
fn farm(board: &Board) -> String {
    format!(
        "farm: test
devices:
  - name: a-board
    transport: {{ ssh: {{ host: 127.0.0.1, port: {}, user: {}, identity_file: {}, host_key: {} }} }}
  - {{ name: emulated, transport: local, workdir: {} }}
",
        board.port,
        board.user,
        board.identity.path.display(),
        board.host_key.public().unwrap().split(' ').take(2).collect::<Vec<_>>().join(" "),
        "work",
    )
}
