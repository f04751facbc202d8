//! What lies in a person's files of keys and certificates.

use std::path::{Path, PathBuf};

use russh::keys::{Certificate, PrivateKey, PublicKey, load_openssh_certificate, ssh_key};

use crate::regular_file;

/// No file of a key is larger.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// A certificate, and the file that it is from.
pub(super) struct CertificateFile {
    pub path: PathBuf,
    pub certificate: Certificate,
}

/// The certificates that were made for a key: of the files that a person names, then the one beside the key's own file.
pub(super) fn certificates_for(
    key: &ssh_key::public::KeyData,
    named: &[PathBuf],
    key_file: Option<&Path>,
) -> Vec<CertificateFile> {
    let beside = key_file.map(|file| with_ending(&without_ending(file), "-cert.pub"));
    let read = named.iter().cloned().chain(beside).filter_map(|path| {
        let certificate = load_openssh_certificate(&path).ok()?;
        Some(CertificateFile { path, certificate })
    });
    read.filter(|file| file.certificate.public_key() == key).collect()
}

/// The public key of a file: one that has a public key, or a private one with its public half in the clear, as
/// OpenSSH's own format has it, or with a public key in the file beside it.
pub(super) fn public_half(file: &Path) -> Option<PublicKey> {
    if let Ok(key) = PublicKey::read_openssh_file(file) {
        return Some(key);
    }
    if let Ok(key) = PrivateKey::read_openssh_file(file) {
        return Some(key.public_key().clone());
    }
    PublicKey::read_openssh_file(with_ending(file, ".pub")).ok()
}

pub(super) fn is_public(file: &Path) -> bool {
    let read = regular_file::read(file, MAX_KEY_BYTES);
    read.is_ok_and(|bytes| PublicKey::from_openssh(&String::from_utf8_lossy(&bytes)).is_ok())
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The private key's file of a public key's.
pub(super) fn without_ending(file: &Path) -> PathBuf {
    if file.extension().is_some_and(|ending| ending == "pub") { file.with_extension("") } else { file.to_owned() }
}
