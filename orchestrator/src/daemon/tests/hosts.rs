//! A host that is drained, and resumed.

use super::*;
use crate::lab::HostNews;

fn drained() -> HostNews {
    let trouble = ("host a".to_owned(), "drained by ann".to_owned());
    HostNews { drained_by: Some("ann".to_owned()), troubles: [trouble].into(), lost: None }
}

#[tokio::test]
async fn a_drained_host_begins_nothing_until_it_is_resumed_and_ends_what_is_cancelled() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    let given = lab.hand_over("given");
    lab.look_until(&mut daemon, 1).await;
    daemon.go_by_hosts(&drained());
    // Its runs end, and it waits with the rest.
    lab.look_until_idle(&mut daemon).await;
    lab.hand_over("later");
    lab.set("01T02:00");
    for _ in 0..3 {
        daemon.tick().await;
        assert_eq!(daemon.status().running, Vec::<String>::new());
    }
    assert_eq!(lab.told(), ["gone on with given"]);
    assert_eq!(lab.states(), [(StartState::Waiting, None)], "what became due waits");
    assert_eq!(daemon.status().troubles, ["host a: drained by ann"]);
    lab.store.cancel_sweep(&given, None).unwrap();
    lab.look_until(&mut daemon, 2).await;
    assert_eq!(lab.told()[1], "ended given");
    lab.look_until_idle(&mut daemon).await;
    assert_eq!(lab.store.sweep_state(&given).unwrap(), SweepState::Cancelled);

    daemon.go_by_hosts(&HostNews::default());
    let is_told = |line: &str| lab.told().iter().any(|told| told == line);
    lab.look_until_so(&mut daemon, |_| is_told("gone on with later") && is_told("begun of 01T02:00:00Z")).await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_told_of_hosts_is_over_when_it_is_told_no_more() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.note("store", Some("it is away".to_owned()));
    let silent =
        |name: &str| HostNews { troubles: [(format!("host {name}"), "silent".into())].into(), ..HostNews::default() };
    daemon.go_by_hosts(&silent("b"));
    daemon.go_by_hosts(&silent("c"));
    assert_eq!(daemon.status().troubles, ["host c: silent", "store: it is away"]);
    daemon.go_by_hosts(&HostNews::default());
    assert_eq!(daemon.status().troubles, ["store: it is away"]);
}
