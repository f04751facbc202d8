//! The SQL of the book is what DuckDB takes, over the rows of several sweeps.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::regressions::{SWEEP, add_busy, backends};
use super::support::{Lab, farm, local_device};

/// DuckDB from the package index; it stays for the next test run.
fn duckdb() -> PathBuf {
    const VERSION: &str = "2.0.1";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("duckdb-{VERSION}"));
    if !folder.is_dir() {
        let partial = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"]);
        pip.arg(partial.path()).arg(format!("duckdb=={VERSION}"));
        assert!(pip.status().expect("pip (scripts/prepare)").success());
        // Another test run may have been faster.
        let _ = std::fs::rename(partial.path(), &folder);
    }
    folder
}

/// What DuckDB answers to a statement after those of the book, as JSON.
fn asked(lab: &Lab, statement: &str) -> Value {
    const SCRIPT: &str = "import json, sys, duckdb
duckdb.execute(open(sys.argv[1]).read())
print(json.dumps(duckdb.sql(sys.argv[2]).fetchall(), default=str))";
    let views = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/results.sql");
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(views).arg(statement).current_dir(lab.path("")).env("PYTHONPATH", duckdb());
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_views_of_the_book_have_the_rows_of_all_sweeps() {
    let lab = Lab::new();
    for (name, busy_ns) in [("busy", 2_000_000), ("slow", 4_000_000)] {
        add_busy(&lab, name, busy_ns);
    }
    lab.write("configs/backends.yaml", &backends(&["busy", "slow"]));
    let off = "  - { name: off, disabled: broken screen, transport: local }\n".to_owned();
    lab.write("farms/lab.yaml", &farm(&[local_device(), off]));
    lab.write("configs/three.yaml", &format!("{SWEEP}repeats: 3\n"));
    for _ in 0..2 {
        lab.sweep(&["configs/three.yaml"]).expect_code(0);
    }
    // Measured in turn, so of no view but the first.
    let (code, _, stderr) = lab.run(&["ab", "configs/three.yaml", "--b", "backend=slow", "--pairs", "6"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = lab.run(&["results", "--parquet", "results.parquet"]);
    assert!(code == 0 && stderr.contains("results.parquet: "), "{stderr}");

    let (_, csv, _) = lab.run(&["results", "--format", "csv"]);
    let rows = csv::Reader::from_reader(csv.as_bytes()).records().count();
    assert_eq!(asked(&lab, "SELECT count(*) FROM results"), serde_json::json!([[rows]]));
    assert_eq!(asked(&lab, "SELECT count(*), count(DISTINCT sweep_id) FROM runs"), serde_json::json!([[6, 2]]));
    let cells =
        asked(&lab, "SELECT device, model, backend, threads, runs, p50_ms, least_p50_ms, most_p50_ms FROM cells");
    let cells = cells.as_array().unwrap();
    assert_eq!(cells.len(), 2);
    for cell in cells {
        assert_eq!(
            cell.as_array().unwrap()[..5],
            serde_json::json!(["this-host", "digits", "busy", "1", 3]).as_array().unwrap()[..]
        );
        let [p50, least, most] = [5, 6, 7].map(|index| cell[index].as_f64().unwrap());
        assert!(least <= p50 && p50 <= most && (1.9..4.0).contains(&p50), "{cell}");
    }
    let changes = asked(&lab, "SELECT change_percent, abs(change_percent) < 50 FROM changes");
    assert_eq!(changes.as_array().unwrap().len(), 1, "{changes}");
    let types =
        asked(&lab, "SELECT typeof(p50_ms), typeof(started_at), typeof(batch), typeof(device) FROM runs LIMIT 1");
    assert_eq!(types, serde_json::json!([["DOUBLE", "TIMESTAMP WITH TIME ZONE", "BIGINT", "VARCHAR"]]));

    let (code, _, stderr) = lab.run(&["results", "--where", "model=none", "--parquet", "none.parquet"]);
    assert!(code == 4 && stderr.contains("0 rows"), "{stderr}");
    let (code, _, stderr) = lab.run(&["results", "--parquet", "no/such/folder.parquet"]);
    assert!(code == 2 && stderr.contains("is there such a folder"), "{stderr}");
}
