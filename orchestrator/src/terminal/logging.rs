//! The log: what goes to people on stderr, and what into the files of sweeps.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::lab::{LabError, SweepLogs};
use crate::terminal::print::say_coloured;
use crate::wording::printable;

/// Prints a line for people, past whatever else is on the terminal.
pub type LinePrinter = Arc<dyn Fn(&str) + Send + Sync>;

/// The log's switchboard: where lines for people go, and the files of the sweeps that are under way.
#[derive(Clone, Default)]
pub struct Log {
    sweeps: SweepLogs,
    printer: Arc<Mutex<Option<LinePrinter>>>,
}

impl Log {
    /// The files of the sweeps that are under way.
    pub fn sweeps(&self) -> SweepLogs {
        self.sweeps.clone()
    }

    /// Prints lines for people this way from now on; `None` for stderr.
    pub fn print_with(&self, printer: Option<LinePrinter>) {
        *self.printer.lock().unwrap_or_else(PoisonError::into_inner) = printer;
    }

    /// Prints a line for people.
    pub fn print(&self, line: &str) {
        self.print_coloured(line, false);
    }

    /// Prints a line for people, which may be coloured by us.
    fn print_coloured(&self, line: &str, is_coloured: bool) {
        let printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match printer {
            Some(print) => print(&printable(line, is_coloured)),
            None => say_coloured(line, is_coloured),
        }
    }
}

/// Starts the log on stderr: what went wrong; of the daemon, which nobody sits before, also what it warned of and whom
/// it refused; more with `-v` or by this filter, which is `FARMCTL_LOG`'s. All of ours goes into a sweep's file.
///
/// # Errors
/// When the filter is none.
pub fn start(verbose: u8, filter: Option<String>, is_daemon: bool, color: bool) -> Result<Log, LabError> {
    let log = Log::default();
    let wanted = filter.unwrap_or_else(|| {
        match verbose {
            0 if is_daemon => "farmctl=warn,error",
            0 => "error",
            1 => "farmctl=info,warn",
            2 => "farmctl=debug,info",
            _ => "trace",
        }
        .to_owned()
    });
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| LabError::usage(format!("FARMCTL_LOG={wanted:?} is no tracing filter: {error}")))?;
    let (people, sweeps) = (log.clone(), log.sweeps());
    let for_people = fmt::layer()
        .with_ansi(color)
        .with_target(false)
        .with_writer(move || PeopleWriter { log: people.clone(), is_coloured: color, line: Vec::new() })
        .with_filter(filter);
    let for_file = fmt::layer()
        .json()
        .with_current_span(false)
        .with_writer(move || sweeps.writer())
        .with_filter(EnvFilter::new("farmctl=debug,warn"));
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(for_people).with(for_file).try_init();
    Ok(log)
}

/// One line for people, printed when it is whole.
struct PeopleWriter {
    log: Log,
    is_coloured: bool,
    line: Vec<u8>,
}

impl Write for PeopleWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for PeopleWriter {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        // A value in it may hold line breaks; a line of the log is one.
        self.log.print_coloured(&text.trim_end().replace('\n', " "), self.is_coloured);
    }
}
