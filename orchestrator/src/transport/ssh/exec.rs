//! One command over one channel.
//!
//! Main function: [`exec`]. Input, output and the end are handled at the same time, so that none waits for another. A
//! command whose exit status never came has not succeeded: that is a lost connection.

use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::connection::Connection;
use super::output::{GREETING_LIMIT_BYTES, OutputFilter, TooMuch};
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Limit, Streams};
use crate::transport::{ErrorKind, Exit, OutputSink, TransportError, quote};
use crate::wording::single_line;

/// What is read from the source at once. 64 KiB to 1 MiB are equally fast (`bench/README.md`).
const CHUNK_BYTES: usize = 256 << 10;
const EXTENDED_DATA_STDERR: u32 = 1;
/// How a session of sshd ends while /etc/nologin is there.
const NOLOGIN: i32 = 254;
/// Most of a server's own words that are told.
const MAX_WORDS_BYTES: usize = 400;
/// How long a channel that is given up may take to say so to the server.
const ABANDON_LIMIT: Duration = Duration::from_secs(10);

/// Runs the text `line`, which `what` names in messages.
pub(super) async fn exec(
    connection: &Arc<Connection>,
    line: String,
    what: &str,
    streams: Streams<'_>,
    limit: Limit,
) -> Result<Exit, TransportError> {
    let activity = Activity::new();
    let task = Task { connection, what, activity: &activity };
    tokio::select! {
        result = task.run(line, streams) => result,
        () = activity.expiry(limit) => Err(limit.expired(what, &connection.address)),
    }
}

/// A channel on which a command runs.
struct Running {
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    stderr: StderrFilter,
    /// Its place among the channels: kept until the server has closed it, for dropbear takes no other meanwhile.
    _place: OwnedSemaphorePermit,
}

/// Ends the command on the device when the call is given up: by the server where it does that, else by its number.
struct Abandon {
    running: Option<Running>,
    connection: Arc<Connection>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        let (Some(mut running), Ok(runtime)) = (self.running.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let connection = Arc::clone(&self.connection);
        runtime.spawn(async move {
            let farewell = async {
                // Whether a broken connection takes these is of no consequence.
                let _ = running.writer.signal(Sig::KILL).await;
                if let Some(pid) = running.find_pid().await {
                    kill_by_number(&connection, pid).await;
                }
                // The end of the command closes the channel.
                while running.reader.wait().await.is_some_and(|message| !matches!(message, ChannelMsg::Close)) {}
            };
            if timeout(ABANDON_LIMIT, farewell).await.is_err() {
                let _ = timeout(ABANDON_LIMIT, running.writer.close()).await;
            }
        });
    }
}

impl Running {
    /// Reads on until the process id has come; `None` when the command ended first.
    async fn find_pid(&mut self) -> Option<u32> {
        while self.stderr.pid().is_none() {
            match self.reader.wait().await? {
                ChannelMsg::ExtendedData { data, ext: EXTENDED_DATA_STDERR } => drop(self.stderr.pass(&data)),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
        self.stderr.pid()
    }
}

/// Kills the command and what it started: the server made it the leader of its group, or at least its parent.
async fn kill_by_number(connection: &Connection, pid: u32) {
    let script = format!("kill -KILL -{pid} 2>/dev/null||kill -KILL {pid} 2>/dev/null");
    let Ok(line) = quote::command_line(&["sh".to_owned(), "-c".to_owned(), script]) else { return };
    let Some(mut channel) = connection.extra_channel().await else { return };
    if channel.exec(true, line).await.is_ok() {
        let _ = channel.data(quote::INPUT_PREFIX.as_bytes()).await;
        while channel.wait().await.is_some() {}
    }
}

struct Task<'a> {
    connection: &'a Arc<Connection>,
    what: &'a str,
    activity: &'a Activity,
}

impl Task<'_> {
    async fn run(&self, line: String, streams: Streams<'_>) -> Result<Exit, TransportError> {
        let Streams { stdin, output, progress } = streams;
        let (channel, place) = self.connection.channel().await?;
        let (reader, writer) = channel.split();
        let running = Running { reader, writer, stderr: StderrFilter::default(), _place: place };
        let mut abandon = Abandon { running: Some(running), connection: Arc::clone(self.connection) };
        let Some(Running { reader, writer, stderr, .. }) = &mut abandon.running else { return Err(self.lost()) };
        // The answer to this request comes as a message: input need not wait for it.
        writer.exec(true, line).await.map_err(|_| self.lost())?;
        let result = tokio::select! {
            result = self.receive(reader, stderr, output) => result,
            // Completes only with an error: the command's own end decides.
            error = self.feed(writer, stdin, progress) => Err(error),
        };
        if result.is_ok() {
            abandon.running = None;
        }
        result
    }

    /// Sends the input until its end; a command that reads no further, or is gone, is not noticed here.
    async fn feed(
        &self,
        channel: &ChannelWriteHalf<Msg>,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> TransportError {
        let mut writer = channel.make_writer();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut sent_bytes = 0;
        // That a broken connection does not take it is told by the receiving side.
        let _ = writer.write_all(quote::INPUT_PREFIX.as_bytes()).await;
        loop {
            let mut rest = match stdin.read(&mut buffer).await {
                Ok(0) => break,
                Ok(length) => &buffer[..length],
                Err(error) => {
                    let reason = format!("{} on {}: read its input: {error}", self.what, self.connection.address);
                    return TransportError::new(ErrorKind::File, reason);
                }
            };
            while !rest.is_empty() {
                let Ok(length) = writer.write(rest).await else { return std::future::pending().await };
                rest = &rest[length..];
                sent_bytes += length as u64;
                self.activity.note();
                progress(sent_bytes);
            }
        }
        // Fails only when the connection is gone, which the receiving side tells.
        let _ = writer.shutdown().await;
        std::future::pending().await
    }

    async fn receive(
        &self,
        channel: &mut ChannelReadHalf,
        stderr: &mut StderrFilter,
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let mut exit = None;
        let mut stdout = OutputFilter::default();
        while let Some(message) = channel.wait().await {
            self.activity.note();
            match message {
                ChannelMsg::Data { data } => {
                    let passed = stdout.pass(&data).map_err(|TooMuch| self.prints_too_much())?;
                    if !passed.is_empty() {
                        output.stdout(&passed).await?;
                    }
                }
                ChannelMsg::ExtendedData { data, ext: EXTENDED_DATA_STDERR } => {
                    let passed = stderr.pass(&data);
                    if !passed.is_empty() {
                        output.stderr(&passed).await?;
                    }
                }
                ChannelMsg::ExitStatus { exit_status } => {
                    exit = Some(Exit::Code(i32::try_from(exit_status).map_err(|_| self.lost())?));
                }
                ChannelMsg::ExitSignal { signal_name, .. } => exit = Some(Exit::Signal(signal_number(&signal_name))),
                ChannelMsg::Failure => {
                    return Err(TransportError::new(
                        ErrorKind::LoginRunsNothing,
                        format!("{} on {}: the server did not start it", self.what, self.connection.address),
                    )
                    .with_hint(
                        "sshd could not start it (a limit on processes, say), or runs no commands for this login: its \
                         log says which",
                    ));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        let rest = stderr.finish();
        if !rest.is_empty() {
            output.stderr(&rest).await?;
        }
        // A login shell may have put standard error where the output goes.
        let tells = |marker: &str| stderr.tells(marker) || stdout.tells(marker);
        match exit {
            Some(Exit::Code(127)) if tells(quote::NO_INPUT_MARKER) => Err(self.reads_all()),
            Some(Exit::Code(127)) if tells(quote::NOT_FOUND_MARKER) => Err(TransportError::new(
                ErrorKind::CommandNotFound,
                format!("{} on {}: there is no such program, or it may not be run", self.what, self.connection.address),
            )),
            Some(Exit::Code(code)) if !stdout.is_found() => {
                Err(self.runs_nothing(code, &[stdout.greeting_end(), rest].concat()))
            }
            Some(exit) => Ok(exit),
            None => Err(self.lost()),
        }
    }

    /// The login ended before it had started the command: a shell that lets nobody in, or none at all.
    fn runs_nothing(&self, code: i32, said: &[u8]) -> TransportError {
        // Why it ended is what was said last.
        let end = &said[said.len().saturating_sub(MAX_WORDS_BYTES)..];
        let words = match single_line(&String::from_utf8_lossy(end)) {
            words if words.is_empty() => "said nothing".to_owned(),
            words => format!("said «{words}»"),
        };
        let message = format!(
            "{} on {}: its login runs no commands: it ended with exit code {code} and {words}",
            self.what, self.connection.address
        );
        if code == NOLOGIN {
            return TransportError::new(ErrorKind::LoginClosed, message)
                .with_hint("it may be /etc/nologin, or one of the login's limits (/etc/security/limits.conf)");
        }
        TransportError::new(ErrorKind::LoginRunsNothing, message).with_hint(
            "look at the user's shell in /etc/passwd, at its start files (an `exec` of another shell there takes each \
             command's place), at its password's age (chage -l), and at ForceCommand in sshd_config",
        )
    }

    fn reads_all(&self) -> TransportError {
        TransportError::new(
            ErrorKind::LoginRunsNothing,
            format!("{} on {}: its login shell reads the input of commands", self.what, self.connection.address),
        )
        .with_hint("let the shell's start files read nothing where there is no terminal: [ -t 0 ] || return")
    }

    fn prints_too_much(&self) -> TransportError {
        TransportError::new(
            ErrorKind::Protocol,
            format!(
                "{} on {}: its login shell printed more than {} MiB before it started the command",
                self.what,
                self.connection.address,
                GREETING_LIMIT_BYTES >> 20
            ),
        )
    }

    fn lost(&self) -> TransportError {
        TransportError::new(
            ErrorKind::ConnectionLost,
            format!(
                "{} on {}: the connection was lost before the command had ended ({})",
                self.what,
                self.connection.address,
                self.connection.end_reason()
            ),
        )
    }
}

/// The number of a signal on Linux; 0 for one that has no name in ssh's protocol.
fn signal_number(name: &Sig) -> i32 {
    use nix::sys::signal::Signal;
    let signal = match name {
        Sig::ABRT => Signal::SIGABRT,
        Sig::ALRM => Signal::SIGALRM,
        Sig::FPE => Signal::SIGFPE,
        Sig::HUP => Signal::SIGHUP,
        Sig::ILL => Signal::SIGILL,
        Sig::INT => Signal::SIGINT,
        Sig::KILL => Signal::SIGKILL,
        Sig::PIPE => Signal::SIGPIPE,
        Sig::QUIT => Signal::SIGQUIT,
        Sig::SEGV => Signal::SIGSEGV,
        Sig::TERM => Signal::SIGTERM,
        Sig::USR1 => Signal::SIGUSR1,
        Sig::Custom(name) => match name.as_str() {
            "USR2" => Signal::SIGUSR2,
            "BUS" => Signal::SIGBUS,
            "SYS" => Signal::SIGSYS,
            "TRAP" => Signal::SIGTRAP,
            _ => return 0,
        },
    };
    signal as i32
}
