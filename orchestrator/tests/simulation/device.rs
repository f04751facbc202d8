//! A device that exists in memory: files, runs, a lock, fences, a boot; and a runner that behaves as the real one does,
//! by the protocol's own types. Time is tokio's, which the simulation pauses.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use farmctl::domain::{DeviceFacts, sha256_hex};
use farmctl::transport::ErrorKind;
use farmctl_protocol::{
    BackendInfo, Calibration, Cpu, DeviceRest, Hello, KernelTime, PROTOCOL_VERSION, PartialFile, Precision, RunInfo,
    RunRequest, RunnerFailureKind, StoreFile, StoreStatus, StoreTrim, Temperature, exit,
};
use tokio::time::Instant;

use super::chance::Chance;
use super::run::SimRun;
use super::world::World;

pub const WORKDIR: &str = "/farm";

/// What a device is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nature {
    Well,
    /// It never answers.
    Dead,
    /// Its workdir is empty after each boot.
    Forgetful,
}

#[derive(Debug)]
pub struct SimDevice {
    pub name: String,
    pub nature: Nature,
    pub world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub struct State {
    pub chance: Chance,
    pub boot: u64,
    /// Nobody reaches it until then.
    pub dark_until: Option<Instant>,
    /// What it refuses, and until when.
    pub bad_moment: Option<(Instant, ErrorKind)>,
    /// Whether it ever let anybody in.
    pub has_answered: bool,
    files: BTreeMap<String, Vec<u8>>,
    runs: BTreeMap<String, SimRun>,
    fences: HashMap<String, u64>,
}

/// The answer of a command.
pub struct CommandOutput {
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub code: i32,
}

impl CommandOutput {
    fn ok(stdout: impl Into<Vec<u8>>) -> CommandOutput {
        CommandOutput { stdout: stdout.into(), stderr: String::new(), code: 0 }
    }

    fn json(value: &impl serde::Serialize) -> CommandOutput {
        let mut line = serde_json::to_vec(value).unwrap();
        line.push(b'\n');
        CommandOutput::ok(line)
    }

    fn failed(code: i32, stderr: impl Into<String>) -> CommandOutput {
        CommandOutput { stdout: Vec::new(), stderr: stderr.into(), code }
    }
}

/// What following a run gives now.
pub enum Followed {
    /// Lines from the offset on, and when the next is written; none when these are the last.
    Lines(Vec<u8>, Option<Instant>),
    Unknown,
}

impl SimDevice {
    pub fn new(name: String, nature: Nature, world: Arc<World>, chance: Chance) -> SimDevice {
        let state = State {
            chance,
            boot: 1,
            dark_until: None,
            bad_moment: None,
            has_answered: false,
            files: BTreeMap::new(),
            runs: BTreeMap::new(),
            fences: HashMap::new(),
        };
        SimDevice { name, nature, world, state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Everything that ran is gone; of a forgetful device also what lay there.
    pub fn reboot(&self) {
        let mut state = self.state();
        state.boot += 1;
        let now = Instant::now();
        for run in state.runs.values_mut().filter(|run| run.ends_at > now) {
            run.cut_off(now, RunnerFailureKind::Restarted);
        }
        if self.nature == Nature::Forgetful {
            state.files.clear();
            state.runs.clear();
            state.fences.clear();
        }
        state.dark_until = Some(now + state.chance.clone().millis(500, 20_000));
    }

    /// Something on the device ends the supervisor of the run that is under way.
    pub fn kill_supervisor(&self) {
        let now = Instant::now();
        for run in self.state().runs.values_mut().filter(|run| run.ends_at > now) {
            run.cut_off(now, RunnerFailureKind::Killed);
        }
    }

    pub fn live_run(&self) -> Option<String> {
        let now = Instant::now();
        self.state().runs.iter().find(|(_, run)| run.ends_at > now).map(|(id, _)| id.clone())
    }

    /// Writes behind `offset`; fails when the file is shorter.
    pub fn write(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), String> {
        let mut state = self.state();
        let file = state.files.entry(relative(path)?).or_default();
        let offset = usize::try_from(offset).unwrap();
        if file.len() < offset {
            return Err(format!("{path} has {} bytes, fewer than {offset}", file.len()));
        }
        file.truncate(offset);
        file.extend_from_slice(bytes);
        Ok(())
    }

    /// A command that answers at once.
    pub fn command(&self, argv: &[String]) -> CommandOutput {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["true"] => CommandOutput::ok(""),
            ["sh", "-c", script, "sh", _] if script.contains("printf 'workdir") => self.probe(),
            ["sh", "-c", script, "sh", sha256, _, part, ending] if script.contains("sha256sum") => {
                self.install(sha256, &format!("{part}{ending}"))
            }
            ["sh", "-c", script, "sh", part, partial, program, rest @ ..] if script.contains("mv -f") => {
                self.rename(part, partial);
                self.runner(program, rest)
            }
            [program, rest @ ..] => self.runner(program, rest),
            [] => CommandOutput::failed(127, "nothing to run"),
        }
    }

    fn probe(&self) -> CommandOutput {
        let state = self.state();
        let files = state.files.iter().filter(|(path, _)| path.starts_with("bin/") || path.starts_with("partial/"));
        let sizes: String = files.map(|(path, bytes)| format!("{} {path}\n", bytes.len())).collect();
        CommandOutput::ok(format!("workdir {WORKDIR}\nkernel Linux x86_64\nelf 21\n{sizes}"))
    }

    fn rename(&self, from: &str, to: &str) {
        let mut state = self.state();
        if let Some(bytes) = relative(from).ok().and_then(|from| state.files.remove(&from)) {
            state.files.insert(relative(to).unwrap(), bytes);
        }
    }

    fn install(&self, sha256: &str, part: &str) -> CommandOutput {
        let mut state = self.state();
        let Some(bytes) = state.files.remove(part) else { return CommandOutput::failed(1, "no such file") };
        if sha256_hex(&bytes) != sha256 {
            return CommandOutput { stdout: b"sha256 other".to_vec(), stderr: String::new(), code: 4 };
        }
        state.files.insert(format!("bin/{sha256}"), bytes);
        CommandOutput::ok("")
    }

    fn runner(&self, program: &str, words: &[&str]) -> CommandOutput {
        let Ok(path) = relative(program) else { return CommandOutput::failed(127, "not found") };
        if !self.state().files.contains_key(&path) {
            return CommandOutput::failed(127, format!("sh: {program}: not found"));
        }
        let words: Vec<&str> = words.iter().copied().take_while(|word| *word != "--workdir").collect();
        match words.as_slice() {
            ["hello"] => CommandOutput::json(&self.hello(path.trim_start_matches("bin/"))),
            ["rest"] => CommandOutput::json(&self.rest()),
            ["calibrate"] => self.calibrate(),
            ["cancel", "--run", run] => self.cancel(run),
            ["runs", "remove", runs @ ..] => self.remove(runs),
            ["store", "commit", sha256, size] => self.commit(sha256, size.parse().unwrap()),
            ["store", "trim", "--free-bytes", _, _] => CommandOutput::json(&StoreTrim::default()),
            other => CommandOutput::failed(2, format!("unknown command {other:?}")),
        }
    }

    /// A run makes it hot; half of that is gone each five seconds.
    fn rest(&self) -> DeviceRest {
        let (now, state) = (Instant::now(), self.state());
        let heat = |run: &SimRun| 40.0 * 0.5_f64.powf(now.saturating_duration_since(run.ends_at).as_secs_f64() / 5.0);
        let celsius = 35.0 + state.runs.values().map(heat).fold(0.0, f64::max);
        DeviceRest { hottest: Some(Temperature { sensor: "cpu".to_owned(), celsius }), ..DeviceRest::default() }
    }

    fn calibrate(&self) -> CommandOutput {
        if self.live_run().is_some() {
            return CommandOutput::failed(exit::BUSY, "failed to take the device's lock: a run is running");
        }
        let time = KernelTime { samples: 3, median_ns: 3_000_000, fastest_ns: 3_000_000 };
        CommandOutput::json(&Calibration { kernel_version: 1, compute: time, memory: time })
    }

    fn commit(&self, sha256: &str, size_bytes: u64) -> CommandOutput {
        let mut state = self.state();
        let (partial, whole) = (format!("partial/{sha256}"), format!("store/{sha256}"));
        let Some(bytes) = state.files.get(&partial).or_else(|| state.files.get(&whole)).cloned() else {
            return CommandOutput::failed(exit::INCOMPLETE, "failed to find it: push it first");
        };
        if bytes.len() as u64 != size_bytes {
            let said = format!("failed to commit: {} bytes instead of {size_bytes}", bytes.len());
            return CommandOutput::failed(exit::INCOMPLETE, said);
        }
        state.files.remove(&partial);
        if sha256_hex(&bytes) != sha256 {
            return CommandOutput::failed(exit::CORRUPT, "failed to verify: it is another file");
        }
        state.files.insert(whole, bytes);
        CommandOutput::json(&StoreFile { sha256: sha256.to_owned(), size_bytes })
    }

    fn hello(&self, runner_sha256: &str) -> Hello {
        let state = self.state();
        let now = Instant::now();
        let named = |prefix: &'static str| {
            let files = state.files.iter().filter_map(move |(path, bytes)| Some((path.strip_prefix(prefix)?, bytes)));
            files.map(|(name, bytes)| (name.to_owned(), bytes.len() as u64)).collect::<Vec<_>>()
        };
        let store = StoreStatus {
            files: named("store/").into_iter().map(|(sha256, size_bytes)| StoreFile { sha256, size_bytes }).collect(),
            partial: named("partial/")
                .into_iter()
                .map(|(sha256, size_bytes)| PartialFile { sha256, size_bytes })
                .collect(),
            program_bytes: 0,
            free_bytes: 1 << 30,
        };
        let runs = state.runs.iter().map(|(id, run)| RunInfo {
            run_id: id.clone(),
            lab: Some(run.lab.clone()),
            is_live: run.ends_at > now,
        });
        Hello {
            protocol: PROTOCOL_VERSION,
            runner_sha256: runner_sha256.to_owned(),
            runner_version: "0".to_owned(),
            runner_commit: None,
            runner_sources: String::new(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            os: "Sim".to_owned(),
            kernel: "Linux".to_owned(),
            machine: "x86_64".to_owned(),
            hostname: self.name.clone(),
            soc: None,
            boot_id: Some(format!("{}-{}", self.name, state.boot)),
            unix_ms: jiff::Timestamp::now().as_millisecond().unsigned_abs(),
            cpus: vec![Cpu { index: 0, max_frequency_khz: None, kind: None }],
            present: Vec::new(),
            memory_total_bytes: 1 << 30,
            memory_available_bytes: 1 << 30,
            backends: vec![BackendInfo {
                name: "tract".to_owned(),
                version: "1".to_owned(),
                formats: vec!["onnx".to_owned()],
                precisions: vec![Precision::Float32],
                multi_threaded: false,
                kernel: None,
            }],
            scenarios: vec!["single_stream".to_owned()],
            store,
            running: state.runs.iter().find(|(_, run)| run.ends_at > now).map(|(id, _)| id.clone()),
            runs: runs.collect(),
        }
    }

    /// Starts a run, unless it was started before.
    pub fn start(&self, program: &str, request: &[u8]) -> Result<String, CommandOutput> {
        let Ok(request) = serde_json::from_slice::<RunRequest>(request) else {
            return Err(CommandOutput::failed(exit::USAGE, "failed to take the run request"));
        };
        let now = Instant::now();
        let mut state = self.state();
        if !relative(program).is_ok_and(|path| state.files.contains_key(&path)) {
            return Err(CommandOutput::failed(127, format!("sh: {program}: not found")));
        }
        let id = request.run_id.clone();
        if state.runs.contains_key(&id) {
            return Ok(id);
        }
        if let Some((other, _)) = state.runs.iter().find(|(_, run)| run.ends_at > now) {
            return Err(CommandOutput::failed(
                exit::BUSY,
                format!("failed to take the device's lock: run {other} is running"),
            ));
        }
        let known = state.fences.get(&request.fence.lab).copied().unwrap_or(0);
        if request.fence.epoch < known {
            return Err(CommandOutput::failed(
                exit::FENCED,
                format!("failed to take the order: epoch {known} is known here"),
            ));
        }
        state.fences.insert(request.fence.lab.clone(), request.fence.epoch);
        let number = self.world.started(&id);
        let has_model = state.files.contains_key(&format!("store/{}", request.job.model.sha256));
        let boot_id = Some(format!("{}-{}", self.name, state.boot));
        let run = SimRun::new(&request, number, boot_id, has_model, &mut state.chance);
        self.world.took(&self.name, run.ends_at - now);
        state.runs.insert(id.clone(), run);
        Ok(id)
    }

    pub fn follow(&self, run: &str, offset: u64) -> Followed {
        let now = Instant::now();
        let state = self.state();
        let Some(run) = state.runs.get(run) else { return Followed::Unknown };
        let mut bytes = Vec::new();
        for (at, line) in run.lines.iter().filter(|(at, _)| *at <= now) {
            let _ = at;
            bytes.extend_from_slice(line);
        }
        let next = run.lines.iter().map(|(at, _)| *at).find(|at| *at > now);
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        Followed::Lines(bytes.split_off(from), next)
    }

    fn cancel(&self, run: &str) -> CommandOutput {
        let now = Instant::now();
        match self.state().runs.get_mut(run) {
            None => CommandOutput::failed(exit::UNKNOWN_RUN, "failed to cancel: it is not known on this device"),
            Some(run) => {
                if run.ends_at > now {
                    run.cut_off(now, RunnerFailureKind::Cancelled);
                }
                CommandOutput::ok("")
            }
        }
    }

    fn remove(&self, runs: &[&str]) -> CommandOutput {
        let now = Instant::now();
        let mut state = self.state();
        for run in runs {
            if state.runs.get(*run).is_some_and(|run| run.ends_at <= now) {
                state.runs.remove(*run);
            }
        }
        CommandOutput::ok("")
    }
}

/// A path below the workdir.
fn relative(path: &str) -> Result<String, String> {
    let path = path.strip_prefix(WORKDIR).and_then(|path| path.strip_prefix('/'));
    path.map(str::to_owned).ok_or_else(|| "outside of the workdir".to_owned())
}

/// What a device said of itself in an earlier sweep.
pub fn facts_of_before() -> DeviceFacts {
    DeviceFacts {
        target: "x86_64-unknown-linux-gnu".to_owned(),
        soc: None,
        os: "simulated".to_owned(),
        kernel: "0".to_owned(),
        boot_id: None,
        cpus: 1,
        memory_total_bytes: 1 << 30,
        android: None,
        battery: None,
        clock_off_ms: None,
    }
}
