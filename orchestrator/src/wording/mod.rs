//! Words for people that more than one place says: events, lengths of time, amounts of data, texts on one line.
//!
//! Main functions: [`event_sentence`] and [`single_line`]. Pure. Knows no colour, no width and no terminal.

mod event;
mod text;

pub use event::event_sentence;
pub use text::{bytes_text, clock_off_text, duration_text, single_line};
