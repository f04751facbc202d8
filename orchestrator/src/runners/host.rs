use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::equivalent;
use super::toolchain::{Compiler, HostFacts, Remedy, c_compiler_names, recipe};

/// A compiler or tool that does not say its version within so long is as good as missing.
const ANSWER: Duration = Duration::from_secs(20);

/// Where `scripts/cross-toolchain` unpacks.
fn toolchain_folder(workspace: &Path) -> PathBuf {
    workspace.join("target").join("toolchain")
}

/// What this host has to build for `target` in this workspace.
pub(super) async fn facts(workspace: &Path, target: &str) -> HostFacts {
    let unpacked_bin = toolchain_folder(workspace).join("bin");
    let mut candidates: Vec<PathBuf> = c_compiler_names(target).iter().map(PathBuf::from).collect();
    candidates.extend(c_compiler_names(target).iter().map(|name| unpacked_bin.join(name)));
    let mut c_compilers = BTreeSet::new();
    for candidate in candidates {
        if answer(&candidate, &["-dumpmachine"], workspace).await.is_some() {
            c_compilers.insert(candidate);
        }
    }
    HostFacts {
        own: compiler(None, workspace).await.unwrap_or_default(),
        unpacked: compiler(Some(unpacked_bin.join("rustc")), workspace).await,
        unpacked_bin,
        c_compilers,
        has_zigbuild: answer(Path::new("cargo-zigbuild"), &["--version"], workspace).await.is_some(),
    }
}

/// How a runner for the machines of `target` would be built in this workspace, for a person.
///
/// # Errors
/// The ways there are, with what each lacks here.
pub async fn way_to_build(workspace: &Path, target: &str) -> Result<&'static str, Vec<Remedy>> {
    let mut lacking = Vec::new();
    for target in std::iter::once(target).chain(equivalent(target)) {
        match recipe(target, &facts(workspace, target).await) {
            Ok(recipe) => return Ok(recipe.means),
            Err(remedies) => lacking.extend(remedies),
        }
    }
    Err(lacking)
}

async fn compiler(program: Option<PathBuf>, workspace: &Path) -> Option<Compiler> {
    let start = program.clone().unwrap_or_else(|| PathBuf::from("rustc"));
    let rustlib = PathBuf::from(answer(&start, &["--print", "sysroot"], workspace).await?).join("lib").join("rustlib");
    let entries = std::fs::read_dir(&rustlib).ok()?.flatten();
    let targets =
        entries.filter(|entry| has_std(&entry.path())).filter_map(|entry| entry.file_name().into_string().ok());
    let has_source = rustlib.join("src/rust/library/std/Cargo.toml").is_file();
    Some(Compiler { program, targets: targets.collect(), has_source })
}

/// Whether a target's folder of a compiler holds the standard library.
fn has_std(folder: &Path) -> bool {
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    let entries = std::fs::read_dir(folder.join("lib")).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_std))
}

/// First line of what a program answers; nothing when it isn't there or fails.
async fn answer(program: &Path, arguments: &[&str], folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runners::{HOST_TARGET, origin_workspace};

    #[tokio::test]
    async fn this_hosts_compiler_has_its_own_standard_library() {
        let facts = facts(&origin_workspace().unwrap(), HOST_TARGET).await;
        assert!(facts.own.targets.contains(HOST_TARGET), "{facts:?}");
        assert!(facts.c_compilers.contains(Path::new("cc")), "{facts:?}");
    }

    #[tokio::test]
    async fn an_unpacked_toolchain_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let sysroot = folder.path().join("target/toolchain/usr");
        let bin = folder.path().join("target/toolchain/bin");
        for path in
            [&bin, &sysroot.join("lib/rustlib/riscv64gc-unknown-linux-gnu/lib"), &sysroot.join("lib/rustlib/etc")]
        {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(sysroot.join("lib/rustlib/riscv64gc-unknown-linux-gnu/lib/libstd-1.rlib"), "").unwrap();
        let program = bin.join("rustc");
        std::fs::write(&program, format!("#!/bin/sh\necho '{}'\n", sysroot.display())).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let found = compiler(Some(program.clone()), folder.path()).await.unwrap();
        assert_eq!(found.targets, ["riscv64gc-unknown-linux-gnu".to_owned()].into());
        assert!(!found.has_source);
        assert_eq!(compiler(Some(bin.join("absent")), folder.path()).await, None);
    }
}
