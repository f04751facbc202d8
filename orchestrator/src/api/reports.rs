//! Reports of sweeps, as files.

use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_range_header::RangeUnsatisfiableError::{FileSuffixOutOfBounds, OverlappingRanges};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::domain::SweepId;
use crate::{publish, report};

use super::guard::Caller;
use super::{Api, Refusal, Role};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// A report has its style and its one script in it, and nothing from elsewhere. The script is named by its hash: what a
/// report of another version, or a text that gets through, has as a script does not run.
static CONTENT_POLICY: LazyLock<String> = LazyLock::new(|| {
    let script = BASE64_STANDARD.encode(Sha256::digest(report::PAGE_SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.may(Role::View)?;
    let Path((sweep, name)) = path.map_err(|error| Refusal::bad_request(error.body_text()))?;
    serve(&api, sweep, name, &headers).await
}

/// The report of a sweep that people look at.
pub(super) async fn index(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.may(Role::View)?;
    let Path(sweep) = path.map_err(|error| Refusal::bad_request(error.body_text()))?;
    serve(&api, sweep, "index.html".to_owned(), &headers).await
}

async fn serve(api: &Arc<Api>, sweep: String, name: String, headers: &HeaderMap) -> Result<Response, Refusal> {
    if !is_file_name(&sweep) || !is_file_name(&name) {
        return Err(nothing());
    }
    let file_name = name.clone();
    let open_it = move |api: &Api| {
        let reports = api.lab.reports();
        let sweep = if sweep == "latest" { publish::latest(&reports).ok_or_else(nothing)? } else { sweep };
        let opened = open(&publish::sweep_folder(&reports, &sweep).join(&name));
        let opened = match opened {
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
                let of_others = api.lab.shared_report(&SweepId(sweep.clone()), &name)?;
                open_file(&of_others.ok_or(refusal)?)?
            }
            opened => opened?,
        };
        Ok((sweep, opened))
    };
    let (sweep, (mut file, length)) = api.blocking(open_it).await?;
    let (kind, is_shown) = match file_name.rsplit('.').next() {
        Some("html") => ("text/html; charset=utf-8", true),
        Some("csv") => ("text/csv; charset=utf-8", false),
        Some("md" | "txt" | "jsonl") => ("text/plain; charset=utf-8", true),
        Some("json") => ("application/json", false),
        Some("xml") => ("application/xml", false),
        _ => ("application/octet-stream", false),
    };
    // Many sweeps have a `results.csv`: what is kept says of which it is.
    let way = if is_shown { "inline" } else { "attachment" };
    let part = Part::of(headers, length)?;
    file.seek(SeekFrom::Start(part.first)).map_err(|error| Refusal::unavailable(error.to_string()))?;
    let mut answer = Response::new(body(tokio::fs::File::from_std(file), part.length));
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, kind.to_owned());
    set(header::CONTENT_LENGTH, part.length.to_string());
    set(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY.clone());
    set(header::CONTENT_DISPOSITION, format!("{way}; filename=\"{sweep}-{file_name}\""));
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    if part.length < length {
        set(header::CONTENT_RANGE, format!("bytes {}-{}/{length}", part.first, part.first + part.length - 1));
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(answer)
}

/// What of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    length: u64,
}

impl Part {
    /// By the header `Range`; several ranges at once are answered with all of the file. So is a part that is wanted
    /// only of the file of before (`If-Range`): whether it is that one is not known.
    fn of(headers: &HeaderMap, length: u64) -> Result<Part, Refusal> {
        let whole = Part { first: 0, length };
        let may_be_part = length > 0 && !headers.contains_key(header::IF_RANGE);
        let wanted = headers.get(header::RANGE).filter(|_| may_be_part).and_then(|value| value.to_str().ok());
        let Some(Ok(parsed)) = wanted.map(http_range_header::parse_range_header) else { return Ok(whole) };
        match parsed.validate(length) {
            Ok(ranges) if ranges.len() == 1 => {
                let (first, last) = (*ranges[0].start(), *ranges[0].end());
                Ok(Part { first, length: last - first + 1 })
            }
            // An end longer than the file is all of it.
            Ok(_) | Err(FileSuffixOutOfBounds | OverlappingRanges) => Ok(whole),
            Err(_) => Err(Refusal::no_such_range(length)),
        }
    }
}

/// Whether a part of a path is a plain name: it leads nowhere else, and is nothing hidden or half-written.
pub(super) fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed) && name.len() <= 128
}

/// A file that is one; what a link leads to is none.
fn open(path: &std::path::Path) -> Result<(File, u64), Refusal> {
    let is_folder = path.parent().is_some_and(|folder| folder.symlink_metadata().is_ok_and(|it| it.is_dir()));
    if is_folder { open_file(path) } else { Err(nothing()) }
}

fn open_file(path: &std::path::Path) -> Result<(File, u64), Refusal> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let opened = File::options().read(true).custom_flags(flags.bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            tracing::warn!(%error, path = %path.display(), "a report can't be read");
            return Err(Refusal::unavailable("the report can't be read"));
        }
        _ => return Err(nothing()),
    };
    let about = file.metadata().ok().filter(std::fs::Metadata::is_file).ok_or_else(nothing)?;
    Ok((file, about.len()))
}

fn nothing() -> Refusal {
    Refusal::not_found("there is no such report").with_hint("/api/v1/sweeps/{id} names those there are")
}

/// The bytes of a file, piece by piece.
fn body(file: tokio::fs::File, length: u64) -> Body {
    let pieces = futures::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
        let read = file.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof));
        }
        piece.truncate(read);
        Ok(Some((Bytes::from(piece), (file, left.saturating_sub(read as u64)))))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["index.html", "samples.csv.zst", "20261123-221500-all-7f3a"] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".partial-x", "a/b", "a\\b", "a\0", "%2e%2e", "-rf", "é", &"a".repeat(129)] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_part_of_a_file_is_had_by_its_range() {
        let part = |range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(range).expect("a header"));
            Part::of(&headers, 100).map(|part| (part.first, part.length)).map_err(|refused| refused.status.as_u16())
        };
        for (range, expected) in [
            ("bytes=0-9", Ok((0, 10))),
            ("bytes=90-", Ok((90, 10))),
            ("bytes=-5", Ok((95, 5))),
            ("bytes=-500", Ok((0, 100))),
            ("bytes=50-500", Ok((50, 50))),
            ("bytes=0-5,3-9", Ok((0, 100))),
            ("bytes=0-1,5-6", Ok((0, 100))),
            ("lines=1-2", Ok((0, 100))),
            ("bytes=200-", Err(416)),
        ] {
            assert_eq!(part(range), expected, "{range}");
        }
        let both = [(header::RANGE, "bytes=5-"), (header::IF_RANGE, "\"of-before\"")];
        let headers: HeaderMap =
            both.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        assert_eq!(Part::of(&headers, 100), Ok(Part { first: 0, length: 100 }));
        assert!(matches!(Part::of(&headers, 0), Ok(Part { first: 0, length: 0 })));
    }

    #[test]
    fn links_and_folders_are_no_reports() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("sweep");
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(folder.path().join("secret"), "x").expect("written");
        std::fs::write(inside.join("a.csv"), "abc").expect("written");
        std::os::unix::fs::symlink("../secret", inside.join("link.csv")).expect("linked");
        std::os::unix::fs::symlink("sweep", folder.path().join("latest")).expect("linked");
        assert_eq!(open(&inside.join("a.csv")).expect("opened").1, 3);
        for path in ["sweep/link.csv", "sweep/b.csv", "latest/a.csv", "sweep"] {
            assert!(open(&folder.path().join(path)).is_err(), "{path}");
        }
    }
}
