//! A host that stands still in the middle of a transaction.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{fresh, open};
use crate::domain::{Event, EventKind};
use crate::store::conformance::at;
use crate::store::{EventStore as _, StoreError};

/// Others wait so long for what it holds, and no call of theirs fails.
const LONGEST: Duration = Duration::from_secs(28);

#[test]
fn a_host_that_stands_still_in_a_transaction_keeps_the_others_waiting_and_nothing_fails() {
    let url = fresh();
    let (frozen, other) = (open(&url), open(&url));
    let kind = EventKind::DeviceReleased { by: "ann".into() };
    let event = Event { at: at(1), sweep_id: None, device: None, job_id: None, run_id: None, kind };
    let ((holds, held), (goes_on, thawed)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        let event = &event;
        let stands_still = scope.spawn(move || {
            frozen.transaction("stand still", |transaction| {
                transaction.execute("LOCK TABLE events IN EXCLUSIVE MODE", [])?;
                holds.send(()).unwrap();
                // Until the test lets it go on.
                let _ = thawed.recv();
                Ok(())
            })
        });
        held.recv().unwrap();
        let began_at = Instant::now();
        other.append_event(event).unwrap();
        assert!(began_at.elapsed() < LONGEST, "{:?}", began_at.elapsed());
        drop(goes_on);
        let late: Result<(), StoreError> = stands_still.join().unwrap();
        assert!(late.is_err(), "its transaction was ended meanwhile");
    });
    assert_eq!(other.last_event().unwrap(), 1, "what it had begun is undone");
}
