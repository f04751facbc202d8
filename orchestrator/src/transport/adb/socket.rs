//! One connection to an adb server, on which one service is asked for.
//!
//! Main type: [`ServerSocket`]. The protocol is described in OVERVIEW.TXT and SERVICES.TXT of AOSP's
//! `packages/modules/adb`: four hexadecimal digits of length, the name of the service, then `OKAY`, or `FAIL` with a
//! reason. Has no deadlines of its own: dropping the socket ends what was asked for.

use std::io;
use std::str;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::address::ServerAddress;
use super::words::{ServerWord, server_says};
use crate::transport::{ErrorKind, TransportError};

/// Longest name of a service: the length has four hexadecimal digits.
const MAX_REQUEST_BYTES: usize = 0xffff;
const STATUS_BYTES: usize = 4;

/// Why the server did not do what it was asked.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server said this.
    Fail(String),
    /// The connection broke, or what came is not the protocol.
    Broken(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Broken(error)
    }
}

impl Refusal {
    /// As the error of `what`.
    pub(super) fn of(self, what: &str, address: &str) -> TransportError {
        match self {
            Refusal::Fail(reason) => {
                let word = server_says(&reason);
                let kind = match word {
                    ServerWord::Unauthorized | ServerWord::NoPermission => ErrorKind::Unauthorized,
                    ServerWord::Ambiguous => ErrorKind::NameUnknown,
                    ServerWord::Closed | ServerWord::Gone => ErrorKind::ConnectionLost,
                    ServerWord::Unlisted => ErrorKind::Unreachable,
                    ServerWord::Refused => ErrorKind::Refused,
                    ServerWord::Unknown => ErrorKind::Protocol,
                };
                let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                let error =
                    TransportError::new(kind, format!("{what} on {address}: the adb server answered: {reason}"));
                match word.remedy() {
                    Some(remedy) => error.with_hint(remedy),
                    None => error,
                }
            }
            Refusal::Broken(error) => TransportError::new(
                ErrorKind::ConnectionLost,
                format!("{what} on {address}: the connection to the adb server broke: {error}"),
            ),
        }
    }
}

/// A connection to an adb server.
pub(super) struct ServerSocket {
    stream: TcpStream,
}

impl ServerSocket {
    pub(super) async fn connect(address: &ServerAddress) -> io::Result<ServerSocket> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        // Requests are small packets that wait for an answer.
        stream.set_nodelay(true)?;
        Ok(ServerSocket { stream })
    }

    /// Asks for a service and waits until the server agrees.
    pub(super) async fn request(&mut self, service: &str) -> Result<(), Refusal> {
        if service.len() > MAX_REQUEST_BYTES {
            let length = service.len();
            return Err(Refusal::Fail(format!("a request of {length} bytes is longer than {MAX_REQUEST_BYTES}")));
        }
        self.stream.write_all(format!("{:04x}{service}", service.len()).as_bytes()).await?;
        let mut status = [0; STATUS_BYTES];
        self.stream.read_exact(&mut status).await?;
        match &status {
            b"OKAY" => Ok(()),
            b"FAIL" => Err(Refusal::Fail(self.text().await?)),
            other => Err(not_the_protocol(other).into()),
        }
    }

    /// Reads a text with its length in front.
    pub(super) async fn text(&mut self) -> io::Result<String> {
        let mut digits = [0; STATUS_BYTES];
        self.stream.read_exact(&mut digits).await?;
        let length = str::from_utf8(&digits).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let mut text = vec![0; usize::from(length.ok_or_else(|| not_the_protocol(&digits))?)];
        self.stream.read_exact(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The bare stream, once a service of the device runs on it.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

fn not_the_protocol(bytes: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(bytes);
    io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} came where an adb server says OKAY or FAIL"))
}
