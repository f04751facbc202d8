#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::*;
use crate::domain::{JobId, MeasuredAccuracy, RunId, sample};
use crate::report::spans::{DeviceSpan, Work};

/// So many runs of 100 devices that have little in common.
fn runs(count: u64) -> Vec<Record> {
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let run = |index: u64| {
        let mut record = sample::record(&format!("board-{}", index % 100), &format!("network_{}", index / 100));
        record.job.id = JobId(format!("{:016x}", (random(1 << 31) << 31) | random(1 << 31)));
        record.run_id = Some(RunId(format!("{}-{}-1", record.sweep_id, record.job.id)));
        (record.started_at, record.finished_at) =
            (Some(sample::at(index as i64 * 2)), sample::at(index as i64 * 2 + 1));
        let measurement = &mut record.measurement;
        let latency_ns = 1_000_000 + random(90_000_000);
        measurement.samples_ns = (0..60).map(|_| latency_ns + random(latency_ns / 5)).collect();
        measurement.load_ns = Some(random(1_000_000_000));
        measurement.first_ns = Some(latency_ns + random(latency_ns));
        measurement.wall_ns = Some(measurement.samples_ns.iter().sum::<u64>() + random(1_000_000));
        measurement.peak_rss_bytes = Some(random(1_000_000_000));
        measurement.accuracy = Some(MeasuredAccuracy { n_images: 1000, top1_correct: random(900), top5_correct: 950 });
        let mut told = sample::conditions();
        told.watched_ns = 9_000_000_000 + random(1_000_000_000);
        told.other_ns = Some(random(10_000_000));
        (told.throttled, told.throttled_by) = (farmctl_protocol::Throttled::No, Vec::new());
        measurement.conditions = Some(Box::new(told));
        record
    };
    (0..count).map(run).collect()
}

fn page_of(records: &[Record]) -> String {
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let input = ReportInput::new(&sweep, records, &outputs);
    String::from_utf8(IndexHtml.render(&input).unwrap()).unwrap()
}

/// What the script has.
fn data_of(page: &str) -> Value {
    let (_, packed) = page.split_once("<template id=\"data\">").unwrap();
    let packed = BASE64_STANDARD.decode(packed.split("</template>").next().unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn five_thousand_rows_are_less_than_a_megabyte_and_all_there() {
    let records = runs(5_000);
    let began = Instant::now();
    let page = page_of(&records);
    println!(
        "{} bytes in {:?}, of them {} packed",
        page.len(),
        began.elapsed(),
        page.split("<template id=\"data\">").nth(1).and_then(|rest| rest.find("</template>")).unwrap()
    );
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    let data = data_of(&page);
    assert_eq!(data["count"], 5_000);
    let column = |name: &str| {
        let columns = data["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("no column {name}"))["values"]
            .clone()
    };
    assert_eq!(column("job_id")["each"].as_array().unwrap().len(), 5_000);
    assert_eq!(column("run_id"), "run_id");
    assert!(column("p50_ms")["each"].is_array() && column("soc")["same"].is_string());
    assert!(page.matches("<tr class").count() == MOST_ROWS && page.contains("4800 more rows are in results.csv"));
    assert!(page.contains("250 of 5000 cells are shown"), "boxes have no room for all");
}

#[test]
fn what_a_device_did_is_shown_from_events_or_from_records() {
    let (sweep, outputs, records) = (sample::sweep(), HashMap::new(), runs(3));
    let of_records = page_of(&records);
    assert!(of_records.contains("<title>board-0: run 20 %, idle 80 %</title>"), "{of_records}");
    let span = |work, from, until| DeviceSpan {
        device: "board-0".into(),
        work,
        from: sample::at(from),
        until: sample::at(until),
    };
    let spans = [span(Work::Push, 0, 30), span(Work::CoolDown, 30, 50), span(Work::Run, 50, 100)];
    let input = ReportInput::new(&sweep, &records, &outputs).with_spans(&spans);
    let page = String::from_utf8(IndexHtml.render(&input).unwrap()).unwrap();
    let title = "<title>board-0: push 30 %, cool-down 20 %, run 50 %, idle 0 %</title>";
    let strokes = [("push", "M0 5h300"), ("cool", "M300 5h200"), ("run", "M500 5h500")];
    let shown = strokes.map(|(class, path)| format!("<path class=\"{class}\" d=\"{path}\"/>")).concat();
    assert!(page.contains(&format!("{title}{shown}")), "{page}");
}

#[test]
fn rows_are_counted_by_what_they_are() {
    let mut records = runs(4);
    records[0].measurement.samples_ns = (0..60).map(|index| 9_000_000 + index * 23 % 60 * 1_000).collect();
    records[1].measurement.samples_ns.truncate(3);
    records[2] = sample::failed("board-2", "tiny", "no");
    records[3] = sample::skipped("board-3", "tiny", "no");
    records.push(sample::skipped("board-4", "tiny", "no"));
    assert!(shares::shares(&Tally::default()).is_empty());
    let page = page_of(&records);
    for part in ["ok 20.0 % (1)", "too_few 20.0 % (1)", "failed 20.0 % (1)", "skipped 40.0 % (2)"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn accuracy_is_shown_against_speed_where_it_was_measured() {
    let mut records = runs(3);
    let page = page_of(&records);
    assert_eq!(page.matches("<circle").count(), 3);
    assert!(page.contains("board-0: network_0: ") && page.contains(" images/s, 0.301 GMAC"), "{page}");
    records.iter_mut().for_each(|record| record.measurement.accuracy = None);
    assert!(!page_of(&records).contains("Accuracy against speed"));
}
