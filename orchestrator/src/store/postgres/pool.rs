//! The connections of a process to a server: a few, which are kept, and made anew when they break.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::Server;
use super::faults::{is_away, is_duplicate, is_in_the_way, is_late};
use super::limits::Late;
use super::session::Session;
use crate::store::sql::Outcome;

/// Most connections of one process.
const MOST_SESSIONS: usize = 8;
/// How often in a row one that is there already may be another transaction's, which was in the way.
const MOST_DUPLICATES: u32 = 10;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Pool {
    sessions: Mutex<Sessions>,
    /// One was given back.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Sessions {
    idle: Vec<Session>,
    /// With those that are in use.
    count: usize,
}

impl Pool {
    /// How many nobody uses, and how many there are.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        (sessions.idle.len(), sessions.count)
    }

    /// A connection that nobody uses; `None` where one may be made, which counts from now on.
    fn take(&self, give_up_at: Instant) -> Outcome<Option<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(session) = sessions.idle.pop() {
                if !session.is_broken() {
                    return Ok(Some(session));
                }
                sessions.count -= 1;
            }
            if sessions.count < MOST_SESSIONS {
                sessions.count += 1;
                return Ok(None);
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Late::Turn(MOST_SESSIONS).into());
            }
            let waited = self.freed.wait_timeout(sessions, left).unwrap_or_else(PoisonError::into_inner);
            sessions = waited.0;
        }
    }

    fn forget(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).count -= 1;
        self.freed.notify_one();
    }

    fn give_back(&self, session: Session) {
        if session.is_broken() {
            let is_late = session.is_late();
            drop(session);
            if is_late {
                self.forget_idle();
            }
            return self.forget();
        }
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).idle.push(session);
        self.freed.notify_one();
    }

    /// A server that says nothing to one says nothing to the others: each would be waited for as long.
    fn forget_idle(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = std::mem::take(&mut sessions.idle);
        sessions.count -= idle.len();
        self.freed.notify_all();
    }
}

impl Server {
    fn session(&self, give_up_at: Instant) -> Outcome<Session> {
        if let Some(session) = self.pool.take(give_up_at)? {
            return Ok(session);
        }
        let opened = Session::open(&self.address, self.encryption.as_ref(), &self.runtime, self.limits);
        if opened.is_err() {
            self.pool.forget();
        }
        opened
    }

    /// Works with a connection, again and again where that may help and nothing can be done twice.
    pub(super) fn with_session<T>(&self, limit: Duration, mut work: impl FnMut(&Session) -> Outcome<T>) -> Outcome<T> {
        aside(|| {
            let give_up_at = Instant::now() + limit;
            // In a row: whoever has been in the way for long may still be once more.
            let mut duplicates = 0;
            let mut turn = 0;
            loop {
                let fault = match self.session(give_up_at) {
                    Ok(session) => {
                        let lent = Lent { pool: &self.pool, session: Some(session) };
                        let Some(session) = &lent.session else { continue };
                        session.take_written();
                        match work(session) {
                            Ok(answer) => return Ok(answer),
                            Err(fault) if is_in_the_way(&fault) => {
                                duplicates = 0;
                                fault
                            }
                            Err(fault) if duplicates < MOST_DUPLICATES && is_duplicate(&fault) => {
                                duplicates += 1;
                                fault
                            }
                            // What was asked may have been done.
                            Err(fault) if session.take_written() => return Err(fault),
                            Err(fault) if session.is_closed() || is_away(&fault) && !is_late(&fault) => fault,
                            Err(fault) => return Err(fault),
                        }
                    }
                    Err(fault) if is_away(&fault) => fault,
                    Err(fault) => return Err(fault),
                };
                if Instant::now() >= give_up_at {
                    return Err(fault);
                }
                std::thread::sleep(pause(turn));
                turn += 1;
            }
        })
    }
}

/// A connection that comes back however its work ends.
struct Lent<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // Unwound in the middle of a transaction: the server undoes that when the connection ends.
            if std::thread::panicking() {
                drop(session);
                self.pool.forget();
            } else {
                self.pool.give_back(session);
            }
        }
    }
}

/// Grows with the turns, and differs between those that were in each other's way.
fn pause(turn: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let longest = Duration::from_millis(2 << turn.min(7)).min(LONGEST_PAUSE);
    let share = (RandomState::new().hash_one(turn) % 1000 + 1) as u32;
    longest * share / 1000
}

/// Waits without keeping the other tasks of an async runtime waiting.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let has_workers = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_workers { tokio::task::block_in_place(work) } else { work() }
}
