//! A TCP proxy that breaks on command.
//!
//! Main type: [`FaultProxy`]. It runs as tasks of the runtime it is started in and ends with its value.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::LabError;

const BUFFER_BYTES: usize = 16 << 10;
const UNLIMITED: u64 = u64::MAX;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who connects to the server behind.
    ToServer,
    /// From the server to who connected.
    ToClient,
}

/// What happens to bytes now; a change counts for connections that are there already.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// New connections are closed at once.
    refuse: bool,
    /// Nothing moves, and nothing is closed.
    stall: bool,
    /// Speed of each direction.
    bytes_per_second: Option<u64>,
    /// The connection is cut once so many bytes in all have gone this way.
    cut_after: [u64; 2],
    /// Bits of bytes are turned round.
    garble: Option<Direction>,
    /// Bytes are sent twice.
    duplicate: Option<Direction>,
    /// Counts cuts: connections of an older count are closed.
    generation: u64,
}

impl Fault {
    /// None, for connections from the count of cuts on.
    fn none(generation: u64) -> Fault {
        Fault {
            refuse: false,
            stall: false,
            bytes_per_second: None,
            cut_after: [UNLIMITED; 2],
            garble: None,
            duplicate: None,
            generation,
        }
    }
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy)]
struct CutAt {
    direction: Direction,
    bytes: u64,
}

/// What a connection is made with.
#[derive(Debug)]
struct Route {
    /// The server behind.
    server: SocketAddr,
    /// Where the next connections are cut, one each.
    cuts: VecDeque<CutAt>,
    /// Where all others are.
    each: Option<CutAt>,
}

/// A proxy in front of one server.
pub struct FaultProxy {
    address: SocketAddr,
    route: Arc<Mutex<Route>>,
    fault: watch::Sender<Fault>,
    counters: Arc<[AtomicU64; 2]>,
    task: AbortHandle,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `server`.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start(server: SocketAddr) -> Result<FaultProxy, LabError> {
        FaultProxy::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), server).await
    }

    /// The same at an address of this machine.
    ///
    /// # Errors
    /// When it can't listen there.
    pub async fn start_at(at: SocketAddr, server: SocketAddr) -> Result<FaultProxy, LabError> {
        let failed = || LabError::file("listen on", at.to_string());
        let listener = TcpListener::bind(at).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (sender, receiver) = watch::channel(Fault::none(0));
        let counters = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let route = Arc::new(Mutex::new(Route { server, cuts: VecDeque::new(), each: None }));
        let task = tokio::spawn(accept(listener, Arc::clone(&route), receiver, Arc::clone(&counters))).abort_handle();
        Ok(FaultProxy { address, route, fault: sender, counters, task })
    }

    /// Where to connect instead of to the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that went this way, over all connections.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.counters[direction as usize].load(Ordering::SeqCst)
    }

    /// Everything passes again, for new connections and stalled ones.
    pub fn pass(&self) {
        self.fault.send_modify(|fault| *fault = Fault::none(fault.generation));
    }

    /// Closes every connection now.
    pub fn cut(&self) {
        self.fault.send_modify(|fault| fault.generation += 1);
    }

    /// Closes the connection once `bytes` more have gone this way.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        let limit = self.bytes(direction).saturating_add(bytes);
        self.fault.send_modify(|fault| fault.cut_after[direction as usize] = limit);
    }

    /// Closes the next connection that nobody has such plans for, once `bytes` have gone this way on it.
    pub fn cut_next(&self, direction: Direction, bytes: u64) {
        self.route().cuts.push_back(CutAt { direction, bytes });
    }

    /// Closes each connection that is made from now on, once `bytes` have gone this way on it.
    pub fn cut_each(&self, direction: Direction, bytes: u64) {
        self.route().each = Some(CutAt { direction, bytes });
    }

    /// Another server has the address from now on: connections that are there are closed.
    pub fn redirect(&self, server: SocketAddr) {
        self.route().server = server;
        self.cut();
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing moves any more, but connections stay open, until [`FaultProxy::pass`].
    pub fn stall(&self) {
        self.fault.send_modify(|fault| fault.stall = true);
    }

    /// Limits the speed of each direction.
    pub fn slow(&self, bytes_per_second: u64) {
        self.fault.send_modify(|fault| fault.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Closes new connections at once.
    pub fn refuse(&self) {
        self.fault.send_modify(|fault| fault.refuse = true);
    }

    /// Damages every byte that goes this way.
    pub fn garble(&self, direction: Direction) {
        self.fault.send_modify(|fault| fault.garble = Some(direction));
    }

    /// Sends every portion that goes this way twice.
    pub fn duplicate(&self, direction: Direction) {
        self.fault.send_modify(|fault| fault.duplicate = Some(direction));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    route: Arc<Mutex<Route>>,
    fault: watch::Receiver<Fault>,
    counters: Arc<[AtomicU64; 2]>,
) {
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if !fault.borrow().refuse {
            let (server, cut) = {
                let mut route = route.lock().unwrap_or_else(PoisonError::into_inner);
                (route.server, route.cuts.pop_front().or(route.each))
            };
            connections.spawn(relay(client, server, cut, fault.clone(), Arc::clone(&counters)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    cut_at: Option<CutAt>,
    fault: watch::Receiver<Fault>,
    counters: Arc<[AtomicU64; 2]>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let generation = fault.borrow().generation;
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = fault.clone();
    let left = |direction| cut_at.filter(|cut| cut.direction == direction).map_or(UNLIMITED, |cut| cut.bytes);
    let pump =
        |direction| Pump { direction, left: left(direction), fault: fault.clone(), counters: Arc::clone(&counters) };
    let (up, down) = (pump(Direction::ToServer), pump(Direction::ToClient));
    tokio::select! {
        _ = cut.wait_for(|fault| fault.generation != generation) => {}
        // One direction that is cut ends both; one that ended in order lets the other go on.
        _ = async { tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client)) } => {}
    }
}

/// The whole connection is to end.
struct Cut;

struct Pump {
    direction: Direction,
    /// Bytes until this connection is cut.
    left: u64,
    fault: watch::Receiver<Fault>,
    counters: Arc<[AtomicU64; 2]>,
}

impl Pump {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Cut> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            // The limit of a slow line is kept by small portions.
            let rate = self.fault.borrow().bytes_per_second;
            let portion = rate.map_or(BUFFER_BYTES, |rate| (rate / 20).clamp(1, BUFFER_BYTES as u64) as usize);
            let Ok(length @ 1..) = from.read(&mut buffer[..portion]).await else { break };
            if self.fault.wait_for(|fault| !fault.stall).await.is_err() {
                return Err(Cut);
            }
            let fault = *self.fault.borrow();
            let counter = &self.counters[self.direction as usize];
            let left = fault.cut_after[self.direction as usize].saturating_sub(counter.load(Ordering::SeqCst));
            let left = left.min(self.left);
            let passed = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            if fault.garble == Some(self.direction) {
                buffer[..passed].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            let times = if fault.duplicate == Some(self.direction) { 2 } else { 1 };
            let mut is_written = true;
            for _ in 0..times {
                is_written = is_written && to.write_all(&buffer[..passed]).await.is_ok();
            }
            if !is_written {
                break;
            }
            counter.fetch_add(passed as u64, Ordering::SeqCst);
            self.left = self.left.saturating_sub(passed as u64);
            if passed < length {
                return Err(Cut);
            }
            if let Some(rate) = fault.bytes_per_second {
                tokio::time::sleep(Duration::from_secs_f64(passed as f64 / rate as f64)).await;
            }
        }
        let _ = to.shutdown().await;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_duplicate_comes_twice_and_only_that_way() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = FaultProxy::start(server.local_addr().unwrap()).await.unwrap();
        proxy.duplicate(Direction::ToServer);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        let mut received = String::new();
        served.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "abcabc");
        served.write_all(b"xyz").await.unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "xyz");
    }
}
