//! Clocks that jump.

use super::*;

/// Hours of ten years.
const TEN_YEARS: i64 = 87_660;

#[tokio::test]
async fn nights_of_a_clock_that_jumps_begin_each_due_sweep_once_and_take_nothing_out() {
    for hours in [TEN_YEARS, -TEN_YEARS, 3, -3] {
        let lab = Lab::new("0 2 * * *", |_| {});
        let mut daemon = lab.daemon();
        daemon.set_retention(Some(rules()));
        daemon.tick().await;
        let mut nights = Vec::new();
        for day in 1..=3 {
            for minute in ["01:58", "02:00", "02:03"] {
                lab.set(&format!("0{day}T{minute}"));
                // For four seconds, now and then.
                let tidied = lab.tidied();
                lab.jump(hours);
                daemon.tick().await;
                let troubles = daemon.status().troubles;
                assert!(troubles.iter().any(|it| it.starts_with("clock: it jumped")), "{hours} h: {troubles:?}");
                lab.pass(4);
                daemon.tick().await;
                assert_eq!(lab.tidied(), tidied, "nothing leaves meanwhile");
                lab.jump(0);
                daemon.tick().await;
                assert_eq!(daemon.status().troubles, Vec::<String>::new());
                // What was due since yesterday is done now.
                lab.look_until_tidied(&mut daemon, day - 1).await;
                if minute == "02:00" {
                    lab.look_until_begun(&mut daemon, day).await;
                    lab.fake.ends.raise(1);
                    lab.look_until_idle(&mut daemon).await;
                }
                // A process that is started anew finds the same.
                daemon = lab.daemon();
                daemon.set_retention(Some(rules()));
            }
            nights.push(format!("begun of 0{day}T02:00:00Z"));
        }
        assert_eq!(lab.begun(), nights, "{hours} h off");
        let jumps = lab.store.new_events(0, 999).unwrap();
        let jumps = jumps.iter().filter(|(_, event)| matches!(event.kind, EventKind::ClockJumped { .. })).count();
        assert_eq!(jumps, 9, "each is an event");
    }
}

/// After a boot nobody can tell a clock that is ahead from a long pause: a process that begins under it goes by it.
#[tokio::test]
async fn what_was_put_off_under_a_clock_that_was_ahead_does_not_wait_for_that_time() {
    let lab = Lab::new("0 2 * * *", |_| {});
    lab.daemon().tick().await;
    let believed = lab.store.believed_clock().unwrap().unwrap();
    let of_another_boot = BelievedClock { boot: "another".to_owned(), ..believed };
    lab.store.believe_clock(&of_another_boot, None).unwrap();
    lab.jump(TEN_YEARS);
    let mut daemon = lab.daemon();
    daemon.set_retention(Some(rules()));
    daemon.tick().await;
    lab.jump(0);
    daemon.tick().await;
    assert_eq!(daemon.status().troubles, Vec::<String>::new());
    let next_at = daemon.files_at.unwrap();
    assert!(next_at <= daemon.clock.now() + LOOK_AT_FILES_EVERY, "{next_at}");
    lab.set("02T00:00");
    lab.look_until_tidied(&mut daemon, 1).await;
}

#[tokio::test]
async fn what_a_jump_holds_back_goes_on_when_a_person_says_so_or_after_an_hour() {
    for (hours, is_person) in [(3, true), (3, false), (-3, true)] {
        let lab = Lab::new("0 2 * * *", |_| {});
        let mut daemon = lab.daemon();
        lab.set("01T01:00");
        daemon.tick().await;
        // Over a restart too.
        drop(daemon);
        lab.jump(hours);
        let mut daemon = lab.daemon();
        for _ in 0..59 {
            lab.pass(60);
            daemon.tick().await;
        }
        assert_eq!((lab.begun().len(), daemon.status().troubles.len()), (0, 1), "{hours}");
        if is_person {
            let here = lab.clock();
            here.believe();
            lab.store.believe_clock(&here.believed(lab.store.last_event().unwrap()).unwrap(), None).unwrap();
        } else {
            lab.pass(120);
        }
        daemon.tick().await;
        assert_eq!(daemon.status().troubles, Vec::<String>::new(), "{hours}");
        // It is five o'clock, or eleven in the evening of the day before.
        if hours > 0 {
            lab.look_until_begun(&mut daemon, 1).await;
        }
        assert_eq!(lab.begun().len(), usize::from(hours > 0), "{hours}");
        lab.fake.ends.raise(1);
    }
}

#[tokio::test]
async fn due_times_that_a_wrong_clock_settled_are_begun_by_the_right_one_and_none_twice() {
    let lab = Lab::new("0 2 * * *", |_| {});
    lab.daemon().tick().await;
    let far: Timestamp = "2036-05-01T02:00:00Z".parse().unwrap();
    let why = || Some("as an older version had it".to_owned());
    lab.store.settle_due("nightly", &[(far, why())], far).unwrap();
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.fake.ends.raise(1);
    lab.set("01T02:00");
    lab.look_until_begun(&mut daemon, 1).await;
    lab.look_until_idle(&mut daemon).await;
    // Set back by a person, past the due time: it comes again, and was begun.
    lab.set("01T01:59");
    let mut daemon = lab.daemon();
    daemon.tick().await;
    lab.set("01T02:01");
    daemon.tick().await;
    lab.look_until_idle(&mut daemon).await;
    lab.set("02T02:00");
    lab.look_until_begun(&mut daemon, 2).await;
    assert_eq!(lab.begun(), ["begun of 01T02:00:00Z", "begun of 02T02:00:00Z"]);
}
