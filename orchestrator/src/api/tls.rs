use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

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
    let text = secret::text(key).map_err(|error| error.to_string())?;
    let secret = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| of(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| of(certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
