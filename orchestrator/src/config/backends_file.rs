//! The form of `configs/backends.yaml`. The comments here are the descriptions of its JSON Schema.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{DialectWord, OneOrMany, PrecisionWord};

/// The engines that are programs of their own. Paths are relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl backends (configs/backends.yaml)")]
pub(super) struct BackendsFile {
    /// The engines.
    #[schemars(length(min = 1))]
    pub(super) backends: Vec<BackendEntry>,
}

/// An engine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendEntry {
    /// Name that sweeps use, unique: letters, digits, `.`, `_` and `-`.
    pub(super) name: String,
    /// Version of the engine.
    pub(super) version: String,
    /// Licence of the engine's library.
    pub(super) licence: Option<String>,
    /// Model file formats that it loads, the one to prefer first.
    pub(super) formats: OneOrMany<String>,
    /// Arithmetic that it runs networks in; without it, `fp32`.
    pub(super) precisions: Option<OneOrMany<PrecisionWord>>,
    /// Those of them that it computes in though the file holds 32-bit floats: `fp16` of many graphics processors.
    pub(super) converts_to: Option<OneOrMany<PrecisionWord>>,
    /// Sets of operators of ONNX files that it has, `ai.onnx` is ONNX's own. A file with an operator of another set is
    /// skipped when the plan is made. Without it, the engine tells when it loads the file.
    pub(super) operator_domains: Option<OneOrMany<String>>,
    /// Whether it uses more than one thread; without it, it does.
    pub(super) multi_threaded: Option<bool>,
    /// What the program says: farmctl's own protocol (`engine`), or what a known benchmark program prints.
    pub(super) dialect: Option<DialectWord>,
    /// The program's name, which is that of one of the files, and its arguments. Without it, the first file alone. In
    /// an argument `{model}`, `{model.PART}`, `{folder}`, `{threads}`, `{batch}`, `{warmup_runs}`, `{runs}`,
    /// `{seconds}` and `{input_shape}` stand for what the job says.
    #[schemars(length(min = 1))]
    pub(super) command: Option<Vec<String>>,
    /// Settings that only this engine knows: see its `README.md`. An engine with others is another entry.
    pub(super) options: Option<BTreeMap<String, String>>,
    /// What the engine hands the work to, instead of the processor: `gpu`, `nnapi`, `npu`, … It runs on devices whose
    /// farm file lists it in `delegates`.
    pub(super) delegate: Option<String>,
    /// The machines it runs on.
    #[schemars(length(min = 1))]
    pub(super) targets: Vec<TargetEntry>,
}

/// An engine's files for one kind of machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetEntry {
    /// Rust target triple, for example `aarch64-unknown-linux-gnu`. Files of a `musl` target are linked statically, and
    /// run on Android too.
    pub(super) target: String,
    /// What the device must have besides, in words.
    pub(super) needs: Option<String>,
    /// The files.
    #[schemars(length(min = 1))]
    pub(super) files: Vec<FileEntry>,
}

/// Files of an engine: exactly one of `build`, `archive` and `path` says where they come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Name on the device; without it, `engine-` and the engine's for `build`, and the file's own for `path`.
    pub(super) name: Option<String>,
    /// Built by `device-runner/engines/<this>/build` of the farmctl workspace.
    pub(super) build: Option<String>,
    /// Archives that it is built against.
    pub(super) against: Option<OneOrMany<ArchiveEntry>>,
    /// A zip file, for example a Python wheel.
    pub(super) archive: Option<ArchiveEntry>,
    /// What is taken out of the archive.
    #[schemars(length(min = 1))]
    pub(super) members: Option<Vec<MemberEntry>>,
    /// A file on this host.
    pub(super) path: Option<PathBuf>,
}

/// An archive: at least one of `pip`, `urls` and `path` says where it comes from. Of several, `path` goes first where
/// its file is there, and `pip` last.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveEntry {
    /// A file on this host, for example where there is no pip.
    pub(super) path: Option<PathBuf>,
    /// Downloaded from the first of these URLs that has it.
    pub(super) urls: Option<OneOrMany<String>>,
    /// A file of a Python package index, which this host's pip gets: it knows the index, mirrors and proxies.
    pub(super) pip: Option<PipEntry>,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub(super) sha256: String,
    /// Its size.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: u64,
}

/// A package of a Python package index.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PipEntry {
    /// Name and version, for example `onnxruntime==1.32.0`.
    pub(super) requirement: String,
    /// Platform tag of the wheel, for example `manylinux_2_28_aarch64`; without it, the source distribution is meant.
    pub(super) platform: Option<String>,
    /// Version of Python that the wheel is for, for example `3.11`.
    pub(super) python: Option<String>,
    /// What pip has to keep to while it prepares a source distribution, for example `setuptools<70`.
    pub(super) constraint: Option<String>,
}

/// A member of an archive.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberEntry {
    /// Its path inside the archive.
    pub(super) member: String,
    /// Name on the device; without it, the last part of the path.
    pub(super) name: Option<String>,
    /// SHA-256 of the member, 64 hexadecimal digits.
    pub(super) sha256: String,
    /// Its size.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: u64,
}
