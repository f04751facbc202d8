//! `artifacts:` of a lab file to what it means, checked.

use std::path::Path;

use crate::domain::{S3Place, SharedFilesConfig, SharedPlace};

use super::artifacts_entry::{ArtifactsEntry, PlaceEntry};
use super::document::{Document, Step, place};
use super::fault::code;
use super::lab_file::LabFile;

/// Bytes in a megabyte of `cache_mb`.
const BYTES_PER_MB: u64 = 1_000_000;
/// Longest prefix: S3 takes keys of 1,024 bytes.
const MAX_PREFIX_BYTES: usize = 512;

/// Where hosts share files; `None` where that can't be read.
pub(super) fn shared_files(document: &mut Document<LabFile>, entry: ArtifactsEntry) -> Option<SharedFilesConfig> {
    let own = [Step::Field("artifacts")];
    let (PlaceEntry { at, endpoint, region, cache_mb }, at_place) = match entry {
        ArtifactsEntry::Place(at) => (PlaceEntry { at, endpoint: None, region: None, cache_mb: None }, own.to_vec()),
        ArtifactsEntry::Whole(entry) => (entry, place!["artifacts", "at"].to_vec()),
    };
    let cache_bytes = cache_mb.map(|megabytes| megabytes * BYTES_PER_MB);
    let Some(address) = at.strip_prefix("s3://") else {
        let folder = document.source.file.parent().unwrap_or(Path::new("")).to_owned();
        if at.is_empty() || at.contains("://") {
            let hint = "write a folder, or `s3://BUCKET/PREFIX`".to_owned();
            document.refuse(&at_place, format!("{} is no place for files", code(&at)), Some(hint));
            return None;
        }
        for (field, given) in [("endpoint", endpoint.is_some()), ("region", region.is_some())] {
            if given {
                let message = format!("a folder has no {}", code(field));
                document.refuse(place!["artifacts", field], message, Some("it is for `s3://`".to_owned()));
            }
        }
        return Some(SharedFilesConfig { place: SharedPlace::Folder(folder.join(at)), cache_bytes });
    };
    let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
    let prefix = prefix.trim_end_matches('/');
    if !is_bucket(bucket) {
        let hint = "3 to 63 lower-case letters, digits, `-` and `.`: `s3://my-bucket/lab`".to_owned();
        document.refuse(&at_place, format!("{} is no name of a bucket", code(bucket)), Some(hint));
    }
    if !is_prefix(prefix) {
        let hint = "names of letters, digits, `-`, `_`, `.` and `=`, with `/` between them".to_owned();
        document.refuse(&at_place, format!("{} is no good prefix", code(prefix)), Some(hint));
    }
    if let Some(fault) = endpoint.as_deref().and_then(endpoint_fault) {
        let hint = "for example `https://s3.example.org:9000`".to_owned();
        // What may be a password is not shown.
        document.refuse(place!["artifacts", "endpoint"], fault, Some(hint));
    }
    let s3 = S3Place { bucket: bucket.to_owned(), prefix: prefix.to_owned(), endpoint, region };
    Some(SharedFilesConfig { place: SharedPlace::S3(s3), cache_bytes })
}

/// Whether S3 has buckets of that name.
fn is_bucket(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len()) && name.chars().all(allowed) && name.starts_with(ends) && name.ends_with(ends)
}

/// Whether a prefix is one that every server and every tool takes as it is.
fn is_prefix(prefix: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    let is_name = |name: &str| !name.is_empty() && name.chars().all(allowed) && !matches!(name, "." | "..");
    prefix.is_empty() || prefix.len() <= MAX_PREFIX_BYTES && prefix.split('/').all(is_name)
}

/// What is wrong with the address of a server.
fn endpoint_fault(endpoint: &str) -> Option<&'static str> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    match rest {
        None => Some("the endpoint begins with neither `https://` nor `http://`"),
        Some(rest) if rest.contains('@') => Some(
            "no user and password stand in the endpoint: they come from the environment, or from ~/.aws/credentials",
        ),
        Some(rest) if rest.is_empty() || rest.contains(['?', '#', ' ']) => Some("this is no address of a server"),
        Some(_) => None,
    }
}
