//! The words that the farmctl host and the runner on a device exchange.
//!
//! Purpose: one definition of every message, so that both sides compile against the same types. Main types: [`Hello`],
//! [`RunRequest`], [`Message`]. Never does I/O, and depends on serde alone, so that it compiles for any device.
//!
//! How the words travel: the host starts `device-runner <command> --workdir DIR …` through a transport.
//! - `hello` prints one [`Hello`] as a line of JSON.
//! - `store status` and `store remove` print one [`StoreStatus`]; `store commit` one [`StoreFile`]; `store verify` one
//!   [`StoreVerification`]; `store trim` one [`StoreTrim`].
//! - `calibrate` prints one [`Calibration`], `rest` one [`DeviceRest`].
//! - `run` reads one [`RunRequest`] from its standard input, starts the run detached, and prints the run's messages;
//!   `follow` prints the messages of a run that was started before, from a byte offset on.
//!
//! Messages are JSON Lines: one [`Message`] a line, none longer than [`MAX_LINE_BYTES`]. The last line of a run is
//! always [`Message::Finished`] or [`Message::Failed`].

mod calibration;
mod conditions;
mod hello;
mod job;
mod message;
mod rest;
mod store;

pub use calibration::{CALIBRATION_VERSION, Calibration, KernelTime};
pub use conditions::{
    BatteryState, Conditions, Cooling, CoreKind, CoreState, DeviceState, Energy, FrequencyRange, HottestSensor,
    MAX_MOMENTS, MAX_SENSOR_NAME_BYTES, MAX_SENSORS, Moment, Pressure, Temperature, ThrottleSign, Throttled,
};
pub use hello::{BackendInfo, Cpu, Hello, RunInfo};
pub use job::{
    ArtifactRef, Dialect, ElementType, EngineSpec, Evaluation, Fence, InputRange, InputSpec, JobSpec, Layout, Limits,
    NamedArtifact, Precision, RunRequest, Scenario,
};
pub use message::{
    EndedBy, Figures, Message, Output, Phase, Quantization, Remark, RemarkKind, Reported, RunnerFailure,
    RunnerFailureKind, Steady, TensorInfo,
};
pub use rest::DeviceRest;
pub use store::{PartialFile, StoreFile, StoreStatus, StoreTrim, StoreVerification};

/// Version of this protocol. Both sides refuse any other: the host pushes the runner it was built with, so a mismatch
/// means that a foreign binary answers.
pub const PROTOCOL_VERSION: u32 = 6;

/// Longest line, in bytes, that either side writes or accepts. Samples and outputs are split into chunks to stay below.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Samples in one [`Message::Samples`] chunk; 4,096 numbers of at most 20 digits stay far below [`MAX_LINE_BYTES`].
pub const SAMPLES_PER_MESSAGE: usize = 4096;

/// Runs that [`Hello`] lists at most.
pub const MAX_RUNS_IN_HELLO: usize = 200;

/// Output values in one [`Message::Output`] chunk (4 bytes each, base64).
pub const VALUES_PER_MESSAGE: usize = 65_536;

/// Most output values kept of a run, as 32-bit floats: 64 MiB. Dense predictions reach some megabytes.
pub const MAX_OUTPUT_VALUES: u64 = 1 << 24;

/// Most inputs or outputs of a network.
pub const MAX_TENSORS: usize = 1024;

/// Most dimensions of an input or output.
pub const MAX_RANK: usize = 64;

/// Longest name of an input or output, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Classes that [`Message::Classified`] names of an image at most: what top-5 accuracy takes.
pub const TOP_CLASSES: usize = 5;

/// Exit codes of the runner's commands.
pub mod exit {
    /// The command did what it was asked; for `run` and `follow`: the run's last message was printed.
    pub const OK: i32 = 0;
    /// The command failed; the reason is on standard error.
    pub const FAILED: i32 = 1;
    /// The command line or the request was not understood.
    pub const USAGE: i32 = 2;
    /// Another run holds the device's lock.
    pub const BUSY: i32 = 75;
    /// The run that `follow` or `cancel` names is not known on this device.
    pub const UNKNOWN_RUN: i32 = 76;
    /// The request speaks another [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub const PROTOCOL: i32 = 77;
    /// The device knows of a newer lease of the same lab than the request's [`Fence`](crate::Fence).
    pub const FENCED: i32 = 78;
    /// The file is not the one it should be: its content has another hash. It was removed.
    pub const CORRUPT: i32 = 79;
    /// The file is not there, or not whole: its push has to go on.
    pub const INCOMPLETE: i32 = 80;
    /// The device's disk is full.
    pub const DISK_FULL: i32 = 81;
    /// The device's operating system refuses a file: no permission, or a file system that is read-only.
    pub const DENIED: i32 = 82;
    /// The device has not the memory.
    pub const NO_MEMORY: i32 = 83;
}
