//! Where the adb server is.
//!
//! Main type: [`ServerAddress`]. Connects to nothing.

use std::fmt;
use std::net::IpAddr;

use crate::environment::EnvironmentLookup;
use crate::transport::{ErrorKind, TransportError};

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 5037;

/// Host and port of an adb server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServerAddress {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
}

impl ServerAddress {
    /// What the farm file says, else `ADB_SERVER_SOCKET`, else `ANDROID_ADB_SERVER_PORT`, else adb's own default: the
    /// order in which adb itself looks.
    ///
    /// # Errors
    /// When what is said is no address that can be used.
    pub(super) fn resolve(
        explicit: Option<&str>,
        environment: &EnvironmentLookup,
    ) -> Result<ServerAddress, TransportError> {
        let default = || ServerAddress { host: DEFAULT_HOST.to_owned(), port: DEFAULT_PORT };
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        if let Some(text) = explicit {
            return parse(text).ok_or_else(|| unusable(&format!("the server {text:?} of the farm file")));
        }
        if let Some(socket) = set("ADB_SERVER_SOCKET") {
            let told = || unusable(&format!("ADB_SERVER_SOCKET={socket:?}"));
            return socket.strip_prefix("tcp:").and_then(parse).ok_or_else(told);
        }
        if let Some(port) = set("ANDROID_ADB_SERVER_PORT") {
            let parsed = port.parse().ok().filter(|port| *port != 0);
            let told = || unusable(&format!("ANDROID_ADB_SERVER_PORT={port:?}"));
            return Ok(ServerAddress { port: parsed.ok_or_else(told)?, ..default() });
        }
        Ok(default())
    }

    /// Whether the server is on this host, so that it may be started here.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether a plain adb would use this server.
    pub(super) fn is_default(&self) -> bool {
        self.is_loopback() && self.port == DEFAULT_PORT
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `host:port`, or a port alone, which is one of this host.
fn parse(text: &str) -> Option<ServerAddress> {
    let (host, port) = text.rsplit_once(':').unwrap_or((DEFAULT_HOST, text));
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| ServerAddress { host: host.to_owned(), port })
}

fn unusable(what: &str) -> TransportError {
    TransportError::new(ErrorKind::NameUnknown, format!("find the adb server: {what} is no address of one"))
        .with_hint("write `tcp:host:port` into ADB_SERVER_SOCKET, or `server: host:port` into the farm file")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;

    fn resolved(explicit: Option<&str>, variables: &[(&str, &str)]) -> Result<String, TransportError> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment: EnvironmentLookup =
            Arc::new(move |wanted| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()));
        ServerAddress::resolve(explicit, &environment).map(|address| address.to_string())
    }

    #[test]
    fn the_first_one_to_say_something_wins() {
        let (socket, port) = (("ADB_SERVER_SOCKET", "tcp:lab:1"), ("ANDROID_ADB_SERVER_PORT", "2"));
        assert_eq!(resolved(Some("other:3"), &[socket, port]).unwrap(), "other:3");
        assert_eq!(resolved(None, &[socket, port]).unwrap(), "lab:1");
        assert_eq!(resolved(None, &[port]).unwrap(), "127.0.0.1:2");
        assert_eq!(resolved(None, &[("ADB_SERVER_SOCKET", "")]).unwrap(), "127.0.0.1:5037");
        assert_eq!(resolved(None, &[("ADB_SERVER_SOCKET", "tcp:5038")]).unwrap(), "127.0.0.1:5038");
        assert_eq!(resolved(Some("[::1]:5037"), &[]).unwrap(), "[::1]:5037");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (name, value) in [
            ("ADB_SERVER_SOCKET", "localfilesystem:/x"),
            ("ADB_SERVER_SOCKET", "tcp:lab:http"),
            ("ANDROID_ADB_SERVER_PORT", "65536"),
            ("ANDROID_ADB_SERVER_PORT", "0"),
        ] {
            let error = resolved(None, &[(name, value)]).unwrap_err();
            assert!(error.message.contains(name) && error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn only_a_server_of_this_host_may_be_started() {
        for (text, expected) in [("localhost:1", true), ("127.0.0.9:1", true), ("[::1]:1", true), ("lab:1", false)] {
            assert_eq!(parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }
}
