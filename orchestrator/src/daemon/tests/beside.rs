//! Work that is no sweep's.

use super::*;

#[tokio::test]
async fn what_is_old_is_taken_out_once_a_day() {
    let lab = Lab::new("0 2 * * *", |schedule| schedule.is_enabled = false);
    let (mut daemon, rules) = (lab.daemon(), rules());
    daemon.set_retention(Some(rules.clone()));
    lab.set("01T04:29");
    daemon.tick().await;
    assert_eq!(lab.told(), Vec::<String>::new());
    lab.set("01T04:30");
    lab.look_until(&mut daemon, 1).await;
    // The same rules, read again, are no other rules.
    daemon.set_retention(Some(rules));
    lab.set("02T04:29");
    daemon.tick().await;
    lab.set("02T04:31");
    lab.look_until(&mut daemon, 2).await;
    daemon.set_retention(None);
    lab.set("03T04:31");
    daemon.tick().await;
    assert_eq!(lab.told(), ["tidied", "tidied"]);
}

#[tokio::test]
async fn the_end_of_a_sweep_is_told_once_whoever_carried_it_out() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.set_channels(vec![Channel::Command(vec!["x".to_owned()])]);
    daemon.tick().await;
    lab.hand_over("given");
    lab.fake.ends.raise(1);
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("01T00:01");
    lab.look_until(&mut daemon, 2).await;
    lab.set("01T00:02");
    daemon.tick().await;
    assert_eq!(lab.told(), ["gone on with given", "told of given by 1"]);
}

#[tokio::test]
async fn devices_are_asked_again_and_again() {
    let lab = Lab::new("0 2 * * *", |schedule| schedule.is_enabled = false);
    let mut daemon = lab.daemon();
    daemon.probe_every(Some(Duration::from_secs(900)));
    lab.look_until(&mut daemon, 1).await;
    lab.set("01T00:14");
    daemon.tick().await;
    assert_eq!(lab.told(), ["asked"]);
    lab.set("01T00:15");
    lab.look_until(&mut daemon, 2).await;
    daemon.probe_every(None);
    lab.set("01T09:00");
    daemon.tick().await;
    assert_eq!(lab.told(), ["asked", "asked"]);
}
