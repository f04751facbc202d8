//! What each verb prints, in every form: the cases in `tests/cmd/`, each in a small lab of its own.
//!
//! `TRYCMD=overwrite cargo test --package farmctl --test parts cmd` writes what is printed now into the cases; look at
//! `git diff` then. What differs from run to run is redacted before it is compared (`REDACTED`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use clap::CommandFactory as _;
use farmctl::cli::Cli;
use farmctl::runners::HOST_TARGET;
use tempfile::TempDir;

/// No case's command takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What differs from run to run or from machine to machine, as sed takes it. Runs of spaces are made two, since the
/// width of a column follows what is in it.
const REDACTED: &[&str] = &[
    r"s/[0-9]{8}-[0-9]{6}-[a-z]+-[0-9a-f]{4}/SWEEP/g",
    r"s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g",
    r"s/\bj[0-9a-f]{15}\b/JOB/g",
    r"s/\b[0-9a-f]{64}\b/SHA256/g",
    r"s/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/BOOT/g",
    r"s/farmctl_[A-Za-z0-9_-]{43}/TOKEN/g",
    r"s/0\.1\.0 \([0-9a-z+-]+\)|commit [0-9a-f]+, sources [0-9a-f]+/VERSION/g",
    r"s/\b[0-9]+(\.[0-9]+)+(e-?[0-9]+)?( ?(ms|µs|s|MB|GB|kB))?\b/N/g",
    r"s/\b[0-9]+ ?(ms|µs|s|MB|GB|kB|bytes|cores)\b|\b[0-9]{4,}\b/N/g",
    r"s/\bN ?(ms|µs|s|MB|GB|kB|bytes|cores)\b/N/g",
    r"s#(x86/?_64|aarch64)-unknown-linux-gnu\b#TARGET#g",
    r"s/,[0-9]+( [0-9]+)*,1,single_stream/,CPUS,1,single_stream/",
    r"s/ {2,}/  /g",
    r"s/ +$//",
];

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        const CASES: &[&str] = &[$(stringify!($name)),+];
        $(#[test] fn $name() { run(stringify!($name)); })+
    };
}

cases![
    ab,
    audit,
    backends,
    baseline,
    cancel,
    clock,
    compare,
    completions,
    daemon,
    devices,
    devices_change,
    devices_lock,
    doctor,
    errors,
    history,
    host,
    models,
    plan,
    report,
    results,
    retention,
    runner,
    schedules,
    schema,
    score,
    store,
    sweep,
    sweeps,
    tokens,
    watch,
    why,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd")
}

fn run(name: &str) {
    let lab = Lab::new();
    trycmd::TestCases::new()
        .timeout(TIMEOUT)
        .register_bin("farmctl", lab.program())
        .case(folder().join(format!("{name}.trycmd")))
        .run();
}

/// A lab in which one sweep was run: one device measured, and one out of service.
struct Lab {
    folder: TempDir,
    measured: Arc<Measured>,
}

impl Lab {
    fn new() -> Lab {
        let lab = Lab { folder: tempfile::tempdir().unwrap(), measured: measured() };
        copy(&lab.measured.lab(), &lab.path("lab"));
        lab.write_program();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self) -> PathBuf {
        self.path("farmctl")
    }

    /// farmctl in the lab, with nothing of this machine's environment, and with what differs from run to run redacted.
    /// `CASE_PATH` is its `PATH`, where a case says one.
    fn write_program(&self) {
        let home = self.path("home");
        std::fs::create_dir_all(&home).unwrap();
        let farmctl = Path::new(env!("CARGO_BIN_EXE_farmctl"));
        let mut words: Vec<(String, &str)> = [(self.path("lab"), "LAB"), (home.clone(), "HOME")]
            .into_iter()
            .chain([(self.measured.runners(), "RUNNERS"), (farmctl.to_owned(), "FARMCTL")])
            .map(|(path, word)| (path.display().to_string(), word))
            .collect();
        words.extend(self.measured.this_machine());
        let words = words.iter().map(|(text, word)| format!(" -e 's#{}#{word}#g'", literal(text)));
        let rules = REDACTED.iter().map(|rule| format!(" -e '{rule}'"));
        let script = format!(
            "#!/bin/sh\ncd {lab} || exit 99\n\
             {{ env -i HOME={home} PATH=\"${{CASE_PATH:-/usr/bin:/bin}}\" ANDROID_ADB_SERVER_PORT=1 \
             {farmctl} --runner-dir {runners} \"$@\" 2>&1 < /dev/null; echo $? > {code}; }} |\n  \
             sed -E{redactions}\nexit \"$(cat {code})\"\n",
            lab = self.path("lab").display(),
            home = home.display(),
            farmctl = farmctl.display(),
            runners = self.measured.runners().display(),
            code = self.path("code").display(),
            redactions = words.chain(rules).collect::<String>(),
        );
        std::fs::write(self.program(), script).unwrap();
        std::fs::set_permissions(self.program(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A text as an expression that matches it alone.
fn literal(text: &str) -> String {
    let is_sign = |c: char| !c.is_alphanumeric() && !matches!(c, ' ' | '-' | '_' | '/' | '@' | '\'');
    text.chars().flat_map(|c| is_sign(c).then_some('\\').into_iter().chain([c])).collect()
}

/// What all labs of this process begin with, and the runners that they use.
struct Measured {
    folder: TempDir,
}

impl Measured {
    fn new() -> Measured {
        let measured = Measured { folder: tempfile::tempdir().unwrap() };
        measured.link_runner();
        let lab = measured.lab();
        copy(&folder().join("lab"), &lab);
        for name in ["models.yaml", "backends.yaml", "datasets.yaml"] {
            std::fs::copy(super::docs::root().join("configs").join(name), lab.join("configs").join(name)).unwrap();
        }
        // Networks are built once for all tests.
        let artifacts = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts");
        std::fs::create_dir_all(&artifacts).unwrap();
        let own = lab.join(".farm");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(artifacts, own.join("artifacts")).unwrap();
        measured.farmctl(&["sweep", "configs/tiny.yaml"]);
        measured
    }

    /// The lab that each case gets a copy of.
    fn lab(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    /// The folder of runners that `scripts/test` built, as `--runner-dir` takes it.
    fn runners(&self) -> PathBuf {
        self.folder.path().join("runners")
    }

    fn link_runner(&self) {
        let built = super::docs::root().join("target/runners").join(HOST_TARGET).join("release/device-runner");
        assert!(built.is_file(), "there is no runner: run the tests by scripts/test, which builds it");
        let folder = self.runners().join(HOST_TARGET);
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(built, folder.join("device-runner")).unwrap();
    }

    /// What farmctl says of this machine and of who runs it, with the words that stand for it in the cases.
    fn this_machine(&self) -> Vec<(String, &'static str)> {
        let shown = self.farmctl(&["devices", "show", "this-host", "--format", "json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        let facts = &shown["sighting"]["facts"];
        let of_facts = [("soc", "SOC"), ("os", "OS"), ("kernel", "KERNEL")];
        let mut words: Vec<(String, &'static str)> =
            of_facts.into_iter().filter_map(|(field, word)| Some((facts[field].as_str()?.to_owned(), word))).collect();
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
        let user = user.map_or("root".to_owned(), |user| user.name);
        words.push((format!("{user}@{host}"), "PERSON"));
        words
    }

    /// Runs farmctl in the lab, where it must pass, and gives what it prints.
    fn farmctl(&self, words: &[&str]) -> Vec<u8> {
        let lab = self.lab();
        let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
        command.arg("--runner-dir").arg(self.runners()).args(words).current_dir(&lab).env("HOME", &lab);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// What this process has measured. It goes with the last lab that has it, since what is static is never dropped.
fn measured() -> Arc<Measured> {
    static LAST: Mutex<Weak<Measured>> = Mutex::new(Weak::new());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.upgrade().unwrap_or_else(|| {
        let measured = Arc::new(Measured::new());
        *last = Arc::downgrade(&measured);
        measured
    })
}

/// Copies a folder; links stay links, and who may open it stays.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The case runs in a process of its own, as each test does under cargo-nextest.
#[test]
fn a_case_leaves_nothing_in_the_temporary_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let mut case = Command::new(std::env::current_exe().unwrap());
    case.args(["--exact", "cmd::clock"]).env("TMPDIR", temporary.path());
    let output = case.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let left = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn each_file_of_cases_is_run_and_each_verb_has_a_case() {
    let mut commands = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "trycmd") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(CASES.contains(&name), "{name}.trycmd is not run: add it to the list in {}", file!());
            let text = std::fs::read_to_string(&path).unwrap();
            let of_farmctl = text.lines().filter(|line| line.starts_with("$ "));
            commands.extend(of_farmctl.filter_map(|line| Some(line.split_once("farmctl ")?.1.to_owned())));
        }
    }
    let mut verbs = Vec::new();
    leaves(&Cli::command(), "", &mut verbs);
    let is_run = |verb: &String| commands.iter().any(|line| format!("{line} ").starts_with(&format!("{verb} ")));
    let without: Vec<&String> = verbs.iter().filter(|verb| !is_run(verb)).collect();
    assert!(without.is_empty(), "no case in tests/cmd/ runs {without:?}");
}

/// The verbs that do something, with the verbs that they are of.
fn leaves(command: &clap::Command, before: &str, verbs: &mut Vec<String>) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("{before}{}", verb.get_name());
        if verb.get_subcommands().next().is_none() || verb.get_name() == "daemon" {
            verbs.push(name.clone());
        }
        leaves(verb, &format!("{name} "), verbs);
    }
}
