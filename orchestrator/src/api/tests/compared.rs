//! Sweeps against each other, and cells over sweeps.

use super::document::conforms;
use super::*;

/// A sweep that is over, of whose jobs each took so long, from then on.
fn measured(asked: &Asked, name: &str, from_seconds: i64, latency_ns: u64) -> String {
    let store = asked.store.as_ref();
    let (row, plan) = sweep(store, name, &["bb"], 3);
    for _ in &plan.jobs {
        let run = claim(store, &row, "bb", "host", 1);
        let mut record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
        record.finished_at = at(from_seconds + 25);
        record.measurement.samples_ns = (0..60).map(|index| latency_ns + index * 23 % 60 * 1_000).collect();
        store.finish(run.epoch, &record, None, at(from_seconds + 30)).unwrap();
    }
    assert!(store.finish_sweep(&row.id, at(from_seconds + 60)).unwrap());
    row.id.0
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweeps_are_compared_cell_by_cell_and_part_by_part() {
    let asked = Asked::start(None);
    let (one, two) = (measured(&asked, "one", 0, 10_000_000), measured(&asked, "two", 100, 20_000_000));
    let (status, whole) = asked.get(&format!("/api/v1/compare?a={one}&b=two")).await;
    assert_eq!(status, 200, "{whole}");
    let document = document();
    let schema =
        &document["paths"]["/api/v1/compare"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    conforms(document, schema, &whole, "compare");
    assert_eq!(whole["b"], format!("sweep {two}"));
    let cells = whole["items"].as_array().unwrap();
    assert!(!cells.is_empty() && whole["next"].is_null(), "{whole}");
    let total: u64 = whole["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, cells.len() as u64);
    let change = cells[0]["change_percent"].as_f64().unwrap();
    assert!((99.0..101.0).contains(&change), "{change}");
    assert_eq!((&cells[0]["device"], &cells[0]["verdict"]), (&json!("bb"), &json!("unclear")), "too few runs to tell");
    assert!(cells[0]["why"].as_str().is_some_and(|why| why.contains("more")), "{whole}");

    let mut parts = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let (_, part) = asked.get(&format!("/api/v1/compare?a={one}&b={two}&limit=1&after={after}")).await;
        parts.extend(part["items"].as_array().unwrap().clone());
        match part["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(&parts, cells);
    let (_, none) = asked.get(&format!("/api/v1/compare?a={one}&b={two}&verdict=slower")).await;
    assert_eq!(none["items"], json!([]));
    for (query, what) in [
        (format!("a={one}&b={one}"), "are the same runs"),
        (format!("a={one}"), "missing field `b`"),
        (format!("a={one}&b=nothing"), "there is no sweep"),
        (format!("a={one}&b={two}&verdict=worse"), "is one of: slower, faster"),
        (format!("a={one}&b=baseline:none"), "baseline"),
    ] {
        let (status, refusal) = asked.get(&format!("/api/v1/compare?{query}")).await;
        assert_eq!(status, 400, "{query}: {refusal}");
        assert!(refusal["error"]["message"].as_str().unwrap().contains(what), "{query}: {refusal}");
    }
    let parameters = document["paths"]["/api/v1/compare"]["get"]["parameters"].as_array().unwrap();
    let required: Vec<&Value> = parameters.iter().filter(|it| it["required"] == true).map(|it| &it["name"]).collect();
    assert_eq!(required, [&json!("a"), &json!("b")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_a_history_for_each_of_its_cells() {
    let asked = Asked::start(None);
    let (one, two) = (measured(&asked, "one", 0, 10_000_000), measured(&asked, "two", 100, 20_000_000));
    let store = asked.store.as_ref();
    let model = store.records(&SweepId(one.clone())).unwrap()[0].job.model.name.clone();
    let (status, part) = asked.get(&format!("/api/v1/history?model={model}&device=bb")).await;
    assert_eq!(status, 200, "{part}");
    let document = document();
    let schema =
        &document["paths"]["/api/v1/history"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    conforms(document, schema, &part, "history");
    let cells = part["items"].as_array().unwrap();
    let points = cells[0]["points"].as_array().unwrap();
    let told: Vec<(&str, f64)> =
        points.iter().map(|point| (point["sweep_id"].as_str().unwrap(), point["p50_ms"].as_f64().unwrap())).collect();
    assert_eq!(told, [(one.as_str(), 10.029), (two.as_str(), 20.029)]);
    assert_eq!((&cells[0]["device"], &cells[0]["changes"]), (&json!("bb"), &json!([])));
    let (_, first) = asked.get(&format!("/api/v1/history?model={model}&limit=1")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
    for (query, status) in [("model=nothing", 400), (&*format!("model={model}&days=0"), 400), ("device=bb", 400)] {
        assert_eq!(asked.get(&format!("/api/v1/history?{query}")).await.0, status, "{query}");
    }
}
