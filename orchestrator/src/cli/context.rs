use std::sync::{Arc, Mutex, PoisonError};

use crate::lab::{Lab, LabError, Overrides};
use crate::progress::{Mode, Progress};
use crate::terminal::logging;

use super::{GlobalOptions, environment};
use crate::terminal::print::{Format, is_drawn_on_terminal, say_coloured, tell_times_in};

/// What every verb gets.
pub(super) struct Context {
    /// The lab.
    pub(super) lab: Lab,
    /// Form of the output.
    pub(super) format: Format,
    /// Whether output for people has colour.
    pub(super) color: bool,
    /// How many times more log was asked for.
    pub(super) verbose: u8,
    /// The log's switchboard.
    log: logging::Log,
    /// The view that is open.
    view: Mutex<Option<Progress>>,
}

impl Context {
    /// Starts the log, and looks for the lab. `is_daemon`: nobody sits before it.
    pub(super) fn new(options: &GlobalOptions, is_daemon: bool, color: bool) -> Result<Context, LabError> {
        let log = logging::start(options.verbose, environment::log_filter(), is_daemon, color)?;
        let overrides = Overrides {
            farms: options.farm.clone(),
            models: options.models.clone(),
            runner_dir: options.runner_dir.clone(),
            accept_new: options.accept_new,
        };
        let printer = log.clone();
        let remarks = Arc::new(move |text: &str| printer.print(text));
        let lab = Lab::open(&options.lab, overrides, environment::read(), log.sweeps(), remarks)?;
        tell_times_in(lab.time_zone());
        Ok(Context { lab, format: options.format, color, verbose: options.verbose, log, view: Mutex::default() })
    }

    /// Opens the live view; the log's lines are printed past it from now on.
    pub(super) fn open_progress(&self) -> Progress {
        let drawn = || if is_drawn_on_terminal() { Mode::Terminal } else { Mode::Log };
        self.open_progress_as(self.format.choose(drawn, || Mode::JsonLines, drawn, drawn))
    }

    /// The same, of what is no output of its own: stdout is left alone.
    pub(super) fn open_progress_beside(&self) -> Progress {
        self.open_progress_as(if is_drawn_on_terminal() { Mode::Terminal } else { Mode::Log })
    }

    /// The same, shown in this way.
    pub(super) fn open_progress_as(&self, mode: Mode) -> Progress {
        let progress = Progress::open(mode, self.lab.time_zone());
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
        let printer = progress.clone();
        self.log.print_with(Some(Arc::new(move |line: &str| {
            if !printer.print_line(line) {
                say_coloured(line, true);
            }
        })));
        progress
    }

    /// Ends the view of a verb that failed before its end, so that what it showed comes before the error.
    pub(super) fn end_view(&self) {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner).take();
        view.iter().for_each(|progress| self.close_progress(progress));
    }

    /// Ends a view; one that could not show everything is no reason to fail.
    pub(super) fn close_progress(&self, progress: &Progress) {
        let closed = progress.close();
        self.log.print_with(None);
        if let Err(error) = closed {
            tracing::warn!(%error, "progress could not be shown to its end");
        }
    }
}
