use std::path::{Path, PathBuf};

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use rustls_pki_types::CertificateDer;
use tokio_rustls::rustls::RootCertStore;

/// Certificates of authorities, and what could not be read.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) problems: Vec<String>,
}

impl Roots {
    /// Those of the places where OpenSSL looks on this system.
    pub(super) fn of_system() -> Self {
        let mut roots = Self::default();
        roots.add(load_native_certs());
        roots
    }

    pub(super) fn from_paths(file: Option<&Path>, folders: &[PathBuf]) -> Self {
        let mut roots = Self::default();
        roots.add(load_certs_from_paths(file, None));
        folders.iter().for_each(|folder| roots.add(load_certs_from_paths(None, Some(folder))));
        roots
    }

    fn add(&mut self, found: CertificateResult) {
        let is_usable = |der: &CertificateDer<'static>| RootCertStore::empty().add(der.clone()).is_ok();
        self.certificates.extend(found.certs.into_iter().filter(is_usable));
        // A bundle and the folder beside it hold the same ones.
        self.certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        self.certificates.dedup();
        self.problems.extend(found.errors.iter().map(ToString::to_string));
    }
}
