//! The page's files, which are in the program.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::sha256_hex;

use super::Refusal;

/// A file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Its hash, quoted.
    tag: String,
}

macro_rules! assets {
    ($($name:literal: $kind:literal,)+) => {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| vec![$({
            let bytes = include_bytes!(concat!("page/", $name)).as_slice();
            Asset { name: $name, kind: $kind, bytes, tag: format!("\"{}\"", &sha256_hex(bytes)[..16]) }
        }),+]);
    };
}

assets! {
    "index.html": "text/html; charset=utf-8",
    "again.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "device-history.js": "text/javascript; charset=utf-8",
    "device-list.js": "text/javascript; charset=utf-8",
    "device-row.js": "text/javascript; charset=utf-8",
    "dialogs.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "events.js": "text/javascript; charset=utf-8",
    "filter.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "keys.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "matrix.js": "text/javascript; charset=utf-8",
    "model.js": "text/javascript; charset=utf-8",
    "notices.js": "text/javascript; charset=utf-8",
    "parts.js": "text/javascript; charset=utf-8",
    "router.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "svg.js": "text/javascript; charset=utf-8",
    "sweep-groups.js": "text/javascript; charset=utf-8",
    "time.js": "text/javascript; charset=utf-8",
    "trust.js": "text/javascript; charset=utf-8",
    "utilisation.js": "text/javascript; charset=utf-8",
    "view-audit.js": "text/javascript; charset=utf-8",
    "view-compare.js": "text/javascript; charset=utf-8",
    "view-device.js": "text/javascript; charset=utf-8",
    "view-history.js": "text/javascript; charset=utf-8",
    "view-login.js": "text/javascript; charset=utf-8",
    "view-overview.js": "text/javascript; charset=utf-8",
    "view-schedules.js": "text/javascript; charset=utf-8",
    "view-start.js": "text/javascript; charset=utf-8",
    "view-sweep.js": "text/javascript; charset=utf-8",
    "view-sweeps.js": "text/javascript; charset=utf-8",
}

pub(super) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    answer("index.html", &headers)
}

pub(super) async fn file(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Refusal> {
    let Path(name) = path.map_err(|error| Refusal::bad_request(error.body_text()))?;
    answer(&name, &headers)
}

/// A file, or that the one the browser has is the same still.
fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Refusal::not_found("the page has no such file"))?;
    let has_it = headers.get_all(header::IF_NONE_MATCH).iter().any(|tag| tag.as_bytes() == asset.tag.as_bytes());
    let about = [
        (header::CONTENT_TYPE, asset.kind),
        (header::ETAG, asset.tag.as_str()),
        // It is asked each time whether it is the same still: a new daemon has a new page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let answer = if has_it { StatusCode::NOT_MODIFIED.into_response() } else { asset.bytes.into_response() };
    Ok((about, answer).into_response())
}
