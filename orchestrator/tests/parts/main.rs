//! Parts of farmctl with the real programs around them, in one program, so that it is linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod architecture;
mod artifacts;
mod cmd;
mod code_style;
mod dependencies;
mod docs;
mod engines;
mod hosts;
mod runners;
mod runners_push;
mod score;
mod store;
mod transport;
