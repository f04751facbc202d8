#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::domain::{JobId, Plan, Record, RunStatus, SweepId, SweepState, sample};
use crate::lab::{Environment, Overrides, SweepLogs};
use crate::store::conformance::{at, claim, definition, record};
use crate::store::{NewSweep, Store};

fn lab(folder: &Path) -> Lab {
    for name in ["configs", "farms"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let environment = Environment::sample();
    Lab::open(folder, Overrides::default(), environment, SweepLogs::default(), Arc::new(|_| {})).unwrap()
}

/// A sweep of two devices, three networks and three repeats, planned repeat by repeat: some runs failed, one job is
/// open, and one cell could not run.
fn sweep(store: &dyn Store) -> SweepRow {
    let row = SweepRow {
        id: SweepId("20270115-080000-s-7f3a".into()),
        name: "s".into(),
        started_at: at(0),
        finished_at: None,
        farmctl_version: "0.1.0".into(),
        state: SweepState::Open,
    };
    let mut jobs = Vec::new();
    for device in ["board-10", "board-2"] {
        for repeat in 1..=3 {
            for model in ["resnet50", "ä <b>", "mobilenet_v2"] {
                let mut job = sample::job(device, model);
                (job.id, job.repeat) = (JobId(format!("{:016x}", jobs.len() + 1)), repeat);
                job.position = Some(jobs.len() as u32 + 1);
                jobs.push(job);
            }
        }
    }
    let plan = Plan { sweep: "s".into(), jobs, skipped: Vec::new() };
    store.create_sweep(&NewSweep::new(&row, &definition(), &plan)).unwrap();
    for (device, count) in [("board-10", 9), ("board-2", 8)] {
        for number in 0..count {
            let run = claim(store, &row, device, "host", number);
            let status = if number == 4 { RunStatus::Failed } else { RunStatus::Ok };
            let ended = ended(record(&row.id, &run.job, Some((&run.run_id, run.attempt)), status), number as u64);
            store.finish(run.epoch, &ended, None, at(number + 1)).unwrap();
        }
    }
    let mut skipped = record(&row.id, &sample::job("board-3", "resnet50"), None, RunStatus::Skipped);
    skipped.measurement.samples_ns.clear();
    store.add_record(&skipped).unwrap();
    row
}

fn ended(mut record: Record, number: u64) -> Record {
    let level_ns = 5_000_000 + number * 40_000;
    let samples = (0..60).map(|index| level_ns + index * 23 % 60 * (number + 1) * 100);
    record.measurement.samples_ns = if record.status == RunStatus::Ok { samples.collect() } else { vec![7] };
    record
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
    };
    entries.map(file).collect()
}

#[test]
fn files_for_programs_are_the_same_whether_the_sweep_is_in_memory_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(folder.path());
    // A job without a record is told as of the sweep's end.
    let row = SweepRow { finished_at: Some(at(99)), ..sweep(lab.store().unwrap().as_ref()) };
    let in_memory = lab.publish_as(row.clone()).unwrap();
    assert!(!in_memory.is_part() && !lab.is_large(&row).unwrap());
    let expected = files(&in_memory.folder);
    std::fs::remove_dir_all(&in_memory.folder).unwrap();
    let results = lab.publish_large(row.clone()).unwrap();
    assert!(results.is_part());
    publish::publish(&lab.reports(), &results.input(), None).unwrap();
    let found = files(&results.folder);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let for_programs = REPORTS.iter().filter(|report| report.is_of_all()).map(|report| report.file_name());
    let for_programs: Vec<&str> = for_programs.chain(["ranking.csv"]).collect();
    assert_eq!(for_programs.len(), 9);
    for name in for_programs {
        let place = found[name].iter().zip(&expected[name]).position(|(one, other)| one != other);
        let lengths = (found[name].len(), expected[name].len());
        assert!(found[name] == expected[name], "{name}: other from byte {place:?} on, of {lengths:?} bytes");
    }
    let mut rows = Vec::new();
    lab.write_rows(&row, "results.csv", &mut rows).unwrap();
    assert_eq!(rows, expected["results.csv"]);
    assert!(lab.write_rows(&row, "index.html", &mut rows).is_err());
}

#[test]
fn what_people_read_of_a_large_sweep_counts_all_and_says_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(folder.path());
    let row = sweep(lab.store().unwrap().as_ref());
    let (whole, part) = (lab.results(row.clone()).unwrap(), lab.large_results(row).unwrap());
    let note = "This sweep has 19 rows of 7 cells: too many to be shown.";
    let render = |name: &str, results: &SweepResults| {
        let report = REPORTS.iter().find(|report| report.file_name() == name).unwrap();
        String::from_utf8(report.render(&results.input()).unwrap()).unwrap()
    };
    for name in ["index.html", "results.md", "summary.md"] {
        let (whole, part) = (render(name, &whole), render(name, &part));
        assert!(part.contains(note) && !whole.contains(note), "{name}: {part}");
        assert!(part.contains("15 ok, 2 failed, 1 skipped, 1 cancelled"), "{name}: {part}");
    }
    let ways = |results: &SweepResults| {
        let ways = results.counting().iter().map(|record| record.status.as_str()).collect::<Vec<_>>();
        ways.into_iter().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ways(&part), ways(&whole), "the exit code goes by them");
}
