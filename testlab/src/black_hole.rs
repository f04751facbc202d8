//! An address that does not answer.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};

use crate::LabError;

/// More connections than any queue here holds.
const MANY: usize = 64;
/// On loopback a connection that is going to be accepted is accepted at once.
const FILL_LIMIT: Duration = Duration::from_millis(200);

/// A port of 127.0.0.1 whose queue of connections is full and is never served: what is sent there vanishes, as behind a
/// firewall that drops.
pub struct BlackHole {
    port: u16,
    _listener: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens one on a free port.
    ///
    /// # Errors
    /// When it can't listen, or the queue does not get full.
    pub fn open() -> Result<BlackHole, LabError> {
        let failed = |error: nix::Error| LabError::file("listen on", "127.0.0.1")(error.into());
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
        bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).map_err(failed)?;
        listen(&listener, Backlog::new(0).map_err(failed)?).map_err(failed)?;
        let port = getsockname::<SockaddrIn>(listener.as_raw_fd()).map_err(failed)?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, FILL_LIMIT) {
            queued.push(stream);
            if queued.len() > MANY {
                return Err(failed(nix::Error::EAGAIN));
            }
        }
        Ok(BlackHole { port, _listener: listener, _queued: queued })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}
