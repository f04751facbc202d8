//! Inference engines.
//!
//! Purpose: the seam between the measurement and the engines. Main traits: [`Backend`] and [`Session`]. Never knows of
//! hosts, runs, or how time is taken.

use farmctl_protocol::{BackendInfo, RunnerFailureKind, TensorInfo};

use crate::order::Order;
use crate::values::Values;

/// An inference engine.
pub trait Backend: Sync {
    /// What it is and what it can do.
    fn info(&self) -> BackendInfo;

    /// Loads and optimises the model, so that the next step is the first inference. Its inputs get exactly the types
    /// and shapes of the order: [`settle`](crate::settle) holds these against the file.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] when the engine can't do what the order asks, [`BackendError::Load`] when it
    /// doesn't take the model.
    fn load(&self, order: &Order) -> Result<Box<dyn Session>, BackendError>;
}

/// A loaded model.
pub trait Session {
    /// Its inputs as they are set, in the order in which their values are taken.
    fn inputs(&self) -> &[TensorInfo];

    /// Sets what every inference from now on is fed: one flat list an input. Called again for each batch of images that
    /// are classified.
    ///
    /// # Errors
    /// Fails when the values don't fit the inputs.
    fn set_inputs(&mut self, values: Vec<Values>) -> Result<(), BackendError>;

    /// Does one inference. This is what is timed.
    ///
    /// # Errors
    /// Passes on the engine's failure.
    fn infer(&mut self) -> Result<(), BackendError>;

    /// What the first inference after [`Session::set_inputs`] answered, as it came. Asked for right after it.
    ///
    /// # Errors
    /// When the engine does not tell.
    fn outputs(&self) -> Result<Vec<TensorInfo>, BackendError>;

    /// The values of one of these outputs, as 32-bit floats.
    ///
    /// # Errors
    /// Fails when they are no numbers.
    fn output(&self, index: usize) -> Result<Vec<f32>, BackendError>;

    /// Threads that the engine uses.
    fn threads(&self) -> u32;

    /// What an engine program says of itself and its libraries: name, version, what it computes with.
    fn engine(&self) -> Option<String> {
        None
    }
}

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The engine can't do what the job asks.
    #[error("{0}")]
    Unsupported(String),
    /// The engine does not take the model.
    #[error("load the model: {0}")]
    Load(String),
    /// An inference failed.
    #[error("infer: {0}")]
    Inference(String),
    /// The engine was refused memory.
    #[error("have the memory it takes: {0}")]
    Memory(String),
}

impl BackendError {
    /// The kind of failure this is for the host.
    pub fn kind(&self) -> RunnerFailureKind {
        match self {
            BackendError::Unsupported(_) => RunnerFailureKind::BackendUnsupported,
            BackendError::Load(_) => RunnerFailureKind::ModelLoad,
            BackendError::Inference(_) => RunnerFailureKind::Inference,
            BackendError::Memory(_) => RunnerFailureKind::OutOfMemory,
        }
    }
}

/// The engine that an order asks for, if it can do what the order asks.
///
/// # Errors
/// Says what is not there, or what the engine lacks.
pub(crate) fn find<'a>(backends: &[&'a dyn Backend], order: &Order) -> Result<&'a dyn Backend, BackendError> {
    let names: Vec<String> = backends.iter().map(|backend| backend.info().name).collect();
    let found = backends.iter().copied().find(|backend| backend.info().name == order.backend);
    let unsupported = |text: String| Err(BackendError::Unsupported(text));
    let Some(backend) = found else {
        return unsupported(format!("this program has no backend {:?}; it has {}", order.backend, names.join(", ")));
    };
    let info = backend.info();
    if !info.formats.contains(&order.format) {
        return unsupported(format!("{} loads {}, not {:?}", info.name, info.formats.join(", "), order.format));
    }
    if !info.precisions.contains(&order.precision) {
        return unsupported(format!("{} can't run in {}", info.name, order.precision));
    }
    if order.threads > 1 && !info.multi_threaded {
        return unsupported(format!("{} uses one thread, the job asks for {}", info.name, order.threads));
    }
    Ok(backend)
}
