use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

use crate::secret;

/// Certificate and key of a server.
#[derive(Clone)]
pub struct Tls(pub(super) TlsAcceptor);

/// Reads certificate and key, in PEM.
///
/// # Errors
/// When a file can't be read, or the two don't belong together; in words that name the file.
pub fn tls(certificate: &Path, key: &Path) -> Result<Tls, String> {
    let of = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| of(certificate, &error))?;
    let text = secret::text(key).map_err(|error| error.to_string())?;
    let secret = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| of(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| of(certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls(TlsAcceptor::from(Arc::new(config))))
}
