use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::{regular_file, secret};

/// Largest file of certificates that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Certificate and key of a server. Clones share them: those that are read anew are served from then on.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    /// Reads certificate and key, in PEM.
    ///
    /// # Errors
    /// When a file can't be read, others may use the key, or the two don't belong together; in words with the file.
    pub fn read(certificate: &Path, key: &Path) -> Result<Tls, String> {
        Ok(Tls(Arc::new(RwLock::new(acceptor(certificate, key)?))))
    }

    /// Reads them again, for all connections to come. Those of before stay when these are faulty.
    ///
    /// # Errors
    /// As for [`Tls::read`].
    pub fn read_again(&self, certificate: &Path, key: &Path) -> Result<(), String> {
        let new = acceptor(certificate, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let of = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = regular_file::read(certificate, MAX_FILE_BYTES).map_err(|error| of(certificate, &error))?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| of(certificate, &error))?;
    if chain.is_empty() {
        return Err(of(
            certificate,
            &"it has no certificate; it takes the server's own in PEM, then those that signed it",
        ));
    }
    let text = secret::text(key).map_err(|error| error.to_string())?;
    let secret = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => of(key, &"it has no private key in PEM"),
        error => of(key, &error),
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            of(key, &format!("it is not the key of {}; name two that belong together", certificate.display()))
        }
        error => of(certificate, &error),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_no_certificate_and_whose_key_is_another_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
            let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
            let files = ["-subj", "/CN=lab", "-keyout", &key, "-out", &certificate];
            let made = std::process::Command::new("openssl").args(words).args(files).current_dir(&folder).output();
            let made = made.unwrap_or_else(|error| panic!("can't start openssl: {error} (Debian package openssl)"));
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        for name in ["empty.pem", "empty.key"] {
            std::fs::write(path(name), "").unwrap();
        }
        for name in ["one.key", "two.key", "empty.key"] {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert!(Tls::read(&path("one.pem"), &path("one.key")).is_ok());
        let cases = [
            (["one.pem", "two.key"], "two.key: it is not the key of "),
            (["empty.pem", "one.key"], "empty.pem: it has no certificate"),
            (["one.pem", "empty.key"], "empty.key: it has no private key"),
        ];
        for ([certificate, key], expected) in cases {
            let error = Tls::read(&path(certificate), &path(key)).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
