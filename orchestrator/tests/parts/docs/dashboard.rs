//! The dashboard for Grafana asks for what `/metrics` has, and for all of it.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a histogram's values are named behind its name.
const HISTOGRAM_ENDS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Every query of a panel.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect()
}

/// The metrics of ours that a query names.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query.split(move |c| !is_part(c)).filter(|word| word.starts_with("farmctl_")).map(|word| {
        let ends = HISTOGRAM_ENDS.iter();
        ends.filter_map(|end| word.strip_suffix(end)).next().unwrap_or(word)
    })
}

#[test]
fn it_asks_for_every_figure_and_for_no_other() {
    let text = std::fs::read_to_string(super::book().join("reference/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let asked: BTreeSet<String> = queries(&dashboard).into_iter().flat_map(metrics).map(str::to_owned).collect();
    let told: BTreeSet<String> = farmctl::api::METRICS.iter().map(|metric| metric.name()).collect();
    assert_eq!(asked, told);
}

#[test]
fn each_panel_says_what_it_shows() {
    let text = std::fs::read_to_string(super::book().join("reference/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let said = panel["description"].as_str().unwrap_or_default();
        assert!(said.ends_with('.'), "{}", panel["title"]);
    }
}
