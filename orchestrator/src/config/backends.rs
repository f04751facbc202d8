//! The backends file to the [`Backend`]s of a catalogue: what it means, checked.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::domain::{
    Archive, ArtifactRef, Backend, BackendFile, BackendProgram, BackendSource, BackendTarget, DELEGATE, Dialect,
    PipPackage, Precision,
};

use super::backends_file::{ArchiveEntry, BackendEntry, BackendsFile, FileEntry, PipEntry, TargetEntry};
use super::document::{Document, Step, place};
use super::fault::{ConfigErrors, any_of, code};
use super::source::Source;
use super::words::{OneOrMany, PrecisionWord};

/// Longest name of a file on a device.
const MAX_NAME_BYTES: usize = 128;
/// Longest name of a delegate, since it becomes a column.
const MAX_DELEGATE_BYTES: usize = 32;

/// The backends of a file. None may have the name of one in `taken`.
pub(super) fn load(source: Source, taken: &[Backend]) -> Result<Vec<Backend>, ConfigErrors> {
    let mut document = Document::<BackendsFile>::new(source);
    let Some(content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    let mut backends: Vec<Backend> = Vec::new();
    for (index, entry) in content.backends.into_iter().enumerate() {
        let place = place!["backends", index, "name"];
        if backends.iter().chain(taken).any(|backend| backend.name == entry.name) {
            let hint = Some("rename one of them".to_owned());
            document.refuse(place, format!("there is a backend {} already", code(&entry.name)), hint);
        }
        backends.extend(backend(&mut document, entry, index));
    }
    ConfigErrors::unless_clean(Some(backends), document.faults)
}

fn backend(document: &mut Document<BackendsFile>, entry: BackendEntry, index: usize) -> Option<Backend> {
    check_name(document, &entry.name, place!["backends", index, "name"]);
    let mut targets: Vec<BackendTarget> = Vec::new();
    for (number, target) in entry.targets.into_iter().enumerate() {
        let place = place!["backends", index, "targets", number];
        let words = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
        if target.target.split('-').count() < 3 || !target.target.chars().all(words) {
            let hint = Some("write it as `rustc` does, for example `aarch64-unknown-linux-gnu`".to_owned());
            document.refuse(place, format!("{} is no target triple", code(&target.target)), hint);
        }
        if targets.iter().any(|other| other.target == target.target) {
            document.refuse(place, format!("the target {} is there twice", code(&target.target)), None);
        }
        targets.extend(self::target(document, target, place));
    }
    let first = targets.first()?.files.first()?.name.clone();
    let command = entry.command.unwrap_or_else(|| vec![first]);
    for (number, target) in targets.iter().enumerate() {
        if document.is_clean() && !target.files.iter().any(|file| Some(&file.name) == command.first()) {
            let program = command.first().map(String::as_str).unwrap_or_default();
            let message = format!("none of its files is the program {}", code(program));
            document.refuse(place!["backends", index, "targets", number, "files"], message, None);
        }
    }
    let mut options = entry.options.unwrap_or_default();
    if options.contains_key(DELEGATE) {
        let hint = Some("write `delegate: …` beside `options`, so that the plan knows it".to_owned());
        document.refuse(place!["backends", index, "options"], "`delegate` is no option of an engine's own", hint);
    }
    if let Some(delegate) = entry.delegate {
        check_delegate(document, &delegate, place!["backends", index, "delegate"]);
        options.insert(DELEGATE.to_owned(), delegate);
    }
    let words = |list: OneOrMany<PrecisionWord>| list.into_vec().into_iter().map(|word| word.0).collect::<Vec<_>>();
    let precisions = entry.precisions.map_or_else(|| vec![Precision::Float32], words);
    let converts_to = entry.converts_to.map_or_else(Vec::new, words);
    if let Some(other) = converts_to.iter().find(|precision| !precisions.contains(precision)) {
        let hint = Some(format!("add `{other}` to its `precisions`"));
        document.refuse(place!["backends", index, "converts_to"], format!("it does not run in `{other}`"), hint);
    }
    Some(Backend {
        name: entry.name,
        version: entry.version,
        formats: entry.formats.into_vec(),
        precisions,
        converts_to,
        operator_domains: entry.operator_domains.map_or_else(Vec::new, OneOrMany::into_vec),
        multi_threaded: entry.multi_threaded.unwrap_or(true),
        program: Some(BackendProgram {
            licence: entry.licence,
            dialect: entry.dialect.map_or(Dialect::Engine, |word| word.0),
            command,
            options,
            targets,
        }),
    })
}

/// Refuses what is no good word for a delegate.
pub(super) fn check_delegate<T: DeserializeOwned + JsonSchema>(
    document: &mut Document<T>,
    word: &str,
    place: &[Step<'_>],
) {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let hint = "use small letters, digits and `_`: `gpu`, `nnapi`, `npu`, …";
    if word == "cpu" {
        document.refuse(
            place,
            "`cpu` is no delegate: it is what engines use without one",
            Some("leave it out".to_owned()),
        );
    } else if word.is_empty() || word.len() > MAX_DELEGATE_BYTES || !word.chars().all(is_plain) {
        document.refuse(place, format!("{} is no good name of a delegate", code(word)), Some(hint.to_owned()));
    }
}

fn target(document: &mut Document<BackendsFile>, entry: TargetEntry, place: &[Step<'_>]) -> Option<BackendTarget> {
    let mut files: Vec<BackendFile> = Vec::new();
    for (index, file) in entry.files.into_iter().enumerate() {
        let place = [place, &[Step::Field("files"), Step::Item(index)]].concat();
        for file in self::files(document, file, &place) {
            if files.iter().any(|other| other.name == file.name) {
                document.refuse(&place, format!("the file {} is there twice", code(&file.name)), None);
            }
            files.push(file);
        }
    }
    (!files.is_empty()).then_some(BackendTarget { target: entry.target, needs: entry.needs, files })
}

fn files(document: &mut Document<BackendsFile>, entry: FileEntry, place: &[Step<'_>]) -> Vec<BackendFile> {
    let FileEntry { name, build, against, archive, members, path } = entry;
    match (build, archive, members, path) {
        (Some(engine), None, None, None) => {
            let name = name.unwrap_or_else(|| format!("engine-{engine}"));
            check_name(document, &name, place);
            check_name(document, &engine, place);
            let archives = against.map(super::words::OneOrMany::into_vec).unwrap_or_default();
            let archives = archives.into_iter().map(|entry| self::archive(document, entry, place)).collect();
            vec![BackendFile { name, artifact: None, source: BackendSource::Build { engine, archives } }]
        }
        (None, Some(archive), Some(members), None) if name.is_none() && against.is_none() => {
            let archive = self::archive(document, archive, place);
            let file = |member: super::backends_file::MemberEntry| {
                let own = member.member.rsplit('/').next().unwrap_or_default().to_owned();
                let name = member.name.unwrap_or(own);
                check_name(document, &name, place);
                let artifact = self::artifact(document, &member.sha256, member.size_bytes, place);
                let source = BackendSource::Member { archive: archive.clone(), member: member.member };
                BackendFile { name, artifact: Some(artifact), source }
            };
            members.into_iter().map(file).collect()
        }
        (None, None, None, Some(path)) if against.is_none() => {
            let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let name = name.unwrap_or(own);
            check_name(document, &name, place);
            let path = document.source.file.parent().unwrap_or(Path::new("")).join(path);
            vec![BackendFile { name, artifact: None, source: BackendSource::Path(path) }]
        }
        _ => {
            let ways = any_of(["build", "archive", "path"]);
            let hint = "`members` belong to an `archive`, `against` to a `build`, a `name` to `build` and `path`";
            document.refuse(
                place,
                format!("needs exactly one of {ways}, and what belongs to it"),
                Some(hint.to_owned()),
            );
            Vec::new()
        }
    }
}

/// An archive, of whatever file names it.
pub(super) fn archive<F>(document: &mut Document<F>, entry: ArchiveEntry, place: &[Step<'_>]) -> Archive {
    let urls = entry.urls.map(super::words::OneOrMany::into_vec).unwrap_or_default();
    for url in &urls {
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_whitespace) {
            document.refuse(place, format!("{} is no URL", code(url)), Some("write `https://…`".to_owned()));
        }
    }
    if urls.is_empty() && entry.pip.is_none() && entry.path.is_none() {
        let hint = "name its package by `pip`, its address by `urls`, or a file on this host by `path`";
        document.refuse(place, "the archive comes from nowhere", Some(hint.to_owned()));
    }
    let artifact = artifact(document, &entry.sha256, entry.size_bytes, place);
    let pip = entry.pip.map(|entry| pip(document, entry, place));
    let path = entry.path.map(|path| document.source.file.parent().unwrap_or(Path::new("")).join(path));
    Archive { artifact, path, urls, pip }
}

/// The file that pip is to choose: a wheel for that platform, or the source distribution.
fn pip<F>(document: &mut Document<F>, entry: PipEntry, place: &[Step<'_>]) -> PipPackage {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '!');
    let exact = entry.requirement.split_once("==").is_some_and(|(name, version)| {
        !name.is_empty()
            && !name.starts_with('-')
            && !version.is_empty()
            && (name.chars().chain(version.chars())).all(allowed)
    });
    if !exact {
        let hint = Some("name one version, for example `onnxruntime==1.32.0`".to_owned());
        document.refuse(place, format!("{} is no exact requirement", code(&entry.requirement)), hint);
    }
    for word in entry.platform.iter().chain(&entry.python).filter(|word| word.is_empty() || !word.chars().all(allowed))
    {
        document.refuse(place, format!("{} is no tag of a wheel", code(word)), None);
    }
    let mut arguments = Vec::new();
    match entry.platform {
        Some(platform) => {
            arguments.extend(["--only-binary=:all:".to_owned(), format!("--platform={platform}")]);
            arguments.extend(entry.python.map(|version| format!("--python-version={version}")));
        }
        None => arguments.push("--no-binary=:all:".to_owned()),
    }
    PipPackage { requirement: entry.requirement, arguments, constraint: entry.constraint }
}

/// A file's content as it is pinned.
pub(super) fn artifact<F>(
    document: &mut Document<F>,
    sha256: &str,
    size_bytes: u64,
    place: &[Step<'_>],
) -> ArtifactRef {
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let hint = "64 hexadecimal digits, as `sha256sum` prints them".to_owned();
        document.refuse(place, format!("{} is no SHA-256", code(sha256)), Some(hint));
    }
    ArtifactRef { sha256: sha256.to_lowercase(), size_bytes }
}

/// Names become names of files on a device.
fn check_name(document: &mut Document<BackendsFile>, name: &str, place: &[Step<'_>]) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with(['-', '.']) || !name.chars().all(allowed) {
        let hint = "use letters, digits, `.`, `_`, `+` and `-`".to_owned();
        document.refuse(place, format!("{} is no good name", code(name)), Some(hint));
    }
}
