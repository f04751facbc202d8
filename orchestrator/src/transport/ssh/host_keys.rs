//! Decides whether a server is the one it should be.
//!
//! Main type: [`HostKeyCheck`]. A key that is not known is refused unless new ones are accepted on purpose; a key that
//! differs from the known one, or is revoked, is always refused, unless the farm file wants no check at all. A server's
//! certificate counts where a line with `@cert-authority` names who made it.

use std::fs::OpenOptions;
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use sha1::Sha1;

use super::config::Hop;
use super::known_hosts_command::KnownHostsCommand;
use super::pattern;
use super::revoked_keys::read_revoked;
use crate::domain::{HostKey, HostKeyChecking};
use crate::regular_file;
use crate::transport::{ErrorKind, TransportError};

/// Largest file of known hosts that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What is known of one server's key.
pub(super) struct HostKeyCheck {
    /// As known-hosts files name it: `host`, or `[host]:port`.
    name: String,
    /// The host's own name, which its certificate has to be for.
    principal: String,
    /// As messages name it.
    address: String,
    pinned: Option<HostKey>,
    files: Vec<PathBuf>,
    accept_new: bool,
    accept_all: bool,
    known: Vec<KnownKey>,
    /// Tells further keys.
    command: Option<KnownHostsCommand>,
}

/// What a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMark {
    /// It is the server's.
    Valid,
    /// It is the server's, by a line for whichever port: one that differs says nothing.
    AnyPort,
    /// Whoever has it makes certificates for the server.
    Authority,
    Revoked,
}

/// A line of a known-hosts file that is about this server.
#[derive(Debug)]
pub(super) struct KnownKey {
    pub file: PathBuf,
    pub line: usize,
    pub mark: KeyMark,
    pub key: PublicKey,
    /// Whether a command told it, and no file.
    pub is_told: bool,
}

/// The names of a server in lines of known hosts.
#[derive(Clone, Copy)]
struct Names<'a> {
    name: &'a str,
    /// The host alone, where its name has a port.
    without_port: Option<&'a str>,
}

impl HostKeyCheck {
    /// Reads what the files know of this server. One that `is_trusted` may have any key that is not revoked.
    pub(super) fn new(hop: &Hop, accept_new: bool, is_trusted: bool) -> Result<HostKeyCheck, TransportError> {
        let host = hop.host_key_alias.as_ref().unwrap_or(&hop.host).to_lowercase();
        let has_own_port = hop.port != 22 && hop.host_key_alias.is_none();
        let name = if has_own_port { format!("[{host}]:{}", hop.port) } else { host.clone() };
        let mut known = Vec::new();
        if hop.pinned_key.is_none() {
            for file in &hop.known_hosts {
                let names = Names { name: &name, without_port: has_own_port.then_some(host.as_str()) };
                read_known_hosts(file, names, &mut known)?;
            }
        }
        if let Some(file) = &hop.revoked_keys {
            read_revoked(file, &mut known)?;
        }
        Ok(HostKeyCheck {
            name,
            principal: host,
            address: hop.to_string(),
            pinned: hop.pinned_key.clone(),
            files: hop.known_hosts.clone(),
            accept_new: accept_new || hop.checking == HostKeyChecking::AcceptNew,
            accept_all: hop.checking == HostKeyChecking::No || (is_trusted && hop.pinned_key.is_none()),
            known,
            command: hop.known_hosts_command.clone().filter(|_| hop.pinned_key.is_none()),
        })
    }

    /// Takes the keys that a command tells of this server, where there is one.
    pub(super) async fn ask_command(&mut self, key: Option<&PublicKey>) -> Result<(), TransportError> {
        let Some(command) = self.command.as_ref().filter(|_| !self.accept_all) else { return Ok(()) };
        let text = command.ask(&self.name, key).await?;
        let source = PathBuf::from(format!("KnownHostsCommand {}", command.name()));
        self.known.retain(|known| !known.is_told);
        let has_own_port = self.name.starts_with('[');
        let names = Names { name: &self.name, without_port: has_own_port.then_some(self.principal.as_str()) };
        add_known(&text, &source, names, true, &mut self.known);
        Ok(())
    }

    /// Whether anybody's certificates are believed, so that the server is asked for one.
    pub(super) fn knows_authorities(&self) -> bool {
        self.with(KeyMark::Authority).next().is_some()
    }

    fn with(&self, mark: KeyMark) -> impl Iterator<Item = &KnownKey> {
        self.known.iter().filter(move |known| known.mark == mark)
    }

    /// The kinds of key that are known, so that the server is asked for one of these.
    pub(super) fn known_algorithms(&self) -> Vec<Algorithm> {
        match &self.pinned {
            Some(pinned) => PublicKey::from_openssh(&pinned.0).ok().iter().map(PublicKey::algorithm).collect(),
            None => {
                let own = self.with(KeyMark::Valid).chain(self.with(KeyMark::AnyPort));
                own.map(|known| known.key.algorithm()).collect()
            }
        }
    }

    /// Judges what the server has proved to have.
    pub(super) async fn check_server(&mut self, shown: &PublicKeyOrCertificate) -> Result<(), TransportError> {
        self.ask_command(Some(&shown.public_key())).await?;
        match shown {
            PublicKeyOrCertificate::Certificate(certificate) if self.is_certified(certificate)? => Ok(()),
            // A certificate of a stranger is no worse than its key alone.
            shown => self.check(&shown.public_key()),
        }
    }

    /// Whether a certificate is for this server, valid now, and of somebody whose certificates are believed.
    fn is_certified(&self, certificate: &Certificate) -> Result<bool, TransportError> {
        let maker = certificate.signature_key();
        self.refuse_revoked(&PublicKey::from(maker.clone()))?;
        self.refuse_revoked(&PublicKey::from(certificate.public_key().clone()))?;
        let Some(authority) = self.with(KeyMark::Authority).find(|known| known.key.key_data() == maker) else {
            return Ok(false);
        };
        // As ssh has it: a certificate that does not count leaves its key, which may be known by itself.
        let key_is_known = self.is_known(certificate.public_key());
        let names = certificate.valid_principals();
        let is_for_it = names.is_empty() || names.iter().any(|name| pattern::matches(name, &self.principal));
        let valid = certificate.validate([&authority.key.fingerprint(HashAlg::Sha256)]);
        let fault = match (certificate.cert_type(), is_for_it, valid) {
            (CertType::Host, true, Ok(())) => return Ok(true),
            _ if key_is_known => return Ok(false),
            (CertType::User, ..) => "it is a user's".to_owned(),
            (_, false, _) => format!("it is for {}", names.join(", ")),
            (.., Err(error)) => error.to_string(),
        };
        Err(TransportError::new(
            ErrorKind::HostKeyChanged,
            format!("connect to {}: its certificate, by {}, does not count: {fault}", self.address, authority.place()),
        )
        .with_hint("give the server a new certificate"))
    }

    fn refuse_revoked(&self, key: &PublicKey) -> Result<(), TransportError> {
        match self.with(KeyMark::Revoked).find(|known| known.key.key_data() == key.key_data()) {
            None => Ok(()),
            Some(revoked) => Err(TransportError::new(
                ErrorKind::HostKeyChanged,
                format!(
                    "connect to {}: its host key {} is revoked by {}",
                    self.address,
                    described(key),
                    revoked.place()
                ),
            )
            .with_hint("the key is in the wrong hands: give the server a new one")),
        }
    }

    /// Whether this key is the server's by a line of its own, or any key will do.
    fn is_known(&self, key: &KeyData) -> bool {
        let mut own = self.with(KeyMark::Valid).chain(self.with(KeyMark::AnyPort));
        self.accept_all || own.any(|known| known.key.key_data() == key)
    }

    /// Judges the key that the server has proved to have.
    fn check(&self, key: &PublicKey) -> Result<(), TransportError> {
        self.refuse_revoked(key)?;
        if let Some(pinned) = &self.pinned {
            return self.check_pinned(pinned, key);
        }
        if self.is_known(key.key_data()) {
            return Ok(());
        }
        let valid: Vec<&KnownKey> = self.with(KeyMark::Valid).collect();
        // A key of another kind is no excuse: the kinds that are known were asked for first.
        let like = valid.iter().find(|known| known.key.algorithm() == key.algorithm()).or(valid.first());
        match like {
            Some(known) => Err(TransportError::new(
                ErrorKind::HostKeyChanged,
                format!(
                    "connect to {}: its host key is {}, but {} has {}",
                    self.address,
                    described(key),
                    known.place(),
                    described(&known.key)
                ),
            )
            .with_hint(match known.is_told {
                true => "somebody may be between you and the server; if it was set up anew, correct what the command \
                         tells"
                    .to_owned(),
                false => format!(
                    "somebody may be between you and the server; if the server was set up anew, remove the old key: \
                     ssh-keygen -f {} -R '{}'",
                    known.file.display(),
                    self.name
                ),
            })),
            None if self.accept_new => self.learn(key),
            None => Err(self.unknown(key)),
        }
    }

    fn check_pinned(&self, pinned: &HostKey, key: &PublicKey) -> Result<(), TransportError> {
        let text = pinned.0.trim();
        let matches = if text.starts_with("SHA256:") {
            text.trim_end_matches('=') == key.fingerprint(HashAlg::Sha256).to_string()
        } else {
            let wanted = PublicKey::from_openssh(text).map_err(|error| {
                TransportError::new(
                    ErrorKind::HostKeyUnknown,
                    format!("connect to {}: its host_key {text:?} is no public key: {error}", self.address),
                )
                .with_hint("write it as in a known-hosts file (`ssh-ed25519 AAAA…`), or as `SHA256:…`")
            })?;
            wanted.key_data() == key.key_data()
        };
        if matches {
            return Ok(());
        }
        Err(TransportError::new(
            ErrorKind::HostKeyChanged,
            format!("connect to {}: its host key is {}, but the farm file pins {text}", self.address, described(key)),
        )
        .with_hint("make sure that it is the right machine, then correct host_key in the farm file"))
    }

    fn unknown(&self, key: &PublicKey) -> TransportError {
        let mut files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        files.extend(self.command.iter().map(|command| format!("what {} tells", command.name())));
        TransportError::new(
            ErrorKind::HostKeyUnknown,
            format!("connect to {}: its host key {} is not in {}", self.address, described(key), files.join(", ")),
        )
        .with_hint(
            "compare the fingerprint with the server's (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on it), then \
             run once with --accept-new, or pin it as host_key in the farm file",
        )
    }

    /// Writes a new key into the first file.
    fn learn(&self, key: &PublicKey) -> Result<(), TransportError> {
        let Some(file) = self.files.first() else { return Err(self.unknown(key)) };
        let failed = |reason: String| {
            TransportError::new(
                ErrorKind::HostKeyUnknown,
                format!("write the new host key of {} to {}: {reason}", self.address, file.display()),
            )
        };
        let text =
            PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(|error| failed(error.to_string()))?;
        append_line(file, &format!("{} {}\n", self.name, text.trim_end()))
            .map_err(|error| failed(error.to_string()))?;
        let (key, file) = (described(key), file.display());
        tracing::info!(server = %self.address, %key, %file, "accepted a new host key");
        Ok(())
    }
}

impl KnownKey {
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

fn described(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256))
}

/// Adds the lines of a file that are about a server; a missing file knows nothing.
fn read_known_hosts(file: &Path, names: Names<'_>, known: &mut Vec<KnownKey>) -> Result<(), TransportError> {
    let bytes = match regular_file::read(file, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(TransportError::new(
                ErrorKind::HostKeyUnknown,
                format!("read the known host keys in {}: {error}", file.display()),
            ));
        }
    };
    add_known(&String::from_utf8_lossy(&bytes), file, names, false, known);
    Ok(())
}

/// Adds the lines of a text that are about a server.
fn add_known(text: &str, file: &Path, names: Names<'_>, is_told: bool, known: &mut Vec<KnownKey>) {
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace().peekable();
        let mark = match words.peek() {
            Some(&"@revoked") => words.next().map(|_| KeyMark::Revoked),
            Some(&"@cert-authority") => words.next().map(|_| KeyMark::Authority),
            // What else may come.
            Some(other) if other.starts_with('@') || other.starts_with('#') => continue,
            _ => None,
        };
        let (Some(hosts), Some(kind), Some(data)) = (words.next(), words.next(), words.next()) else { continue };
        let mark = if names_host(hosts, names.name) {
            mark.unwrap_or(KeyMark::Valid)
        } else if names.without_port.is_some_and(|host| names_host(hosts, host)) {
            // As ssh has it: such a line is looked at after those for the port.
            mark.unwrap_or(KeyMark::AnyPort)
        } else {
            continue;
        };
        match PublicKey::from_openssh(&format!("{kind} {data}")) {
            Ok(key) => known.push(KnownKey { file: file.to_owned(), line: index + 1, mark, key, is_told }),
            Err(error) => {
                let (file, line) = (file.display(), index + 1);
                tracing::warn!(%file, line, %error, "an unreadable host key is passed over")
            }
        }
    }
}

/// Whether the first field of a line is about `name`: a hash, or a list of patterns.
fn names_host(hosts: &str, name: &str) -> bool {
    match hosts.strip_prefix("|1|") {
        Some(hashed) => is_hash_of(hashed, name).unwrap_or(false),
        None => pattern::list_matches(hosts.split(','), name),
    }
}

fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
    let mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    Some(mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok())
}

/// Appends a line in one write, behind a newline if the file lacks its last one.
fn append_line(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let read = regular_file::read(file, MAX_FILE_BYTES);
    let cut = read.is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
    let text = if cut { format!("\n{line}") } else { line.to_owned() };
    OpenOptions::new().append(true).create(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn known_hosts_and_its_folder_are_for_their_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".ssh/known_hosts");
        append_line(&file, "a\n").unwrap();
        append_line(&file, "b\n").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&home.path().join(".ssh"))), (0o600, 0o700));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\n");
    }
}
