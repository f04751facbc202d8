//! Every dependency keeps to `deny.toml`: its licence, its source, and whether it is banned. And `farmctl` itself never
//! depends on an inference engine.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
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

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn metadata() -> Metadata {
    // What other platforms alone would need is never built here, nor fetched.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn licences_sources_and_bans() {
    let deny: Deny = toml::from_str(&std::fs::read_to_string(workspace().join("deny.toml")).unwrap()).unwrap();
    let allowed: Vec<spdx::Licensee> =
        deny.licenses.allow.iter().map(|licence| spdx::Licensee::parse(licence).unwrap()).collect();
    let metadata = metadata();
    let built: HashSet<&str> = metadata.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
    let mut faults = Vec::new();
    for package in metadata.packages.iter().filter(|package| built.contains(package.id.as_str())) {
        let name = format!("{} {}", package.name, package.version);
        if deny.bans.deny.iter().any(|banned| banned.name == package.name) {
            faults.push(format!("{name} is banned"));
        }
        match &package.source {
            Some(source) if !source.contains("crates.io") => faults.push(format!("{name} comes from {source}")),
            _ => {}
        }
        // Older crates write `MIT/Apache-2.0`.
        let licence = package.license.clone().unwrap_or_default();
        let fits = spdx::Expression::parse_mode(&licence, spdx::ParseMode::LAX)
            .is_ok_and(|expression| expression.evaluate(|wanted| allowed.iter().any(|have| have.satisfies(wanted))));
        if !fits {
            faults.push(format!("{name} has the licence {licence:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn farmctl_depends_on_no_engine() {
    let metadata = metadata();
    let names: HashMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let nodes: HashMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let root = metadata.packages.iter().find(|package| package.name == "farmctl").unwrap();
    let (mut wanted, mut seen) = (vec![root.id.as_str()], HashSet::new());
    while let Some(id) = wanted.pop() {
        if seen.insert(id) {
            let built = nodes[id]
                .deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev")));
            wanted.extend(built.map(|dependency| dependency.pkg.as_str()));
        }
    }
    let engines: Vec<&str> = seen.iter().map(|id| names[id]).filter(|name| name.starts_with("tract")).collect();
    assert!(seen.len() > 50, "the graph was followed");
    assert!(engines.is_empty(), "farmctl would pay for {engines:?}");
}
