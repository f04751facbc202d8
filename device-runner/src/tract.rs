//! tract: an inference engine written in Rust, compiled into the runner.
//!
//! Purpose: load ONNX files and run them on the CPU. Main type: [`Tract`]. Never quantises or converts a model: it runs
//! in the precision its file is written in, 32-bit floats.

use std::path::Path;
use std::sync::Arc;

use farmctl_engine_kit::{Backend, BackendError, Order, OutputTensor, Session};
use farmctl_protocol::{BackendInfo, Precision, TensorInfo};
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
        let parsed = parse(&order.model, order.batch)?;
        let names = Names::of(&parsed)?;
        let optimised = parsed.into_optimized().map_err(|error| not_loaded(&error, order.batch))?;
        let inputs = describe(&optimised, optimised.input_outlets(), &names.inputs)?;
        let outputs = describe(&optimised, optimised.output_outlets(), &names.outputs)?;
        if let Some(output) = outputs.iter().find(|output| !batched(output, order.batch)) {
            let text = format!(
                "the model's batch is fixed: with a batch of {}, its output {} has the shape {:?}",
                order.batch, output.name, output.shape
            );
            return Err(BackendError::Unsupported(text));
        }
        let plan = optimised.into_runnable().map_err(|error| load_error(&error))?;
        let state = plan.spawn().map_err(|error| load_error(&error))?;
        Ok(Box::new(TractSession {
            state,
            feed: TVec::new(),
            answer: TVec::new(),
            inputs,
            outputs,
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
    outputs: Vec<TensorInfo>,
    threads: u32,
}

impl Session for TractSession {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn set_inputs(&mut self, values: Vec<Vec<f32>>) -> Result<(), BackendError> {
        let mut feed = TVec::new();
        for (values, info) in values.iter().zip(&self.inputs) {
            let shape: Vec<usize> = info.shape.iter().map(|dimension| *dimension as usize).collect();
            let tensor = Tensor::from_shape(&shape, values)
                .map_err(|error| BackendError::Inference(format!("input {}: {error:#}", info.name)))?;
            // A shared tensor: no operator may overwrite it.
            feed.push(TValue::from_const(Arc::new(tensor)));
        }
        self.feed = feed;
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

    fn answer(&self) -> Result<Vec<OutputTensor>, BackendError> {
        let outputs = self.outputs.iter().zip(&self.answer);
        let read = |(info, value): (&TensorInfo, &TValue)| -> TractResult<OutputTensor> {
            let numbers = value.cast_to::<f32>()?;
            let values = numbers.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
            let shape = value.shape().iter().map(|dimension| *dimension as u64).collect();
            Ok(OutputTensor { name: info.name.clone(), shape, values })
        };
        let answer: TractResult<Vec<OutputTensor>> = outputs.map(read).collect();
        answer.map_err(|error| BackendError::Inference(format!("the answer is not made of numbers: {error:#}")))
    }

    fn threads(&self) -> u32 {
        self.threads
    }
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

/// Reads the file and sets the batch: the first dimension of every input, whatever the file has there.
fn parse(path: &Path, batch: u32) -> Result<InferenceModel, BackendError> {
    // The shapes that the file states for what lies behind the inputs hold for its own batch only.
    let reader = onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let mut model = reader.model_for_path(path).map_err(|error| load_error(&error))?;
    let inputs = model.input_outlets().map_err(|error| load_error(&error))?.to_vec();
    for (index, outlet) in inputs.into_iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let fact = model.input_fact(index).map_err(|error| load_error(&error))?;
        if fact.datum_type.concretize() != Some(f32::datum_type()) {
            let text = format!("input {name} is not made of 32-bit floats, and seeded input is");
            return Err(BackendError::Unsupported(text));
        }
        let mut shape = TVec::new();
        for (place, dimension) in fact.shape.dims().enumerate() {
            let fixed = dimension.concretize().and_then(|dimension| dimension.to_usize().ok());
            match (place, fixed) {
                (0, _) => shape.push(batch as usize),
                (_, Some(size)) => shape.push(size),
                (place, None) => {
                    let text = format!("dimension {place} of input {name} is not fixed in the model's file");
                    return Err(BackendError::Unsupported(text));
                }
            }
        }
        if fact.shape.is_open() || shape.is_empty() {
            return Err(BackendError::Unsupported(format!("input {name} has no batch dimension, or no known rank")));
        }
        model.set_input_fact(index, f32::fact(&*shape).into()).map_err(|error| load_error(&error))?;
    }
    Ok(model)
}

fn describe(
    model: &TypedModel,
    outlets: TractResult<&[OutletId]>,
    names: &[String],
) -> Result<Vec<TensorInfo>, BackendError> {
    let outlets = outlets.map_err(|error| load_error(&error))?;
    let describe_one = |(outlet, name): (&OutletId, &String)| {
        let fact = model.outlet_fact(*outlet).map_err(|error| load_error(&error))?;
        let shape = fact.shape.as_concrete().ok_or_else(|| {
            BackendError::Unsupported(format!("the shape of {name} depends on the input: {:?}", fact.shape))
        })?;
        let shape = shape.iter().map(|dimension| *dimension as u64).collect();
        Ok(TensorInfo { name: name.clone(), element: format!("{:?}", fact.datum_type).to_lowercase(), shape })
    };
    outlets.iter().zip(names).map(describe_one).collect()
}

/// Whether a tensor has one row an image.
fn batched(output: &TensorInfo, batch: u32) -> bool {
    batch == 1 || output.shape.first() == Some(&u64::from(batch))
}

fn load_error(error: &TractError) -> BackendError {
    BackendError::Load(format!("{error:#}"))
}

fn not_loaded(error: &TractError, batch: u32) -> BackendError {
    if batch == 1 {
        return load_error(error);
    }
    BackendError::Load(format!("{error:#}; its batch may be fixed: the job asks for {batch}"))
}
