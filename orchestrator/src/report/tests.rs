#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use super::columns::Cell;
use super::*;
use crate::domain::{CheckThen, CheckVerdict, Condition, Figures, MeasuredAccuracy, TrustPolicy, sample};
use crate::wording::single_line;

mod doubts;
mod page;
mod trust;

/// The columns as the product promises them; more may follow.
const PROMISED: &str = "sweep_id, job_id, run_id, attempt, farm, device, tags, transport, target, soc, os, model, \
    model_sha256, weights, backend, backend_version, precision, threads, cpus, batch, scenario, status, failure_kind, \
    failure, load_ms, first_ms, warmup_runs, runs, mean_ms, sd_ms, min_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms, \
    images_per_s, macs, gmacs_per_s, peak_rss_bytes, output_error, started_at, finished_at, farmctl_version, \
    runner_sha256";

pub(super) fn records() -> Vec<Record> {
    let mut slow = sample::record("board-2", "resnet50");
    slow.measurement.outputs = vec![sample::output("y", "out-b")];
    slow.device.as_mut().unwrap().soc = Some("=HYPERLINK(\"http://x\") <script>alert(1)</script>".into());
    let mut quick = sample::record("board-1", "resnet50");
    quick.measurement.accuracy = Some(MeasuredAccuracy { n_images: 263, top1_correct: 81, top5_correct: 200 });
    quick.price_per_hour = Some(0.25);
    quick.measurement.outputs = vec![sample::output("y", "out-a")];
    vec![
        quick,
        slow,
        sample::failed("board-2", "mobilenet_v2", "measure: signal 11\nin \"conv\", line 2"),
        sample::skipped("board-1", "densenet121", "tract does not run int8"),
    ]
}

pub(super) fn outputs() -> HashMap<String, Vec<f32>> {
    [("out-a", vec![1.0, -4.0]), ("out-b", vec![1.0, -4.001])].map(|(hash, values)| (hash.to_owned(), values)).into()
}

pub(super) fn rendered(file_name: &str, records: &[Record]) -> Vec<u8> {
    let (sweep, outputs) = (sample::sweep(), outputs());
    let report = REPORTS.iter().find(|report| report.file_name() == file_name).expect("is registered");
    report.render(&ReportInput::new(&sweep, records, &outputs)).unwrap()
}

fn table(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    ::csv::Reader::from_reader(bytes).deserialize().collect::<Result<_, _>>().unwrap()
}

#[test]
fn columns_are_the_promised_ones() {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    let promised: Vec<_> = PROMISED.split(", ").collect();
    assert_eq!(names[..promised.len()], promised);
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    let text = columns_text();
    assert!(names.iter().all(|name| text.contains(&format!("\n{name} "))), "{text}");
}

#[test]
fn a_record_leads_to_what_the_device_was_like() {
    let check = CheckThen {
        at: sample::at(5),
        verdict: CheckVerdict::Warning,
        kernel_version: Some(1),
        kernel_median_ns: Some(3_250_000),
    };
    let mut known = sample::record("a", "tiny");
    known.condition =
        Some(Condition { asked_at: sample::at(9), free_bytes: 7_000_000_000, check: Some(check), pace: None });
    known.device.as_mut().unwrap().clock_off_ms = Some(-60_000);
    let rows = rendered("results.json", &[known.clone(), sample::record("b", "tiny")]);
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    let told = |row: usize| {
        let cell = |name: &str| rows["results"][row][name].clone();
        let names =
            ["device_free_bytes", "device_clock_off_ms", "check_verdict", "check_kernel_ms", "check_kernel_version"];
        serde_json::Value::from(names.map(cell).to_vec())
    };
    assert_eq!(told(0), serde_json::json!([7_000_000_000_u64, -60_000.0, "warning", 3.25, 1]));
    assert_eq!(
        rows["results"][0]["device_asked_at"].as_str().map(str::len),
        rows["results"][0]["check_at"].as_str().map(str::len)
    );
    assert_eq!(told(1), serde_json::json!([null, null, null, null, null]), "one of an older version");
    let text = serde_json::to_string(&known).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), known);
}

#[test]
fn results_read_back() {
    let rows = table(&rendered("results.csv", &records()));
    assert_eq!(rows.len(), 4);
    let cell = |row: usize, name: &str| rows[row][name].as_str();
    let expected = [
        ("device", "board-1"),
        ("tags", "desk;soc=rk3588"),
        ("cpus", "4 5"),
        ("threads", "2"),
        ("status", "ok"),
        ("failure", ""),
        ("load_ms", "182.5"),
        ("first_ms", "21.000001"),
        ("runs", "4"),
        ("mean_ms", "20.1250002"),
        ("sd_ms", "1.31497766"),
        ("min_ms", "19.0"),
        ("p50_ms", "19.500001"),
        ("p99_ms", "22.0"),
        ("images_per_s", "49.6277916"),
        ("gmacs_per_s", "14.9453053"),
        ("output_error", "0.0"),
        ("started_at", "2026-11-23T23:00:10.000Z"),
        ("n_images", "263"),
        ("top1", "0.307984791"),
        ("top5", "0.760456274"),
        ("top1_low", "0.25528852"),
        ("top1_high", "0.366209577"),
        ("price_per_hour", "0.25"),
    ];
    expected.iter().for_each(|(name, value)| assert_eq!(cell(0, name), *value, "{name}"));
    assert_eq!(
        (cell(1, "n_images"), cell(1, "top1"), cell(1, "top1_low"), cell(1, "price_per_hour")),
        ("", "", "", "")
    );
    assert_eq!(cell(1, "output_error"), "0.00024998188");
    assert_eq!(cell(1, "soc"), "'=HYPERLINK(\"http://x\") <script>alert(1)</script>");
    assert_eq!((cell(2, "status"), cell(2, "failure_kind")), ("failed", "crashed"));
    assert_eq!(cell(2, "failure"), "measure: signal 11 in \"conv\", line 2");
    assert_eq!((cell(2, "p50_ms"), cell(2, "runs"), cell(2, "load_ms")), ("", "2", "1.0"));
    assert_eq!((cell(3, "status"), cell(3, "run_id"), cell(3, "attempt"), cell(3, "os")), ("skipped", "", "0", ""));
    assert!(!cell(2, "remedy").is_empty());
}

#[test]
fn all_records_stay_rows_of_one_line() {
    let text = String::from_utf8(rendered("results.csv", &records())).unwrap();
    assert_eq!(text.lines().count(), 5);
    assert!(rendered("results.csv", &[]).starts_with(b"sweep_id,"));
}

#[test]
fn python_reads_the_same_table() {
    let bytes = rendered("results.csv", &records());
    let script = "import csv,json,sys; print(json.dumps(list(csv.DictReader(sys.stdin))))";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    python.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = python.wait_with_output().unwrap();
    let rows: Vec<HashMap<String, String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows, table(&bytes));
}

#[test]
fn every_raw_sample_is_kept() {
    let plain = zstd::decode_all(&rendered("samples.csv.zst", &records())[..]).unwrap();
    let rows = table(&plain);
    let latencies: Vec<_> = rows.iter().map(|row| row["latency_ns"].as_str()).collect();
    let one = ["20000000", "19000000", "22000000", "19500001"];
    assert_eq!(latencies, [&one[..], &one[..], &["5", "6"]].concat());
    assert_eq!((rows[5]["device"].as_str(), rows[5]["sample_index"].as_str()), ("board-2", "1"));
}

#[test]
fn json_has_typed_values() {
    let mut records = records();
    records[1].measurement.outputs = vec![sample::output("y", "longer")];
    let (sweep, mut outputs) = (sample::sweep(), outputs());
    outputs.insert("longer".into(), vec![1.0; 3]);
    let input = ReportInput::new(&sweep, &records, &outputs);
    let value: serde_json::Value = serde_json::from_slice(&json::ResultsJson.render(&input).unwrap()).unwrap();
    assert_eq!(value["sweep"]["id"], "20261123-230000-all-7f3a");
    let results = value["results"].as_array().unwrap();
    assert_eq!((&results[0]["p50_ms"], &results[0]["macs"]), (&19.500001.into(), &300_774_272u64.into()));
    assert_eq!(results[1]["output_error"], "inf");
    assert!(results[3]["p50_ms"].is_null() && results[2]["failure"].as_str().unwrap().contains('\n'));
}

fn result_text(width: u16, colour: bool) -> String {
    let (sweep, records, outputs) = (sample::sweep(), records(), outputs());
    result_table(&ReportInput::new(&sweep, &records, &outputs), width, colour)
}

#[test]
fn terminal_table_at_80_columns() {
    let text = result_text(80, false);
    assert!(text.lines().all(|line| console::measure_text_width(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = result_text(80, true);
    assert!(coloured.contains("\u{1b}[31m"));
    assert_eq!(console::strip_ansi_codes(&coloured), result_text(80, false));
}

#[test]
fn numbers_in_names_are_read_as_numbers() {
    let records = ["board-10", "board-9", "board-1"].map(|device| sample::record(device, "resnet50"));
    let text = String::from_utf8(rendered("results.md", &records)).unwrap();
    let place = |device: &str| text.find(&format!("{device} ")).unwrap();
    assert!(place("board-1") < place("board-9") && place("board-9") < place("board-10"), "{text}");
}

#[test]
fn plan_as_text() {
    let first = crate::domain::Job { position: Some(1), ..sample::job("board-1", "mobilenet_v2") };
    let mut other = crate::domain::Job { position: Some(1), ..sample::job("board-2", "resnet50") };
    other.id = crate::domain::JobId("ffee".into());
    let plan = crate::domain::Plan {
        sweep: "all".into(),
        skipped: vec![crate::domain::Skipped {
            job: sample::job("board-1", "vgg"),
            kind: crate::domain::FailureKind::ArtifactUnavailable,
            reason: "no weights\nhere".into(),
        }],
        jobs: vec![first, other],
    };
    let inventory = |exclusive: Option<&str>| {
        let device = |name| crate::domain::Device { exclusive: exclusive.map(str::to_owned), ..sample::board(name) };
        crate::domain::Inventory { devices: vec![device("board-1"), device("board-2")], host_target: None }
    };
    let sweep = sample::sweep_definition();
    let text = plan_text(&plan, &inventory(Some("bench-pc")), &sweep);
    assert!(text.contains("estimated time: 5.2s, devices one after the other where they share a machine"), "{text}");
    let cooldown = crate::domain::Cooldown { pause_seconds: 1.0, ..crate::domain::Cooldown::default() };
    let cooled = crate::domain::Sweep { cooldown: Some(cooldown), ..sweep.clone() };
    let text = plan_text(&plan, &inventory(None), &cooled);
    assert!(text.contains("estimated time: 2.6s to 2m 03s, as long as devices cool down, devices in"), "{text}");
    let text = plan_text(&plan, &inventory(None), &sweep);
    insta::assert_snapshot!(text);
    let trust = TrustPolicy { max_reruns: 2, ..TrustPolicy::default() };
    let more = plan_text(&plan, &inventory(None), &crate::domain::Sweep { trust, ..sweep });
    let said = "doubtful rows are measured again up to 2 times, at the end of their device's work and 30s later";
    assert!(more.contains(said) && more.ends_with("up to 5.2s\nmore if all are\n"), "{more}");
}

#[test]
fn people_are_told_times_by_the_labs_clocks_and_programs_by_utc() {
    let (sweep, outputs, records) = (sample::sweep(), HashMap::new(), records());
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let input = ReportInput::new(&sweep, &records, &outputs).in_zone(zone);
    let text = |name: &str| {
        let report = REPORTS.iter().find(|report| report.file_name() == name).unwrap();
        String::from_utf8(report.render(&input).unwrap()).unwrap()
    };
    assert!(text("index.html").contains("2026-11-24 00:00:00 CET"));
    assert!(text("results.md").contains("started 2026-11-24 00:00:00 CET"));
    let table = text("results.csv");
    assert!(table.contains("Z,") && !table.contains(" CET"), "{table}");
}

#[test]
fn markdown_table() {
    let mut records = records();
    records[0].job.device = "a|b `x` <script>".into();
    insta::assert_snapshot!(String::from_utf8(rendered("results.md", &records)).unwrap());
}

#[test]
fn remarks_are_a_column_and_a_note() {
    let mut records = records();
    records[0].job.remarks = vec!["accuracy is not measured: no <classes>".to_owned()];
    records[0].measurement.remarks = vec!["outputs left out: 1".to_owned()];
    let rows = table(&rendered("results.csv", &records));
    assert_eq!(rows[0]["remarks"], "accuracy is not measured: no <classes>; outputs left out: 1");
    assert_eq!(rows[1]["remarks"], "");
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert!(page.contains("1 row: accuracy is not measured: no &#60;classes&#62;; outputs left out: 1."), "{page}");
}

#[test]
fn a_row_whose_threads_shared_a_processor_says_so() {
    let mut records = records();
    (records[0].measurement.threads, records[0].measurement.cpus) = (Some(2), vec![0]);
    let rows = table(&rendered("results.csv", &records));
    let remark = "2 threads shared 1 processor: the device allows its measuring process no more";
    assert_eq!(rows[0]["remarks"], remark);
    (records[0].measurement.threads, records[0].measurement.cpus) = (Some(2), vec![]);
    assert_eq!(table(&rendered("results.csv", &records))[0]["remarks"], "", "nothing is known of its processors");
}

#[test]
fn averages_of_a_foreign_program_are_marked() {
    let mut record = sample::record("board-1", "tiny");
    record.measurement.samples_ns.clear();
    record.measurement.reported =
        Some(Figures { runs: Some(50), mean_ns: Some(2_000_000), min_ns: Some(1_000_000), ..Figures::default() });
    let (sweep, records) = (sample::sweep(), [record]);
    let outputs = HashMap::new();
    let input = ReportInput::new(&sweep, &records, &outputs);
    let rows = input.rows();
    let value = |name: &str| {
        let column = COLUMNS.iter().find(|column| column.name == name).unwrap();
        (column.value)(&rows[0])
    };
    assert_eq!(
        (value("mean_ms"), value("min_ms"), value("runs")),
        (Cell::Number(2.0), Cell::Number(1.0), Cell::Integer(50))
    );
    assert_eq!((value("p50_ms"), value("images_per_s")), (Cell::Empty, Cell::Empty));
    assert_eq!(value("averages_only"), Cell::Text("yes".to_owned()));
    let table = result_table(&input, 80, false);
    assert!(table.contains("averages only"), "{table}");
}

#[test]
fn our_own_table_is_scored_as_its_records_are() {
    use crate::score::ScoredRun;
    let mut records = records();
    let devices = ["007", "NA", "=1+1", "2026-11-25"];
    for (index, (record, device)) in records.iter_mut().zip(devices).enumerate() {
        record.job.device = device.into();
        record.job.batch = 8;
        record.run_id = record.run_id.take().map(|_| crate::domain::RunId(format!("s-{index}")));
        record.job.threads = crate::domain::ThreadCount::All;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.csv");
    std::fs::write(&path, rendered("results.csv", &records)).unwrap();
    let read = crate::config::load_results(&path, &["top1", "macs"]).unwrap();
    let written: Vec<ScoredRun> = records.iter().map(ScoredRun::of).collect();
    assert_eq!(read.len(), written.len());
    // Nine digits of what is computed, each on its own line, a failure on one line: all else is the same.
    let same = |mut run: ScoredRun| {
        let nine = |value: f64| format!("{value:.7e}");
        run.source.clear();
        run.failure = run.failure.map(|failure| single_line(&failure));
        let times = run.latency_s.take().map(nine);
        let accuracy = run.accuracy.take();
        (run, times, accuracy.map(|it| (it.top1.map(nine), it.top5.map(nine), it.n_images)))
    };
    for (read, written) in read.into_iter().zip(written) {
        assert_eq!(same(read), same(written));
    }
}

/// 100 samples of 20 ms with a spread of a hundredth; those from `from` on are a quarter slower.
fn steps(from: usize) -> Vec<u64> {
    let spread = |index: u64| index * 7_919 % 100 * 2_000;
    let latency = |index: u64| 20_000_000 + spread(index) + if index as usize >= from { 5_000_000 } else { 0 };
    (0..100).map(latency).collect()
}
