//! Reports of sweeps, as files.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncReadExt as _;

use crate::publish;

use super::guard::Caller;
use super::{Api, Refusal, Role};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// A report has its style in it and nothing else: no script, and nothing from elsewhere.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
form-action 'none'; frame-ancestors 'none'";

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path((sweep, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    caller.may(Role::View)?;
    if !is_file_name(&sweep) || !is_file_name(&name) {
        return Err(nothing());
    }
    let path = publish::sweep_folder(&api.lab.reports(), &sweep).join(&name);
    let (file, length) = api.blocking(move |_| open(&path)).await?;
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("md" | "txt" | "jsonl") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY.to_owned()),
    ];
    Ok((headers, body(tokio::fs::File::from_std(file), length)).into_response())
}

/// Whether a part of a path is a plain name: it leads nowhere else, and is nothing hidden or half-written.
pub(super) fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed) && name.len() <= 128
}

/// A file that is one; what a link leads to is none.
fn open(path: &std::path::Path) -> Result<(File, u64), Refusal> {
    let is_folder = path.parent().is_some_and(|folder| folder.symlink_metadata().is_ok_and(|it| it.is_dir()));
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let opened = File::options().read(true).custom_flags(flags.bits()).open(path);
    let file = match opened {
        Ok(file) if is_folder => file,
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
