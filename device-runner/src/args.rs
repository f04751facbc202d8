//! The command line.
//!
//! Purpose: turn the arguments into a [`Command`], hand-parsed because the runner stays small. Main type:
//! [`Invocation`]. Never touches the file system, and never prints.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use farmctl_protocol::Dialect;

use crate::runs::RunId;
use crate::store::Digest;

/// What `device-runner --help` prints.
pub const HELP: &str = "\
device-runner: measures inference on this device, for farmctl

Usage: device-runner <command> --workdir DIR

Commands:
  hello                            what this device and this runner are, as one line of JSON
  calibrate                        how fast this device is right now, as one line of JSON
  rest                             how hot and how busy this device is, as one line of JSON
  store status                     files of the content-addressed store, as one line of JSON
  store commit SHA256 SIZE [--executable]
                                   check partial/SHA256 and move it to store/SHA256
  store verify [SHA256...]         hash files again (all of them by default), remove the corrupt ones
  store remove SHA256...           remove files, whole or partial
  store trim --free-bytes N [SHA256...]
                                   remove the least recently used files, until N bytes are freed; those named stay
  run                              read a run request from stdin, start it detached, print its messages
  follow --run ID [--offset BYTES] print the messages of a run from a byte offset on, until its end
  cancel --run ID                  end a run
  runs remove ID...                remove ended runs
  runs prune [--keep N]            remove all but the newest N ended runs
  --version, --help

Exit codes: 0 done, 1 failed, 2 usage, 75 another run holds the device, 76 unknown run, 77 other protocol version, \
78 lease lost,
  79 file corrupt, 80 file not there or not whole, 81 disk full, 82 the system refuses a file, 83 no memory

DEVICE_RUNNER_ROOT names a folder that stands for / where sensors, clocks and load are read, for tests.
DEVICE_RUNNER_UNWATCHED leaves the device unwatched while it measures, for who wants to know what watching costs.
";

/// Ended runs that are kept where nothing else is asked for.
pub const RUNS_KEPT: usize = 50;

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Internal: measure; started by the supervisor.
    Measure,
    /// Internal: run a benchmark program that isn't farmctl's and read what it prints; started by the supervisor.
    Foreign(Dialect, Vec<OsString>),
    /// Do something in a work folder.
    In(PathBuf, Command),
}

/// What to do in a work folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Describe device and runner.
    Hello,
    /// Tell how fast the device is.
    Calibrate,
    /// Tell whether the device is cool and quiet.
    Rest,
    /// List the store.
    StoreStatus,
    /// Move a pushed file into the store.
    StoreCommit {
        /// Content the file must have.
        digest: Digest,
        /// Size the file must have.
        size_bytes: u64,
        /// Whether the file is a program.
        executable: bool,
    },
    /// Hash files again.
    StoreVerify(Vec<Digest>),
    /// Remove files.
    StoreRemove(Vec<Digest>),
    /// Remove the least recently used files.
    StoreTrim {
        /// Bytes to free.
        free_bytes: u64,
        /// Files that stay whatever their size.
        keep: Vec<Digest>,
    },
    /// Start the run that standard input describes.
    Run,
    /// Print a run's messages.
    Follow {
        /// The run.
        run: RunId,
        /// First byte to print.
        offset: u64,
    },
    /// End a run.
    Cancel(RunId),
    /// Remove ended runs.
    RemoveRuns(Vec<RunId>),
    /// Remove old runs.
    PruneRuns {
        /// Ended runs that stay.
        keep: usize,
    },
    /// Internal: watch over a run; started by `run`.
    Supervise(RunId),
}

/// Parses the arguments that follow the program's name.
///
/// # Errors
/// Says which argument is missing, unknown or malformed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let mut words = Vec::new();
    let mut options = Options::default();
    let mut arguments = arguments.into_iter().peekable();
    if arguments.next_if(|argument| argument == "foreign").is_some() {
        // What follows is a command line of its own.
        let dialect = utf8(arguments.next().ok_or("foreign needs a dialect")?)?.parse()?;
        return Ok(Invocation::Foreign(dialect, arguments.collect()));
    }
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().ok_or_else(|| format!("argument {argument:?} is not UTF-8"))?;
        let mut value = || arguments.next().ok_or_else(|| format!("{text} needs a value"));
        match text {
            "--help" | "-h" => return Ok(Invocation::Help),
            "--version" | "-V" => return Ok(Invocation::Version),
            "--workdir" => options.workdir = Some(value()?.into()),
            "--run" => options.run = Some(utf8(value()?)?.parse()?),
            "--offset" => options.offset = Some(number(&utf8(value()?)?)?),
            "--free-bytes" => options.free_bytes = Some(number(&utf8(value()?)?)?),
            "--keep" => options.keep = Some(number(&utf8(value()?)?)?),
            "--executable" => options.executable = true,
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
            word => words.push(word.to_owned()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words == ["measure"] {
        options.refuse_leftovers()?;
        return Ok(Invocation::Measure);
    }
    let command = options.command(&words)?;
    options.refuse_leftovers()?;
    let workdir = options.workdir.take().ok_or("--workdir DIR is missing")?;
    Ok(Invocation::In(workdir, command))
}

#[derive(Default)]
struct Options {
    workdir: Option<PathBuf>,
    run: Option<RunId>,
    offset: Option<u64>,
    keep: Option<u64>,
    free_bytes: Option<u64>,
    executable: bool,
}

impl Options {
    fn command(&mut self, words: &[&str]) -> Result<Command, String> {
        match words {
            [] => Err("no command given; try --help".to_owned()),
            ["hello"] => Ok(Command::Hello),
            ["calibrate"] => Ok(Command::Calibrate),
            ["rest"] => Ok(Command::Rest),
            ["store", "status"] => Ok(Command::StoreStatus),
            ["store", "commit", digest, size] => Ok(Command::StoreCommit {
                digest: digest.parse()?,
                size_bytes: number(size)?,
                executable: std::mem::take(&mut self.executable),
            }),
            ["store", "verify", digests @ ..] => Ok(Command::StoreVerify(parse_all(digests)?)),
            ["store", "remove", digests @ ..] if !digests.is_empty() => Ok(Command::StoreRemove(parse_all(digests)?)),
            ["store", "trim", keep @ ..] => Ok(Command::StoreTrim {
                free_bytes: self.free_bytes.take().ok_or("--free-bytes N is missing")?,
                keep: parse_all(keep)?,
            }),
            ["run"] => Ok(Command::Run),
            ["follow"] => Ok(Command::Follow { run: self.run()?, offset: self.offset.take().unwrap_or(0) }),
            ["cancel"] => Ok(Command::Cancel(self.run()?)),
            ["runs", "remove", runs @ ..] if !runs.is_empty() => Ok(Command::RemoveRuns(parse_all(runs)?)),
            ["runs", "prune"] => {
                let keep = self.keep.take().map_or(Ok(RUNS_KEPT), usize::try_from);
                Ok(Command::PruneRuns { keep: keep.map_err(|_| "--keep is too large")? })
            }
            ["supervise"] => Ok(Command::Supervise(self.run()?)),
            words => Err(format!("unknown or incomplete command {:?}; try --help", words.join(" "))),
        }
    }

    fn run(&mut self) -> Result<RunId, String> {
        self.run.take().ok_or_else(|| "--run ID is missing".to_owned())
    }

    fn refuse_leftovers(&self) -> Result<(), String> {
        let given = [
            ("--run", self.run.is_some()),
            ("--offset", self.offset.is_some()),
            ("--keep", self.keep.is_some()),
            ("--free-bytes", self.free_bytes.is_some()),
            ("--executable", self.executable),
        ];
        match given.iter().find(|(_, present)| *present) {
            Some((flag, _)) => Err(format!("{flag} does not belong to this command")),
            None => Ok(()),
        }
    }
}

fn utf8(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|value| format!("argument {value:?} is not UTF-8"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{text:?} is no whole number: {error}"))
}

fn parse_all<T: FromStr<Err = String>>(words: &[&str]) -> Result<Vec<T>, String> {
    words.iter().map(|word| word.parse()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Invocation, String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_stand_anywhere() {
        let expected = Invocation::In("/w".into(), Command::Follow { run: "r-1".parse().unwrap(), offset: 12 });
        assert_eq!(parse_text("follow --workdir /w --run r-1 --offset 12"), Ok(expected));
        let expected = Invocation::In("/w".into(), Command::PruneRuns { keep: RUNS_KEPT });
        assert_eq!(parse_text("--workdir /w runs prune"), Ok(expected));
    }

    #[test]
    fn faults_are_named() {
        for (text, part) in [
            ("", "no command"),
            ("hello", "--workdir"),
            ("hello --workdir", "needs a value"),
            ("hello --wordir /w", "unknown option --wordir"),
            ("hello --workdir /w --keep 3", "--keep does not belong"),
            ("follow --workdir /w", "--run ID is missing"),
            ("follow --workdir /w --run ../x", "run id"),
            ("store commit abc 12 --workdir /w", "64"),
            ("store remove --workdir /w", "unknown or incomplete"),
            ("store trim --workdir /w", "--free-bytes N is missing"),
            ("hello --workdir /w --free-bytes 3", "--free-bytes does not belong"),
            ("runs remove ../x --workdir /w", "run id"),
            ("fly --workdir /w", "fly"),
        ] {
            let error = parse_text(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
