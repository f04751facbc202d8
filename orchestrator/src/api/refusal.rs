use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::{ErrorKind, LabError};
use crate::store::StoreError;

/// Why something is not done or not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) status: StatusCode,
    kind: &'static str,
    message: String,
    hint: Option<String>,
    /// How long the file is of which a part was asked that it does not have.
    length_bytes: Option<u64>,
}

/// Goes with an answer that refuses: what its person is told, for the log.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) String);

/// What is answered then.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ErrorAnswer {
    /// What was refused, and why.
    error: ErrorBody,
    /// Whether logging in helps.
    needs_login: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ErrorBody {
    /// A word for programs: `bad_request`, `unauthorized`, `forbidden`, `not_found`, `conflict`, …
    kind: String,
    /// What and why, for people.
    message: String,
    /// What to do.
    hint: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, kind, message: message.into(), hint: None, length_bytes: None }
    }

    /// What was asked is not in order.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Who asks is not known.
    pub fn unauthorized(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// Who asks may not.
    pub fn forbidden(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// It can't be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// The file ends before that.
    pub(super) fn no_such_range(length: u64) -> Refusal {
        let message = format!("the file has {length} bytes");
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", message);
        Refusal { length_bytes: Some(length), ..refusal }
    }

    /// There is more of it than is taken.
    pub(super) fn too_large(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// It did not come in time.
    pub(super) fn too_slow(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
    }

    /// It is in no form that is read.
    pub(super) fn not_json() -> Refusal {
        let message = "the body is to be JSON: Content-Type: application/json";
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message)
    }

    /// It was sent to a host that this one is not.
    pub(super) fn misdirected(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message)
    }

    /// The way of asking is none.
    pub(super) fn method_not_allowed() -> Refusal {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "it can't be asked in this way")
    }

    /// It was asked too often.
    pub(super) fn too_many(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message)
    }

    /// Not now.
    pub fn unavailable(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A fault of farmctl.
    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }
}

impl From<LabError> for Refusal {
    fn from(error: LabError) -> Refusal {
        let error = match error.into_store_error() {
            Ok(refused) => return Refusal::from(refused),
            Err(error) => error,
        };
        let message = error.to_string();
        let refusal = match error.kind() {
            ErrorKind::Usage | ErrorKind::Invalid => Refusal::bad_request(message),
            ErrorKind::Nothing | ErrorKind::NoDevice => Refusal::conflict(message),
            ErrorKind::Internal | ErrorKind::Unavailable => Refusal::unavailable(message),
        };
        match error.hints() {
            [] => refusal,
            hints => refusal.with_hint(hints.join("; ")),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        match error {
            StoreError::UnknownSweep { sweep } => Refusal::not_found(format!("there is no sweep {sweep}")),
            StoreError::IllegalStep { step, of, state, .. } => {
                Refusal::conflict(format!("{of} is {state}: it can't {step}"))
            }
            // Paths of this host are no business of who asks.
            error => {
                tracing::warn!(%error, "the store failed");
                Refusal::unavailable("the store can't be read or written now").with_hint("look at the daemon's log")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal { status, kind, message, hint, length_bytes } = self;
        let refused = Refused(message.clone());
        let error = ErrorBody { kind: kind.to_owned(), message, hint };
        let needs_login = status == StatusCode::UNAUTHORIZED;
        let mut response = (status, Json(ErrorAnswer { error, needs_login })).into_response();
        response.extensions_mut().insert(refused);
        if let Some(range) = length_bytes.and_then(|bytes| HeaderValue::from_str(&format!("bytes */{bytes}")).ok()) {
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
        response
    }
}
