//! Where page and API are reached: an address, a certificate and tokens. Each may be out of reach for a while; then it
//! is tried again, and said what is wrong.
//!
//! Main type: [`Door`].

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lab::{FileStamp, LabError};

use super::{Api, Server, Tls, TokenFile, bind, serve};

/// How soon it is tried again to listen at an address that could not be had.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What a door is made from.
pub struct DoorConfig {
    /// Where it is to listen.
    pub address: SocketAddr,
    /// Why it is not opened, whatever the address.
    pub refused: Option<String>,
    /// The certificate that is served; without one it is http.
    pub certificate: Option<Certificate>,
    /// Who may ask.
    pub tokens: Option<TokenFile>,
}

/// An API, and where it is reached once its address is to be had. Ends with this value.
pub struct Door {
    api: Arc<Api>,
    config: DoorConfig,
    server: Option<Server>,
    tried_at: Option<Instant>,
    /// Why the address can't be had.
    trouble: Option<String>,
}

/// What was found when a door was looked at.
pub struct DoorState {
    /// What there is to say.
    pub remark: Option<&'static str>,
    /// What is wrong, or nothing, about each thing that may be.
    pub troubles: [DoorTrouble; 3],
}

/// What is wrong about a part of a door.
pub struct DoorTrouble {
    /// The part.
    pub about: &'static str,
    /// What is wrong, if anything is.
    pub trouble: Option<String>,
}

impl Door {
    /// A door that is not open yet.
    pub fn new(api: Arc<Api>, config: DoorConfig) -> Door {
        Door { api, config, server: None, tried_at: None, trouble: None }
    }

    /// Tries to open it, where it is not open and was not tried just now. Says whether it is open since this.
    pub async fn open(&mut self) -> bool {
        let is_due = self.tried_at.is_none_or(|at| at.elapsed() >= TRY_AGAIN);
        if self.server.is_some() || !is_due {
            return false;
        }
        self.tried_at = Some(Instant::now());
        if self.config.refused.is_some() {
            self.trouble.clone_from(&self.config.refused);
            return false;
        }
        let tls = self.config.certificate.as_ref().map(|certificate| certificate.served.clone());
        let listening = match bind(self.config.address).await {
            Ok(listener) => serve(&self.api, listener, tls),
            Err(error) => Err(error),
        };
        match listening {
            Ok(server) => (self.server, self.trouble) = (Some(server), None),
            Err(error) => self.trouble = Some(self.not_listening(&error)),
        }
        self.server.is_some()
    }

    fn not_listening(&self, error: &std::io::Error) -> String {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "another program has it",
            _ => "this host does not have it",
        };
        format!(
            "failed to listen at {}: {error}; {hint}: it is tried again, and what is due is begun meanwhile; `listen` \
             in configs/daemon.yaml names another address, or `off`",
            self.config.address
        )
    }

    /// Looks at the address, the certificate and the tokens, and keeps when those were used.
    pub fn look(&mut self) -> DoorState {
        self.api.write_uses(false);
        let is_renewed = self.config.certificate.as_mut().is_some_and(Certificate::look);
        let tls = self.config.certificate.as_ref().and_then(|certificate| certificate.trouble.clone());
        let tokens = self.config.tokens.as_ref().and_then(|file| file.tokens().err());
        let trouble = |about, trouble| DoorTrouble { about, trouble };
        DoorState {
            remark: is_renewed.then_some("the certificate was read again"),
            troubles: [
                trouble("listen", self.trouble.clone()),
                trouble("tls", tls),
                trouble("tokens", tokens.map(|error| format!("failed to {error}"))),
            ],
        }
    }

    /// Where it is reached.
    pub fn url(&self) -> Option<String> {
        let scheme = if self.config.certificate.is_some() { "https" } else { "http" };
        self.server.as_ref().map(|server| format!("{scheme}://{}/", server.address))
    }

    /// Answers no more, and waits for what was begun.
    pub async fn close(self) {
        drop(self.server);
        self.api.write_uses(true);
        self.api.ended().await;
    }
}

/// A certificate that is served, and its files.
pub struct Certificate {
    served: Tls,
    file: PathBuf,
    key: PathBuf,
    stamps: [Option<FileStamp>; 2],
    /// Why the files as they are now are not served.
    trouble: Option<String>,
}

impl Certificate {
    /// Reads it with its key.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn read(file: PathBuf, key: PathBuf) -> Result<Certificate, LabError> {
        let stamps = [FileStamp::of(&file), FileStamp::of(&key)];
        let served = Tls::read(&file, &key)
            .map_err(|error| LabError::usage(format!("failed to use the certificate: {error}")))?;
        Ok(Certificate { served, file, key, stamps, trouble: None })
    }

    /// Serves the files as they are now, where they are sound; says whether they were read again and are.
    fn look(&mut self) -> bool {
        let stamps = [FileStamp::of(&self.file), FileStamp::of(&self.key)];
        if stamps == self.stamps {
            return false;
        }
        self.stamps = stamps;
        let read = self.served.read_again(&self.file, &self.key);
        let trouble = |error| format!("failed to use the certificate: {error}; the one of before is served");
        self.trouble = read.err().map(trouble);
        self.trouble.is_none()
    }
}
