//! `farmctl score` as a person runs it: against an independent computation, and with tables that are wrong.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const HEADER: &str = "run_id,device,model,backend,threads,batch,status,mean_ms,top1,top5,macs,price_per_hour\n";
const TABLES: u64 = 10;

/// A lab without anything.
fn lab() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn score(lab: &TempDir, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
    let output = command.current_dir(lab.path()).arg("score").args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn ranking(lab: &TempDir, words: &[&str]) -> Value {
    let (code, stdout, stderr) = score(lab, &[words, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// A random number from 0 to 1 (SplitMix64).
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Devices, networks, engines and settings with gaps, failures and repeats, the reference in each setting.
fn table(seed: u64) -> String {
    let mut state = seed;
    let mut text = HEADER.to_owned();
    let models = ["resnet50", "mobilenet_v2", "squeezenet1_0", "inception_v4", "mine"];
    let mut line = |device: &str, model: &str, threads: u64, state: &mut u64| {
        let backend = ["tract", "tflite"][(random(state) * 2.0) as usize];
        let status = if random(state) < 0.15 { "failed" } else { "ok" };
        let run = text.lines().count();
        let mean_ms = if status == "ok" { (random(state) * 400.0 + 0.01).to_string() } else { String::new() };
        let (top1, top5) = (random(state) * 0.9, 0.9 + random(state) * 0.1);
        let macs = (random(state) * 6e9) as u64 + 1;
        let price = random(state) + 0.001;
        text.push_str(&format!(
            "run-{run},{device},{model},{backend},{threads},{threads},{status},{mean_ms},{top1},{top5},{macs},{price}\n"
        ));
    };
    for _ in 0..40 {
        let device = ["reference", "board-1", "board-2", "phone"][(random(&mut state) * 4.0) as usize];
        let model = models[(random(&mut state) * 5.0) as usize];
        let threads = (random(&mut state) * 2.0) as u64 + 1;
        line(device, model, threads, &mut state);
    }
    (1..=2).for_each(|threads| line("reference", "resnet50", threads, &mut state));
    text
}

fn python(table: &str) -> BTreeMap<String, BTreeMap<String, Vec<Option<f64>>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3")
        .arg(root.join("tests/parts/score/reference.py"))
        .arg("reference")
        .arg(root.join("../configs/published-networks.csv"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    python.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn row_name(row: &Value) -> String {
    let settings = &row["settings"];
    let mut name = format!(
        "{} {} {}",
        row["device"].as_str().unwrap(),
        settings["threads"].as_str().unwrap(),
        settings["batch"].as_u64().unwrap()
    );
    if let Some(workload) = row["workload"].as_object() {
        name = format!("{name} {} {}", workload["model"].as_str().unwrap(), workload["backend"].as_str().unwrap());
    }
    name
}

/// Rows of the ranking that Python has too, each with the same values; returns how many.
fn assert_same(ranking: &Value, figures: &[&str], expected: &BTreeMap<String, Vec<Option<f64>>>) -> usize {
    let mut seen = 0;
    for row in ranking["ranking"].as_array().unwrap() {
        let name = row_name(row);
        let Some(expected) = expected.get(&name) else {
            assert!(row["rank"].is_null(), "{name} has a rank that Python knows nothing of");
            continue;
        };
        seen += 1;
        for (figure, expected) in figures.iter().zip(expected) {
            let found = row["values"][*figure].as_f64();
            match (found, expected) {
                (Some(found), Some(expected)) => assert!(
                    (found - expected).abs() <= 1e-9 * expected.abs(),
                    "{name} {figure}: {found}, Python has {expected}"
                ),
                (found, expected) => assert_eq!(found, *expected, "{name} {figure}"),
            }
        }
    }
    assert_eq!(seen, expected.len());
    seen
}

#[test]
fn the_same_as_an_independent_computation() {
    let lab = lab();
    for seed in 1..=TABLES {
        let table = table(seed);
        std::fs::write(lab.path().join("t.csv"), &table).unwrap();
        let expected = python(&table);
        let vips = ["vips", "vops", "images_per_s", "goperations_per_s"];
        let seen = assert_same(&ranking(&lab, &["t.csv"]), &vips, &expected["aiotbench"]);
        assert!(seen >= 4, "the table has entrants");
        assert_same(&ranking(&lab, &["t.csv", "--accuracy", "published"]), &vips[..2], &expected["published"]);
        assert_same(&ranking(&lab, &["t.csv", "--kind", "throughput"]), &vips[2..3], &expected["throughput"]);
        let against = ["t.csv", "--kind", "geomean", "--reference", "reference"];
        assert_same(&ranking(&lab, &against), &["geomean"], &expected["geomean"]);
        let dawnbench = ["latency_ms", "cost_10k_images"];
        assert_same(&ranking(&lab, &["t.csv", "--kind", "dawnbench"]), &dawnbench, &expected["dawnbench"]);
        let density = ["density_percent_per_million"];
        assert_same(&ranking(&lab, &["t.csv", "--kind", "bianco"]), &density, &expected["bianco"]);
    }
}

#[test]
fn several_tables_rank_together_and_names_choose() {
    let lab = lab();
    let ours = "run_id,device,model,backend,precision,threads,status,mean_ms,top1,macs\n\
                r1,ours,resnet50,tract,fp32,4,ok,100,0.76,4089000000\n";
    std::fs::create_dir(lab.path().join("sweep")).unwrap();
    std::fs::write(lab.path().join("sweep/results.csv"), ours).unwrap();
    let theirs = "device,model,backend,status,mean_ms,top1\n\
                  paper,resnet50,tract,ok,50,0.75\npaper,vgg16,tract,failed,,\n";
    std::fs::write(lab.path().join("theirs.csv"), theirs).unwrap();
    let words = ["sweep", "theirs.csv", "--networks", "resnet50"];
    let ranking = ranking(&lab, &words);
    let rows = ranking["ranking"].as_array().unwrap();
    let places: Vec<_> = rows.iter().map(|row| (row["device"].as_str().unwrap(), row["rank"].as_u64())).collect();
    assert_eq!(places, [("paper", Some(1)), ("ours", Some(2))]);
    assert_eq!(rows[0]["terms"][0]["source"], "theirs.csv:2");
    assert_eq!(rows[1]["terms"][0]["run_id"], "r1");
    let (code, _, stderr) = score(&lab, &["theirs.csv", "--devices", "papers"]);
    assert_eq!((code, stderr.contains("there are: paper")), (2, true), "{stderr}");
    let (code, markdown, _) = score(&lab, &[&words[..], &["--format", "markdown"]].concat());
    assert_eq!((code, markdown.contains("| 1 | paper |")), (0, true), "{markdown}");
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let lab = lab();
    std::fs::write(lab.path().join("bad.csv"), format!("{HEADER}r,a,net,tract,1,1,ok,x,0.5,,1,\n")).unwrap();
    std::fs::write(lab.path().join("plain.csv"), "device,model,backend,status,mean_ms\na,resnet50,b,ok,1\n").unwrap();
    std::fs::write(lab.path().join("bare.csv"), format!("{HEADER}r,a,net,tract,1,1,ok,1,,,1,\n")).unwrap();
    let twice = format!("{HEADER}r,a,net,tract,1,1,ok,1,1,,1,\nr,a,net,tract,1,1,ok,2,1,,1,\n");
    std::fs::write(lab.path().join("twice.csv"), twice).unwrap();
    std::fs::create_dir(lab.path().join("empty")).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["bad.csv"], 3, "bad.csv:2:22: `mean_ms`: `x` is no number"),
        (&["plain.csv"], 3, "plain.csv:1:1: there is no column `top1`"),
        (&["plain.csv", "--accuracy", "published"], 0, ""),
        (&["bare.csv"], 4, "--accuracy published"),
        (&["twice.csv"], 2, "twice.csv:2 and twice.csv:3"),
        (&["nowhere.csv"], 3, "nowhere.csv"),
        (&["empty"], 2, "results.csv"),
        (&["latest"], 4, "no sweep yet"),
        (&["plain.csv", "--kind", "geomean"], 2, "--reference DEVICE, with one of: a"),
        (&["plain.csv", "--kind", "geomean", "--reference", "b"], 2, "there are: a"),
        (&["plain.csv", "--kind", "mips"], 2, "aiotbench, throughput, geomean, dawnbench, bianco"),
    ];
    for (words, expected, said) in cases {
        let (code, _, stderr) = score(&lab, words);
        assert_eq!((code, stderr.contains(said)), (*expected, true), "{words:?}: {stderr}");
    }
}
