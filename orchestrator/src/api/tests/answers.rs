//! What is answered is what the store has.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn lists_end_where_they_end() {
    let asked = Asked::start(None);
    for number in 1..=4 {
        sweep_at(&asked, number);
    }
    let (mut names, mut before, mut parts) = (Vec::new(), String::new(), 0);
    loop {
        let (status, part) = asked.get(&format!("/api/v1/sweeps?limit=2{before}")).await;
        assert_eq!(status, 200, "{part}");
        names.extend(part["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        parts += 1;
        match part["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!((names.len(), distinct.len(), parts), (5, 5, 3), "{names:?}");
    let (_, last) = asked.get("/api/v1/sweeps?limit=5").await;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (5, &Value::Null), "no more are promised");
    // The store is searched, not the part that is shown.
    let (_, found) = asked.get("/api/v1/sweeps?limit=1&q=OLD-2%20finished").await;
    assert_eq!(found["items"][0]["name"], "old-2");
    assert_eq!(asked.get("/api/v1/sweeps?q=%25").await.1["items"].as_array().unwrap().len(), 0, "a word is no pattern");
    for wrong in ["limit=0", "limit=501", "before=x", "before=1", "limit=-1"] {
        assert_eq!(asked.get(&format!("/api/v1/sweeps?{wrong}")).await.0, 400, "{wrong}");
    }
    let (_, first) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a/results?limit=2").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (2, &json!("2")));
    let (_, rest) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a/results?limit=2&after=2").await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_say_whether_to_believe_them_and_which_measurement_counts() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "judged", &["ccc"], 1);
    let mut next = None;
    for slower in [5_000_000, 0] {
        let run = claim(asked.store.as_ref(), &row, "ccc", "h", 1);
        let mut ended = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok);
        let sample = |index: u64| 20_000_000 + index * 7_919 % 100 * 2_000 + if index < 60 { 0 } else { slower };
        ended.measurement.samples_ns = (0..100).map(sample).collect();
        let again = crate::planner::measured_again(&run.job, Verdict::Unsteady);
        let added = next.is_none().then_some(AddedJob { job: &again, not_before: at(1) });
        asked.store.finish(run.epoch, &ended, added, at(2)).unwrap();
        next = Some(again.id.clone());
        let (_, answer) = asked.get(&format!("/api/v1/sweeps/{}/results", row.id)).await;
        let said = |index: usize| {
            let cell = &answer["items"][index];
            (cell["verdict"].as_str().unwrap_or_default().to_owned(), cell["rerun"].clone(), cell["counts"].clone())
        };
        let first = ("unsteady".to_owned(), json!(0), json!(slower > 0));
        let then =
            if slower > 0 { (String::new(), json!(1), json!(false)) } else { ("ok".to_owned(), json!(1), json!(true)) };
        assert_eq!([said(0), said(1)], [first, then], "{answer}");
        assert_eq!(answer["items"][0]["job_id"], plan.jobs[0].id.0.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_all_sweeps_come_by_condition_and_part_by_part() {
    let asked = Asked::start(None);
    for name in ["t", "u"] {
        let (row, _) = sweep(asked.store.as_ref(), name, &["ccc"], 3);
        for _ in 0..3 {
            let run = claim(asked.store.as_ref(), &row, "ccc", "host", 1);
            let ended = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok);
            asked.store.finish(run.epoch, &ended, None, at(2)).unwrap();
        }
    }
    let (mut rows, mut after, mut parts) = (Vec::new(), String::new(), 0);
    loop {
        let (status, part) = asked.get(&format!("/api/v1/results?limit=2&where=device~c{after}")).await;
        assert_eq!(status, 200, "{part}");
        let items = part["items"].as_array().unwrap();
        rows.extend(items.iter().map(|row| (row["sweep_id"].to_string(), row["job_id"].to_string())));
        parts += 1;
        match part["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
    assert_eq!((rows.len(), distinct.len(), parts), (6, 6, 4), "{rows:?}");
    assert!(rows[0].0.contains("-u-") && rows[5].0.contains("-t-"), "the newest sweep first: {rows:?}");
    let (_, others) = asked.get("/api/v1/results?where=device=a%20and%20status=ok").await;
    assert_eq!((others["items"].as_array().unwrap().len(), &others["items"][0]["model"]), (1, &json!("mobilenet_v2")));
    let old =
        SweepRow { id: SweepId("old".into()), started_at: at(-200_000_000), ..asked.store.sweeps().unwrap().remove(0) };
    let skipped = [record(&old.id, &crate::store::conformance::job("a", 9), None, RunStatus::Skipped)];
    let plan = crate::domain::Plan { sweep: "old".into(), jobs: vec![], skipped: vec![] };
    let definition = crate::store::conformance::definition();
    let new = crate::store::NewSweep { skipped: &skipped, ..crate::store::NewSweep::new(&old, &definition, &plan) };
    asked.store.create_sweep(&new).unwrap();
    for (since, expected) in [("", 1), ("&days=30", 0)] {
        let (_, found) = asked.get(&format!("/api/v1/results?where=status=skipped{since}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), expected, "{found}");
    }
    let (status, refused) = asked.get("/api/v1/results?where=modle=a").await;
    assert_eq!(status, 400);
    assert!(refused["error"]["message"].as_str().unwrap().contains("column 1"), "{refused}");
    assert_eq!(refused["error"]["hint"], "did you mean `model`?");
    for wrong in ["limit=0", "limit=1001", "days=0", "after=x", "after=1.2"] {
        assert_eq!(asked.get(&format!("/api/v1/results?{wrong}")).await.0, 400, "{wrong}");
    }
}

/// A sweep of more rows than are in memory at once, the last of them of jobs that have no result yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_sweep_is_read_in_parts_that_are_the_whole() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "large", &["ccc"], 450);
    for job in &plan.jobs[..430] {
        asked.store.add_record(&record(&row.id, job, None, RunStatus::Cancelled)).unwrap();
    }
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let (status, part) = asked.get(&format!("/api/v1/results?limit=190&where=device=ccc{after}")).await;
        assert_eq!(status, 200, "{part}");
        rows.extend(part["items"].as_array().unwrap().clone());
        match part["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let jobs: Vec<&str> = rows.iter().map(|row| row["job_id"].as_str().unwrap()).collect();
    assert_eq!(jobs, plan.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), "each once, in the plan's order");
    let whole = asked.api.lab.results(row).unwrap();
    let input = whole.input();
    let expected = |index: usize| serde_json::to_value(crate::report::RowCells(&input.rows()[index])).unwrap();
    // The time of those without a result is when they were asked for.
    for index in [0, 199, 200, 201, 399, 400, 429] {
        assert_eq!(rows[index], expected(index), "row {index}");
    }
    assert_eq!(rows[449]["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_of_a_sweep_that_is_over_come_in_parts_that_are_the_whole() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "over", &["a", "ccc"], 30);
    let skipped = record(&row.id, &crate::store::conformance::job("zz", 9), None, RunStatus::Skipped);
    let jobs = plan.jobs.iter().enumerate();
    let status = |index: usize| if index % 7 == 3 { RunStatus::Failed } else { RunStatus::Ok };
    jobs.map(|(index, job)| record(&row.id, job, None, status(index)))
        .chain([skipped])
        .for_each(|record| asked.store.add_record(&record).unwrap());
    let path = format!("/api/v1/sweeps/{}", row.id);
    for is_over in [false, true] {
        if is_over {
            asked.store.finish_sweep(&row.id, at(99)).unwrap();
        }
        let (_, whole) = asked.get(&path).await;
        let (mut cells, mut after) = (Vec::new(), String::new());
        loop {
            let (status, part) = asked.get(&format!("{path}/results?limit=17{after}")).await;
            assert_eq!(status, 200, "{part}");
            cells.extend(part["items"].as_array().unwrap().clone());
            match part["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!((cells.len(), Value::from(cells)), (61, whole["cells"].clone()), "over: {is_over}");
        let (_, head) = asked.get(&format!("{path}?cells=false")).await;
        assert_eq!((&head["cells"], &head["devices"], &head["counts"]), (&json!([]), &json!([]), &whole["counts"]));
        assert_eq!(whole["devices"], json!(["a", "ccc", "zz"]));
    }
}

/// Adds a sweep that is over.
fn sweep_at(asked: &Asked, number: i64) {
    let (row, _) = sweep(asked.store.as_ref(), &format!("old-{number}"), &[], 0);
    asked.store.finish_sweep(&row.id, at(number + 1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_without_routine_and_goes_back_to_its_beginning() {
    let asked = Asked::start(None);
    let lock = crate::domain::EventKind::DeviceLocked { by: "anna".into(), why: "cable".into(), until: at(9) };
    let of_a = |kind| Event { at: at(1), sweep_id: None, device: Some("a".into()), job_id: None, run_id: None, kind };
    asked.store.append_event(&of_a(lock)).unwrap();
    let phase = EventKind::RunPhase { phase: farmctl_protocol::Phase::Measure };
    (0..1200).for_each(|_| asked.store.append_event(&of_a(phase.clone())).unwrap());
    let (_, told) = asked.get("/api/v1/devices/a/history?limit=50").await;
    let kinds: Vec<&str> = told["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"device_locked") && !kinds.contains(&"run_phase"), "{kinds:?}");
    assert_eq!(told["next"], Value::Null);
    let (_, all) = asked.get("/api/v1/devices/a/history?limit=1000&runs=true").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1000);
    let older = format!("/api/v1/devices/a/history?limit=1000&runs=true&before={}", all["next"].as_str().unwrap());
    let (_, older) = asked.get(&older).await;
    assert!(older["items"].as_array().unwrap().iter().any(|it| it["kind"] == "device_locked"), "older ones are had");
    let (_, acts) = asked.get("/api/v1/audit").await;
    let texts: Vec<&str> = acts["items"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("ben paused the schedule nightly")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_packed_for_who_takes_them_so() {
    let asked = Asked::start(None);
    let (status, head, _) = asked.get_with("/api/v1/openapi.json", "Accept-Encoding: gzip\r\n").await;
    assert!(status == 200 && head.to_lowercase().contains("content-encoding: gzip"), "{head}");
    let (_, head, _) = asked.get_with("/api/v1/openapi.json", "").await;
    assert!(!head.to_lowercase().contains("content-encoding"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_the_store_has() {
    let asked = Asked::start(None);
    let (_, lab) = asked.get("/api/v1/lab").await;
    assert_eq!(lab["devices"], json!({"busy": 1, "locked": 1, "unknown": 1}));
    assert_eq!(lab["status"]["next"], json!({"schedule": "nightly", "at": at(9)}));
    let (_, sweep) = asked.get("/api/v1/sweeps/20270115-080000-s-7f3a").await;
    let states: Vec<&str> =
        sweep["cells"].as_array().unwrap().iter().map(|cell| cell["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ok", "running", "waiting"]);
    assert!(sweep["cells"][0]["p50_ms"].as_f64().unwrap() > 0.0 && sweep["cells"][1]["p50_ms"].is_null());
    assert_eq!(sweep["counts"], json!({"jobs": 3, "open": 2, "ok": 1, "failed": 0, "skipped": 0, "cancelled": 0}));
    let (_, devices) = asked.get("/api/v1/devices").await;
    assert_eq!(devices["items"][0]["use"]["open_jobs"], 2);
    assert_eq!(devices["items"][1]["lock"]["why"], "a new cable");
    let (_, schedules) = asked.get("/api/v1/schedules").await;
    assert_eq!(schedules["items"][0]["paused"]["by"], "ben");
    assert_eq!(schedules["items"][0]["next_due"], Value::Null);
    let (_, _, metrics) = asked.get_with("/metrics", "").await;
    let build = format!("farmctl_build_info{{version=\"{VERSION}\"}} 1");
    for line in [
        "farmctl_jobs_total{status=\"failed\"} 1",
        "farmctl_failures_total{kind=\"crashed\"} 1",
        "farmctl_queue_jobs 2",
        "farmctl_device_state{device=\"bb\",state=\"locked\"} 1",
        "farmctl_device_state{device=\"bb\",state=\"busy\"} 0",
        &build,
        "# EOF",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in:\n{metrics}");
    }
    // The reference is made of this list.
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let known = METRICS.iter().any(|metric| {
            let name = metric.name();
            let name = name.trim_end_matches("_total").trim_end_matches("_info");
            format!("{name} {}", metric.kind()) == family
        });
        assert!(known, "METRICS lacks {family}");
    }
    assert_eq!(asked.get("/healthz").await, (200, Value::String("ok\n".into())));
    assert_eq!(asked.get("/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn utilisation_is_told_of_each_device_and_of_all_of_them() {
    let asked = Asked::start(None);
    let now = Timestamp::now();
    let ago = |hours| now - jiff::SignedDuration::from_hours(hours);
    // Half a day of work that failed, then a quarter under a person's lock.
    let (row, _) = sweep(asked.store.as_ref(), "u", &["ccc"], 1);
    crate::store::conformance::hold(asked.store.as_ref(), &row, "ccc", "host", ago(24));
    let claimed = asked.store.claim(&row.id, "ccc", "host", Duration::from_secs(60), ago(24)).unwrap();
    let crate::store::Claim::Run(run) = claimed else { panic!("{claimed:?}") };
    let failed = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Failed);
    let failed = crate::domain::Record { finished_at: ago(12), ..failed };
    asked.store.finish(run.epoch, &failed, None, ago(12)).unwrap();
    let (by, why) = ("ben".to_owned(), "a new fan".to_owned());
    let lock = crate::domain::DeviceLock { device: "ccc".into(), by, why, since: ago(6), until: ago(-1) };
    people::lock_device(asked.store.as_ref(), &lock).unwrap();

    let (_, of_device) = asked.get("/api/v1/devices/ccc/utilisation?days=1").await;
    let share = |answer: &Value, name: &str| (answer[name].as_f64().unwrap() * 100.0).round() / 100.0;
    let shares = |answer: &Value| ["busy", "locked", "broken", "idle"].map(|name| share(answer, name));
    assert_eq!(shares(&of_device), [0.5, 0.25, 0.0, 0.25], "{of_device}");
    assert_eq!((&of_device["device"], &of_device["days"]), (&json!("ccc"), &json!(1)));
    assert_eq!((&of_device["attempts"], &of_device["jobs_per_day"]), (&json!(1), &json!(0.0)));
    assert_eq!((&of_device["failed"], &of_device["failed_by_kind"]), (&json!(1.0), &json!({"crashed": 1.0})));
    let (_, of_lab) = asked.get("/api/v1/utilisation?days=1").await;
    assert_eq!((shares(&of_lab), &of_lab["device"]), ([0.17, 0.08, 0.0, 0.08], &Value::Null), "{of_lab}");
    assert_eq!(share(&of_lab, "not_known"), 0.67, "of two devices nothing was ever heard");
    let (_, week) = asked.get("/api/v1/devices/ccc/utilisation").await;
    assert_eq!((&week["days"], shares(&week)), (&json!(7), [0.07, 0.04, 0.0, 0.04]), "{week}");
    for days in ["0", "3661", "-1", "70000", "x"] {
        assert_eq!(asked.get(&format!("/api/v1/utilisation?days={days}")).await.0, 400, "{days}");
    }
    assert_eq!(asked.get("/api/v1/devices/nobody/utilisation").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_how_far_to_be_trusted() {
    let asked = Asked::start(None);
    let (row, plan) = sweep(asked.store.as_ref(), "trusted", &["a"], 3);
    for (job, (seconds, median)) in plan.jobs.iter().zip([(1, 1_000_000), (2, 1_020_000), (3, 1_010_000)]) {
        let mut record = crate::store::conformance::record(&row.id, job, None, RunStatus::Ok);
        record.measurement.samples_ns = vec![median; 20];
        record.finished_at = at(seconds);
        asked.store.add_record(&record).unwrap();
    }
    let (status, told) = asked.get("/api/v1/devices/a/trust").await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["device"], &told["runs"], &told["judged"]), (&"a".into(), &4.into(), &0.into()), "{told}");
    assert_eq!(told["stands_out"], serde_json::json!([]));
    assert_eq!(asked.get("/api/v1/devices/nobody/trust").await.0, 404);
    let (status, over_time) = asked.get("/api/v1/devices/a/trust/periods?by=day").await;
    assert_eq!(status, 200, "{over_time}");
    let runs = |answer: &Value| -> u64 {
        answer["periods"].as_array().unwrap().iter().map(|period| period["runs"].as_u64().unwrap()).sum()
    };
    assert_eq!((&over_time["by"], runs(&over_time)), (&json!("day"), 4), "{over_time}");
    let periods = over_time["periods"].as_array().unwrap();
    let day = periods.iter().find(|period| period["first_day"] == at(1).to_string()[..10]).unwrap();
    assert!(day["pairs"].as_u64().unwrap() >= 2 && day["within_percent"].is_number(), "{over_time}");
    let (_, weeks) = asked.get("/api/v1/devices/a/trust/periods?limit=1").await;
    assert_eq!((&weeks["by"], weeks["periods"].as_array().unwrap().len()), (&json!("week"), 1), "{weeks}");
    let (status, refused) = asked.get("/api/v1/devices/a/trust/periods?by=year").await;
    assert_eq!((status, &refused["error"]["message"]), (400, &json!("`by` is one of: day, week")));
    assert_eq!(asked.get("/api/v1/devices/nobody/trust/periods").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_told_with_what_they_do() {
    let asked = Asked::start(None);
    assert_eq!(asked.get("/api/v1/hosts").await.1["items"], json!([]));
    asked.register("rack");
    asked.register("shelf");
    people::drain_host(&*asked.store, "shelf", "ann", Timestamp::now()).unwrap();
    let (status, answer) = asked.get("/api/v1/hosts").await;
    let told = |index: usize, field: &str| answer["items"][index][field].clone();
    assert_eq!(
        (status, told(0, "name"), told(0, "status"), told(0, "detail")),
        (200, "rack".into(), "working".into(), "".into())
    );
    assert_eq!((told(1, "name"), told(1, "status")), ("shelf".into(), "draining".into()));
    assert_eq!(told(1, "detail"), "drained by ann");
}
