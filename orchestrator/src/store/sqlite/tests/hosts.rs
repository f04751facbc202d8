//! Hosts by the time that is passed: a file is used on one machine.

use super::fresh;
use crate::domain::{HostFigures, HostStatus, NewHost};
use crate::store::conformance::at;

#[test]
fn a_host_is_silent_by_the_time_that_is_passed() {
    let (open, _folder) = fresh();
    let (name, machine, process, version) = ("a".into(), String::new(), "p".into(), "0".into());
    let host = NewHost { name, machine, process, version, figures: HostFigures::default() };
    open().register_host(&host, true, &|_| false, at(0)).unwrap();
    let status = |seconds| open().hosts(at(seconds)).unwrap().remove(0).status();
    assert_eq!((status(59), status(60)), (HostStatus::Working, HostStatus::Silent));
    open().beat_host("a", "p", &HostFigures::default(), at(60)).unwrap();
    let found = open().hosts(at(60)).unwrap().remove(0);
    assert_eq!((found.status(), found.beat_at, found.clock_ahead_ms), (HostStatus::Working, at(60), 0));
}
