//! tract: an inference engine written in Rust, compiled into the runner.
//!
//! Purpose: load ONNX files and run them on the CPU. Main type: [`Tract`]. Never quantises or converts a model: it runs
//! in the precision its file is written in.

use std::path::Path;
use std::sync::Arc;

use farmctl_engine_kit::{Backend, BackendError, FileInput, Order, Session, Settled, Values, settle};
use farmctl_protocol::{BackendInfo, ElementType, Precision, TensorInfo};
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

/// tract's ONNX engine.
#[derive(Debug)]
pub struct Tract;

impl Backend for Tract {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "tract".to_owned(),
            version: env!("TRACT_VERSION").to_owned(),
            formats: vec!["onnx".to_owned()],
            precisions: vec![Precision::Float32],
            multi_threaded: true,
            kernel: kernel(),
        }
    }

    fn load(&self, order: &Order) -> Result<Box<dyn Session>, BackendError> {
        // The pool is made before the model is optimised, and the calling thread's pinning is inherited by it.
        if order.threads > 1 {
            set_default_executor(Executor::multithread(order.threads as usize));
        }
        let mut model = read(&order.model)?;
        let names = Names::of(&model)?;
        let settled = settle(order, &file_inputs(&model, &names, order)?)?;
        for Settled { place, info, element } in &settled {
            let fact = InferenceFact::dt_shape(datum_type(*element), sizes(info).as_slice());
            model.set_input_fact(*place, fact).map_err(|error| load_error(&error))?;
        }
        let optimised = model.into_optimized().map_err(|error| load_error(&error))?;
        let plan = optimised.into_runnable().map_err(|error| load_error(&error))?;
        let state = plan.spawn().map_err(|error| load_error(&error))?;
        Ok(Box::new(TractSession {
            state,
            feed: TVec::new(),
            answer: TVec::new(),
            inputs: settled.iter().map(|input| input.info.clone()).collect(),
            places: settled.iter().map(|input| input.place).collect(),
            outputs: names.outputs,
            threads: order.threads,
        }))
    }
}

/// The matrix multiplication that tract picks on this processor, for sizes as they are common in convolutions.
fn kernel() -> Option<String> {
    let (rows, depth, columns) = (64, 64, 3136);
    let dispatch = tract_linalg::MmmDispatch::native();
    let kernel = dispatch.preferred_kernel(f32::datum_type(), Some(rows), Some(depth), Some(columns))?;
    Some(kernel.name().to_owned())
}

/// A model's plan with the state that is used again for every inference.
struct TractSession {
    state: TypedSimpleState,
    feed: TVec<TValue>,
    answer: TVec<TValue>,
    inputs: Vec<TensorInfo>,
    /// The place of each input among those of the plan.
    places: Vec<usize>,
    /// Names of the outputs.
    outputs: Vec<String>,
    threads: u32,
}

impl Session for TractSession {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn set_inputs(&mut self, values: Vec<Values>) -> Result<(), BackendError> {
        let mut feed = vec![None; self.inputs.len()];
        for ((values, info), place) in values.iter().zip(&self.inputs).zip(&self.places) {
            let tensor = tensor(values, info)
                .map_err(|error| BackendError::Inference(format!("input {}: {error:#}", info.name)))?;
            // A shared tensor: no operator may overwrite it.
            feed[*place] = Some(TValue::from_const(Arc::new(tensor)));
        }
        self.feed = feed.into_iter().flatten().collect();
        Ok(())
    }

    fn infer(&mut self) -> Result<(), BackendError> {
        // The clone copies pointers, into a list that lies on the stack.
        match self.state.run(self.feed.clone()) {
            Ok(answer) => self.answer = answer,
            Err(error) => return Err(BackendError::Inference(format!("{error:#}"))),
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<TensorInfo>, BackendError> {
        let outputs = self.outputs.iter().zip(&self.answer).map(|(name, value)| {
            let shape = value.shape().iter().map(|size| *size as u64).collect();
            TensorInfo::new(name.clone(), element_word(value.datum_type()), shape)
        });
        Ok(outputs.collect())
    }

    fn output(&self, index: usize) -> Result<Vec<f32>, BackendError> {
        let failed = |text: String| BackendError::Inference(format!("the answer is not made of numbers: {text}"));
        let value = self.answer.get(index).ok_or_else(|| failed("there is no such output".to_owned()))?;
        // tract would read numbers out of texts.
        if value.datum_type() == String::datum_type() {
            return Err(failed("it is made of texts".to_owned()));
        }
        let read =
            || -> TractResult<Vec<f32>> { Ok(value.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()) };
        read().map_err(|error| failed(format!("{error:#}")))
    }

    fn threads(&self) -> u32 {
        self.threads
    }
}

fn sizes(info: &TensorInfo) -> Vec<usize> {
    info.shape.iter().map(|size| *size as usize).collect()
}

/// The values as tract takes them.
fn tensor(values: &Values, info: &TensorInfo) -> TractResult<Tensor> {
    let shape = sizes(info);
    match values {
        Values::Bool(values) => Tensor::from_shape(&shape, values),
        Values::Int8(values) => Tensor::from_shape(&shape, values),
        Values::Int16(values) => Tensor::from_shape(&shape, values),
        Values::Int32(values) => Tensor::from_shape(&shape, values),
        Values::Int64(values) => Tensor::from_shape(&shape, values),
        Values::Uint8(values) => Tensor::from_shape(&shape, values),
        Values::Uint16(values) => Tensor::from_shape(&shape, values),
        Values::Uint32(values) => Tensor::from_shape(&shape, values),
        Values::Uint64(values) => Tensor::from_shape(&shape, values),
        Values::Float16(values) => Tensor::from_shape(&shape, values),
        Values::Float32(values) => Tensor::from_shape(&shape, values),
        Values::Float64(values) => Tensor::from_shape(&shape, values),
    }
}

/// What tract calls a type.
fn datum_type(element: ElementType) -> DatumType {
    match element {
        ElementType::Bool => bool::datum_type(),
        ElementType::Int8 => i8::datum_type(),
        ElementType::Int16 => i16::datum_type(),
        ElementType::Int32 => i32::datum_type(),
        ElementType::Int64 => i64::datum_type(),
        ElementType::Uint8 => u8::datum_type(),
        ElementType::Uint16 => u16::datum_type(),
        ElementType::Uint32 => u32::datum_type(),
        ElementType::Uint64 => u64::datum_type(),
        ElementType::Float16 => f16::datum_type(),
        ElementType::Float32 => f32::datum_type(),
        ElementType::Float64 => f64::datum_type(),
    }
}

/// The protocol's word for a type. What tract computes sizes with is whole numbers for everyone else.
fn element_word(element: DatumType) -> String {
    if element == TDim::datum_type() { "i64".to_owned() } else { format!("{element:?}").to_lowercase() }
}

/// Names of inputs and outputs as the file has them; optimising may change them.
struct Names {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Names {
    fn of(model: &InferenceModel) -> Result<Names, BackendError> {
        let name = |outlet: &OutletId| {
            let label = model.outlet_label(*outlet);
            label.unwrap_or(&model.node(outlet.node).name).to_owned()
        };
        let inputs = model.input_outlets().map_err(|error| load_error(&error))?.iter().map(name).collect();
        let outputs = model.output_outlets().map_err(|error| load_error(&error))?.iter().map(name).collect();
        Ok(Names { inputs, outputs })
    }
}

fn read(path: &Path) -> Result<InferenceModel, BackendError> {
    // The shapes that the file states for what lies behind the inputs hold for its own batch only.
    let reader = onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    reader.model_for_path(path).map_err(|error| load_error(&error))
}

/// The inputs as the file has them. Of one that is an output, too, tract has forgotten the type with the outputs'
/// shapes: it is the order's.
fn file_inputs(model: &InferenceModel, names: &Names, order: &Order) -> Result<Vec<FileInput>, BackendError> {
    let input = |(place, name): (usize, &String)| {
        let fact = model.input_fact(place).map_err(|error| load_error(&error))?;
        let wanted =
            || order.inputs.iter().find(|input| input.name == *name).map(|input| input.element.as_str().to_owned());
        let element = fact.datum_type.concretize().map(element_word).or_else(wanted);
        let element = element.unwrap_or_else(|| "an unknown type".to_owned());
        let size = |dimension: tract_onnx::tract_hir::infer::GenericFactoid<TDim>| {
            dimension.concretize().and_then(|size| size.to_usize().ok()).map(|size| size as u64)
        };
        let shape = (!fact.shape.is_open()).then(|| fact.shape.dims().cloned().map(size).collect());
        Ok(FileInput { name: name.clone(), element, shape })
    };
    names.inputs.iter().enumerate().map(input).collect()
}

fn load_error(error: &TractError) -> BackendError {
    BackendError::Load(format!("{error:#}"))
}
