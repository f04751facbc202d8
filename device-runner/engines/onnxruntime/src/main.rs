//! ONNX Runtime as an engine program.
//!
//! Purpose: load ONNX files into the `libonnxruntime.so` that lies beside this program, and run them on the CPU. Main
//! type: [`OnnxRuntime`]. Never quantises or converts a model.
//!
//! Options: `optimization` (`all`, `extended`, `basic`, `off`), `provider` (`cpu`; `xnnpack` where the library has it),
//! `spinning` (`on`, `off`: whether the threads of a pool wait busily).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use farmctl_engine_kit::{Backend, BackendError, Order, OutputTensor, Session, serve};
use farmctl_protocol::{BackendInfo, Precision, TensorInfo};
use ort::environment::Environment;
use ort::ep::{ExecutionProvider as _, XNNPACK};
use ort::memory::Allocator;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, Session as OrtSession};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

fn main() {
    std::process::exit(serve(&[&OnnxRuntime]));
}

/// ONNX Runtime.
#[derive(Debug)]
struct OnnxRuntime;

impl Backend for OnnxRuntime {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "onnxruntime".to_owned(),
            // The library says it once it is loaded.
            version: String::new(),
            formats: vec!["onnx".to_owned()],
            precisions: vec![Precision::Float32, Precision::Float16, Precision::Int8],
            multi_threaded: true,
            kernel: None,
        }
    }

    fn load(&self, order: &Order) -> Result<Box<dyn Session>, BackendError> {
        let options = Options::of(order)?;
        let environment = environment()?;
        let mut builder = options.apply(OrtSession::builder(&environment).map_err(load_error)?, order.threads)?;
        let session = builder.commit_from_file(&order.model).map_err(load_error)?;
        let inputs = describe(session.inputs(), order.batch)?;
        let outputs = describe(session.outputs(), order.batch)?;
        let mut binding = session.create_binding().map_err(load_error)?;
        let mut answer = Vec::new();
        for info in &outputs {
            let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape(info)).map_err(load_error)?;
            binding.bind_output(&info.name, &mut tensor).map_err(load_error)?;
            answer.push(tensor);
        }
        let engine = format!("{} ({}; {options})", version(), ort::info());
        Ok(Box::new(Loaded { session, binding, answer, inputs, outputs, threads: order.threads, engine }))
    }
}

/// A word for how much of a graph may be rewritten, and what it is for the library.
type Optimization = (&'static str, fn() -> GraphOptimizationLevel);

/// What an order may set.
#[derive(Debug, Clone, Copy)]
struct Options {
    optimization: Optimization,
    xnnpack: bool,
    spinning: bool,
}

const OPTIMIZATIONS: [Optimization; 4] = [
    ("all", || GraphOptimizationLevel::All),
    ("extended", || GraphOptimizationLevel::Level2),
    ("basic", || GraphOptimizationLevel::Level1),
    ("off", || GraphOptimizationLevel::Disable),
];

impl Options {
    fn of(order: &Order) -> Result<Options, BackendError> {
        let mut options = Options { optimization: OPTIMIZATIONS[0], xnnpack: false, spinning: true };
        for (name, value) in &order.options {
            let refused = || BackendError::Unsupported(format!("ONNX Runtime has no option {name}: {value}"));
            match (name.as_str(), value.as_str()) {
                ("optimization", word) => {
                    let known = OPTIMIZATIONS.into_iter().find(|(known, _)| *known == word);
                    options.optimization = known.ok_or_else(refused)?;
                }
                ("provider", "cpu" | "xnnpack") => options.xnnpack = value == "xnnpack",
                ("spinning", "on" | "off") => options.spinning = value == "on",
                _ => return Err(refused()),
            }
        }
        Ok(options)
    }

    fn apply(self, builder: SessionBuilder, threads: u32) -> Result<SessionBuilder, BackendError> {
        let refused = |error: ort::Error<SessionBuilder>| BackendError::Load(error.to_string());
        let (_, level) = self.optimization;
        let mut builder = builder.with_optimization_level(level()).map_err(refused)?;
        // XNNPACK has a pool of its own; two of them would fight for the processors.
        let (own_threads, xnnpack_threads) = if self.xnnpack { (1, threads) } else { (threads, 1) };
        builder = builder.with_intra_threads(own_threads as usize).map_err(refused)?;
        builder = builder.with_inter_threads(1).map_err(refused)?;
        let spinning = self.spinning && !self.xnnpack;
        let word = if spinning { "1" } else { "0" };
        builder = builder.with_config_entry("session.intra_op.allow_spinning", word).map_err(refused)?;
        if self.xnnpack {
            let available = XNNPACK::is_available().map_err(load_error)?;
            if !available {
                let text = "this build of ONNX Runtime has no XNNPACK provider".to_owned();
                return Err(BackendError::Unsupported(text));
            }
            let count = NonZeroUsize::new(xnnpack_threads as usize).unwrap_or(NonZeroUsize::MIN);
            let provider = XNNPACK::default().with_intra_op_num_threads(count).build().error_on_failure();
            builder = builder.with_execution_providers([provider]).map_err(refused)?;
        }
        Ok(builder)
    }
}

impl std::fmt::Display for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let provider = if self.xnnpack { "xnnpack" } else { "cpu" };
        write!(f, "provider {provider}, optimization {}", self.optimization.0)
    }
}

/// The library of the engine's folder, which the supervisor has made the current one.
fn environment() -> Result<Environment, BackendError> {
    let library = library().ok_or_else(|| BackendError::Load("no libonnxruntime.so beside the engine".to_owned()))?;
    let builder = ort::init_from(&library).map_err(|error| BackendError::Load(error.to_string()))?;
    builder.with_name("farmctl").with_telemetry(false).build().map_err(load_error)
}

fn library() -> Option<PathBuf> {
    let entries = fs::read_dir(env::current_dir().ok()?).ok()?.flatten();
    let named = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("libonnxruntime.so"));
    let mut found: Vec<PathBuf> = entries.filter(|entry| named(&entry.file_name())).map(|entry| entry.path()).collect();
    found.sort();
    found.into_iter().next()
}

/// The library's own version, from the name of the file that was loaded where its build text has none.
fn version() -> String {
    let file = library().and_then(|path| Some(path.file_name()?.to_str()?.to_owned())).unwrap_or_default();
    let number = file.strip_prefix("libonnxruntime.so.").unwrap_or("of unknown version");
    format!("ONNX Runtime {number}")
}

/// Inputs or outputs, with the batch as their first dimension where the file leaves it open.
fn describe(outlets: &[Outlet], batch: u32) -> Result<Vec<TensorInfo>, BackendError> {
    outlets.iter().map(|outlet| describe_one(outlet, batch)).collect()
}

fn describe_one(outlet: &Outlet, batch: u32) -> Result<TensorInfo, BackendError> {
    let name = outlet.name().to_owned();
    let unsupported = |text: String| Err(BackendError::Unsupported(text));
    let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() else {
        return unsupported(format!("{name} is not made of 32-bit floats: {}", outlet.dtype()));
    };
    let mut dimensions = Vec::new();
    for (place, size) in shape.iter().enumerate() {
        match (place, u64::try_from(*size)) {
            (0, Err(_)) => dimensions.push(u64::from(batch)),
            (0, Ok(size)) if size != u64::from(batch) => {
                let text = format!("the model's batch is fixed at {size}, the job asks for {batch}");
                return unsupported(text);
            }
            (_, Ok(size)) => dimensions.push(size),
            (place, Err(_)) => {
                return unsupported(format!("dimension {place} of {name} is not fixed in the model's file"));
            }
        }
    }
    Ok(TensorInfo { name, element: "f32".to_owned(), shape: dimensions })
}

fn shape(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

fn load_error(error: ort::Error) -> BackendError {
    BackendError::Load(error.to_string())
}

/// A session whose inputs and outputs are bound once: an inference copies and allocates nothing.
struct Loaded {
    session: OrtSession,
    binding: IoBinding,
    answer: Vec<Tensor<f32>>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    threads: u32,
    engine: String,
}

impl Session for Loaded {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn set_inputs(&mut self, values: Vec<Vec<f32>>) -> Result<(), BackendError> {
        for (info, values) in self.inputs.iter().zip(values) {
            let failed = |error: ort::Error| BackendError::Inference(format!("input {}: {error}", info.name));
            let tensor = Tensor::from_array((shape(info), values)).map_err(failed)?;
            self.binding.bind_input(&info.name, &tensor).map_err(failed)?;
        }
        Ok(())
    }

    fn infer(&mut self) -> Result<(), BackendError> {
        match self.session.run_binding(&self.binding) {
            Ok(_) => Ok(()),
            Err(error) => Err(BackendError::Inference(error.to_string())),
        }
    }

    fn answer(&self) -> Result<Vec<OutputTensor>, BackendError> {
        let outputs = self.outputs.iter().zip(&self.answer);
        let read = |(info, tensor): (&TensorInfo, &Tensor<f32>)| {
            let (_, values) = tensor.extract_tensor();
            OutputTensor { name: info.name.clone(), shape: info.shape.clone(), values: values.to_vec() }
        };
        Ok(outputs.map(read).collect())
    }

    fn threads(&self) -> u32 {
        self.threads
    }

    fn engine(&self) -> Option<String> {
        Some(self.engine.clone())
    }
}
