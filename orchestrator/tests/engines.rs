//! Engine programs, as the catalogue has them: fetched, built, and run by the real runner.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use farmctl::domain::sha256_hex;
use farmctl::runners::HOST_TARGET;
use farmctl_protocol::{
    ArtifactRef, Dialect, EngineSpec, InputRange, JobSpec, Layout, Limits, Message, NamedArtifact, PROTOCOL_VERSION,
    Precision, RunRequest, Scenario,
};

/// Engines whose files and compilers every machine of the tests has.
const ENGINES: [&str; 2] = ["onnxruntime", "litert"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A lab whose files stay for the next test run.
fn lab() -> PathBuf {
    let lab = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines-lab");
    std::fs::create_dir_all(&lab).unwrap();
    lab
}

/// Runs farmctl in the lab; gives the rows of its CSV.
fn farmctl(words: &[&str]) -> Vec<BTreeMap<String, String>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
    command.arg("--lab").arg(lab()).args(["--format", "csv"]).args(words).current_dir(workspace());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(output.stdout.as_slice()).deserialize().collect::<Result<_, _>>().unwrap();
    assert!(output.status.success(), "{said}\n{rows:?}");
    rows
}

/// A device's work folder, with the files of jobs.
struct Device(tempfile::TempDir);

impl Device {
    fn push(&self, path: &Path) -> ArtifactRef {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let artifact = ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 };
        let store = self.0.path().join("store");
        std::fs::create_dir_all(&store).unwrap();
        std::fs::write(store.join(&artifact.sha256), bytes).unwrap();
        artifact
    }

    /// Measures with the runner of this host.
    fn run(&self, run_id: &str, job: JobSpec) -> Vec<Message> {
        let runner = workspace().join("target/runners").join(HOST_TARGET).join("release/device-runner");
        let mut command = Command::new(runner);
        command.args(["run", "--workdir"]).arg(self.0.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a runner: scripts/test builds it");
        let request =
            RunRequest { protocol: PROTOCOL_VERSION, run_id: run_id.to_owned(), deadline_seconds: 300.0, job };
        process.stdin.take().unwrap().write_all(&serde_json::to_vec(&request).unwrap()).unwrap();
        let output = process.wait_with_output().unwrap();
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

fn job(model: ArtifactRef, backend: &str, engine: Option<EngineSpec>) -> JobSpec {
    JobSpec {
        model,
        model_parts: Vec::new(),
        format: "onnx".to_owned(),
        layout: Layout::Nchw,
        input_shape: None,
        backend: backend.to_owned(),
        engine,
        precision: Precision::Float32,
        threads: 1,
        cpus: None,
        batch: 1,
        scenario: Scenario::SingleStream,
        limits: Limits {
            warmup_min_runs: 1,
            warmup_min_seconds: 0.0,
            warmup_max_seconds: 0.0,
            min_runs: 3,
            max_runs: 3,
            min_seconds: 0.0,
            max_seconds: 300.0,
        },
        seed: 7,
        input_range: InputRange { low: 0.0, high: 1.0 },
    }
}

fn answer(messages: &[Message]) -> Vec<f32> {
    assert!(matches!(messages.last(), Some(Message::Finished { .. })), "{:?}", messages.last());
    let outputs = messages.iter().filter_map(|message| match message {
        Message::Output(output) => Some(output.values().unwrap()),
        _ => None,
    });
    outputs.flatten().collect()
}

#[test]
fn fetched_engines_run_and_agree_with_the_runners_own() {
    let words = [&["backends", "fetch"], ENGINES.as_slice()].concat();
    let fetched = farmctl(&words);
    let listed = farmctl(&["backends", "list"]);
    for engine in ENGINES {
        let row = listed.iter().find(|row| row["backend"] == engine && row["target"] == HOST_TARGET);
        assert_eq!(row.unwrap()["files"], "ready");
    }
    let model = farmctl(&["models", "build", "squeezenet1_0"]).remove(0);
    let device = Device(tempfile::tempdir().unwrap());
    let model = device.push(&workspace().join(&model["file"]));
    let files = |engine: &str| {
        let of_it = fetched.iter().filter(|row| row["backend"] == engine);
        let file = |row: &BTreeMap<String, String>| NamedArtifact {
            name: row["name"].clone(),
            artifact: device.push(&workspace().join(&row["file"])),
        };
        EngineSpec {
            files: of_it.map(file).collect(),
            command: vec![format!("engine-{engine}")],
            dialect: Dialect::Engine,
            options: BTreeMap::new(),
        }
    };
    let expected = answer(&device.run("tract", job(model.clone(), "tract", None)));
    let messages = device.run("onnxruntime", job(model.clone(), "onnxruntime", Some(files("onnxruntime"))));
    let got = answer(&messages);
    let said = messages.iter().find_map(|message| match message {
        Message::Loaded { engine, .. } => engine.clone(),
        _ => None,
    });
    assert!(said.is_some_and(|said| said.starts_with("ONNX Runtime 1.32.0")), "{messages:?}");
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let difference = expected.iter().zip(&got).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(expected.len() == 1000 && got.len() == 1000 && difference / largest < 1e-5, "{difference} of {largest}");
    // LiteRT starts and finds its library: what it does not take is the model, which is no file of its own.
    let mut other = job(model, "litert", Some(files("litert")));
    other.format = "tflite".to_owned();
    match device.run("litert", other).last() {
        Some(Message::Failed(failure)) => assert_eq!(failure.failure.as_str(), "model_load", "{failure:?}"),
        last => panic!("{last:?}"),
    }
    let program = std::fs::metadata(device.0.path().join("runs/litert/engine/engine-litert")).unwrap();
    assert!(program.permissions().mode() & 0o111 != 0);
}
