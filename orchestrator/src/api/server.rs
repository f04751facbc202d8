//! Connections: how many, how slow they may be, and what ends them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep};

use super::{Api, Tls};

/// Connections at the same time: more are closed at once, so that files for sweeps' own connections stay.
const MAX_CONNECTIONS: usize = 512;
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
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            Some(_) = connections.join_next() => continue,
        };
        match taken {
            Ok((stream, peer)) => {
                // Without a place it is closed at once: who is in is not held up by who wants in.
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let router = router.clone().layer(Extension(Peer(peer)));
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

async fn connection(stream: TcpStream, tls: Option<Tls>, router: Router, _place: OwnedSemaphorePermit) {
    // A small answer is sent at once.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream);
    let Some(Tls(acceptor)) = tls else { return speak(stream, router).await };
    match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
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

/// A stream whose writes fail when the peer takes nothing for a while.
struct Patient<S> {
    stream: S,
    /// Since a write waits: when it fails.
    give_up: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Patient<S> {
        Patient { stream, give_up: None }
    }

    /// Lets what is not ready wait, but not for ever.
    fn wait<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.give_up = None;
            return polled;
        }
        let give_up = || Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_TIMEOUT));
        ready!(self.give_up.get_or_insert_with(give_up).as_mut().poll(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wait(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.wait(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.wait(context, polled)
    }
}
