//! Hosts by the server's clock, whatever their own say.

use super::{open, server};
use crate::domain::{Event, EventKind, HostFigures, HostStatus, HostStep, NewHost};
use crate::store::conformance::at;
use crate::store::{HostChange, HostStore as _};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[test]
fn a_host_is_silent_by_the_servers_clock_whatever_its_own_says() {
    let store = open(&server().create("hosts").unwrap());
    let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) * 1000000000";
    let server_ns: i64 = server().run_sql("hosts", sql).unwrap().trim().parse().unwrap();
    let ahead =
        |days: i64| jiff::Timestamp::from_nanosecond(i128::from(server_ns + days * DAY_MS * 1_000_000)).unwrap();
    for (name, days) in [("ahead", 3), ("behind", -3)] {
        let (name, machine, process, version) = (name.into(), "m".into(), "p".into(), "0".into());
        let host = NewHost { name, machine, process, version, figures: HostFigures::default() };
        store.register_host(&host, false, &|_| false, ahead(days)).unwrap();
    }
    // Whoever asks may be off, too.
    for asked_at in [ahead(0), ahead(9), at(0)] {
        let hosts = store.hosts(asked_at).unwrap();
        assert!(hosts.iter().all(|host| host.status() == HostStatus::Working), "{hosts:?}");
        let days = hosts.iter().map(|host| (host.clock_ahead_ms as f64 / DAY_MS as f64).round() as i64);
        assert_eq!(days.collect::<Vec<_>>(), [3, -3]);
    }
    let older = "UPDATE hosts SET beat_at_ns = beat_at_ns - 60000000000 WHERE name = 'behind'";
    server().run_sql("hosts", older).unwrap();
    let statuses: Vec<HostStatus> = store.hosts(ahead(0)).unwrap().iter().map(|host| host.status()).collect();
    assert_eq!(statuses, [HostStatus::Working, HostStatus::Silent]);
    let kind = EventKind::HostRemoved { by: "ann".into(), host: "behind".into() };
    let event = Event { at: at(0), sweep_id: None, device: None, job_id: None, run_id: None, kind };
    let remove = |name| store.step_host(name, HostStep::Remove, "ann", ahead(0), &event).unwrap();
    assert!(matches!(remove("ahead"), HostChange::NotSo(_)) && remove("behind") == HostChange::Done);
}
