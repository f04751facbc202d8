//! What went wrong with a server: whether another try may help, and what a person is told.

use std::error::Error;
use std::path::PathBuf;

use tokio_postgres::error::SqlState;
use tokio_rustls::rustls::Error as TlsFault;

use super::address::Address;
use super::limits::Late;
use super::tls::Unencrypted;
use crate::store::StoreError;
use crate::store::sql::Fault;

/// Codes, by how they begin, of a server that lets somebody not in, or takes nobody: it ends, or has too many.
const LETS_NOT_IN: [&str; 3] = ["28", "57P", "53300"];

fn postgres(fault: &Fault) -> Option<&tokio_postgres::Error> {
    match fault {
        Fault::Refused(error) => error.downcast_ref(),
        _ => None,
    }
}

/// The server's code.
pub(super) fn code(fault: &Fault) -> Option<&SqlState> {
    postgres(fault).and_then(tokio_postgres::Error::code)
}

/// Nothing came back in time.
pub(super) fn is_late(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused(error) if error.is::<Late>())
}

/// Another transaction was in the way, and all of this one is undone.
pub(super) fn is_in_the_way(fault: &Fault) -> bool {
    code(fault)
        .is_some_and(|code| *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// Two that found the same key free: the database says of one that it is there already, and not that the other was in
/// its way. Done again, it sees the other's row.
pub(super) fn is_duplicate(fault: &Fault) -> bool {
    code(fault) == Some(&SqlState::UNIQUE_VIOLATION)
}

/// The server is not there now, or takes nobody more.
pub(super) fn is_away(fault: &Fault) -> bool {
    let Some(error) = postgres(fault) else { return is_late(fault) };
    match error.code() {
        Some(code) => {
            let away = [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ];
            away.contains(code)
        }
        // A certificate that is not believed, or a file that is missing, stays so.
        None => error.source().is_some_and(|source| source.is::<std::io::Error>()) && tls_fault(error).is_none(),
    }
}

/// What encryption failed for, also where an I/O error hides it.
fn tls_fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsFault> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|cause| {
        let hidden = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.downcast_ref().or_else(|| hidden?.downcast_ref())
    })
}

/// The error that a person gets.
pub(super) fn told(address: &Address, action: &str, fault: Fault) -> StoreError {
    let (action, path) = (action.to_owned(), PathBuf::from(&address.shown));
    let error = match fault {
        Fault::Store(error) => return error,
        Fault::Column(cause) => return StoreError::Database { action, path, cause },
        Fault::Undone => {
            let cause = "it is in a state that has no such step".to_owned();
            return StoreError::Database { action, path, cause };
        }
        Fault::Refused(error) => error,
    };
    let cause = words(error.as_ref());
    if let Some(remedy) = tls_remedy(address, error.as_ref()) {
        return StoreError::Unencrypted { action, path, cause, remedy };
    }
    let Some(code) = error.downcast_ref().and_then(tokio_postgres::Error::code).map(SqlState::code) else {
        let is_of_server = error.is::<Late>() || error.is::<tokio_postgres::Error>();
        // What the client's own words are of that is no connection: it has no password, and is asked for one.
        let is_asked = error.source().is_some_and(|source| !source.is::<std::io::Error>());
        let cause = if is_asked { format!("{cause}; {}", address.password_told()) } else { cause };
        return match is_of_server {
            true => StoreError::Unreachable { action, path, cause },
            false => StoreError::Database { action, path, cause },
        };
    };
    match code {
        _ if code == SqlState::INVALID_PASSWORD.code() => {
            StoreError::Unreachable { action, path, cause: format!("{cause}; {}", address.password_told()) }
        }
        _ if LETS_NOT_IN.iter().any(|class| code.starts_with(class)) => StoreError::Unreachable { action, path, cause },
        _ if code == SqlState::DISK_FULL.code() => StoreError::Full { action, path, cause },
        _ if code == SqlState::LOCK_NOT_AVAILABLE.code() || code.starts_with("40") => StoreError::Busy { action, path },
        _ if code == SqlState::INSUFFICIENT_PRIVILEGE.code() => {
            let remedy = "let its owner grant this role what «The store on a server» of the book lists".to_owned();
            StoreError::NotAllowed { action, path, cause, remedy }
        }
        _ => StoreError::Database { action, path, cause },
    }
}

/// What to do where no encrypted connection came to be; `None` where it is something else that failed.
fn tls_remedy(address: &Address, error: &(dyn Error + 'static)) -> Option<String> {
    if error.is::<Unencrypted>() {
        return Some(
            "let `ssl` of the server be on, or write `?sslmode=disable` where nobody else is on the way".to_owned(),
        );
    }
    let fault = tls_fault(error)?;
    if let Some(hint) = address.trust.as_ref().and_then(|trust| trust.hint(fault)) {
        return Some(hint);
    }
    Some(match fault {
        TlsFault::InvalidCertificate(_) => "name the server as its certificate does".to_owned(),
        TlsFault::AlertReceived(_) => "the server does not take what this host shows: look at `sslcert`".to_owned(),
        _ => "look at the server's settings of `ssl`".to_owned(),
    })
}

/// An error with all that lies beneath: the outer one often says no more than «db error».
fn words(error: &(dyn Error + 'static)) -> String {
    if let Some(said) = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error) {
        let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{}{hint}", said.message());
    }
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
