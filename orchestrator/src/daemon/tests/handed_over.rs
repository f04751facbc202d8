//! Sweeps that people hand over.

use super::*;

#[tokio::test]
async fn what_is_handed_over_is_carried_out_once_whoever_is_killed() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    daemon.tick().await;
    let id = lab.hand_over("given");
    lab.look_until(&mut daemon, 1).await;
    daemon.tick().await;
    assert_eq!(daemon.status().running, ["sweep given"]);
    drop(daemon);
    let mut second = lab.daemon();
    lab.look_until(&mut second, 2).await;
    lab.fake.ends.raise(1);
    lab.look_until_idle(&mut second).await;
    second.tick().await;
    assert_eq!(lab.told(), ["gone on with given", "gone on with given"]);
    assert_eq!(lab.store.sweep_state(&id).unwrap(), SweepState::Finished);
}

#[tokio::test]
async fn what_somebody_else_carries_out_or_took_back_is_left_alone() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let sweeps: Arc<dyn Sweeps> = Arc::<Fake>::clone(&lab.fake);
    let mut daemon = Daemon::new(Arc::clone(&lab.store), sweeps, lab.clock(), |_| false);
    let (held, taken) = (lab.hand_over("held"), lab.hand_over("taken"));
    let at = *Fake::lock(&lab.now);
    lab.store.lease_sweep(&held, "another", Duration::from_secs(60), at).unwrap();
    lab.store.withdraw(&taken).unwrap();
    daemon.tick().await;
    assert_eq!((daemon.status().running.len(), lab.told().len()), (0, 0));
    // It ended without a word.
    lab.set("01T00:02");
    lab.look_until(&mut daemon, 1).await;
    assert_eq!(lab.told(), ["gone on with held"]);
}

#[tokio::test]
async fn who_asks_again_does_not_wait_for_the_pause_after_a_failure() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("the runner is another now".to_owned()));
    let id = lab.hand_over("given");
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    assert_eq!(daemon.status().troubles, ["sweep given: the runner is another now"]);
    *Fake::lock(&lab.fake.refuses) = None;
    lab.set("01T00:00");
    daemon.tick().await;
    assert_eq!(lab.told().len(), 1, "not before a while");
    let at = *Fake::lock(&lab.now) + SignedDuration::from_secs(1);
    lab.store.submit_to_daemon(&id, &Submission { by: "ann".to_owned(), at, max_devices: 1 }).unwrap();
    lab.look_until(&mut daemon, 2).await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
}

#[tokio::test]
async fn a_cancelled_one_that_nobody_has_is_ended_at_once_whatever_it_was_put_off_for() {
    let lab = Lab::new("0 2 * * *", |_| {});
    let mut daemon = lab.daemon();
    *Fake::lock(&lab.fake.refuses) = Some(TaskError::Passing("the runner is another now".to_owned()));
    let put_off = lab.hand_over("put off");
    lab.look_until(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    assert_eq!((lab.told().len(), daemon.status().troubles.len()), (1, 1), "it does not go on before a while");
    let fresh = lab.hand_over("fresh");
    for id in [&put_off, &fresh] {
        lab.store.cancel_sweep(id, None).unwrap();
    }
    lab.look_until(&mut daemon, 3).await;
    lab.look_until_idle(&mut daemon).await;
    daemon.tick().await;
    let ended: BTreeSet<String> = lab.told().into_iter().skip(1).collect();
    assert_eq!(ended, ["ended fresh", "ended put off"].map(str::to_owned).into());
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
    for id in [&put_off, &fresh] {
        assert_eq!(lab.store.sweep_state(id).unwrap(), SweepState::Cancelled);
    }
}
