//! What the command line prints with: data on stdout, words for people on stderr, and the log.
//!
//! Main types: [`Format`](print::Format), [`Table`](table::Table), [`Log`](logging::Log). A verb says what is printed;
//! here it is laid out, guarded, and told by the lab's clocks. It decides nothing, and knows no verb.

pub mod logging;
pub mod print;
pub mod table;
