//! Who has a place among the connections, and who gets one when there is none left.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::shares::Share;

/// Connections at the same time, so that files for sweeps' own connections stay.
const MAX_CONNECTIONS: usize = 512;
/// Of these, those that only the loopback gets.
const OF_LOOPBACK: usize = 64;
/// Most that one address gets; the loopback gets more: all who come through a proxy of this host come from there.
const OF_ADDRESS: usize = 32;
const OF_LOOPBACK_AT_MOST: usize = 256;

/// The places. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, Seat>,
}

/// A place that is taken.
#[derive(Debug, Clone)]
struct Seat {
    from: IpAddr,
    /// Requests that are being answered.
    asked: Arc<AtomicU32>,
    lost: Arc<Notify>,
}

/// A place of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    seat: Seat,
    places: Places,
}

impl Places {
    /// A place for a connection from there; `None` where it gets none. Of whom a share is full, the one that has asked
    /// nothing for longest goes.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let from = share_of(from);
        let mut taken = self.taken();
        let of_address = taken.by_number.values().filter(|seat| seat.from == from).count();
        let (of_address_at_most, of_all) = match from.is_loopback() {
            true => (OF_LOOPBACK_AT_MOST, MAX_CONNECTIONS),
            false => (OF_ADDRESS, MAX_CONNECTIONS - OF_LOOPBACK),
        };
        if of_address >= of_address_at_most {
            taken.give_up(&|seat| seat.from == from)?;
        } else if taken.by_number.len() >= of_all {
            taken.give_up(&|_| true)?;
        }
        let number = taken.next;
        taken.next += 1;
        let seat = Seat { from, asked: Arc::default(), lost: Arc::default() };
        taken.by_number.insert(number, seat.clone());
        Some(Place { number, seat, places: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Takes the place of the oldest of these that asks nothing now; `None` where each does.
    fn give_up(&mut self, is_of_these: &dyn Fn(&Seat) -> bool) -> Option<()> {
        let is_idle = |seat: &Seat| seat.asked.load(Ordering::Acquire) == 0;
        let idle = self.by_number.iter().filter(|(_, seat)| is_of_these(seat) && is_idle(seat));
        let oldest = *idle.map(|(number, _)| number).min()?;
        self.by_number.remove(&oldest)?.lost.notify_one();
        Some(())
    }
}

impl Place {
    /// Waits until the place is another's.
    pub(super) async fn lost(&self) {
        self.seat.lost.notified().await;
    }

    /// Counts the requests of this connection.
    pub(super) fn requests(&self) -> Requests {
        Requests(Arc::clone(&self.seat.asked))
    }
}

/// The requests of a connection that are being answered.
#[derive(Debug, Clone)]
pub(super) struct Requests(Arc<AtomicU32>);

/// One of them, until it is dropped; with the share of who asks.
#[derive(Debug)]
pub(super) struct Asked {
    asked: Arc<AtomicU32>,
    _share: Option<Share>,
}

impl Requests {
    /// One that has arrived whole, and was let in.
    pub(super) fn begin(&self, share: Option<Share>) -> Asked {
        self.0.fetch_add(1, Ordering::AcqRel);
        Asked { asked: Arc::clone(&self.0), _share: share }
    }
}

impl Asked {
    /// It is being answered until all of this was sent.
    pub(super) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Answer { body, _asked: self }))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.asked.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer, with the request that it answers.
struct Answer {
    body: Body,
    _asked: Asked,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
    }
}

/// Whose share it is: a host of IPv6 has a whole network of addresses.
fn share_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seats(places: &Places) -> usize {
        places.taken().by_number.len()
    }

    #[test]
    fn an_address_has_a_share_and_the_loopback_its_own_places() {
        let places = Places::default();
        let mut held = Vec::new();
        // An address whose connections all ask something gets no more than its share.
        for _ in 0..2 * OF_ADDRESS {
            if let Some(place) = places.take(address("192.0.2.1")) {
                place.seat.asked.store(1, Ordering::Release);
                held.push(place);
            }
        }
        assert_eq!((held.len(), seats(&places)), (OF_ADDRESS, OF_ADDRESS));
        // A network of IPv6 is one address.
        for host in 0..2 * OF_ADDRESS {
            if let Some(place) = places.take(address(&format!("2001:db8::{host:x}"))) {
                place.seat.asked.store(1, Ordering::Release);
                held.push(place);
            }
        }
        assert_eq!(seats(&places), 2 * OF_ADDRESS);
        for host in 0..MAX_CONNECTIONS {
            if let Some(place) = places.take(address(&format!("198.51.{}.{}", host / 250, host % 250))) {
                place.seat.asked.store(1, Ordering::Release);
                held.push(place);
            }
        }
        assert_eq!(seats(&places), MAX_CONNECTIONS - OF_LOOPBACK);
        assert!(places.take(address("203.0.113.9")).is_none());
        assert!(places.take(address("127.0.0.1")).is_some() && places.take(address("::1")).is_some());
        held.clear();
        assert_eq!(seats(&places), 0);
    }

    #[tokio::test]
    async fn whoever_asks_nothing_makes_room_for_whoever_comes() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..OF_ADDRESS).map(|_| places.take(address("192.0.2.1")).unwrap()).collect();
        held[0].seat.asked.store(1, Ordering::Release);
        let new = places.take(address("192.0.2.1")).unwrap();
        held[1].lost().await;
        assert_eq!(seats(&places), OF_ADDRESS);
        drop(held.remove(1));
        assert_eq!(seats(&places), OF_ADDRESS, "its place was another's already");
        drop(new);
        assert_eq!(seats(&places), OF_ADDRESS - 1);
    }
}
