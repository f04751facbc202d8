//! Prints what the files of the networks are, as `orchestrator/src/catalog/formats/pins.csv` has it:
//!
//!     cargo run --package farmctl --example pins [NETWORK...]
//!     cargo run --package farmctl --example pins -- --checkpoint NETWORK ARCHIVE MEMBER
//!
//! To be run when a network or a writer is new. A change of a line that was there makes every job of that file a new
//! one.
#![allow(missing_docs)]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use farmctl::catalog::formats::{self, WrittenFile};
use farmctl::catalog::{ArtifactCache, DownloadSettings, LocalModel, networks};
use farmctl::domain::{Archive, FilePart, WeightsFile, WeightsKind, WeightsSource};

/// Longest time that one file may take.
const TIMEOUT: Duration = Duration::from_secs(1200);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    println!("network,weights,format,precision,part,size_bytes,sha256");
    if let ["--checkpoint", network, archive, member] = words[..] {
        return print(network, WeightsKind::Trained, &|cache, folder| {
            let artifact = cache.hash_of(Path::new(archive), Instant::now() + TIMEOUT)?;
            std::fs::copy(archive, folder.join(&artifact.sha256))?;
            let mut zip = zip::ZipArchive::new(std::fs::File::open(archive)?)?;
            let content = folder.join("checkpoint");
            std::io::copy(&mut zip.by_name(member)?, &mut std::fs::File::create(&content)?)?;
            Ok(WeightsSource::Checkpoint {
                network: network.to_owned(),
                archive: Box::new(Archive { artifact, path: None, urls: Vec::new(), pip: None }),
                member: member.to_owned(),
                artifact: cache.hash_of(&content, Instant::now() + TIMEOUT)?,
            })
        });
    }
    for network in networks::names().filter(|name| words.is_empty() || words.contains(name)) {
        let weights = networks::build(network).ok_or("a network has a name, and is not there")?.weights_kind();
        print(network, weights, &|_, _| Ok(WeightsSource::Builtin(network.to_owned())))?;
    }
    Ok(())
}

/// Where the weights come from, for a cache in a folder.
type Source<'a> = &'a dyn Fn(&ArtifactCache, &Path) -> Result<WeightsSource, Box<dyn Error>>;

fn print(network: &str, weights: WeightsKind, source: Source<'_>) -> Result<(), Box<dyn Error>> {
    for written in formats::written_files() {
        match build(network, weights, &written, source) {
            Ok(mut model) => {
                let WrittenFile { format, precision, part, .. } = written;
                let artifact = model.parts.pop().unwrap_or(model.file).artifact;
                let (part, size_bytes, sha256) = (part.unwrap_or_default(), artifact.size_bytes, artifact.sha256);
                writeln!(std::io::stdout(), "{network},{weights},{format},{precision},{part},{size_bytes},{sha256}")?;
            }
            Err(error) => eprintln!("failed to {error}"),
        }
    }
    Ok(())
}

fn build(
    network: &str,
    weights: WeightsKind,
    &WrittenFile { format, precision, part, .. }: &WrittenFile,
    source: Source<'_>,
) -> Result<LocalModel, Box<dyn Error>> {
    // Large files: each is gone before the next is made.
    let folder = tempfile::tempdir()?;
    let cache = ArtifactCache::new(folder.path(), DownloadSettings::default());
    let source = source(&cache, folder.path())?;
    let part = part.map(|name| FilePart { name: name.to_owned(), artifact: None, source: source.clone() });
    let file = WeightsFile {
        weights,
        format: format.to_owned(),
        declared_precision: Some(precision),
        layout: WeightsFile::usual_layout(format),
        artifact: None,
        source,
        parts: part.into_iter().collect(),
        signature: None,
        macs: None,
    };
    Ok(cache.ensure(network, &file, Instant::now() + TIMEOUT, &mut |_| {})?)
}
