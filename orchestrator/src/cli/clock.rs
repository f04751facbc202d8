//! Whether the clock of this host is believed.

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{ACCEPT_CLOCK, ClockState, LabError};
use crate::terminal::print::{print_text, say};
use crate::wording::clock_off_text;

#[derive(Debug, Subcommand)]
pub(super) enum ClockVerb {
    /// Show it, and the lab's time (exit code 1: it is not believed)
    Show,
    /// Believe it as it is now: what was held back goes on
    Accept,
}

pub(super) fn run(context: &Context, verb: &ClockVerb) -> Result<u8, LabError> {
    let state = match verb {
        ClockVerb::Show => context.lab.clock_state()?,
        ClockVerb::Accept => context.lab.accept_clock()?,
    };
    print_text(context.format, &text(&state), &state)?;
    if state.is_believed {
        return Ok(exit::OK);
    }
    say(&format!("help: {ACCEPT_CLOCK}"));
    Ok(exit::INTERNAL)
}

fn text(state: &ClockState) -> String {
    let ClockState { says, lab_time, off_seconds, .. } = state;
    match off_seconds {
        None => format!("the clock of this host is believed: {says:.0}\n"),
        Some(off) => format!(
            "the clock of this host is not believed: it jumped {}, and says {says:.0}; for the lab it is \
             {lab_time:.0}\n",
            clock_off_text(*off)
        ),
    }
}
