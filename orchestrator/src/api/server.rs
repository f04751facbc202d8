//! Connections: how many, how slow they may be, and what ends them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_io_timeout::TimeoutWriter;

use super::places::{Place, Places};
use super::{Api, Tls};

/// How long the head of a request may take to arrive, and a connection that is kept may say nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a peer may take nothing of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// After a connection could not be taken (no more files, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A server that runs; it ends with this value, and its connections with it.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Listens at an address.
///
/// # Errors
/// When it is another program's, or none of this host.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers who asks there.
///
/// # Errors
/// When the listener has no address.
pub fn serve(api: &Arc<Api>, listener: TcpListener, tls: Option<Tls>) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let tasks = [tokio::spawn(accept(listener, tls, api.router())), tokio::spawn(Arc::clone(api).tell_viewers())];
    Ok(Server { address, tasks })
}

/// Takes connections, for ever. They end with this task.
async fn accept(listener: TcpListener, tls: Option<Tls>, router: Router) {
    let places = Places::default();
    let mut connections = JoinSet::new();
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            Some(_) = connections.join_next() => continue,
        };
        match taken {
            Ok((stream, peer)) => {
                // Without a place it is closed at once: who is in is not held up by who wants in.
                if let Some(place) = places.take(peer.ip()) {
                    let router = router.clone().layer(Extension(place.requests())).layer(Extension(Peer(peer)));
                    connections.spawn(connection(stream, tls.clone(), router, place));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection, until it ends, or until its place is another's: whoever asks nothing makes room for whoever comes.
async fn connection(stream: TcpStream, tls: Option<Tls>, router: Router, place: Place) {
    tokio::select! {
        () = answer(stream, tls, router) => {}
        () = place.lost() => {}
    }
}

async fn answer(stream: TcpStream, tls: Option<Tls>, router: Router) {
    // A small answer is sent at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let Some(tls) = tls else { return speak(stream, router).await };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, router).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS came about"),
        Err(_) => {}
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection broke off");
    }
}
