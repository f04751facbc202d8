//! A model's files, as its entry in the models file names them: where each comes from, and what it must be.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::catalog::{formats, networks};
use crate::domain::{ArtifactRef, FilePart, Precision, WeightsFile, WeightsKind, WeightsSource};

use super::backends;
use super::backends_file::ArchiveEntry;
use super::catalog::{NAME_HINT, is_name, refuse_key};
use super::document::{Document, Step};
use super::fault::{any_of, code, did_you_mean};
use super::models_file::{CheckpointEntry, FileEntry, ModelsFile, PartEntry};
use super::words::OneOrMany;

/// Format of a file whose name doesn't tell.
const DEFAULT_FORMAT: &str = "onnx";

/// The files of an entry: one, or of a `builtin` one for each format.
pub(super) fn weights_files(
    document: &mut Document<ModelsFile>,
    mut entry: FileEntry,
    weights: WeightsKind,
    place: &[Step<'_>],
) -> Vec<WeightsFile> {
    let parts = entry.parts.take().map(OneOrMany::into_vec).unwrap_or_default();
    if let Some(network) = entry.builtin.take_if(|_| entry.urls.is_none() && entry.path.is_none()) {
        if !parts.is_empty() && document.is_clean() {
            refuse_key(document, place, "`parts` are for `urls` and `path`: farmctl knows those it builds".to_owned());
        }
        let checkpoint =
            entry.checkpoint.take().map(|checkpoint| checkpoint_source(document, checkpoint, &network, place));
        let mut files = builtin_files(document, &entry, &network, weights, place);
        if weights == WeightsKind::Trained
            && networks::takes_checkpoint(&network) != checkpoint.is_some()
            && document.is_clean()
        {
            let message = match checkpoint {
                Some(_) => format!("farmctl makes {} of no `checkpoint`", code(&network)),
                None => format!("the trained weights of {} are in a `checkpoint`: say where that is", code(&network)),
            };
            refuse_key(document, place, message);
        }
        if let Some(source) = checkpoint {
            files.iter_mut().for_each(|file| {
                file.parts.iter_mut().for_each(|part| part.source = source.clone());
                file.source = source.clone();
            });
        }
        return files;
    }
    let named = [entry.builtin.is_some(), entry.archive.is_some(), entry.urls.is_some(), entry.path.is_some()];
    if named.into_iter().filter(|there| *there).count() != 1 || entry.archive.is_some() != entry.member.is_some() {
        if document.is_clean() {
            let message =
                format!("needs exactly one of {}", any_of(["builtin", "archive` with `member", "urls", "path"]));
            refuse_key(document, place, message);
        }
        return Vec::new();
    }
    let member = entry.archive.zip(entry.member);
    let origin =
        Origin { member, urls: entry.urls, path: entry.path, sha256: entry.sha256, size_bytes: entry.size_bytes };
    let Some(Located { file_name, artifact, source }) = located(document, origin, place) else { return Vec::new() };
    let extension = file_name.and_then(|name| Some(name.extension()?.to_str()?.to_lowercase()));
    let parts = parts.into_iter().enumerate().filter_map(|(index, part)| {
        file_part(document, part, &[place, &[Step::Field("parts"), Step::Item(index)]].concat())
    });
    let format = entry.format.or(extension).unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
    vec![WeightsFile {
        weights,
        parts: parts.collect(),
        layout: entry.layout.map_or_else(|| WeightsFile::usual_layout(&format), |word| word.0),
        format,
        declared_precision: entry.precision.map(|word| word.0),
        artifact,
        source,
        signature: None,
        macs: None,
    }]
}

fn checkpoint_source(
    document: &mut Document<ModelsFile>,
    entry: CheckpointEntry,
    network: &str,
    place: &[Step<'_>],
) -> WeightsSource {
    let place = [place, &[Step::Field("checkpoint")]].concat();
    WeightsSource::Checkpoint {
        network: network.to_owned(),
        artifact: backends::artifact(document, &entry.sha256, entry.size_bytes, &place),
        archive: Box::new(backends::archive(
            document,
            entry.archive,
            &[&place[..], &[Step::Field("archive")]].concat(),
        )),
        member: entry.member,
    }
}

/// What farmctl builds of a network: in the format that the entry names, else in all.
fn builtin_files(
    document: &mut Document<ModelsFile>,
    entry: &FileEntry,
    network: &str,
    weights: WeightsKind,
    place: &[Step<'_>],
) -> Vec<WeightsFile> {
    let clean = document.is_clean();
    if entry.sha256.is_some() != entry.size_bytes.is_some() && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are given both or not at all".to_owned());
    }
    let pinned = entry.sha256.as_ref().zip(entry.size_bytes);
    let pinned = pinned.map(|(hash, size_bytes)| ArtifactRef { sha256: sha256(document, hash, place), size_bytes });
    // A hash is that of one file.
    let format = entry.format.as_deref().or(pinned.as_ref().map(|_| DEFAULT_FORMAT));
    let precision = entry.precision.map(|word| word.0).or(pinned.as_ref().map(|_| Precision::Float32));
    let mut files = formats::builtin_files(network, weights);
    files.retain(|file| {
        format.is_none_or(|format| file.format == format)
            && precision.is_none_or(|wanted| file.declared_precision == Some(wanted))
    });
    if files.is_empty() && clean {
        let known = formats::builtin_names(weights);
        let (field, message, hint) = if known.contains(&network) {
            let forms: BTreeSet<&str> = formats::written_files().map(|file| file.format).collect();
            let message = format!("farmctl does not write {} in that format and precision", code(network));
            ("format", message, did_you_mean(format.unwrap_or_default(), forms))
        } else {
            let message = format!("farmctl has no network {} with {weights} weights", code(network));
            ("builtin", message, did_you_mean(network, known))
        };
        document.refuse(&[place, &[Step::Field(field)]].concat(), message, hint);
    }
    if let (Some(pinned), Some(file)) = (pinned, files.first_mut()) {
        file.artifact = Some(pinned);
    }
    files
}

fn file_part(document: &mut Document<ModelsFile>, entry: PartEntry, place: &[Step<'_>]) -> Option<FilePart> {
    if !is_name(&entry.name) {
        let place = [place, &[Step::Field("name")]].concat();
        document.refuse(&place, format!("{} is no good name", code(&entry.name)), Some(NAME_HINT.to_owned()));
    }
    if entry.urls.is_some() == entry.path.is_some() {
        if document.is_clean() {
            let message = format!("needs exactly one of {}", any_of(["urls", "path"]));
            refuse_key(document, place, message);
        }
        return None;
    }
    let origin =
        Origin { member: None, urls: entry.urls, path: entry.path, sha256: entry.sha256, size_bytes: entry.size_bytes };
    let Located { artifact, source, .. } = located(document, origin, place)?;
    Some(FilePart { name: entry.name, artifact, source })
}

/// Where a file comes from, and what it must be.
struct Origin {
    /// An archive, and the path in it.
    member: Option<(ArchiveEntry, String)>,
    urls: Option<OneOrMany<String>>,
    path: Option<PathBuf>,
    sha256: Option<String>,
    size_bytes: Option<u64>,
}

/// A file that is downloaded or the user's.
struct Located {
    file_name: Option<PathBuf>,
    /// Its content.
    artifact: Option<ArtifactRef>,
    source: WeightsSource,
}

fn located(document: &mut Document<ModelsFile>, origin: Origin, place: &[Step<'_>]) -> Option<Located> {
    let clean = document.is_clean();
    let urls = origin.urls.map(OneOrMany::into_vec);
    for (index, url) in urls.iter().flatten().enumerate() {
        let place = [place, &[Step::Field("urls"), Step::Item(index)]].concat();
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_whitespace) {
            document.refuse(&place, format!("{} is no URL", code(url)), Some("write `https://…`".to_owned()));
        }
    }
    let in_archive = origin.member.as_ref().map(|(_, member)| PathBuf::from(member));
    let file_name = origin.path.clone().or_else(|| urls.iter().flatten().next().map(|url| url_path(url).into()));
    let file_name = file_name.or(in_archive);
    let source = match (origin.member, urls, origin.path) {
        (Some((archive, member)), ..) => {
            let place = [place, &[Step::Field("archive")]].concat();
            WeightsSource::Archive { archive: Box::new(backends::archive(document, archive, &place)), member }
        }
        (None, Some(urls), _) => WeightsSource::Urls(urls),
        (None, None, path) => WeightsSource::Path(path?),
    };
    let is_path = matches!(source, WeightsSource::Path(_));
    if !is_path && (origin.sha256.is_none() || origin.size_bytes.is_none()) && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are needed for what isn't a `path`".to_owned());
    }
    let hash = origin.sha256.map(|hash| sha256(document, &hash, place));
    if is_path && hash.is_some() != origin.size_bytes.is_some() && clean {
        refuse_key(document, place, "`sha256` and `size_bytes` are given both or not at all".to_owned());
    }
    let artifact = hash.zip(origin.size_bytes).map(|(sha256, size_bytes)| ArtifactRef { sha256, size_bytes });
    Some(Located { file_name, artifact, source })
}

/// A URL without what follows its path.
fn url_path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn sha256(document: &mut Document<ModelsFile>, hash: &str, place: &[Step<'_>]) -> String {
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let place = [place, &[Step::Field("sha256")]].concat();
        let hint = "64 hexadecimal digits, as `sha256sum` prints them".to_owned();
        document.refuse(&place, format!("{} is no SHA-256", code(hash)), Some(hint));
    }
    hash.to_lowercase()
}
