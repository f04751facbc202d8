//! The services of the server that the crate `adb_client` serves well: is it there, end it, what is offline, and mDNS.
//!
//! Main function: [`call`]. The crate blocks, and has no deadlines. So each call runs in a thread of its own, through a
//! relay on this host that is cut when the call's time is over: then the call ends, and the thread with it. The crate
//! is not used where bytes of a device move: it drops the exit code of a command, takes output that was cut off for a
//! success, and writes whole files only. Nor for lists and connecting: one line that it doesn't know spoils its whole
//! list, and it takes addresses of IPv4 alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use adb_client::RustADBError;
use adb_client::server::ADBServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::ServerAddress;
use super::socket::Refusal;

/// Calls at the same time, and so threads.
const MAX_CALLS: usize = 8;
/// Before each call to a server of this host the crate starts `adb start-server`, for adb's default port whatever the
/// address. The relay is of this host, so it gets a program that can't be started; `start` does the starting.
const NO_PROGRAM: &str = "";

static CALLS: Semaphore = Semaphore::const_new(MAX_CALLS);

/// Makes one call of the crate that takes at most `deadline`; `None` when it took longer.
pub(super) async fn call<T: Send + 'static>(
    address: &ServerAddress,
    deadline: Duration,
    make: impl FnOnce(&mut ADBServer) -> adb_client::Result<T> + Send + 'static,
) -> Option<Result<T, Refusal>> {
    let relayed = async {
        // Never closed: an error can't come.
        let _permit = CALLS.acquire().await;
        let mut server = TcpStream::connect((address.host.as_str(), address.port)).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let SocketAddr::V4(relay) = listener.local_addr()? else { return Err(io::Error::other("no IPv4 here").into()) };
        let calling = tokio::task::spawn_blocking(move || blocking(relay, make));
        let relaying = async {
            let (mut client, _) = listener.accept().await?;
            // Only this one call goes through.
            drop(listener);
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        };
        tokio::pin!(calling);
        tokio::select! {
            outcome = &mut calling => outcome.map_err(io::Error::other)?,
            broken = relaying => {
                // Its sockets are closed now: the call ends.
                let outcome = calling.await.map_err(io::Error::other)?;
                broken?;
                outcome
            }
        }
    };
    timeout(deadline, relayed).await.ok()
}

fn blocking<T>(relay: SocketAddrV4, make: impl FnOnce(&mut ADBServer) -> adb_client::Result<T>) -> Result<T, Refusal> {
    let mut server = ADBServer::new_from_path(relay, Some(NO_PROGRAM.to_owned()));
    make(&mut server).map_err(|error| match error {
        RustADBError::ADBRequestFailed(reason) => Refusal::Fail(reason),
        RustADBError::IOError(error) => Refusal::Broken(error),
        other => Refusal::Broken(io::Error::new(io::ErrorKind::InvalidData, other.to_string())),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_server_that_says_nothing_ends_the_call_and_its_thread() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ServerAddress { host: "127.0.0.1".to_owned(), port: silent.local_addr().unwrap().port() };
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let outcome = call(&address, Duration::from_millis(200), move |server| {
            let outcome = server.version();
            told.store(true, Ordering::SeqCst);
            outcome
        });
        assert!(outcome.await.is_none());
        let end = tokio::time::Instant::now() + Duration::from_secs(60);
        while !ended.load(Ordering::SeqCst) {
            assert!(tokio::time::Instant::now() < end, "the thread is stuck");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_refused() {
        let closed = testlab::ClosedPort::take().unwrap();
        let address = ServerAddress { host: "127.0.0.1".to_owned(), port: closed.port() };
        let outcome = call(&address, Duration::from_secs(60), |server| server.version().map(drop)).await.unwrap();
        assert!(matches!(outcome, Err(Refusal::Broken(error)) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}
