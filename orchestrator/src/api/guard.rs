//! Who gets in, and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::places::Requests;
use super::refusal::Refused;
use super::server::Peer;
use super::session::Access;
use super::shares::Share;
use super::{Api, Person, Refusal, Role};

/// Largest body that is read.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Answers that who has a token takes at the same time; those that look on are among them.
const ANSWERS_AT_ONCE: u32 = 32;
/// What the log has of a path.
const MAX_PATH_CHARS: usize = 200;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What a page of ours may load and do: no script, style or picture but its own files, and nobody may frame it.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Who asks, if that is known.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Option<Person>);

impl Caller {
    /// The person, when they may do what takes this role.
    pub(super) fn may(self, role: Role) -> Result<Person, Refusal> {
        let person = self.0.ok_or_else(|| {
            Refusal::unauthorized("log in first").with_hint("`farmctl tokens add NAME --role view` makes a token")
        })?;
        if person.role < role {
            let (has, needs) = (person.role.as_str(), role.as_str());
            return Err(Refusal::forbidden(format!("{} has the role {has}; this takes {needs}", person.name)));
        }
        Ok(person)
    }
}

/// Lets a request pass, or refuses it; what is answered either way carries what a browser is to keep to.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let is_secret = !request.uri().path().starts_with("/page/");
    let asked = Asked::of(&request);
    let admitted = match admit(&api, request).await {
        Ok(request) => api.share_of(&request).map(|share| (request, share)),
        Err(refusal) => Err(refusal),
    };
    let mut response = match admitted {
        Ok((request, share)) => {
            let counted = request.extensions().get::<Requests>().map(|requests| requests.begin(share));
            let response = next.run(request).await;
            match counted {
                Some(counted) => counted.until_sent(response),
                None => response,
            }
        }
        Err(refusal) => refusal.into_response(),
    };
    asked.log_refusal(&api, &response);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_secret {
        set(header::CACHE_CONTROL, "no-store");
    }
    response
}

/// What the log tells of a request that is refused.
struct Asked {
    method: Method,
    path: String,
    peer: Option<IpAddr>,
    has_credentials: bool,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        let has = |name| request.headers().contains_key(name);
        Asked {
            method: request.method().clone(),
            path: request.uri().path().chars().take(MAX_PATH_CHARS).collect(),
            peer: request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip()),
            has_credentials: has(header::AUTHORIZATION) || has(header::COOKIE),
        }
    }

    /// Logs who was refused and why. What is only not there, or not in order, is no matter of the keeper's; a page that
    /// has not logged in yet asks once each time it is opened.
    fn log_refusal(self, api: &Api, response: &Response) {
        let Some(Refused(why)) = response.extensions().get::<Refused>() else { return };
        let Asked { method, path, peer, has_credentials } = self;
        let is_told = match response.status() {
            StatusCode::UNAUTHORIZED => has_credentials || method != Method::GET,
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => true,
            // Whether all is well is asked every few seconds, and «no» is an answer to it.
            status => status.is_server_error() && path != "/readyz",
        };
        if is_told && api.refusals.take(peer, Instant::now()) {
            let peer = peer.map_or_else(|| "somebody".to_owned(), |peer| peer.to_string());
            tracing::warn!(status = response.status().as_u16(), "refused {peer} {method} {path}: {why}");
        }
    }
}

async fn admit(api: &Arc<Api>, request: Request) -> Result<Request, Refusal> {
    let (mut parts, body) = request.into_parts();
    let host = host(&parts.headers, &parts.uri)?;
    if !api.is_own_name(&host) {
        let hint = "name it under `host_names` in configs/daemon.yaml, if this host has that name";
        return Err(Refusal::misdirected(format!("{host} is no name of this host")).with_hint(hint));
    }
    refuse_foreign_origin(&parts.headers)?;
    let is_write = !matches!(parts.method, Method::GET | Method::HEAD);
    let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.ip());
    let caller = api.access.caller(&parts.headers, peer)?;
    let body = if is_write {
        if parts.headers.get("x-farmctl").is_none_or(|value| value != "1") {
            return Err(Refusal::forbidden("a write carries the header X-Farmctl: 1"));
        }
        if let Some(person) = &caller.0
            && !api.writes.take(api.who(person, peer), Instant::now())
        {
            return Err(Refusal::too_many(format!("{} does too much at once; wait a second", person.name)));
        }
        // What nothing here is asked by is refused as such, whatever its body is.
        if parts.method == Method::POST { whole(&parts.headers, body).await? } else { Body::empty() }
    } else {
        Body::empty()
    };
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// The body of a write, once it is there.
async fn whole(headers: &HeaderMap, body: Body) -> Result<Body, Refusal> {
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        return Err(Refusal::not_json());
    }
    let limit = || Refusal::too_large(format!("a body has at most {} KiB", MAX_BODY_BYTES >> 10));
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(Body::from(collected.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(limit()),
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body broke off: {error}"))),
        Err(_) => Err(Refusal::too_slow(format!("the body did not come within {} s", BODY_TIMEOUT.as_secs()))),
    }
}

/// The host that a request names, without its port.
fn host(headers: &HeaderMap, uri: &Uri) -> Result<String, Refusal> {
    let mut named = headers.get_all(header::HOST).iter();
    let text = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        (None, _) => uri.authority().map(|authority| authority.as_str()).unwrap_or_default(),
        (Some(_), Some(_)) => return Err(Refusal::bad_request("two hosts are named")),
    };
    without_port(text).ok_or_else(|| Refusal::misdirected("no host is named that this one could be"))
}

/// The host of `host:port`, in small letters; `None` when it is none.
fn without_port(authority: &str) -> Option<String> {
    let parsed: axum::http::uri::Authority = authority.parse().ok()?;
    if parsed.as_str().contains('@') {
        return None;
    }
    Some(parsed.host().trim_end_matches('.').to_ascii_lowercase()).filter(|host| !host.is_empty())
}

/// A page of another origin has no business here.
fn refuse_foreign_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if authority.is_some_and(|authority| host.is_some_and(|host| authority.eq_ignore_ascii_case(host))) {
        return Ok(());
    }
    Err(Refusal::forbidden("pages of other origins may not ask here"))
}

impl Api {
    /// A place among what is answered at once: each who has a token has so many, so that the others find some.
    fn share_of(&self, request: &Request) -> Result<Option<Share>, Refusal> {
        let person = request.extensions().get::<Caller>().and_then(|caller| caller.0.as_ref());
        let (Access::Tokens(_), Some(person)) = (&self.access, person) else { return Ok(None) };
        let share = self.answering.take(&person.name, ANSWERS_AT_ONCE);
        share
            .map(Some)
            .ok_or_else(|| Refusal::too_many(format!("{} waits for {ANSWERS_AT_ONCE} answers already", person.name)))
    }

    /// Whose writes are counted together: without tokens all have one name, and are told apart by where they ask from.
    fn who(&self, person: &Person, peer: Option<IpAddr>) -> String {
        match (&self.access, peer) {
            (Access::Tokens(_), _) | (_, None) => person.name.clone(),
            (_, Some(peer)) => format!("{} at {peer}", person.name),
        }
    }

    /// Whether a request that names this host means this one. An address can't be rebound by a name server, so every
    /// address is good.
    fn is_own_name(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address.parse::<std::net::IpAddr>().is_ok()
            || self.host_names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}
