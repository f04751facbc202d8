//! An engine program in C that answers with what it is asked, and orders for it.
#![allow(dead_code)] // not every test program needs all of it

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use farmctl_protocol::{Dialect, EngineSpec, InputRange, Limits, Message, NamedArtifact, RunRequest};

use super::Lab;

/// The echo engine, built by the machine's C compiler.
pub static ECHO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("echo-{}", std::process::id()));
    let mut compile = Command::new("cc");
    compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]);
    compile.arg(here.join("engine-kit/c")).arg("-o").arg(&program).arg(here.join("tests/engine/echo.c"));
    assert!(compile.status().expect("a C compiler (scripts/prepare)").success());
    let bytes = fs::read(&program).unwrap();
    fs::remove_file(&program).unwrap();
    bytes
});

pub fn engine(lab: &Lab, options: &[(&str, &str)]) -> EngineSpec {
    let file = |name: &str, content: &[u8]| NamedArtifact { name: name.to_owned(), artifact: lab.push(content) };
    EngineSpec {
        files: vec![file("echo", &ECHO), file("beside.txt", b"a library")],
        command: vec!["echo".to_owned()],
        dialect: Dialect::Engine,
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

pub fn request(lab: &Lab, limits: Limits, options: &[(&str, &str)]) -> RunRequest {
    let mut request = lab.request("run", limits);
    request.job.backend = "echo".to_owned();
    request.job.input_range = InputRange { low: -2.0, high: 2.5 };
    request.job.engine = Some(engine(lab, options));
    request
}

pub fn samples(messages: &[Message]) -> Vec<u64> {
    let latencies = messages.iter().filter_map(|message| match message {
        Message::Samples { latencies_ns } => Some(latencies_ns.clone()),
        _ => None,
    });
    latencies.flatten().collect()
}
