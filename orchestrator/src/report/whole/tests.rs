#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;
use crate::domain::{Record, RunStatus, sample};
use crate::report::{REPORTS, RankingReader, ReportInput, SweepCell};

/// So many cells of two repeats each; of each hundred one fails, and one has few samples.
fn records(cells: usize) -> Vec<Record> {
    let run = |number: usize| {
        let (cell, repeat) = (number % cells, number / cells + 1);
        let mut record = sample::record(&format!("board-{:03}", cell / 50), &format!("net-{}", cell % 50));
        record.job.repeat = repeat as u32;
        record.job.id.0 = format!("{number:016x}");
        record.run_id = Some(crate::domain::RunId(format!("run-{number}")));
        record.measurement.samples_ns = (0..60).map(|index| 1_000_000 + index * 23 % 60 * 100).collect();
        match cell % 100 {
            7 => record.measurement.samples_ns.truncate(3),
            9 => {
                record.status = RunStatus::Failed;
                record.failure = Some(crate::domain::Failure::new(crate::domain::FailureKind::Crashed, "signal 11"));
            }
            _ => {}
        }
        record
    };
    (0..2 * cells).map(run).collect()
}

/// What a report file says of the part of these records.
struct Told {
    whole: Whole,
    part: Vec<Record>,
}

impl Told {
    fn of(records: &[Record]) -> Told {
        let (sweep, outputs) = (sample::sweep(), HashMap::new());
        let input = ReportInput::new(&sweep, records, &outputs);
        let (mut reader, mut ranking) = (WholeReader::default(), RankingReader::default());
        input.rows().iter().for_each(|row| reader.take(row));
        let read = reader.finish();
        for cell in read.cells() {
            let rows: Vec<_> = cell.iter().map(|number| input.rows()[*number as usize].clone()).collect();
            ranking.take(&SweepCell::of_rows(&rows).unwrap());
        }
        let part = read.part().iter().map(|number| records[*number].clone()).collect();
        Told { whole: read.whole(ranking.finish()), part }
    }

    fn text(&self, file_name: &str) -> String {
        let (sweep, outputs) = (sample::sweep(), HashMap::new());
        let report = REPORTS.iter().find(|report| report.file_name() == file_name).unwrap();
        let input = ReportInput::new(&sweep, &self.part, &outputs).part_of(&self.whole);
        String::from_utf8(report.render(&input).unwrap()).unwrap()
    }
}

#[test]
fn a_page_of_a_part_is_bounded_and_counts_all() {
    let all = records(3_000);
    let told = Told::of(&all);
    assert!((1_000..=2_000).contains(&told.part.len()), "{}", told.part.len());
    let page = told.text("index.html");
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    let wanted = [
        "This sweep has 6000 rows of 3000 cells: too many to be shown.",
        "<p>5940 ok, 60 failed</p>",
        "too_few (60)",
        "failed: crashed (60)",
        "and 50 more",
    ];
    wanted.iter().for_each(|text| assert!(page.contains(text), "{text}: {page}"));
    let summary = told.text("summary.md");
    assert!(summary.contains("2900 more cells in summary.csv"), "{summary}");
    assert!(summary.len() < 65_536, "fits a comment");
}

#[test]
fn devices_are_ranked_by_all_cells() {
    let all = records(400);
    let told = Told::of(&all);
    let (sweep, outputs) = (sample::sweep(), HashMap::new());
    let of = |records: &[Record]| {
        let input = ReportInput::new(&sweep, records, &outputs);
        let report = REPORTS.iter().find(|report| report.file_name() == "ranking.csv").unwrap();
        String::from_utf8(report.render(&input).unwrap()).unwrap()
    };
    assert_eq!(told.text("ranking.csv"), of(&all));
}

#[test]
fn a_part_has_each_way_to_end_and_cells_from_all_over() {
    let told = Told::of(&records(3_000));
    let count = |status| told.part.iter().filter(|record| record.status == status).count();
    assert_eq!(count(RunStatus::Failed), 2 * 5, "five cells of the reason");
    let devices: std::collections::BTreeSet<&str> = told.part.iter().map(|record| record.job.device.as_str()).collect();
    assert_eq!(devices.len(), 60, "of each device some");
    let small = records(10);
    assert_eq!(Told::of(&small).part.len(), small.len(), "a small sweep is its own part");
}
