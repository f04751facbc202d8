//! One command over the service `exec:`, for a device whose daemon has no shell protocol (before Android 7).
//!
//! Main function: [`exec`]. The service is one stream of bytes: no exit code, no standard error apart, no end of input.
//! So a script goes round the command, which prints a marker with the exit code behind the command's output, then its
//! standard error, then a last marker. Output that ends without the last marker is a lost connection. What goes in is
//! first written to a file of the device, so a command starts once its input has ended. Standard error waits in a file
//! until the command has ended; it is lost where no file can be written.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::exec::{Abandon, Running, Target};
use super::shell_v2::Exchange;
use super::signal::SignalFilter;
use super::sync::{Sending, send};
use crate::transport::quote::PID_MARKER;
use crate::transport::stderr::StderrFilter;
use crate::transport::streams::{Activity, Streams};
use crate::transport::{Exit, OutputSink, TransportError};

/// Where every Android lets its shell write. Names here are removed as soon as they are opened.
const TEMPORARY_PREFIX: &str = "/data/local/tmp/.farmctl-";
const MARKER_PREFIX: &str = "farmctl-exit:";
const READ_BUFFER_BYTES: usize = 256 << 10;
/// A server ends itself when a daemon of its oldest protocol is asked for more.
const MAX_SCRIPT_BYTES: usize = 4000;
/// Longest exit code, with room to spare.
const MAX_CODE_BYTES: usize = 16;

/// A name for a file that no other call has, not even one of another host.
pub(super) fn temporary_path() -> String {
    format!("{TEMPORARY_PREFIX}{}", nonce())
}

/// Sixteen digits that no other call has.
pub(super) fn nonce() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Runs a script; its streams as in the shell protocol.
pub(super) async fn exec(
    target: &Arc<Target>,
    script: &str,
    what: &str,
    streams: Streams<'_>,
    activity: &Activity,
) -> Result<Exit, TransportError> {
    let Streams { stdin, output, progress } = streams;
    let nonce = nonce();
    let base = format!("{TEMPORARY_PREFIX}{nonce}");
    let mut first = [0; 1];
    let length = stdin.read(&mut first).await.map_err(|error| target.input_unreadable(what, &error))?;
    if length > 0 {
        let path = format!("{base}.in");
        let sending = Sending { path: &path, folder: None, what, activity };
        send(target, &sending, &mut (&first[..]).chain(stdin), progress).await?;
    }
    let mut service = format!("exec:{}", wrapped(script, &nonce, length > 0));
    if service.len() > MAX_SCRIPT_BYTES {
        let path = format!("{base}.sh");
        let sending = Sending { path: &path, folder: None, what, activity };
        send(target, &sending, &mut service.trim_start_matches("exec:").as_bytes(), &mut |_| {}).await?;
        service = format!("exec:exec sh {path}");
    }
    let stream = target.server.open(&target.handle, &service, what).await?;
    let mut abandon = Abandon::new(Running { stream, stderr: StderrFilter::default() }, Arc::clone(target));
    let exchange = Exchange { what, address: &target.address, activity };
    let result = match abandon.running() {
        Some(Running { stream, stderr }) => receive(&exchange, stream, stderr, &nonce, output).await,
        None => Err(exchange.lost(&std::io::ErrorKind::NotConnected.into())),
    };
    if result.is_ok() {
        abandon.over();
    }
    result
}

/// The script round the command's: the files lose their names at once, so that nothing is left behind however this
/// ends. The markers are not there in one piece: what prints the command lines of processes does not print a marker.
fn wrapped(script: &str, nonce: &str, has_input: bool) -> String {
    let input = if has_input { "\"$f.in\"" } else { "/dev/null" };
    format!(
        "echo {PID_MARKER}$$;f={TEMPORARY_PREFIX}{nonce};exec <{input};\
         if (: >\"$f.err\") 2>/dev/null;then exec 8>\"$f.err\" 9<\"$f.err\";else exec 8>/dev/null 9</dev/null;fi;\
         rm -f \"$f.in\" \"$f.err\" \"$f.sh\";({script}) 2>&8 8>&- 9<&-;c=$?;exec 8>&-;m=farmctl-exit;\
         echo \"$m:{nonce}:$c\";cat <&9;echo \"$m:{nonce}:end\""
    )
}

/// Drains a command's stream until the last marker.
async fn receive(
    exchange: &Exchange<'_>,
    stream: &mut TcpStream,
    beginning: &mut StderrFilter,
    nonce: &str,
    output: &mut dyn OutputSink,
) -> Result<Exit, TransportError> {
    let marker = format!("{MARKER_PREFIX}{nonce}:");
    let mut parts = Parts::new(&marker);
    let (mut stderr, mut signal) = (StderrFilter::default(), SignalFilter::default());
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    while !parts.are_whole() {
        let length = stream.read(&mut buffer).await.map_err(|error| exchange.lost(&error))?;
        if length == 0 {
            return Err(exchange.lost(&std::io::ErrorKind::UnexpectedEof.into()));
        }
        exchange.activity.note();
        let (out, err) = parts.take(&beginning.pass(&buffer[..length]));
        if !out.is_empty() {
            output.stdout(&out).await?;
        }
        let err = signal.pass(&stderr.pass(&err));
        if !err.is_empty() {
            output.stderr(&err).await?;
        }
    }
    let mut rest = signal.pass(&stderr.finish());
    let signal = signal.finish().map_err(|held| rest.extend(held)).ok();
    if !rest.is_empty() {
        output.stderr(&rest).await?;
    }
    exchange.exit(parts.code(), signal, &stderr)
}

/// Tells apart what comes in one stream: standard output, marker and code, standard error, last marker.
struct Parts {
    marker: Vec<u8>,
    last_marker: Vec<u8>,
    held: Vec<u8>,
    code: Vec<u8>,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Output,
    Code,
    Error,
    End,
}

impl Parts {
    fn new(marker: &str) -> Parts {
        let last_marker = format!("{marker}end\n").into_bytes();
        Parts { marker: marker.into(), last_marker, held: Vec::new(), code: Vec::new(), at: At::Output }
    }

    /// What is standard output and standard error, of these bytes and of what was held back.
    fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        if self.at == At::Output {
            let found = split_at_marker(&mut held, &self.marker, &mut out);
            if found {
                self.at = At::Code;
            }
        }
        if self.at == At::Code {
            match held.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.code = held.drain(..=end).collect();
                    self.at = At::Error;
                }
                // So long a code is none.
                None if held.len() > MAX_CODE_BYTES => self.at = At::Error,
                None => {}
            }
        }
        if self.at == At::Error && split_at_marker(&mut held, &self.last_marker, &mut err) {
            self.at = At::End;
        }
        self.held = held;
        (out, err)
    }

    fn are_whole(&self) -> bool {
        self.at == At::End
    }

    fn code(&self) -> Option<u8> {
        std::str::from_utf8(&self.code).ok()?.trim_end().parse().ok()
    }
}

/// Moves what stands before the marker, and takes the marker out; else moves all that can't be its beginning.
fn split_at_marker(held: &mut Vec<u8>, marker: &[u8], before: &mut Vec<u8>) -> bool {
    let first = marker.first().copied().unwrap_or_default();
    let mut start = 0;
    while let Some(step) = held[start..].iter().position(|byte| *byte == first) {
        start += step;
        let there = &held[start..];
        if there.starts_with(marker) {
            let rest = held.split_off(start + marker.len());
            held.truncate(start);
            *before = std::mem::replace(held, rest);
            return true;
        }
        if marker.starts_with(there) {
            break;
        }
        start += 1;
    }
    let start = if held[start..].first() == Some(&first) { start } else { held.len() };
    let rest = held.split_off(start);
    *before = std::mem::replace(held, rest);
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn through(chunks: &[&[u8]]) -> (String, String, Option<u8>, bool) {
        let mut parts = Parts::new("farmctl-exit:7:");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let (more_out, more_err) = parts.take(chunk);
            out.extend(more_out);
            err.extend(more_err);
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err), parts.code(), parts.are_whole())
    }

    #[test]
    fn the_parts_are_told_apart_however_they_come() {
        let all = b"output ffarmctl-exit:8:\nfarmctl-exit:7:127\nerror farmctl-exit:7:en\nfarmctl-exit:7:end\n";
        let wanted = ("output ffarmctl-exit:8:\n".to_owned(), "error farmctl-exit:7:en\n".to_owned(), Some(127), true);
        for size in [1, 2, 3, 7, 16, all.len()] {
            let chunks: Vec<&[u8]> = all.chunks(size).collect();
            assert_eq!(through(&chunks), wanted, "in chunks of {size}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_whole() {
        let all: &[u8] = b"output\nfarmctl-exit:7:0\nerror\nfarmctl-exit:7:end\n";
        for length in 0..all.len() {
            assert!(!through(&[&all[..length]]).3, "after {length} bytes");
        }
        assert!(through(&[all]).3);
        assert_eq!(through(&[b"farmctl-exit:7:\nfarmctl-exit:7:end\n"]).2, None, "no code is no success");
    }

    #[test]
    fn the_script_has_no_marker_in_one_piece() {
        assert!(!wrapped("true", "7", true).contains("farmctl-exit:7"));
    }
}
