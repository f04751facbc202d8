#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;
use crate::domain::{Record, RunId, sample};
use crate::report::ReportInput;

/// A run whose samples spread by so much around this latency, in microseconds.
fn run(device: &str, latency_us: u64, spread_us: u64) -> Record {
    let mut record = sample::record(device, "tiny");
    record.run_id = Some(RunId(format!("run-{device}")));
    let sample = |index: u64| 1_000 * (latency_us + index * 23 % 60 * spread_us / 60);
    record.measurement.samples_ns = (0..60).map(sample).collect();
    record
}

fn placed(records: &[Record]) -> Vec<(String, String)> {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let input = ReportInput::new(&sweep, records, &outputs);
    let ranking = &input.rankings()[0];
    let text = |place: Option<Place>| place.map_or_else(|| "-".to_owned(), |place| place.text());
    ranking.rows().map(|row| (row.row.device.clone(), text(row.place))).collect()
}

#[test]
fn devices_whose_intervals_overlap_share_their_places() {
    let records = [run("a", 5_000, 40), run("b", 5_010, 400), run("c", 9_000, 40), sample::failed("d", "tiny", "no")];
    let places = placed(&records);
    let place = |device: &str| places.iter().find(|(name, _)| name == device).map(|(_, place)| place.as_str());
    assert_eq!([place("a"), place("c"), place("d")], [Some("1"), Some("3"), Some("-")].map(|it| it), "{places:?}");
    assert_eq!(place("b"), Some("2"), "{places:?}");
    let places = placed(&[run("a", 5_000, 400), run("b", 5_010, 400), run("c", 9_000, 40)]);
    assert_eq!(places.iter().map(|(_, place)| place.as_str()).collect::<Vec<_>>(), ["1 to 2", "1 to 2", "3"]);
}

#[test]
fn what_has_no_interval_may_be_anywhere() {
    let mut few = run("b", 6_000, 40);
    few.measurement.samples_ns.truncate(4);
    let places = placed(&[run("a", 5_000, 40), few, run("c", 9_000, 40)]);
    let told: Vec<&str> = places.iter().map(|(_, place)| place.as_str()).collect();
    assert_eq!(told, ["1 to 2", "1 to 3", "2 to 3"], "{places:?}");
}

#[test]
fn the_interval_of_a_sum_is_made_of_those_of_its_terms() {
    let (mut second, first) = (run("a", 5_000, 400), run("a", 5_000, 400));
    second.job.model.name = "other".into();
    second.run_id = Some(RunId("second".into()));
    let half = |records: &[Record]| {
        let (sweep, outputs) = (sample::sweep(), HashMap::new());
        let input = ReportInput::new(&sweep, records, &outputs);
        let row = input.rankings()[0].rows().next().unwrap();
        row.place.unwrap().half_interval_percent(row.row.values[0].unwrap()).unwrap()
    };
    let (one, both) = (half(std::slice::from_ref(&first)), half(&[first, second]));
    assert!((both - one / 2f64.sqrt()).abs() < 1e-9 && one > 0.1, "{one} {both}");
}
