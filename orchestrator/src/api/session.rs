//! Logging in, and who is logged in: a browser keeps a random name of its session in a cookie, never the token.
//! Sessions are in memory; after a restart of the daemon one logs in again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::VERSION;

use super::endpoint::read;
use super::guard::Caller;
use super::limits::Limit;
use super::server::Peer;
use super::tokens::{self, Hash, Token, TokenFile};
use super::{Api, Person, Refusal, Role};

/// Name of the cookie.
const COOKIE: &str = "farmctl_session";
/// How long one stays logged in.
const SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most sessions; the oldest ends when there is one more.
const MAX_SESSIONS: usize = 1024;
/// Wrong tokens from one address: so many at once, then one every so often.
const WRONG_AT_ONCE: u32 = 10;
const WRONG_EACH: Duration = Duration::from_secs(6);

/// Who asks, and what they may do.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionAnswer {
    name: String,
    role: Role,
    /// Whether this lab asks for tokens.
    needs_login: bool,
    lab: String,
    version: String,
}

/// A token to log in with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    token: String,
}

/// Somebody who is logged in.
struct Session {
    /// Of their token: when that is removed, the session is over.
    token: Hash,
    since: Instant,
}

/// Who may ask.
pub(super) enum Access {
    /// Everybody who can, as this person.
    Open(Person),
    /// Who has a token.
    Tokens(Box<TokenAuth>),
}

/// Tells the lab's time.
pub(super) type TimeOfDay = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What it takes to tell who asks by tokens.
pub(super) struct TokenAuth {
    file: TokenFile,
    clock: TimeOfDay,
    sessions: Mutex<HashMap<Hash, Session>>,
    wrong: Limit<IpAddr>,
}

impl TokenAuth {
    pub(super) fn new(file: TokenFile, clock: TimeOfDay) -> TokenAuth {
        TokenAuth { file, clock, sessions: Mutex::default(), wrong: Limit::new(WRONG_AT_ONCE, WRONG_EACH) }
    }

    pub(super) fn write_uses(&self, is_end: bool) {
        self.file.write_uses(is_end);
    }

    fn token(&self, hash: &Hash) -> Result<Option<Token>, Refusal> {
        let tokens = self.file.tokens().map_err(|error| {
            tracing::error!(%error, "nobody can log in");
            Refusal::unavailable("the tokens can't be read: look at the daemon's log")
        })?;
        let now = (self.clock)();
        let found = tokens::find(&tokens, hash).filter(|token| !token.has_expired(now));
        if let Some(token) = &found {
            self.file.note_use(&token.name, now);
        }
        Ok(found)
    }

    /// Whose token this is; a wrong one counts against where it comes from.
    fn by_token(&self, secret: &str, peer: Option<IpAddr>) -> Result<Token, Refusal> {
        if let Some(token) = self.token(&tokens::hash(secret))? {
            return Ok(token);
        }
        if peer.is_some_and(|peer| !self.wrong.take(peer, Instant::now())) {
            return Err(Refusal::too_many("too many wrong tokens from your address; wait a minute"));
        }
        Err(Refusal::unauthorized("the token is none of this lab's, or has had its day")
            .with_hint("`farmctl tokens list` shows whose there are; `farmctl tokens add` makes one"))
    }

    /// Whose session this is.
    fn by_session(&self, name: &str) -> Result<Option<Token>, Refusal> {
        let name = tokens::hash(name);
        let token = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|_, session| session.since.elapsed() < SESSION);
            sessions.get(&name).map(|session| session.token)
        };
        token.map_or(Ok(None), |token| self.token(&token))
    }

    /// Begins a session; returns its name.
    fn begin(&self, token: &Token) -> Result<String, Refusal> {
        let name = tokens::random_text().map_err(|error| Refusal::internal(error.to_string()))?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.since).map(|(name, _)| *name)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(tokens::hash(&name), Session { token: token.hash, since: Instant::now() });
        Ok(name)
    }

    fn end(&self, name: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&tokens::hash(name));
    }
}

impl Access {
    /// Who asks with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Refusal> {
        let doors = match self {
            Access::Open(person) => return Ok(Caller(Some(person.clone()))),
            Access::Tokens(doors) => doors,
        };
        let token = if let Some(value) = headers.get(header::AUTHORIZATION) {
            let secret = value.to_str().ok().and_then(|value| value.split_once(' '));
            let secret = secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, secret)| secret);
            let secret = secret.ok_or_else(|| Refusal::unauthorized("it is to be `Authorization: Bearer TOKEN`"))?;
            Some(doors.by_token(secret.trim(), peer)?)
        } else if let Some(name) = cookie(headers) {
            doors.by_session(name)?
        } else {
            None
        };
        Ok(Caller(token.map(|token| Person { name: token.name, role: token.role })))
    }
}

/// The name of the session that a browser sent.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut each = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    each.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

impl Api {
    fn session_answer(&self, person: Person) -> SessionAnswer {
        SessionAnswer {
            name: person.name,
            role: person.role,
            needs_login: matches!(self.access, Access::Tokens(_)),
            lab: self.lab.name(),
            version: VERSION.to_owned(),
        }
    }

    /// The cookie of a session, or the one that takes it away.
    fn set_cookie(&self, name: &str) -> Result<HeaderValue, Refusal> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let seconds = if name.is_empty() { 0 } else { SESSION.as_secs() };
        let text = format!("{COOKIE}={name}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).map_err(|error| Refusal::internal(error.to_string()))
    }
}

pub(super) async fn show(api: Arc<Api>, caller: Caller) -> Result<SessionAnswer, Refusal> {
    Ok(api.session_answer(caller.may(Role::View)?))
}

pub(super) async fn login(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let LoginBody { token } = read(&bytes)?;
    let Access::Tokens(doors) = &api.access else {
        return Err(Refusal::conflict("this lab asks for no tokens: you are in"));
    };
    let token = doors.by_token(token.trim(), Some(peer.ip()))?;
    tracing::info!(name = %token.name, %peer, "logged in");
    let cookie = api.set_cookie(&doors.begin(&token)?)?;
    let answer = api.session_answer(Person { name: token.name, role: token.role });
    Ok(([(header::SET_COOKIE, cookie)], Json(answer)).into_response())
}

pub(super) async fn logout(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Refusal> {
    if let (Access::Tokens(doors), Some(name)) = (&api.access, cookie(&headers)) {
        doors.end(name);
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, api.set_cookie("")?)]).into_response())
}
