#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::domain::{PipPackage, sha256_hex};

fn artifact(content: &[u8]) -> ArtifactRef {
    ArtifactRef { sha256: sha256_hex(content), size_bytes: content.len() as u64 }
}

/// A cache in a new folder, and a zip file in it that holds «lib/x.so».
struct Scratch {
    folder: tempfile::TempDir,
    cache: EngineFiles,
    archive: Archive,
}

fn scratch(content: &[u8]) -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("lib/x.so", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(content).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let archive =
        Archive { artifact: artifact(&bytes), path: None, urls: vec!["https://host/y.whl".to_owned()], pip: None };
    let cache = EngineFiles {
        folder: folder.path().join("cache"),
        workspace: Some(folder.path().to_owned()),
        downloads: DownloadSettings::default(),
        shared: None,
    };
    fs::create_dir_all(&cache.folder).unwrap();
    fs::write(cache.folder.join(&archive.artifact.sha256), bytes).unwrap();
    Scratch { folder, cache, archive }
}

fn get(cache: &EngineFiles, source: BackendSource, pinned: Option<ArtifactRef>) -> Result<LocalArtifact, String> {
    let target = BackendTarget { target: "some-target".to_owned(), needs: None, files: Vec::new() };
    let file = BackendFile { name: "x.so".to_owned(), artifact: pinned, source };
    let got = cache.ensure(&target, &file, Instant::now() + Duration::from_secs(20), &mut |_| {});
    assert!(got.is_err() || cache.find(&target, &file).unwrap().is_some());
    got.map_err(|error| error.to_string())
}

#[test]
fn a_member_is_taken_out_once_it_is_the_pinned_one() {
    let Scratch { folder: _folder, cache, archive } = scratch(b"library");
    let member = |name: &str| BackendSource::Member { archive: archive.clone(), member: name.to_owned() };
    let got = get(&cache, member("lib/x.so"), Some(artifact(b"library"))).unwrap();
    assert_eq!(fs::read(got.path).unwrap(), b"library");
    for (name, pinned, part) in [
        ("lib/x.so", artifact(b"another"), "sha256"),
        ("lib/x.so", artifact(b"libr"), "sha256"),
        ("lib/z.so", artifact(b"z"), "lib/z.so"),
    ] {
        let error = get(&cache, member(name), Some(pinned)).unwrap_err();
        assert!(error.contains(part) && error.contains("y.whl"), "{error}");
    }
    let left: Vec<_> = fs::read_dir(&cache.folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("member-")), "{left:?}");
}

#[test]
fn an_archive_that_is_nowhere_names_every_source() {
    let Scratch { folder: _folder, cache, mut archive } = scratch(b"library");
    archive.artifact = artifact(b"not here");
    archive.urls = vec!["ftp://host/y.whl".to_owned()];
    archive.path = Some("/nowhere/y.whl".into());
    let requirement = "no-such==package".to_owned();
    archive.pip = Some(PipPackage { requirement, arguments: vec!["--no-index".to_owned()], constraint: None });
    let error = get(&cache, BackendSource::Member { archive, member: "x".to_owned() }, None).unwrap_err();
    for source in ["/nowhere/y.whl: ", "ftp://host/y.whl: ", "pip download no-such==package: "] {
        assert!(error.contains(source), "{source:?} in: {error}");
    }
}

#[test]
fn an_archive_on_this_host_needs_no_pip() {
    let Scratch { folder, cache, mut archive } = scratch(b"library");
    let own = folder.path().join("y.whl");
    fs::rename(cache.folder.join(&archive.artifact.sha256), &own).unwrap();
    archive.urls.clear();
    archive.path = Some(own.clone());
    let source = BackendSource::Member { archive, member: "lib/x.so".to_owned() };
    let got = get(&cache, source.clone(), Some(artifact(b"library"))).unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), b"library");
    fs::remove_file(got.path).unwrap();
    fs::write(&own, "another").unwrap();
    let error = get(&cache, source, Some(artifact(b"library"))).unwrap_err();
    assert!(error.contains("y.whl: it has sha256"), "{error}");
}

#[test]
fn an_engine_is_built_by_its_script_and_a_failure_tells_its_last_words() {
    let Scratch { folder, cache, archive } = scratch(b"library");
    let engine = folder.path().join("device-runner/engines/my");
    fs::create_dir_all(&engine).unwrap();
    let script = engine.join("build");
    let build = || BackendSource::Build { engine: "my".to_owned(), archives: vec![archive.clone()] };
    let write = |text: &str| {
        fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let builds = folder.path().join("builds");
    let text = format!("echo >> {}; echo \"$1 $(basename \"$3\")\" > \"$2\"; [ -s \"$3\" ]", builds.display());
    for (text, expected) in [(text.clone(), 1), (text.clone(), 1), (format!("# another\n{text}"), 2)] {
        write(&text);
        let got = get(&cache, build(), None).unwrap();
        assert_eq!(fs::read_to_string(got.path).unwrap(), "some-target y.whl\n");
        assert_eq!(fs::metadata(&builds).unwrap().len(), expected, "only new sources are built");
    }
    write("echo no compiler here >&2; exit 2");
    assert!(get(&cache, build(), None).unwrap_err().contains("no compiler here"));
    fs::remove_file(&script).unwrap();
    assert!(get(&cache, build(), None).unwrap_err().contains("no build script"));
}
