//! What is known of the devices beyond their declaration: which of them are the same phone, and which there are that no
//! farm file has.
//!
//! Main functions: [`survey_phones`], [`discover`]. Connects to devices to ask what they are. Never changes a
//! device, never runs a job, and writes no file.

mod discovery;
mod identity;

pub use discovery::{Discovered, discover, suggest_name};
pub use identity::{DuplicateEntry, PhoneSurvey, survey_phones};

/// Devices that are asked at the same time.
const AT_ONCE: usize = 64;
