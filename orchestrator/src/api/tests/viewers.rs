//! Who looks on is told of changes.

use super::*;

/// What is said of a run whose samples have two modes.
fn noisy() -> Judgement {
    Judgement {
        verdict: Verdict::Noisy,
        reason: "two modes".to_owned(),
        half_interval_percent: Some(7.5),
        temp_max_c: None,
        other_load_percent: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_told_of_changes_and_one_who_is_behind_is_dropped() {
    let asked = Asked::start(None);
    let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    let give_up_at = tokio::time::Instant::now() + TIMEOUT;
    let mut hear = async |wanted: &str| {
        let mut bytes = [0; 16 << 10];
        while !heard.contains(wanted) {
            let read = tokio::time::timeout_at(give_up_at, stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "ended before {wanted}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        std::mem::take(&mut heard)
    };
    let first = hear("event: sweep").await;
    assert!(first.contains("event: lab") && first.contains("event: schedule"), "{first}");
    assert_eq!(first.matches("event: device").count(), 3, "{first}");
    let (row, run) = (
        asked.store.sweeps().unwrap().remove(0),
        asked.store.live_runs(&SweepId("20270115-080000-s-7f3a".into()), None).unwrap().remove(0),
    );
    people::unlock_device(asked.store.as_ref(), "bb", "anna", Timestamp::now()).unwrap();
    let told = hear(r#""text":"bb: unlocked by anna; anna had locked it""#).await;
    assert!(told.contains("event: lab") && told.contains("event: device") && told.contains(r#""name":"bb""#), "{told}");
    let job = asked.store.jobs(&row.id).unwrap().remove(1);
    let kind = EventKind::RunFinished {
        name: "x".into(),
        status: RunStatus::Ok,
        p50_ns: Some(2_000_000),
        failure: None,
        judged: Some(noisy()),
    };
    let event = Event {
        at: Timestamp::now(),
        sweep_id: Some(row.id.clone()),
        device: Some("a".into()),
        job_id: Some(job.id.clone()),
        run_id: Some(run.run_id),
        kind,
    };
    asked.store.append_event(&event).unwrap();
    let told = hear(r#""p50_ms":2.0,"failure":null"#).await;
    assert!(told.contains("event: cell") && told.contains(&format!(r#""job_id":"{}""#, job.id)), "{told}");
    let judged = r#""plus_minus_percent":7.5,"verdict":"noisy","verdict_reason":"two modes","rerun":0,"counts":true"#;
    assert!(told.contains(judged), "{told}");

    // One that begins and ends between two looks, and one that a host ends whose clock is wrong.
    let end = |(row, plan): &(crate::domain::SweepRow, crate::domain::Plan), now| {
        asked.store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Ok)).unwrap();
        assert!(asked.store.finish_sweep(&row.id, now).unwrap());
    };
    end(&sweep(asked.store.as_ref(), "quick", &["ccc"], 1), Timestamp::now());
    hear(r#""name":"quick","state":"finished""#).await;
    let late = sweep(asked.store.as_ref(), "late", &["ccc"], 1);
    hear(r#""name":"late","state":"stopped""#).await;
    end(&late, Timestamp::UNIX_EPOCH);
    hear(r#""name":"late","state":"finished""#).await;

    // One that does not listen while more comes than is kept for it.
    let (_, receiver) = asked.api.join().await.unwrap();
    asked.api.live.flood();
    assert!(live::is_dropped(receiver).await);
    assert_eq!(asked.get("/api/v1/lab").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_looks_on_often_leaves_room_for_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = || TokenFile::new(folder.path().join("tokens"));
    let [anna, ben] = ["anna", "ben"].map(|name| file().add(name, Role::View, at(0), None).unwrap());
    let asked = Asked::start(Some(file()));
    let look_on = async |secret: &str| {
        let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
        let head = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n";
        stream.write_all(format!("{head}Authorization: Bearer {secret}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        (String::from_utf8_lossy(&answer[9..]).into_owned(), stream)
    };
    let mut viewers = Vec::new();
    for _ in 0..16 {
        let (status, stream) = look_on(&anna).await;
        assert_eq!(status, "200");
        viewers.push(stream);
    }
    assert_eq!(look_on(&anna).await.0, "429");
    assert_eq!(look_on(&ben).await.0, "200");
    let by = format!("Authorization: Bearer {anna}\r\n");
    assert_eq!((asked.get_with("/api/v1/lab", &by).await.0, asked.get("/healthz").await.0), (200, 200));
    // Who goes leaves a place.
    viewers.pop();
    let give_up_at = tokio::time::Instant::now() + TIMEOUT;
    while look_on(&anna).await.0 != "200" {
        assert!(tokio::time::Instant::now() < give_up_at, "the place of who has gone stays taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
