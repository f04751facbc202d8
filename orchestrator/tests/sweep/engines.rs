//! Engine programs in a sweep: fetched, pushed with their libraries, driven by the static runner.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use testlab::Board;

use super::support::{HOST_TARGET, Lab, farm, local_device, ssh_device};

/// Each engine on one network in the format that it loads, in a fraction of a second.
const SWEEP: &str = "
models: [squeezenet1_0]
backends: [tract, onnxruntime, litert, told]
include:
  - { models: digits, weights: trained, backends: [tract, onnxruntime, litert, elsewhere] }
  - { models: squeezenet1_0, backends: litert, precision: int8 }
limits:
  warmup: { min_runs: 1, min_seconds: 0, max_seconds: 0 }
  measure: { min_runs: 2, max_runs: 2, min_seconds: 0, max_seconds: 60 }
";

/// The catalogue's engines, a benchmark program that tells averages, and one for machines that nobody has here.
fn add_backends(lab: &Lab) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/backends.yaml");
    let more = format!(
        "
  - name: told
    version: '1'
    formats: onnx
    dialect: json_lines
    command: [told, '{{runs}}']
    targets: [{{ target: {HOST_TARGET}, files: [{{ path: told }}] }}]
  - name: elsewhere
    version: '1'
    formats: tflite
    targets: [{{ target: riscv64gc-unknown-linux-gnu, files: [{{ path: told }}] }}]
"
    );
    lab.write("configs/backends.yaml", &(std::fs::read_to_string(own).unwrap() + &more));
    lab.write("configs/told", "#!/bin/sh\necho \"{\\\"mean_ns\\\": 2000000, \\\"runs\\\": $1}\"\n");
    std::fs::set_permissions(lab.path("configs/told"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn engine_programs_answer_as_the_runner_does_on_this_host_and_on_boards() {
    let (board, tight) = (Board::start().unwrap(), Board::start().unwrap());
    let lab = Lab::new();
    add_backends(&lab);
    // On this one nothing is kept that a run does not need.
    let limits = "    limits: { max_store_mb: 1 }\n";
    let devices =
        [local_device(), ssh_device("board", &board, board.port), ssh_device("tight", &tight, tight.port) + limits];
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/engines.yaml", SWEEP);
    lab.write("configs/again.yaml", &format!("devices: [this-host, board]\n{SWEEP}"));

    let first = lab.sweep(&["configs/engines.yaml"]);
    first.expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.len(), 3 * 9);
    for row in &rows {
        let cell = (row["backend"].as_str(), row["model"].as_str(), row["precision"].as_str());
        if row["backend"] == "elsewhere" {
            let why = format!("elsewhere has no program for {HOST_TARGET}, only for riscv64gc-unknown-linux-gnu");
            let said = (row["status"].as_str(), row["failure_kind"].as_str(), row["failure"].as_str());
            assert_eq!(said, ("skipped", "backend_unsupported", why.as_str()));
            continue;
        }
        assert_eq!(row["status"], "ok", "{row:?}");
        let named: Vec<&str> =
            row["engine_files"].split(' ').filter_map(|file| Some(file.split_once('=')?.0)).collect();
        match row["backend"].as_str() {
            "tract" => assert!(named.is_empty(), "{row:?}"),
            "told" => {
                assert_eq!((named, row["averages_only"].as_str(), &*row["mean_ms"]), (vec!["told"], "yes", "2.0"))
            }
            "onnxruntime" => assert_eq!(named, ["engine-onnxruntime", "libonnxruntime.so.1.32.0"]),
            _ => assert_eq!(named, ["engine-litert", "libLiteRt.so"]),
        }
        if row["backend"] != "told" {
            assert!(row["output_error"].parse::<f64>().unwrap() < 1e-5, "{cell:?}: {row:?}");
            assert_eq!(row["runs"], "2", "{cell:?}");
            assert!(
                row["peak_rss_bytes"].parse::<u64>().unwrap() > 1_000_000 && !row["load_ms"].is_empty(),
                "{cell:?}"
            );
        }
    }
    let scored = lab.run(&["score", "latest", "--kind", "throughput"]);
    assert!(scored.0 == 0 && scored.1.contains("this-host"), "{scored:?}");

    let second = lab.sweep(&["configs/again.yaml"]);
    second.expect_code(0);
    assert_eq!(second.named("push_started").len(), 0, "a second sweep sends nothing");
}

#[test]
fn an_engine_that_is_not_to_be_had_is_a_skipped_cell_with_the_reason() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write(
        "configs/backends.yaml",
        &format!(
            "backends:
  - name: gone
    version: '1'
    formats: onnx
    targets: [{{ target: {HOST_TARGET}, files: [{{ path: tools/gone }}] }}]
"
        ),
    );
    lab.write(
        "configs/sweep.yaml",
        &SWEEP.replace("[tract, onnxruntime, litert, told]", "[tract, gone]").replace(
            "include:
  - { models: digits, weights: trained, backends: [tract, onnxruntime, litert, elsewhere] }
  - { models: squeezenet1_0, backends: litert, precision: int8 }
",
            "",
        ),
    );
    lab.sweep(&["configs/sweep.yaml"]).expect_code(0);
    let mut rows = lab.rows();
    rows.sort_by(|a, b| a["backend"].cmp(&b["backend"]));
    let said = |row: usize| (rows[row]["backend"].as_str(), rows[row]["status"].as_str());
    assert_eq!((said(0), said(1)), (("gone", "skipped"), ("tract", "ok")));
    assert_eq!(rows[0]["failure_kind"], "artifact_unavailable");
    assert!(rows[0]["failure"].contains("tools/gone"), "{}", rows[0]["failure"]);
}
