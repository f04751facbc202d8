//! Engines in `configs/backends.yaml`.

use crate::domain::{Backend, BackendSource, Dialect, Precision};

use super::{said, source, tract};
use crate::config::{ConfigErrors, load_backends};

fn backends(text: &str) -> Result<Vec<Backend>, ConfigErrors> {
    crate::config::backends::load(source("configs/backends.yaml", text)?, &[tract()])
}

/// One engine of one target with these files.
fn with(files: &str) -> String {
    format!(
        "backends:\n  - {{ name: a, version: '1', formats: onnx, targets: [ {{ target: x86_64-unknown-linux-gnu, \
         files: [{files}] }} ] }}\n"
    )
}

#[test]
fn the_committed_backends_load_after_those_that_are_compiled_in() {
    let backends = load_backends(None, vec![tract()]).unwrap();
    let names: Vec<&str> = backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["tract", "onnxruntime", "litert", "pytorch_mobile", "caffe2"]);
    for backend in &backends[1..] {
        for target in &backend.program.as_ref().unwrap().targets {
            assert!(matches!(target.files[0].source, BackendSource::Build { .. }), "{}", backend.name);
        }
    }
}

#[test]
fn a_users_benchmark_program() {
    let text = "backends:
  - name: mine
    version: '2'
    formats: [tflite]
    precisions: int8
    multi_threaded: false
    dialect: tflite_benchmark_model
    command: [bench, '--graph={model}']
    targets: [ { target: aarch64-linux-android, files: [ { path: tools/x, name: bench } ] } ]
";
    let backend = backends(text).unwrap().remove(0);
    assert_eq!((backend.precisions, backend.multi_threaded), (vec![Precision::Int8], false));
    let program = backend.program.unwrap();
    assert_eq!((program.dialect, program.command.len()), (Dialect::TfliteBenchmarkModel, 2));
    assert_eq!(program.targets[0].files[0].source, BackendSource::Path("configs/tools/x".into()));
}

#[test]
fn meaning_of_backends() {
    let hash = "ab".repeat(32);
    let archive = format!("archive: {{ urls: 'https://x/y.whl', sha256: {hash}, size_bytes: 3 }}");
    let member = format!("{{ member: lib/b.so, sha256: {hash}, size_bytes: 1 }}");
    let twice = format!("{{ {archive}, members: [{member}, {member}] }}");
    let texts = [
        ("a taken name", with("{ path: a }").replace("name: a", "name: tract")),
        ("no way and two ways", with("{ name: a }, { path: a, build: b }")),
        ("what does not belong together", with(&format!("{{ path: a, members: [{member}] }}"))),
        ("a file twice", with(&twice)),
        ("names", with("{ path: ../a b }, { path: a, name: ../a }, { build: ../x }")),
        (
            "hashes and addresses",
            with(
                "{ archive: { urls: ftp://x, sha256: abc, size_bytes: 1 }, members: [ { member: a, sha256: '12', \
                 size_bytes: 1 } ] }",
            ),
        ),
        ("a command that is no file", with("{ path: a }").replace("formats: onnx", "formats: onnx, command: [b]")),
        (
            "pip",
            with(&format!(
                "{{ {}, members: [{member}] }}",
                archive.replace("sha256", "pip: { requirement: -rx, python: '3 9' }, sha256")
            )),
        ),
        ("targets", with("{ path: a }").replace("x86_64-unknown-linux-gnu", "my board")),
        (
            "a target twice",
            with("{ path: a }")
                .replace("] }\n", ", { target: x86_64-unknown-linux-gnu, files: [ { path: b } ] } ] }\n"),
        ),
    ];
    let cases: Vec<(&str, &str)> = texts.iter().map(|(title, text)| (*title, text.as_str())).collect();
    insta::assert_snapshot!("meaning_of_backends", said(backends, &cases));
}
