//! Engine programs, as the catalogue has them: fetched, built, and run by the real runner.

mod accuracy;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use farmctl::domain::{WeightsFile, sha256_hex};
use farmctl::runners::HOST_TARGET;
use farmctl_protocol::{
    ArtifactRef, Dialect, EngineSpec, Fence, InputRange, JobSpec, Limits, Message, NamedArtifact, PROTOCOL_VERSION,
    Precision, RunRequest, Scenario,
};

/// Engines whose files and compilers every machine of the tests has.
const ENGINES: [&str; 2] = ["onnxruntime", "litert"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A lab whose files stay for the next test run.
fn lab() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (lab, artifacts) = (tmp.join("engines-lab"), tmp.join("artifacts"));
    std::fs::create_dir_all(lab.join(".farm")).unwrap();
    std::fs::create_dir_all(&artifacts).unwrap();
    // One cache for all tests; the link may be there from an earlier run.
    let _ = std::os::unix::fs::symlink(artifacts, lab.join(".farm/artifacts"));
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
        let fence = Fence { lab: "lab".to_owned(), epoch: 1 };
        let request =
            RunRequest { protocol: PROTOCOL_VERSION, run_id: run_id.to_owned(), deadline_seconds: 300.0, fence, job };
        process.stdin.take().unwrap().write_all(&serde_json::to_vec(&request).unwrap()).unwrap();
        let output = process.wait_with_output().unwrap();
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

/// A network's file as a job has it.
struct File {
    artifact: ArtifactRef,
    format: String,
    precision: Precision,
}

fn job(file: &File, backend: &str, engine: Option<EngineSpec>, input_range: InputRange) -> JobSpec {
    JobSpec {
        model: file.artifact.clone(),
        model_parts: Vec::new(),
        format: file.format.clone(),
        layout: WeightsFile::usual_layout(&file.format),
        input_shape: None,
        backend: backend.to_owned(),
        engine,
        precision: file.precision,
        threads: 1,
        cpus: None,
        batch: 1,
        scenario: Scenario::SingleStream,
        limits: Limits {
            warmup_min_runs: 1,
            warmup_min_seconds: 0.0,
            warmup_max_seconds: 0.0,
            min_runs: 1,
            max_runs: 1,
            min_seconds: 0.0,
            max_seconds: 300.0,
            steady_percent: None,
            interval_percent: None,
        },
        seed: 7,
        input_range,
        inputs: Vec::new(),
        evaluation: None,
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

/// What the files of 8-bit integers of most networks were made for.
const NOISE: InputRange = InputRange { low: -2.1, high: 2.6 };

/// Networks that are compared, with their weights and inputs: every kind of operator is among them.
const NETWORKS: [(&str, &str, InputRange); 5] = [
    ("squeezenet1_0", "synthetic", NOISE),
    ("mobilenet_v2", "synthetic", NOISE),
    ("mobilenet_v3_large", "synthetic", NOISE),
    ("shufflenet_v2_x1_0", "synthetic", NOISE),
    ("digits", "trained", InputRange { low: 0.0, high: 1.0 }),
];

/// Largest difference between an engine's logits and tract's, of the largest magnitude among these: with 32-bit floats
/// what rounding makes, with 8-bit integers what these make.
const TOLERANCE: [(Precision, f32); 2] = [(Precision::Float32, 1e-5), (Precision::Int8, 5e-2)];

fn difference(expected: &[f32], got: &[f32]) -> f32 {
    assert_eq!(expected.len(), got.len());
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    expected.iter().zip(got).fold(0f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

/// An engine's files on the device.
fn engine_spec(fetched: &[BTreeMap<String, String>], engine: &str, device: &Device) -> EngineSpec {
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
}

/// A network's files in a format, by precision.
fn files(device: &Device, network: &str, weights: &str, format: &str) -> Vec<File> {
    let rows = farmctl(&["models", "fetch", network, "--weights", weights, "--file-format", format]);
    let file = |row: &BTreeMap<String, String>| File {
        artifact: device.push(&workspace().join(&row["file"])),
        format: row["format"].clone(),
        precision: row["precision"].parse().unwrap(),
    };
    rows.iter().map(file).collect()
}

#[test]
fn fetched_engines_agree_on_every_format_of_a_network() {
    let fetched = farmctl(&[&["backends", "fetch"], ENGINES.as_slice()].concat());
    let listed = farmctl(&["backends", "list"]);
    for engine in ENGINES {
        let row = listed.iter().find(|row| row["backend"] == engine && row["target"] == HOST_TARGET);
        assert_eq!(row.unwrap()["files"], "ready");
    }
    let device = Device(tempfile::tempdir().unwrap());
    let [onnxruntime, litert] = ENGINES.map(|engine| engine_spec(&fetched, engine, &device));
    for (network, weights, range) in NETWORKS {
        let onnx = files(&device, network, weights, "onnx").remove(0);
        let expected = answer(&device.run(&format!("tract-{network}"), job(&onnx, "tract", None, range)));
        let mut others = vec![(onnx, "onnxruntime", &onnxruntime)];
        others.extend(files(&device, network, weights, "tflite").into_iter().map(|file| (file, "litert", &litert)));
        assert_eq!(others.len(), 3, "{network}");
        for (file, engine, spec) in others {
            let run = format!("{engine}-{}-{network}", file.precision);
            let messages = device.run(&run, job(&file, engine, Some(spec.clone()), range));
            let said = messages.iter().find_map(|message| match message {
                Message::Loaded { engine, .. } => engine.clone(),
                _ => None,
            });
            assert!(said.is_some(), "{run}: {messages:?}");
            let (_, allowed) = TOLERANCE.into_iter().find(|(precision, _)| *precision == file.precision).unwrap();
            let found = difference(&expected, &answer(&messages));
            assert!(found <= allowed, "{run}: {found} of the largest logit");
        }
    }
    let program = device.0.path().join("runs/litert-fp32-digits/engine/engine-litert");
    assert!(std::fs::metadata(program).unwrap().permissions().mode() & 0o111 != 0);
}
