//! Encrypted connections to a server: rustls, by the lab's own trust and with a client's certificate.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::address::{ClientFiles, keep_to_owner};
use crate::store::sql::Fault;
use crate::tls::Trust;

/// A server that is to encrypt does not.
#[derive(Debug, thiserror::Error)]
#[error("the server does not encrypt connections")]
pub(super) struct Unencrypted;

/// Makes connections encrypted.
#[derive(Clone)]
pub(super) struct Encryption {
    config: Arc<ClientConfig>,
    /// The server has said that it encrypts.
    is_begun: Arc<AtomicBool>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encryption")
    }
}

impl Encryption {
    /// With these authorities, and a client's certificate where there is one.
    pub(super) fn new(trust: &Trust, client: Option<&ClientFiles>) -> Result<Encryption, String> {
        let builder = trust.connection().map_err(|cause| format!("nobody's certificates are believed: {cause}"))?;
        let Some(ClientFiles { certificate, key }) = client else {
            return Ok(Encryption::by(builder.with_no_client_auth()));
        };
        keep_to_owner(key)?;
        let unread = |path: &std::path::Path, error: &dyn std::fmt::Display| {
            format!("the client's certificate: {} can't be used: {error}", path.display())
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| unread(certificate, &error))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
        let config = builder.with_client_auth_cert(chain, secret).map_err(|error| unread(certificate, &error))?;
        Ok(Encryption::by(config))
    }

    fn by(config: ClientConfig) -> Encryption {
        Encryption { config: Arc::new(config), is_begun: Arc::default() }
    }

    /// The same for another connection.
    pub(super) fn anew(&self) -> Encryption {
        Encryption { config: Arc::clone(&self.config), is_begun: Arc::default() }
    }

    /// Why there is no connection. The client has no word of its own for a server that does not encrypt.
    pub(super) fn explained(&self, error: tokio_postgres::Error) -> Fault {
        let is_io = error.source().is_some_and(|source| source.is::<io::Error>());
        if self.is_begun.load(Ordering::SeqCst) || is_io || error.code().is_some() {
            return error.into();
        }
        Fault::Refused(Box::new(Unencrypted))
    }
}

impl<S> MakeTlsConnect<S> for Encryption
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = ToHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<ToHost> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let (connector, is_begun) = (TlsConnector::from(Arc::clone(&self.config)), Arc::clone(&self.is_begun));
        Ok(ToHost { connector, name, is_begun })
    }
}

/// A connection to one host that is to be encrypted.
pub(super) struct ToHost {
    connector: TlsConnector,
    name: ServerName<'static>,
    is_begun: Arc<AtomicBool>,
}

impl<S> TlsConnect<S> for ToHost
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        self.is_begun.store(true, Ordering::SeqCst);
        Box::pin(async move { self.connector.connect(self.name, stream).await.map(Encrypted) })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S> TlsStream for Encrypted<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// The server is known by its certificate: a password is not bound to the connection besides.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
