#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::{MeasuredAccuracy, PublishedNetwork, Record, sample};
use crate::score::{self, Options, ResultMatrix, SCORES, ScoredRun, rank};

/// Two devices that have all, one that lacks two, and one with other settings.
fn records() -> Vec<Record> {
    let measured = |device: &str, model: &str, milliseconds: u64, top1_correct| {
        let mut record = sample::record(device, model);
        record.measurement.samples_ns = vec![milliseconds * 1_000_000];
        record.measurement.accuracy = Some(MeasuredAccuracy { n_images: 1000, top1_correct, top5_correct: 960 });
        record.price_per_hour = (device == "board-1").then_some(0.36);
        record.run_id = Some(crate::domain::RunId(format!("s1-{device}-{model}-{milliseconds}")));
        record
    };
    let mut threads = measured("board-1", "resnet50", 90, 760);
    threads.job.threads = crate::domain::ThreadCount::All;
    vec![
        measured("board-10", "resnet50", 100, 760),
        measured("board-10", "mobilenet_v2", 20, 720),
        measured("board-1", "resnet50", 200, 760),
        measured("board-1", "mobilenet_v2", 10, 720),
        measured("board-1", "mobilenet_v2", 11, 720),
        sample::failed("=board|3", "resnet50", "measure: signal 11\nin conv"),
        threads,
    ]
}

fn ranking(score: &str, accuracy: AccuracySource) -> Ranking {
    let runs: Vec<ScoredRun> = records().iter().map(ScoredRun::of).collect();
    let published = ["resnet50", "mobilenet_v2"].map(|name| PublishedNetwork {
        name: name.into(),
        input_px: 224,
        params: Some(4_000_000),
        macs: 300_000_000,
        top1_percent: 75.0,
        top5_percent: Some(94.0),
        source: "a paper".into(),
    });
    let options = Options { accuracy, reference: Some("board-1"), published: &published, flops: false };
    rank(score::score(score).unwrap(), &ResultMatrix::new(&runs).unwrap(), &options).unwrap()
}

#[test]
fn every_score_at_80_columns() {
    let texts: Vec<String> =
        SCORES.iter().map(|score| ranking_text(&ranking(score.name(), AccuracySource::Measured), 80, false)).collect();
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(console::measure_text_width(line) <= 80, "{line}");
    }
    insta::assert_snapshot!(texts.join("\n=====\n"));
}

#[test]
fn terms_in_markdown() {
    insta::assert_snapshot!(ranking_markdown(&ranking("aiotbench", AccuracySource::Published), true));
}

#[test]
fn what_is_published_is_marked_in_every_form() {
    let ranking = ranking("aiotbench", AccuracySource::Published);
    let csv = String::from_utf8(ranking_csv(&ranking).unwrap()).unwrap();
    assert!(csv.lines().skip(1).all(|line| line.starts_with("aiotbench,published,")), "{csv}");
    assert_eq!(ranking_json(&ranking)["accuracy"], "published");
    for text in [ranking_text(&ranking, 120, false), ranking_markdown(&ranking, false)] {
        assert!(
            text.contains("AS PUBLISHED") && (text.contains("  published\n") || text.contains("| published |")),
            "{text}"
        );
    }
}

#[test]
fn csv_reads_back_with_a_run_for_each_term() {
    for score in SCORES {
        let ranking = ranking(score.name(), AccuracySource::Measured);
        let bytes = ranking_csv(&ranking).unwrap();
        let mut reader = ::csv::Reader::from_reader(&bytes[..]);
        let header: std::collections::BTreeSet<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(header.len(), reader.headers().unwrap().len(), "each name once");
        let rows: Vec<std::collections::HashMap<String, String>> =
            reader.deserialize().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), ranking.result.rows.iter().map(|row| row.terms.len()).sum::<usize>());
        for row in &rows {
            assert!(!row["run_id"].is_empty() || !row["not_counted"].is_empty(), "{row:?}");
        }
        assert!(rows.iter().any(|row| row["device"] == "'=board|3"), "no spreadsheet runs it");
    }
}

#[test]
fn json_names_its_values() {
    let value = ranking_json(&ranking("aiotbench", AccuracySource::Measured));
    let first = &value["ranking"][0];
    assert_eq!(
        (&first["rank"], &first["device"], &first["settings"]["threads"]),
        (&1.into(), &"board-1".into(), &"2".into())
    );
    assert_eq!(first["values"]["vips"], 0.76 / 0.2 + 0.72 / 0.01);
    assert_eq!(first["terms"][0]["run_id"], "s1-board-1-mobilenet_v2-10");
    assert_eq!((&first["terms"][0]["runs"], &first["terms"][0]["values"]["top1"]), (&2.into(), &0.72.into()));
    assert!(value["ranking"][3]["rank"].is_null());
}
