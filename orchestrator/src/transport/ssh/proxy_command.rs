//! The stream of a `ProxyCommand`: a program of the person's that reaches the server.
//!
//! Main type: [`ProxyStream`].

use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::config::Hop;
use crate::transport::{ErrorKind, TransportError};

/// A program's output and input as one stream; the program is ended with it.
pub(super) struct ProxyStream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Killed when it is dropped.
    _child: Child,
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
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(ProxyStream { stdin, stdout, _child: child }),
            _ => Err(failed("it has no pipes".to_owned())),
        }
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
