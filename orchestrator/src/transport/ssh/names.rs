//! Which addresses a name has.
//!
//! Main function: [`look_up`]. The system's resolver is asked, as every program does; its code tells a name that is not
//! there from one that nobody can look up for now.

use std::net::SocketAddr;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType};
use tokio::time::{Instant, timeout_at};

use crate::transport::{ErrorKind, TransportError};

/// The addresses of a host, in the order in which they are to be tried.
pub(super) async fn look_up(
    host: &str,
    port: u16,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<SocketAddr>, TransportError> {
    let failed = |kind, reason: String| TransportError::new(kind, format!("find the address of {host:?}: {reason}"));
    let name = host.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
        let found = dns_lookup::getaddrinfo(Some(&name), Some(&port.to_string()), Some(hints))?;
        found.map(|info| info.map(|info| info.sockaddr)).collect::<std::io::Result<Vec<_>>>().map_err(LookupError::from)
    });
    match timeout_at(deadline, asked).await {
        Ok(Ok(Ok(addresses))) => Ok(addresses),
        Ok(Ok(Err(error))) => Err(failed(kind_of(&error, host), std::io::Error::from(error).to_string())),
        Ok(Err(error)) => Err(failed(ErrorKind::NameUnavailable, error.to_string())),
        Err(_) => Err(failed(ErrorKind::NameUnavailable, format!("no answer within {} s", limit.as_secs_f64()))),
    }
}

/// Whether the name is not there, or can't be looked up for now. A name of mDNS is there when its device answers.
fn kind_of(error: &LookupError, host: &str) -> ErrorKind {
    let host = host.trim_end_matches('.').to_lowercase();
    match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData if host.ends_with(".local") => ErrorKind::NameUnavailable,
        LookupErrorKind::Again | LookupErrorKind::Fail | LookupErrorKind::Memory | LookupErrorKind::System => {
            ErrorKind::NameUnavailable
        }
        _ => ErrorKind::NameUnknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_can_look_up_for_now_is_told_from_one_that_is_not_there() {
        // The codes of getaddrinfo, which differ between systems: those of Linux.
        #[cfg(target_os = "linux")]
        for (code, host, kind) in [
            (-3, "pi5.lab", ErrorKind::NameUnavailable),
            (-4, "pi5.lab", ErrorKind::NameUnavailable),
            (-2, "pi5.lab", ErrorKind::NameUnknown),
            (-5, "pi5.lab", ErrorKind::NameUnknown),
            (-2, "pi5.local", ErrorKind::NameUnavailable),
            (-2, "pi5.LOCAL.", ErrorKind::NameUnavailable),
            (-2, "local", ErrorKind::NameUnknown),
        ] {
            assert_eq!(kind_of(&LookupError::new(code), host), kind, "{code} {host}");
        }
    }
}
