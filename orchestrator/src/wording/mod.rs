//! Words for people that more than one place says: events, lengths of time, amounts of data; and the guard that every
//! text from outside passes before anybody reads it.
//!
//! Main functions: [`event_sentence`] and [`single_line`]. Pure. Knows no colour, no width and no terminal.

mod event;
mod guard;
mod nearest;
mod sparkline;
mod text;
mod zone;

pub use crate::domain::many;
pub use event::event_sentence;
pub use guard::{csv_cell, csv_text, indented_line, is_plain, printable, printable_json, single_line};
pub use nearest::{did_you_mean, nearest};
pub use sparkline::sparkline;
pub use text::{BYTES_PER_MB, bytes_text, clock_off_text, duration_text, field_line, latency_text, short_number};
pub use zone::in_zone;
