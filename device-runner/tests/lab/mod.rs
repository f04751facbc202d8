//! A device in a temporary folder: models written on the spot, and the real runner's commands.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::{fs, thread};

use farmctl_protocol::{
    ArtifactRef, Fence, InputRange, JobSpec, Layout, Limits, Message, PROTOCOL_VERSION, Phase, Precision, RunRequest,
    RunnerFailure, Scenario,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tract_onnx::pb;

use scratch::Scratch;

pub mod echo;
mod scratch;

pub const QUICK: Limits = Limits {
    warmup_min_runs: 2,
    warmup_min_seconds: 0.0,
    warmup_max_seconds: 0.0,
    min_runs: 7,
    max_runs: 7,
    min_seconds: 0.0,
    max_seconds: 3600.0,
    steady_percent: None,
    interval_percent: None,
};

/// Goes on until somebody ends it.
#[allow(dead_code)] // not every test program needs it
pub const ENDLESS: Limits = Limits { warmup_min_seconds: 3600.0, warmup_max_seconds: 3600.0, ..QUICK };

pub struct Lab {
    folder: Scratch,
}

impl Lab {
    pub fn new() -> Lab {
        Lab { folder: Scratch::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_device-runner"));
        command.args(arguments).arg("--workdir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the runner starts")
    }

    /// Puts a file where a push would, and commits it.
    pub fn push(&self, content: &[u8]) -> ArtifactRef {
        let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::create_dir_all(self.path("partial")).expect("a folder");
        fs::write(self.path("partial").join(&sha256), content).expect("a file");
        let size = content.len().to_string();
        let output = self.ask(&["store", "commit", &sha256, &size]);
        assert!(output.status.success(), "{output:?}");
        ArtifactRef { sha256, size_bytes: content.len() as u64 }
    }

    pub fn request(&self, run_id: &str, limits: Limits) -> RunRequest {
        let job = JobSpec {
            model: self.push(&onnx(32)),
            model_parts: Vec::new(),
            format: "onnx".to_owned(),
            layout: Layout::Nchw,
            input_shape: None,
            backend: "tract".to_owned(),
            engine: None,
            precision: Precision::Float32,
            threads: 1,
            cpus: None,
            batch: 1,
            scenario: Scenario::SingleStream,
            limits,
            seed: 42,
            input_range: InputRange { low: -1.0, high: 1.0 },
            inputs: Vec::new(),
            evaluation: None,
        };
        let fence = Fence { lab: "lab-1".to_owned(), epoch: 1 };
        RunRequest { protocol: PROTOCOL_VERSION, run_id: run_id.to_owned(), deadline_seconds: 120.0, fence, job }
    }

    /// Starts `run`; the answer can be read message by message.
    pub fn start(&self, request: &RunRequest) -> Following {
        let line = serde_json::to_vec(request).expect("serialises");
        self.start_raw(&line)
    }

    pub fn start_raw(&self, line: &[u8]) -> Following {
        let mut process = self.command(&["run"]).stdin(Stdio::piped()).spawn().expect("the runner starts");
        process.stdin.take().expect("a pipe").write_all(line).expect("the request is taken");
        Following::new(process)
    }

    #[allow(dead_code)] // not every test program loses its connection
    pub fn follow(&self, run_id: &str, offset: u64) -> Following {
        let offset = offset.to_string();
        let command = &mut self.command(&["follow", "--run", run_id, "--offset", &offset]);
        Following::new(command.spawn().expect("the runner starts"))
    }
}

/// A `run` or `follow` whose output is being read.
pub struct Following {
    pub process: Child,
    lines: BufReader<ChildStdout>,
    pub messages: Vec<Message>,
}

impl Following {
    fn new(mut process: Child) -> Following {
        let lines = BufReader::new(process.stdout.take().expect("a pipe"));
        Following { process, lines, messages: Vec::new() }
    }

    fn next(&mut self) -> Option<Message> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).expect("readable") == 0 {
            return None;
        }
        let message: Message = serde_json::from_str(&line).expect("a message");
        self.messages.push(message.clone());
        Some(message)
    }

    /// Reads on until the run enters `phase`; gives the supervisor's process.
    #[allow(dead_code)] // not every test program needs it
    pub fn until(&mut self, phase: Phase) -> u32 {
        while self.next().expect("the run goes on") != (Message::Phase { phase }) {}
        match &self.messages[0] {
            Message::Accepted { pid, .. } => *pid,
            other => panic!("{other:?} is first"),
        }
    }

    /// Reads to the end; gives all messages, the exit code and standard error.
    pub fn finish(mut self) -> (Vec<Message>, i32, String) {
        while self.next().is_some() {}
        let output = self.process.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (self.messages, output.status.code().expect("an exit code"), stderr)
    }

    /// Reads to the end of a run that fails.
    #[allow(dead_code)] // not every test program needs it
    pub fn failure(self) -> RunnerFailure {
        let (messages, code, stderr) = self.finish();
        assert_eq!(code, 0, "{stderr}");
        let last: Vec<&Message> = messages.iter().filter(|message| message.is_last()).collect();
        match (last.as_slice(), messages.last()) {
            ([_], Some(Message::Failed(failure))) => failure.clone(),
            other => panic!("{other:?} is last"),
        }
    }
}

/// The one child of the process `parent`, which appears soon.
#[allow(dead_code)] // not every test program needs it
pub fn child_of(parent: u32) -> i32 {
    loop {
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let ppid = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            if ppid.is_some_and(|text| text.trim() == parent.to_string()) {
                return pid;
            }
        }
        thread::yield_now();
    }
}

/// Conv 3x3 (8 channels), Relu, GlobalAveragePool, Flatten on images of `side` pixels.
pub fn onnx(side: i64) -> Vec<u8> {
    let weights = pb::TensorProto {
        name: "weights".to_owned(),
        dims: vec![8, 3, 3, 3],
        data_type: pb::tensor_proto::DataType::Float as i32,
        float_data: (0..8 * 27).map(|index| ((index * 7) % 13) as f32 / 13.0 - 0.4).collect(),
        ..Default::default()
    };
    let nodes = vec![
        node("Conv", &["input", "weights"], "conv"),
        node("Relu", &["conv"], "relu"),
        node("GlobalAveragePool", &["relu"], "pool"),
        node("Flatten", &["pool"], "logits"),
    ];
    let (input, output) = (value("input", FLOAT, &[-1, 3, side, side]), value("logits", FLOAT, &[-1, 8]));
    model(nodes, vec![weights], vec![input], vec![output])
}

/// ONNX's number of the type of 32-bit floats.
pub const FLOAT: i32 = pb::tensor_proto::DataType::Float as i32;

pub fn node(op: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: op.to_owned(),
        ..Default::default()
    }
}

/// Casts to the type that has this number in ONNX.
#[allow(dead_code)] // not every test program needs it
pub fn cast(input: &str, to: i32, output: &str) -> pb::NodeProto {
    let to = pb::AttributeProto {
        name: "to".to_owned(),
        r#type: pb::attribute_proto::AttributeType::Int as i32,
        i: to.into(),
        ..Default::default()
    };
    pb::NodeProto { attribute: vec![to], ..node("Cast", &[input], output) }
}

pub fn model(
    node: Vec<pb::NodeProto>,
    initializer: Vec<pb::TensorProto>,
    input: Vec<pb::ValueInfoProto>,
    output: Vec<pb::ValueInfoProto>,
) -> Vec<u8> {
    let graph = pb::GraphProto { name: "tiny".to_owned(), node, initializer, input, output, ..Default::default() };
    let opset = pb::OperatorSetIdProto { domain: String::new(), version: 13 };
    let model = pb::ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..Default::default() };
    model.encode_to_vec()
}

/// An input or output of the type that has this number; a dimension below 0 is open.
pub fn value(name: &str, elem_type: i32, shape: &[i64]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension};
    let dim = |size: &i64| {
        let open = || dimension::Value::DimParam("N".to_owned());
        let value = if *size < 0 { open() } else { dimension::Value::DimValue(*size) };
        Dimension { value: Some(value), ..Default::default() }
    };
    let tensor = pb::type_proto::Tensor {
        elem_type,
        shape: Some(pb::TensorShapeProto { dim: shape.iter().map(dim).collect() }),
    };
    let value = Some(pb::type_proto::Value::TensorType(tensor));
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto { value, ..Default::default() }),
        ..Default::default()
    }
}
