//! How bytes and commands reach a device.
//!
//! Main type: the trait [`Transport`]; one folder an implementation, each registered with one line in `connect`.
//! A transport moves bytes and runs argument vectors. It never knows a job, a model, a backend or a runner, and never
//! retries on its own: what broke is told to the caller, who knows what may be done twice.
//!
//! Dropping the future of a call ends what it started on this host; a command already running on the device goes on
//! unless it ends with its pipes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::domain::TransportConfig;
use crate::environment::EnvironmentLookup;

pub mod adb;
mod ends;
mod error;
mod local;
mod posix;
mod quote;
mod ssh;
mod stderr;
mod streams;

pub use error::{ErrorKind, TransportError};
pub use posix::script;

/// What connecting needs to know of the person and the host; nothing here is read from the environment.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Home folder of the person, where `.ssh` is.
    pub home: PathBuf,
    /// Login name of the person: ssh's default user.
    pub user: String,
    /// Socket of the person's ssh agent.
    pub agent_socket: Option<PathBuf>,
    /// Where secrets that are named by variable come from.
    pub environment: EnvironmentLookup,
    /// Unknown host keys are accepted and written to the known-hosts file. Changed ones never are.
    pub accept_new: bool,
    /// Longest time for name, connection, keys and login together.
    pub connect_timeout: Duration,
}

/// Reaches devices.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Reaches a device within `timeout`: name, connection, keys and login together.
    ///
    /// # Errors
    /// When the device can't be reached, is not the right one, or does not let us in.
    async fn connect(&self, config: &TransportConfig, timeout: Duration) -> Result<Arc<dyn Transport>, TransportError>;
}

#[async_trait]
impl Connect for ConnectOptions {
    async fn connect(&self, config: &TransportConfig, timeout: Duration) -> Result<Arc<dyn Transport>, TransportError> {
        connect(config, &ConnectOptions { connect_timeout: timeout, ..self.clone() }).await
    }
}

/// Reaches a device: the registry of transports, with one line each.
///
/// # Errors
/// When the device can't be reached, is not the right one, or does not let us in.
pub async fn connect(config: &TransportConfig, options: &ConnectOptions) -> Result<Arc<dyn Transport>, TransportError> {
    match config {
        TransportConfig::Local => Ok(Arc::new(local::LocalTransport::new(&options.home))),
        TransportConfig::Ssh(endpoint) => Ok(Arc::new(ssh::SshTransport::connect(endpoint, options).await?)),
        TransportConfig::Adb(endpoint) => Ok(Arc::new(adb::AdbTransport::connect(endpoint, options).await?)),
    }
}

/// How a person would name the way to a device: `ssh user@127.0.0.1:2201`. Reads `~/.ssh/config`, connects to nothing.
pub fn address(config: &TransportConfig, options: &ConnectOptions) -> String {
    match config {
        TransportConfig::Local => "local".to_owned(),
        TransportConfig::Ssh(endpoint) => ssh::address(endpoint, options),
        TransportConfig::Adb(endpoint) => adb::address(endpoint, options),
    }
}

/// Why a device can't be logged in to without an ssh agent, where there is none; `None` when nothing is missing. Reads
/// key files and `~/.ssh/config`, connects to nothing.
pub fn missing_agent(config: &TransportConfig, options: &ConnectOptions) -> Option<String> {
    match config {
        TransportConfig::Ssh(endpoint) => ssh::missing_agent(endpoint, options),
        TransportConfig::Local | TransportConfig::Adb(_) => None,
    }
}

/// What a transport can do; checked before it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Commands and files are on this host: pushing copies, and no wire can break.
    pub is_local: bool,
    /// `write` may start behind bytes that are there already, so that a broken push goes on.
    pub resumes_writes: bool,
}

/// A command to run on the device. Every argument arrives as it stands here, whatever characters it has (but NUL).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments. The program is looked up in the device's PATH unless it has a slash.
    pub argv: Vec<String>,
    /// The command is ended, and the call fails with [`ErrorKind::Timeout`], after this time.
    pub deadline: Duration,
}

impl Command {
    /// A command of these words.
    pub fn new<I, S>(argv: I, deadline: Duration) -> Command
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Command { argv: argv.into_iter().map(Into::into).collect(), deadline }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code (0–255).
    Code(i32),
    /// By this signal; 0 when the device did not say which.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with code 0.
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Receives what a command prints, as it comes. Waiting in here holds the command back: nothing is queued without
/// bound.
#[async_trait]
pub trait OutputSink: Send {
    /// Some bytes of standard output.
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), TransportError>;
    /// Some bytes of standard error.
    async fn stderr(&mut self, bytes: &[u8]) -> Result<(), TransportError>;
}

/// The whole output of a short command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// A file's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Size.
    pub size_bytes: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A connection to one device. All methods can be called at the same time from several tasks.
///
/// Paths are absolute, or relative to the home folder of the login.
#[async_trait]
pub trait Transport: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Runs a command; `stdin` is fed to it until its end, the output goes to `output` as it comes.
    ///
    /// # Errors
    /// When the command could not be started, its deadline passed, or the connection broke before its exit was known.
    /// A command that ran and failed is no error: look at the [`Exit`].
    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError>;

    /// Writes what `source` gives into the file at `path`, beginning at `offset`: the file is cut to `offset` first
    /// (and made, when that is 0). `progress` is told after each chunk how many bytes of `source` were sent.
    ///
    /// Fails with [`ErrorKind::Timeout`] when no byte moves for `stall`.
    ///
    /// # Errors
    /// When the file is shorter than `offset`, can't be written, or the connection breaks; what arrived stays there.
    async fn write(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError>;

    /// Reads at most `limit` bytes of the file at `path`, from `offset` on; fewer at the end of the file.
    ///
    /// # Errors
    /// When there is no such file, it can't be read, or `deadline` passes.
    async fn read(&self, path: &str, offset: u64, limit: u64, deadline: Duration) -> Result<Vec<u8>, TransportError>;

    /// The facts of a file, `None` when there is none.
    ///
    /// # Errors
    /// When that can't be found out.
    async fn stat(&self, path: &str, deadline: Duration) -> Result<Option<FileStat>, TransportError>;

    /// Renames a file; an existing file of the new name is replaced.
    ///
    /// # Errors
    /// When that can't be done.
    async fn rename(&self, from: &str, to: &str, deadline: Duration) -> Result<(), TransportError>;

    /// Removes a file; one that isn't there is no error.
    ///
    /// # Errors
    /// When it is there and stays.
    async fn remove(&self, path: &str, deadline: Duration) -> Result<(), TransportError>;

    /// Whether the connection is known to be broken, so that the next call could only fail.
    fn is_closed(&self) -> bool;

    /// Ends the connection in an orderly way; takes at most a few seconds.
    async fn close(&self);
}

/// Runs a command that prints little, with `stdin` as its whole input.
///
/// # Errors
/// As [`Transport::run`], and when either output is longer than `limit_bytes`.
pub async fn run_collect(
    transport: &dyn Transport,
    command: &Command,
    mut stdin: &[u8],
    limit_bytes: usize,
) -> Result<Finished, TransportError> {
    let mut collected = Collect { stdout: Vec::new(), stderr: Vec::new(), limit_bytes };
    let exit = transport.run(command, &mut stdin, &mut collected).await?;
    Ok(Finished { exit, stdout: collected.stdout, stderr: collected.stderr })
}

struct Collect {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    limit_bytes: usize,
}

impl Collect {
    fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit_bytes: usize) -> Result<(), TransportError> {
        if buffer.len() + bytes.len() > limit_bytes {
            return Err(TransportError::new(
                ErrorKind::Protocol,
                format!("a command printed more than {limit_bytes} bytes"),
            ));
        }
        buffer.extend_from_slice(bytes);
        Ok(())
    }
}

#[async_trait]
impl OutputSink for Collect {
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        Collect::append(&mut self.stdout, bytes, self.limit_bytes)
    }
    async fn stderr(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        Collect::append(&mut self.stderr, bytes, self.limit_bytes)
    }
}
