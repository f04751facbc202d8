//! Prints what the files of the networks are, as `orchestrator/src/catalog/formats/pins.csv` has it:
//!
//!     cargo run --package farmctl --example pins [NETWORK...]
//!
//! To be run when a network or a writer is new. A change of a line that was there makes every job of that file a new one.
#![allow(missing_docs)]

use std::io::Write;
use std::time::{Duration, Instant};

use farmctl::catalog::{ArtifactCache, DownloadSettings, formats, networks};
use farmctl::domain::{FilePart, WeightsFile, WeightsSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "network,weights,format,precision,part,size_bytes,sha256")?;
    for network in networks::names().filter(|name| names.is_empty() || names.iter().any(|wanted| wanted == name)) {
        let weights = networks::build(network).ok_or("a network has a name, and is not there")?.weights_kind();
        for (format, precision, part, _) in formats::file_kinds() {
            let source = WeightsSource::Builtin(network.to_owned());
            let parts = part.map(|name| FilePart { name: name.to_owned(), artifact: None, source: source.clone() });
            let file = WeightsFile {
                weights,
                format: format.to_owned(),
                precision,
                artifact: None,
                source,
                parts: parts.into_iter().collect(),
            };
            // Large files: each is gone before the next is made.
            let folder = tempfile::tempdir()?;
            let cache = ArtifactCache::new(folder.path(), DownloadSettings::default());
            let deadline = Instant::now() + Duration::from_secs(600);
            match cache.ensure(network, &file, deadline, &mut |_| {}) {
                Ok(mut model) => {
                    let artifact = model.parts.pop().unwrap_or(model.file).artifact;
                    let part = part.unwrap_or_default();
                    let (size_bytes, sha256) = (artifact.size_bytes, artifact.sha256);
                    writeln!(out, "{network},{weights},{format},{precision},{part},{size_bytes},{sha256}")?;
                }
                Err(error) => eprintln!("failed to {error}"),
            }
        }
    }
    Ok(())
}
