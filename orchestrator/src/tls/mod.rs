//! Whom this host believes when it connects by TLS: one configuration for downloads, webhooks, mail and the
//! store's server.
//!
//! Main type: [`Trust`]. Roots are those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else the system's, as for curl
//! and Python: a company's own authority stands there. Never reads the environment, and never leaves a check out.

mod roots;

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore};
use ureq::tls::{RootCerts, TlsConfig};

use roots::{Roots, Source};

/// Authorities whose certificates are believed. They are read when the first is asked for.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    file: Option<PathBuf>,
    folders: Vec<PathBuf>,
    /// What names the file; empty without one.
    word: &'static str,
    roots: Arc<OnceLock<Roots>>,
}

/// The variable that names a file of authorities.
const FILE_VARIABLE: &str = "SSL_CERT_FILE";

impl Trust {
    /// The authorities in a file, and in files of folders (separated by `:`): the values of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`. Without both, the system's.
    pub fn named(file: Option<&OsStr>, folders: Option<&OsStr>) -> Self {
        let folders = folders.map(|folders| std::env::split_paths(folders).collect::<Vec<_>>()).unwrap_or_default();
        Self {
            file: file.filter(|file| !file.is_empty()).map(PathBuf::from),
            folders: folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()).collect(),
            word: FILE_VARIABLE,
            roots: Arc::default(),
        }
    }

    /// The authorities in a file that something else names: the word by which people know that.
    pub fn of_file(file: &Path, word: &'static str) -> Self {
        Self { file: Some(file.to_owned()), word, ..Self::default() }
    }

    /// For HTTP.
    pub fn http(&self) -> TlsConfig {
        let certificates = &self.roots().certificates;
        let roots = match self.is_built_in() {
            true => RootCerts::WebPki,
            false => certificates.iter().map(|der| ureq::tls::Certificate::from_der(der).to_owned()).into(),
        };
        TlsConfig::builder().root_certs(roots).build()
    }

    /// For a mail server of that name.
    ///
    /// # Errors
    /// When the name is none.
    pub fn mail(&self, host: &str) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let builder = TlsParameters::builder(host.to_owned());
        if self.is_built_in() {
            return builder.certificate_store(CertificateStore::WebpkiRoots).build();
        }
        let certificates = self.roots().certificates.iter().flat_map(|der| Certificate::from_der(der.to_vec()));
        certificates
            .fold(builder.certificate_store(CertificateStore::None), |builder, certificate| {
                builder.add_root_certificate(certificate)
            })
            .build()
    }

    /// For a connection of any other kind; what certificate this side shows is left open.
    ///
    /// # Errors
    /// When nobody is believed.
    pub fn connection(&self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.roots().certificates.iter().cloned());
        if roots.is_empty() {
            return Err(match self.described() {
                Ok(_) => "this system has no authorities: name some by SSL_CERT_FILE".to_owned(),
                Err(instead) => instead,
            });
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(roots))
    }

    /// Whose certificates are believed, and from where: `142 authorities of this system`; and which named place gives
    /// none.
    ///
    /// # Errors
    /// What is there instead, when there is none.
    pub fn described(&self) -> Result<String, String> {
        if self.is_built_in() {
            return Ok("those that farmctl was built with: this system has none".to_owned());
        }
        let (giving, other): (Vec<&Source>, Vec<&Source>) =
            self.roots().sources.iter().partition(|source| source.count > 0);
        let told = |sources: &[&Source], between: &str| {
            sources.iter().map(|source| source.told()).collect::<Vec<_>>().join(between)
        };
        if giving.is_empty() {
            return Err(told(&other, "; "));
        }
        let nothing = if other.is_empty() { String::new() } else { format!("; {}", told(&other, "; ")) };
        Ok(format!("{}{nothing}", told(&giving, " and ")))
    }

    /// What to do when a connection failed since its certificate was not believed; `None` when it failed otherwise.
    pub fn hint(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let refused = causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(refused)) => Some(refused.clone()),
            _ => None,
        })?;
        let believed = match self.described() {
            Ok(believed) => format!("believed are {believed}"),
            Err(instead) => format!("nobody is believed: {instead}"),
        };
        Some(match refused {
            // Of an authority that only has the name of one that is believed, it is the signature that is wrong.
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature => format!(
                "{believed}; if a proxy or server here has an authority of its own, name its certificate by {}",
                if self.word.is_empty() { FILE_VARIABLE } else { self.word }
            ),
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. } => "is this host's clock right?".to_owned(),
            _ => return None,
        })
    }

    fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| match self.is_named() {
            true => Roots::from_paths(self.file.as_deref(), self.word, &self.folders),
            false => Roots::of_system(),
        })
    }

    fn is_named(&self) -> bool {
        self.file.is_some() || !self.folders.is_empty()
    }

    /// A small container often has no authorities; whoever named some wants no others.
    fn is_built_in(&self) -> bool {
        !self.is_named() && self.roots().certificates.is_empty()
    }
}

/// An error and what it came from, also where an I/O error or one of ureq's hides it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        if let Some(ureq) = error.downcast_ref::<ureq::Error>() {
            return match ureq {
                ureq::Error::Io(cause) => Some(cause),
                ureq::Error::Rustls(cause) => Some(cause),
                _ => None,
            };
        }
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        hidden.map(|cause| cause as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests;
