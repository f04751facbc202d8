use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::FILE_NAME;

/// `cargo metadata` resolves what is in the lock file already; it may have to fetch the crates.
const METADATA: Duration = Duration::from_secs(10 * 60);

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Share of the build that each of the large crates takes, by `cargo build --timings` on two cores. The others share
/// the rest. Only an estimate of the time left hangs on it.
const MEASURED_SHARES: &[(&str, f64)] = &[
    ("tract-core", 0.51),
    ("tract-linalg", 0.08),
    ("tract-data", 0.055),
    ("tract-onnx", 0.05),
    ("tract-nnef", 0.05),
    ("tract-hir", 0.045),
    ("tract-onnx-opl", 0.02),
];

/// What the standard library takes where it is built too, measured the same way: the large crates of it, beside all
/// those above together. The small ones don't count.
const STD_SHARES: &[(&str, f64)] = &[("core", 0.05), ("alloc", 0.01), ("compiler_builtins", 0.01), ("std", 0.05)];

/// What a crate of the standard library is known by: its name alone, since `cargo metadata` does not know it.
pub(super) fn std_id(name: &str) -> String {
    format!("std:{name}")
}

/// The crates that the runner is built from, with the share of the work that each is.
pub(super) async fn crate_shares(workspace: &Path, target: &str, with_std: bool) -> Result<Vec<(String, f64)>, String> {
    let output = super::build::cargo(workspace)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
        .output();
    let output = tokio::time::timeout(METADATA, output)
        .await
        .map_err(|_| "cargo metadata did not end".to_owned())?
        .map_err(|error| format!("failed to start cargo: {error}; is a Rust toolchain installed?"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("failed to read cargo metadata: {error}"))?;
    let weighed = tokio::task::spawn_blocking(move || weigh(&metadata)).await.map_err(|error| error.to_string())?;
    Ok(if with_std { add_std(weighed) } else { weighed })
}

fn add_std(shares: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let whole = 1.0 + STD_SHARES.iter().map(|(_, share)| share).sum::<f64>();
    let std = STD_SHARES.iter().map(|(name, share)| (std_id(name), *share));
    std.chain(shares).map(|(id, share)| (id, share / whole)).collect()
}

fn weigh(metadata: &Metadata) -> Vec<(String, f64)> {
    let root = metadata.packages.iter().find(|package| package.name == FILE_NAME).map(|package| package.id.clone());
    let mut wanted: Vec<String> = root.into_iter().collect();
    let mut seen: HashSet<String> = wanted.iter().cloned().collect();
    while let Some(id) = wanted.pop() {
        let Some(node) = metadata.resolve.nodes.iter().find(|node| node.id == id) else { continue };
        for dependency in &node.deps {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
            if built && seen.insert(dependency.pkg.clone()) {
                wanted.push(dependency.pkg.clone());
            }
        }
    }
    let measured = |name: &str| MEASURED_SHARES.iter().find(|(known, _)| *known == name).map(|(_, share)| *share);
    let packages: Vec<&Package> = metadata.packages.iter().filter(|package| seen.contains(&package.id)).collect();
    let shares: Vec<Option<f64>> = packages.iter().map(|package| measured(&package.name)).collect();
    let rest = 1.0 - shares.iter().flatten().sum::<f64>();
    let others = shares.iter().filter(|share| share.is_none()).count().max(1);
    let weight = |share: Option<f64>| share.unwrap_or(rest / others as f64);
    packages.iter().zip(shares).map(|(package, share)| (package.id.clone(), weight(share))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runners::{HOST_TARGET, origin_workspace};

    #[tokio::test]
    async fn the_runners_crates_are_known_with_their_weight() {
        let workspace = origin_workspace().unwrap();
        for with_std in [false, true] {
            let crates = crate_shares(&workspace, HOST_TARGET, with_std).await.unwrap();
            let share_of = |name: &str| crates.iter().find(|(id, _)| id.contains(name)).map(|(_, share)| *share);
            assert!(share_of("tract-core").unwrap() > share_of("protocol").unwrap());
            assert_eq!(share_of("rusqlite"), None, "only what the runner needs");
            assert_eq!(share_of("std:core").is_some(), with_std);
            let whole: f64 = crates.iter().map(|(_, share)| share).sum();
            assert!((whole - 1.0).abs() < 1e-9, "{whole}");
        }
    }
}
