//! The stream of a `ProxyCommand`: a program of the person's that reaches the server.
//!
//! Main type: [`ProxyStream`].

use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::config::Hop;
use crate::transport::ends::Ends;
use crate::transport::{ErrorKind, TransportError};
use crate::wording::single_line;

/// How long a program whose stream has ended may take to end itself.
const ENDING_LIMIT: Duration = Duration::from_secs(1);
/// Most of its own words that are told.
const MAX_WORDS_BYTES: usize = 400;

/// A program's output and input as one stream; the program is ended with it.
pub(super) struct ProxyStream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Whoever minds the program ends it when this is dropped.
    _alive: oneshot::Sender<()>,
    ending: ProxyEnding,
}

/// How a program ended, and what it said.
#[derive(Clone)]
pub(super) struct ProxyEnding {
    line: String,
    said: Arc<Mutex<Ends>>,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl ProxyStream {
    /// Starts the command, with ssh's tokens for this hop.
    pub(super) fn start(hop: &Hop, command: &str) -> Result<ProxyStream, TransportError> {
        let line = expanded(command, hop);
        let failed = |reason: String| {
            TransportError::new(ErrorKind::Unreachable, format!("start the ProxyCommand {line:?} for {hop}: {reason}"))
        };
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {line}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let (alive, dropped) = oneshot::channel();
        let (ended, status) = watch::channel(None);
        let said = Arc::new(Mutex::new(Ends::default()));
        tokio::spawn(mind(child, stderr, Arc::clone(&said), dropped, ended));
        Ok(ProxyStream { stdin, stdout, _alive: alive, ending: ProxyEnding { line, said, status } })
    }

    /// What can be asked when the stream is gone.
    pub(super) fn ending(&self) -> ProxyEnding {
        self.ending.clone()
    }
}

/// Reads what a program says and waits for its end, or ends it when its stream is dropped.
async fn mind(
    mut child: Child,
    mut stderr: ChildStderr,
    said: Arc<Mutex<Ends>>,
    dropped: oneshot::Receiver<()>,
    ended: watch::Sender<Option<ExitStatus>>,
) {
    let listening = async {
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            said.lock().unwrap_or_else(PoisonError::into_inner).note(&buffer[..length]);
        }
        child.wait().await
    };
    let by_itself = async {
        tokio::pin!(listening);
        tokio::select! {
            status = &mut listening => status.ok(),
            // Its last words and its end may be on their way.
            _ = dropped => timeout(ENDING_LIMIT / 2, listening).await.ok().and_then(Result::ok),
        }
    };
    let status = by_itself.await;
    ended.send_replace(status);
}

impl ProxyEnding {
    /// The failure of a connection through the program, with the program's own end and words.
    pub(super) async fn explain(mut self, mut error: TransportError) -> TransportError {
        let status = match timeout(ENDING_LIMIT, self.status.wait_for(Option::is_some)).await {
            Ok(Ok(status)) => *status,
            _ => None,
        };
        let end = self.said.lock().unwrap_or_else(PoisonError::into_inner).tail(MAX_WORDS_BYTES);
        let words = match single_line(&String::from_utf8_lossy(&end)) {
            words if words.is_empty() => String::new(),
            words => format!(": «{words}»"),
        };
        let line = &self.line;
        match status {
            Some(status) if !status.success() => {
                error.kind = ErrorKind::Unreachable;
                error.message.push_str(&format!("; the ProxyCommand {line:?} ended with {status}{words}"));
                error.hint = Some("try that command by hand, as the one who runs farmctl".to_owned());
            }
            _ if !words.is_empty() => error.message.push_str(&format!("; the ProxyCommand {line:?} said{words}")),
            _ if error.kind == ErrorKind::Timeout => {
                error.message.push_str(&format!("; the ProxyCommand {line:?} said nothing"));
            }
            _ => {}
        }
        error
    }
}

/// The command with `%h`, `%p`, `%r`, `%n` and `%%`.
fn expanded(command: &str, hop: &Hop) -> String {
    let mut line = String::new();
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '%' { characters.next() } else { None }) {
            ('%', Some('h')) => line.push_str(&hop.host),
            ('%', Some('n')) => line.push_str(&hop.alias),
            ('%', Some('p')) => line.push_str(&hop.port.to_string()),
            ('%', Some('r')) => line.push_str(&hop.user),
            ('%', Some('%')) => line.push('%'),
            ('%', Some(other)) => line.extend(['%', other]),
            (other, _) => line.push(other),
        }
    }
    line
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}
