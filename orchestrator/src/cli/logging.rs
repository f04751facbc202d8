use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::CliError;

/// Prints a line for people, past whatever else is on the terminal.
pub type LinePrinter = Arc<dyn Fn(&str) + Send + Sync>;

/// The log's switchboard: where lines for people go, and the files of the sweeps that are under way.
#[derive(Clone, Default)]
pub struct Log {
    files: Arc<Mutex<Vec<(u64, File)>>>,
    printer: Arc<Mutex<Option<LinePrinter>>>,
}

impl Log {
    /// Writes the log as JSON Lines to this file, too, until what is returned is dropped. What belongs to which sweep is
    /// told by the spans of each line.
    pub(super) fn write_to(&self, path: &Path) -> Result<LogFile, CliError> {
        let failed = |error| CliError::internal(format!("failed to write the log {}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        let mut files = lock(&self.files);
        let number = files.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        files.push((number, file));
        Ok(LogFile { files: Arc::clone(&self.files), number })
    }

    /// Prints lines for people this way from now on; `None` for stderr.
    pub(super) fn print_with(&self, printer: Option<LinePrinter>) {
        *lock(&self.printer) = printer;
    }
}

/// A file that the log is written to.
pub(super) struct LogFile {
    files: Arc<Mutex<Vec<(u64, File)>>>,
    number: u64,
}

impl Drop for LogFile {
    fn drop(&mut self) {
        lock(&self.files).retain(|(number, _)| *number != self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts the log: warnings on stderr; more with `-v` or `FARMCTL_LOG`; all of ours in a sweep's file.
pub(super) fn start(verbose: u8, color: bool) -> Result<Log, CliError> {
    let log = Log::default();
    let wanted = std::env::var("FARMCTL_LOG").ok().filter(|filter| !filter.is_empty());
    let wanted = wanted.unwrap_or_else(|| {
        match verbose {
            0 => "error",
            1 => "farmctl=info,warn",
            2 => "farmctl=debug,info",
            _ => "trace",
        }
        .to_owned()
    });
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| CliError::usage(format!("FARMCTL_LOG={wanted:?} is no tracing filter: {error}")))?;
    let (people, file) = (log.clone(), log.clone());
    let for_people = fmt::layer()
        .with_ansi(color)
        .with_target(false)
        .with_writer(move || PeopleWriter { log: people.clone(), line: Vec::new() })
        .with_filter(filter);
    let for_file = fmt::layer()
        .json()
        .with_current_span(false)
        .with_writer(move || FileWriter(file.clone()))
        .with_filter(EnvFilter::new("farmctl=debug,warn"));
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(for_people).with(for_file).try_init();
    Ok(log)
}

/// One line for people, printed when it is whole.
struct PeopleWriter {
    log: Log,
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
        let printer = lock(&self.log.printer).clone();
        match printer {
            Some(print) => print(text.trim_end()),
            None => super::say(text.trim_end()),
        }
    }
}

/// Writes into the sweeps' files, when there are some.
struct FileWriter(Log);

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0.files).iter_mut().try_for_each(|(_, file)| file.write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
