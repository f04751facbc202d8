use std::path::PathBuf;

/// What a server is besides Debian's, reached by its socket alone.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// A release of PostgreSQL, such as 13; without it the newest that Debian has here.
    pub version: Option<u32>,
    /// Lines of `pg_hba.conf` for those who come by 127.0.0.1. Without any it listens on no network.
    pub let_in: Vec<String>,
    /// With it the server encrypts.
    pub tls: Option<PostgresTls>,
}

/// Files in PEM by which a server encrypts.
#[derive(Debug, Clone)]
pub struct PostgresTls {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority of its clients' certificates.
    pub client_authority: PathBuf,
}
