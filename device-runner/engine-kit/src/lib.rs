//! What an inference engine needs to measure for farmctl.
//!
//! Purpose: the protocol between the runner's supervisor and the process that measures, and the timed loop, each
//! written once for engines in Rust. Main trait: [`Backend`]; main function: [`serve()`]. The same for engines in C and
//! C++ is `c/farm_engine.h`. Never knows of hosts, runs or stores, and never writes while something is timed.
//!
//! The process that measures is the runner itself for an engine that is compiled into it, or an engine program. It
//! gets on standard input:
//! 1. an [`Order`]: lines of `key=value`, and an empty line;
//! 2. once it has described its inputs: each input's values, little-endian, in the input's own type;
//! 3. of an order with `evaluate_images`, once it has entered phase `evaluate`: the values of its one input as often as
//!    it takes for all images, `batch` at a time; what is left over in the last batch is zeros;
//! 4. an answer to each `look` that asks: a line `NEXT STEADY`. NEXT is the number of inferences of this loop after
//!    which it asks again, 0 where the loop is long enough; STEADY is the word that `warmed_up` is to pass on;
//! 5. nothing more. The end of the stream means that the supervisor is gone, and the process leaves.
//!
//! It writes on standard output, as JSON Lines of `farmctl_protocol::Message`, in this order: phase `load`, `loaded`,
//! phase `first_inference`, `first_inference` with the outputs' types and shapes, phase `warm_up`, `warmed_up`, phase
//! `measure`, `samples` in chunks, `measured`, `output` in chunks, `remark` when an output is left out; and of such an
//! order phase `evaluate`, `classified` for each batch. Of an order with `warmup_asks` or `asks` it sends `look` during
//! that loop, between two inferences, once the minima are met. No sample has what that costs: the inference behind it
//! does not count. It leaves with exit code 0; or, at any point, it writes `failed` and leaves with another. One that
//! is refused memory and can write nothing any more leaves with exit code 83 (`farmctl_protocol::exit::NO_MEMORY`).
//! What it writes to standard error is kept for the case that it fails: people read it, and nothing is decided by it.

mod answer;
mod backend;
mod evaluate;
mod inputs;
mod judge;
mod memory;
mod order;
mod process;
mod scenario;
mod serve;
mod values;

pub use backend::{Backend, BackendError, Session};
pub use inputs::{FileInput, Settled, settle};
pub use judge::{Judge, Judgement};
pub use order::{ENGINE_PROTOCOL_VERSION, Order, OrderLimits, OrderedInput};
pub use process::{ChildUsage, CpuTime, affinity, pin_to};
pub use scenario::{Bounds, LoadPattern, SCENARIOS, TimedLoop};
pub use serve::{Process, ServeError, serve, serve_with};
pub use values::Values;
