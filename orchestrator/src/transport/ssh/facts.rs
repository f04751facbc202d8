//! What a connection learns about itself, and what its server says.
//!
//! Main types: [`Facts`] and [`Overheard`].

use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use russh::Disconnect;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::wording::single_line;

/// Most bytes before a server's identification that are kept.
const MAX_GREETING_BYTES: usize = 512;

/// What a connection learns about itself while it lives.
#[derive(Default)]
pub(super) struct Facts {
    /// Why it ended, once it did.
    pub end: OnceLock<String>,
    /// Set where the server is at a loopback address.
    pub is_loopback: OnceLock<()>,
    /// Whether the server calls itself dropbear.
    pub is_dropbear: OnceLock<bool>,
    /// The reason that the server gave for ending it, as a message of the protocol.
    pub disconnect: OnceLock<Disconnect>,
    /// Set when it ended because the server said something that is no text.
    pub is_unreadable: OnceLock<()>,
    /// Whether the login waits for the person's ssh agent to sign.
    pub waits_for_agent: AtomicBool,
    /// What the server shows to who logs in.
    pub banner: OnceLock<String>,
    /// What it said before it said that it speaks ssh.
    pub greeting: Arc<Mutex<Vec<u8>>>,
}

impl Facts {
    /// Notes where the server is. What is behind a program or a jump host is at no address that is known here.
    pub(super) fn note_peer(&self, stream: Option<&TcpStream>) {
        let peer = stream.and_then(|stream| stream.peer_addr().ok());
        if peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            let _ = self.is_loopback.set(());
        }
    }

    /// The server's own words, for a message about a failure; empty when it said nothing.
    pub(super) fn words(&self) -> String {
        let greeting = self.greeting.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = [text_before_ssh(&greeting), self.banner.get().map_or("", String::as_str).to_owned()];
        let end = self.end.get().filter(|_| self.disconnect.get().is_some());
        let said = texts.iter().map(|text| single_line(text)).filter(|text| !text.is_empty());
        let said: Vec<String> = said.map(|text| format!("the server said «{text}»")).chain(end.cloned()).collect();
        if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) }
    }
}

/// The lines before a server's identification, which RFC 4253 allows: some say there why they take nobody.
fn text_before_ssh(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().take_while(|line| !line.starts_with("SSH-")).collect::<Vec<_>>().join(" ")
}

/// A stream of which the first bytes that come are kept.
pub(super) struct Overheard<S> {
    pub stream: S,
    pub heard: Arc<Mutex<Vec<u8>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_GREETING_BYTES.saturating_sub(heard.len());
        if room > 0 {
            let new = &buffer.filled()[before..];
            heard.extend_from_slice(&new[..new.len().min(room)]);
        }
        drop(heard);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_own_words_are_told_and_what_follows_its_identification_is_not() {
        let facts = Facts::default();
        assert_eq!(facts.words(), "");
        facts.greeting.lock().expect("nobody panicked").extend(b"Exceeded MaxStartups\r\nSSH-2.0-x\r\n\0\0\x01");
        assert_eq!(facts.words(), " (the server said «Exceeded MaxStartups»)");
        // In whatever encoding, and whatever it would do to a terminal.
        let latin = Facts::default();
        latin.greeting.lock().expect("nobody panicked").extend(b"Caf\xe9 ferm\xe9 \x1b[31m\r\nSSH-2.0-x\r\n");
        assert_eq!(latin.words(), " (the server said «Caf\u{fffd} ferm\u{fffd} [31m»)");
        facts.banner.set("System is going down\n".to_owned()).expect("it was empty");
        assert_eq!(facts.words(), " (the server said «Exceeded MaxStartups»; the server said «System is going down»)");
    }
}
