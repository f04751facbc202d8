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

use farmctl_engine_kit::{Backend, BackendError, FileInput, Order, Session, Settled, Values, serve, settle};
use farmctl_protocol::{BackendInfo, Precision, TensorInfo};
use ort::environment::Environment;
use ort::ep::{ExecutionProvider as _, XNNPACK};
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, Session as OrtSession};
use ort::value::{DynTensor, DynValue, Outlet, PrimitiveTensorElementType, Tensor, TensorElementType, ValueType};

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
        let mut builder = options.apply(OrtSession::builder(&environment).map_err(load_error)?, order)?;
        let session = builder.commit_from_file(&order.model).map_err(load_error)?;
        let file: Vec<FileInput> = session.inputs().iter().map(|input| file_input(input, order)).collect();
        let settled = settle(order, &file)?;
        let binding = session.create_binding().map_err(load_error)?;
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput);
        let memory = memory.map_err(load_error)?;
        let bind_each_time = session.outputs().iter().any(|output| is_open(output, session.inputs()));
        let engine = format!("{} ({}; {options})", version(), ort::info());
        let names = session.outputs().iter().map(|output| output.name().to_owned()).collect();
        let inputs = settled.into_iter().map(|Settled { info, .. }| info).collect();
        let (threads, answer) = (order.threads, None);
        Ok(Box::new(Loaded { session, binding, memory, bind_each_time, names, answer, inputs, threads, engine }))
    }
}

/// How a product with weights that are unpacked from integers, which ONNX Runtime makes one operator, treats its input.
const LOW_BIT_ACCURACY: &str = "session.qdq_matmulnbits_accuracy_level";
/// It is not quantised.
const INPUT_NOT_ROUNDED: &str = "0";

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

    fn apply(self, builder: SessionBuilder, order: &Order) -> Result<SessionBuilder, BackendError> {
        let threads = order.threads;
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
        // Else it computes products with weights of few bits in 8 bits.
        if order.precision != Precision::Int8 {
            builder = builder.with_config_entry(LOW_BIT_ACCURACY, INPUT_NOT_ROUNDED).map_err(refused)?;
        }
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

/// An input as the model's file has it. ONNX Runtime says of one whose number of dimensions the file leaves open what
/// it says of a scalar: it is whatever the order says.
fn file_input(outlet: &Outlet, order: &Order) -> FileInput {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return FileInput { name, element: format!("no tensor ({})", outlet.dtype()), shape: None };
    };
    let is_scalar = order.inputs.iter().all(|input| input.name != name || input.shape.is_empty());
    let sizes = || shape.iter().map(|size| u64::try_from(*size).ok()).collect();
    let shape = (is_scalar || !shape.is_empty()).then(sizes);
    FileInput { name, element: element_word(*ty), shape }
}

/// Whether the file leaves a dimension of an output open that no input has: another inference may give it another size.
fn is_open(output: &Outlet, inputs: &[Outlet]) -> bool {
    let symbols = |outlet: &Outlet| match outlet.dtype() {
        ValueType::Tensor { shape, dimension_symbols, .. } => {
            let open = shape.iter().zip(dimension_symbols.iter()).filter(|(size, _)| **size < 0);
            Some(open.map(|(_, symbol)| symbol.clone()).collect::<Vec<String>>())
        }
        _ => None,
    };
    let known: Vec<String> = inputs.iter().filter_map(symbols).flatten().collect();
    symbols(output).is_none_or(|open| open.iter().any(|symbol| symbol.is_empty() || !known.contains(symbol)))
}

/// Whether an output has another size than the file says.
fn is_contradicted(output: &Outlet, value: &DynValue) -> bool {
    match (output.dtype(), value.dtype()) {
        (ValueType::Tensor { shape: told, .. }, ValueType::Tensor { shape: given, .. }) => {
            let is_other = |(told, given): (&i64, &i64)| *told >= 0 && told != given;
            told.len() != given.len() || told.iter().zip(given.iter()).any(is_other)
        }
        _ => false,
    }
}

/// The protocol's word for a type.
fn element_word(element: TensorElementType) -> String {
    let word = match element {
        TensorElementType::Bool => "bool",
        TensorElementType::Int8 => "i8",
        TensorElementType::Int16 => "i16",
        TensorElementType::Int32 => "i32",
        TensorElementType::Int64 => "i64",
        TensorElementType::Uint8 => "u8",
        TensorElementType::Uint16 => "u16",
        TensorElementType::Uint32 => "u32",
        TensorElementType::Uint64 => "u64",
        TensorElementType::Float16 => "f16",
        TensorElementType::Bfloat16 => "bf16",
        TensorElementType::Float32 => "f32",
        TensorElementType::Float64 => "f64",
        other => return format!("{other:?}").to_lowercase(),
    };
    word.to_owned()
}

fn shape(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

fn load_error(error: ort::Error) -> BackendError {
    failed(&error, BackendError::Load)
}

/// What went wrong. That memory was refused has no code of its own in ONNX Runtime, only these words of its allocator
/// and of the C++ library: they are read here, where that library is spoken to, and nowhere else.
fn failed<T>(error: &ort::Error<T>, kind: fn(String) -> BackendError) -> BackendError {
    let text = error.to_string();
    let refused = ["Failed to allocate memory", "bad_alloc"].iter().any(|words| text.contains(words));
    if refused { BackendError::Memory(text) } else { kind(text) }
}

/// The values as ONNX Runtime takes them.
fn tensor(values: Values, info: &TensorInfo) -> ort::Result<DynTensor> {
    let shape = shape(info);
    Ok(match values {
        Values::Bool(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Int8(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Int16(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Int32(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Int64(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Uint8(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Uint16(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Uint32(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Uint64(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Float16(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Float32(values) => Tensor::from_array((shape, values))?.upcast(),
        Values::Float64(values) => Tensor::from_array((shape, values))?.upcast(),
    })
}

/// The numbers of an output.
fn numbers(value: &DynValue) -> Result<Vec<f32>, BackendError> {
    fn read<T: PrimitiveTensorElementType + Copy>(
        value: &DynValue,
        number: impl Fn(T) -> f32,
    ) -> Result<Vec<f32>, BackendError> {
        let tensor = value.try_extract_tensor::<T>();
        let (_, values) = tensor.map_err(|error| BackendError::Inference(error.to_string()))?;
        Ok(values.iter().map(|value| number(*value)).collect())
    }
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(BackendError::Inference(format!("it is no tensor but {}", value.dtype())));
    };
    // Where there are no values there is no memory to look at.
    if shape.num_elements() == 0 {
        return Ok(Vec::new());
    }
    match ty {
        TensorElementType::Bool => read(value, |number: bool| f32::from(u8::from(number))),
        TensorElementType::Int8 => read(value, |number: i8| number.into()),
        TensorElementType::Int16 => read(value, |number: i16| number.into()),
        TensorElementType::Int32 => read(value, |number: i32| number as f32),
        TensorElementType::Int64 => read(value, |number: i64| number as f32),
        TensorElementType::Uint8 => read(value, |number: u8| number.into()),
        TensorElementType::Uint16 => read(value, |number: u16| number.into()),
        TensorElementType::Uint32 => read(value, |number: u32| number as f32),
        TensorElementType::Uint64 => read(value, |number: u64| number as f32),
        TensorElementType::Float16 => read(value, half::f16::to_f32),
        TensorElementType::Bfloat16 => read(value, half::bf16::to_f32),
        TensorElementType::Float32 => read(value, |number: f32| number),
        TensorElementType::Float64 => read(value, |number: f64| number as f32),
        other => Err(BackendError::Inference(format!("it is made of {}", element_word(*other)))),
    }
}

/// A session whose inputs are bound once, and its outputs to the processor's memory: what the first inference allocates
/// for them, the next ones use again. Where sizes may change they are bound before each inference.
struct Loaded {
    session: OrtSession,
    binding: IoBinding,
    memory: MemoryInfo<'static>,
    bind_each_time: bool,
    /// Names of the outputs.
    names: Vec<String>,
    /// What the first inference after the inputs were set answered; `None` before it.
    answer: Option<Vec<DynValue>>,
    inputs: Vec<TensorInfo>,
    threads: u32,
    engine: String,
}

impl Loaded {
    /// Lets go of the outputs that are there, so that others are allocated.
    fn bind_outputs(&mut self) -> ort::Result<()> {
        self.binding.clear_outputs();
        self.names.iter().try_for_each(|name| self.binding.bind_output_to_device(name, &self.memory))
    }
}

impl Session for Loaded {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn set_inputs(&mut self, values: Vec<Values>) -> Result<(), BackendError> {
        for (info, values) in self.inputs.iter().zip(values) {
            let bound = tensor(values, info).and_then(|tensor| self.binding.bind_input(&info.name, &tensor));
            bound.map_err(|error| BackendError::Inference(format!("input {}: {error}", info.name)))?;
        }
        self.answer = None;
        self.bind_outputs().map_err(|error| failed(&error, BackendError::Inference))
    }

    fn infer(&mut self) -> Result<(), BackendError> {
        if self.bind_each_time {
            self.bind_outputs().map_err(|error| failed(&error, BackendError::Inference))?;
        }
        let first: Option<Vec<DynValue>> = match self.session.run_binding(&self.binding) {
            Ok(_) if self.answer.is_some() => None,
            Ok(mut outputs) => Some(self.names.iter().filter_map(|name| outputs.remove(name)).collect()),
            Err(error) => return Err(failed(&error, BackendError::Inference)),
        };
        if let Some(values) = first {
            // It would refuse the memory that it gave itself.
            let mut given = self.session.outputs().iter().zip(&values);
            self.bind_each_time |= given.any(|(output, value)| is_contradicted(output, value));
            self.answer = Some(values);
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<TensorInfo>, BackendError> {
        let outputs = self.names.iter().zip(self.answer.iter().flatten()).map(|(name, value)| match value.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let sizes = shape.iter().map(|size| u64::try_from(*size).unwrap_or_default()).collect();
                TensorInfo::new(name.clone(), element_word(*ty), sizes)
            }
            other => TensorInfo::new(name.clone(), format!("no tensor ({other})"), Vec::new()),
        });
        Ok(outputs.collect())
    }

    fn output(&self, index: usize) -> Result<Vec<f32>, BackendError> {
        let value = self.answer.as_ref().and_then(|answer| answer.get(index));
        numbers(value.ok_or_else(|| BackendError::Inference("there is no such output".to_owned()))?)
    }

    fn threads(&self) -> u32 {
        self.threads
    }

    fn engine(&self) -> Option<String> {
        Some(self.engine.clone())
    }
}
