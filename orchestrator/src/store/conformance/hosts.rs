//! The hosts that share the lab, and what they declare.

use super::*;
use crate::domain::{DeclaredDevice, Host, HostFigures, HostState, HostStatus, HostStep, NewHost};
use crate::store::{Beat, HostChange, Registration};

fn new(name: &str, machine: &str, process: &str) -> NewHost {
    NewHost {
        name: name.into(),
        machine: machine.into(),
        process: process.into(),
        version: "0.1.0".into(),
        figures: HostFigures { devices: 3, load_milli: 1_250, cores: 8 },
    }
}

fn register(open: &Open, host: &NewHost, seconds: i64) -> Registration {
    open().register_host(host, false, &|process| process.ends_with("gone"), at(seconds)).unwrap()
}

fn beat(open: &Open, name: &str, process: &str, seconds: i64) -> Beat {
    let figures = HostFigures { devices: 4, load_milli: 5, cores: 8 };
    open().beat_host(name, process, &figures, at(seconds)).unwrap()
}

fn hosts(open: &Open, seconds: i64) -> Vec<Host> {
    open().hosts(at(seconds)).unwrap()
}

fn change(open: &Open, name: &str, step: HostStep, seconds: i64) -> HostChange {
    let step = match step {
        HostStep::Drain => people::drain_host,
        HostStep::Resume => people::resume_host,
        HostStep::Remove => people::remove_host,
        HostStep::Register => panic!("a daemon does"),
    };
    step(open().as_ref(), name, "ann", at(seconds)).unwrap()
}

fn kept(state: HostState, by: Option<&str>) -> Beat {
    Beat::Kept { state, by: by.map(str::to_owned) }
}

/// The store has a host.
pub fn with_a_host(store: &dyn Store) {
    store.register_host(&new("a", "m", "p1"), false, &|_| false, at(0)).unwrap();
}

pub fn a_host_registers_beats_and_says_goodbye(open: &Open) {
    assert_eq!(hosts(open, 0), []);
    assert_eq!(beat(open, "b", "p1", 0), Beat::Forgotten, "it is none yet");
    assert_eq!(register(open, &new("b", "m", "p1"), 0), Registration::Done);
    assert_eq!(register(open, &new("a", "m", "p2"), 0), Registration::Done);
    let found = hosts(open, 10);
    assert_eq!(found.iter().map(Host::name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(found[1].registered, new("b", "m", "p1"));
    assert_eq!((found[1].status(), found[1].registered_at), (HostStatus::Working, found[1].beat_at));
    assert_eq!(beat(open, "b", "p1", 20), kept(HostState::Working, None));
    let found = hosts(open, 20).remove(1);
    assert_eq!((found.registered.figures.devices, found.registered.figures.load_milli), (4, 5));
    assert!(found.beat_at > found.registered_at);
    open().end_host("b", "another", at(25)).unwrap();
    assert_eq!(hosts(open, 25)[1].status(), HostStatus::Working, "only its own daemon says goodbye");
    open().end_host("b", "p1", at(26)).unwrap();
    assert_eq!(hosts(open, 26)[1].status(), HostStatus::Stopped);
    assert_eq!(register(open, &new("b", "m", "p3"), 27), Registration::Done);
    assert_eq!(hosts(open, 27)[1].status(), HostStatus::Working);
    assert_eq!(open().last_event().unwrap(), 0, "none of it is an act");
}

pub fn a_name_that_another_daemon_has_is_refused(open: &Open) {
    register(open, &new("a", "m", "p1"), 0);
    let refused = |host: &NewHost, seconds| match register(open, host, seconds) {
        Registration::Done => None,
        Registration::Refused(other) => Some((other.registered.machine, other.registered.process)),
    };
    let first = Some(("m".to_owned(), "p1".to_owned()));
    assert_eq!(refused(&new("a", "n", "p2"), 1), first, "another machine");
    assert_eq!(refused(&new("a", "m", "p2"), 1), first, "another daemon of this machine");
    assert_eq!(refused(&new("a", "", "p2"), 1), first, "a machine that has no identity");
    assert_eq!(beat(open, "a", "p1", 2), kept(HostState::Working, None), "it goes on as if nobody had asked");
    open().end_host("a", "p1", at(3)).unwrap();
    assert_eq!(refused(&new("a", "n", "p2"), 4), first, "what is stopped stays its machine's");
    assert_eq!(refused(&new("a", "m", "p2"), 4), None);
    let Beat::Taken(other) = beat(open, "a", "p1", 5) else { panic!("it is another's now") };
    assert_eq!(other.registered.process, "p2");
    assert_eq!(hosts(open, 5).len(), 1);
    // A process that has ended for sure is waited for no more.
    register(open, &new("b", "m", "p gone"), 6);
    assert_eq!(refused(&new("b", "m", "p4"), 7), None);
    // Where no other host can be, nothing is another's.
    assert_eq!(open().register_host(&new("c", "n", "p5"), true, &|_| false, at(8)).unwrap(), Registration::Done);
    assert_eq!(hosts(open, 8).iter().map(Host::name).collect::<Vec<_>>(), ["c"]);
}

pub fn a_host_is_drained_resumed_and_forgotten(open: &Open) {
    register(open, &new("a", "m", "p1"), 0);
    assert_eq!(change(open, "nobody", HostStep::Drain, 1), HostChange::Unknown);
    assert_eq!(change(open, "a", HostStep::Drain, 1), HostChange::Done);
    let HostChange::NotSo(host) = change(open, "a", HostStep::Drain, 2) else { panic!("it is drained already") };
    assert_eq!((host.status(), host.state_by.as_deref()), (HostStatus::Draining, Some("ann")));
    assert_eq!(beat(open, "a", "p1", 2), kept(HostState::Draining, Some("ann")));
    register(open, &new("a", "m", "p1"), 3);
    assert_eq!(beat(open, "a", "p1", 3), kept(HostState::Draining, Some("ann")), "it stays so over a start");
    assert_eq!(change(open, "a", HostStep::Resume, 4), HostChange::Done);
    assert_eq!(beat(open, "a", "p1", 4), kept(HostState::Working, Some("ann")));
    assert!(matches!(change(open, "a", HostStep::Remove, 5), HostChange::NotSo(_)), "it beats");
    open().end_host("a", "p1", at(6)).unwrap();
    assert_eq!(change(open, "a", HostStep::Remove, 7), HostChange::Done);
    assert_eq!((hosts(open, 7), beat(open, "a", "p1", 7)), (vec![], Beat::Forgotten));
    assert_eq!(change(open, "a", HostStep::Resume, 7), HostChange::Unknown);
    let acts = open().past_events(PastEvents::Acts, None, 9).unwrap();
    assert_eq!(acts.len(), 3, "each step that was taken has one event, and no other");
    assert_eq!(register(open, &new("a", "another machine", "p9"), 8), Registration::Done);
    assert_eq!(beat(open, "a", "p9", 8), kept(HostState::Working, None));
}

pub fn what_hosts_declare_leaves_with_them(open: &Open) {
    let declared = |host: &str, name: &str, hash: &str| DeclaredDevice {
        host: host.into(),
        device: sample::board(name),
        hash: hash.into(),
    };
    let publish =
        |host: &str, process: &str, devices: &[DeclaredDevice]| open().publish_devices(host, process, devices).unwrap();
    let (one, two) = (declared("a", "x", "h1"), declared("a", "y", "h2"));
    assert!(!publish("a", "p1", std::slice::from_ref(&one)), "there is no such host");
    register(open, &new("a", "m", "p1"), 0);
    register(open, &new("b", "m", "p2"), 0);
    assert!(publish("a", "p1", &[two.clone(), one.clone()]));
    let other = declared("b", "x", "h3");
    assert!(publish("b", "p2", std::slice::from_ref(&other)));
    assert!(!publish("b", "p1", &[]), "another daemon's");
    assert_eq!(open().declared_devices().unwrap(), [one.clone(), other.clone(), two]);
    assert!(publish("a", "p1", std::slice::from_ref(&one)));
    assert_eq!(open().declared_devices().unwrap(), [one, other.clone()], "what it declares is replaced as a whole");
    assert_eq!(open().check().unwrap().faults, Vec::<String>::new());
    open().end_host("a", "p1", at(1)).unwrap();
    assert_eq!(open().declared_devices().unwrap().len(), 2, "what is stopped comes back");
    assert_eq!(change(open, "a", HostStep::Remove, 2), HostChange::Done);
    assert_eq!(open().declared_devices().unwrap(), [other]);
}
