//! A port that nobody listens at.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

use crate::LabError;

/// A port of 127.0.0.1 that refuses connections. It is taken for as long as this value is there: no other test gets it,
/// and none of them is connected to by mistake.
pub struct ClosedPort {
    port: u16,
    _socket: OwnedFd,
}

impl ClosedPort {
    /// Takes a free one.
    ///
    /// # Errors
    /// When there is none.
    pub fn take() -> Result<ClosedPort, LabError> {
        let failed = |error: nix::Error| LabError::file("take a port of", "127.0.0.1")(error.into());
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).map_err(failed)?;
        let port = getsockname::<SockaddrIn>(socket.as_raw_fd()).map_err(failed)?.port();
        Ok(ClosedPort { port, _socket: socket })
    }

    /// Which one.
    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn it_refuses_and_nobody_else_gets_it() {
        let closed = ClosedPort::take().unwrap();
        let address = ("127.0.0.1", closed.port());
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
