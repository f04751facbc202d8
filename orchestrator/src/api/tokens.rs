//! The file of tokens: a line each, `NAME ROLE SHA256 CREATED`. A token is 256 random bits, so its hash alone needs no
//! salt and no slow function; whoever reads the file can't log in by it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::domain::hex;

use super::Role;

/// What a token begins with, so that one that got somewhere it should not be is recognised.
const PREFIX: &str = "farmctl_";
/// Longest name of a token.
const MAX_NAME_CHARS: usize = 64;
/// Most tokens of a lab.
const MAX_TOKENS: usize = 1000;
/// No file of tokens is larger.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What can't be done about tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read or written.
    #[error("use the tokens of {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Others than its owner may read the file, or write it.
    #[error("use the tokens of {path}: others may read or write it (its mode is {mode:04o}); `chmod 600 {path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is none.
    #[error("use the tokens of {path}:{line}: it is not `NAME ROLE SHA256 CREATED`")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// A name can't be given.
    #[error("name a token {name:?}: {cause}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        cause: &'static str,
    },
    /// The system has no random numbers.
    #[error("make a token: {0}")]
    Random(String),
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub name: String,
    /// What they may do.
    pub role: Role,
    pub(super) hash: Hash,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A file of tokens.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// As it was when it was read last.
    known: Mutex<Option<(Stamp, Arc<[Token]>)>>,
}

/// What tells whether a file is another than before.
type Stamp = (u64, u64, i64, i64);

/// The hash of a secret.
pub(super) fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
pub(super) fn random_text() -> Result<String, TokenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl TokenFile {
    /// The file at this path, which need not be there.
    pub fn new(path: PathBuf) -> TokenFile {
        TokenFile { path, known: Mutex::new(None) }
    }

    /// The tokens as they are now.
    ///
    /// # Errors
    /// When the file is not there or others may read it, and for a line that is none.
    pub fn tokens(&self) -> Result<Arc<[Token]>, TokenError> {
        let failed = |cause| TokenError::File { path: self.path.clone(), cause };
        let file = File::open(&self.path).map_err(failed)?;
        // Of the file that is open, not of whatever has its name by now.
        let about = file.metadata().map_err(failed)?;
        let mode = about.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Open { path: self.path.clone(), mode });
        }
        let stamp = (about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, tokens)) = known.as_ref()
            && *of == stamp
        {
            return Ok(Arc::clone(tokens));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        let tokens: Arc<[Token]> = parse(&self.path, &text)?.into();
        *known = Some((stamp, Arc::clone(&tokens)));
        Ok(tokens)
    }

    /// The tokens, none where there is no file yet.
    fn tokens_if_any(&self) -> Result<Vec<Token>, TokenError> {
        match self.tokens() {
            Err(TokenError::File { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            tokens => tokens.map(|tokens| tokens.to_vec()),
        }
    }

    /// Makes a token, and returns it: nobody can read it again.
    ///
    /// # Errors
    /// When the name is taken or none, or the file can't be written.
    pub fn add(&self, name: &str, role: Role, now: Timestamp) -> Result<String, TokenError> {
        let refused = |cause| TokenError::Name { name: name.to_owned(), cause };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(allowed) {
            return Err(refused("use up to 64 letters, digits, `.`, `_`, `-` and `@`"));
        }
        let mut tokens = self.tokens_if_any()?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(refused("there is one of that name; remove it first"));
        }
        if tokens.len() >= MAX_TOKENS {
            return Err(refused("there are 1000 already"));
        }
        let secret = format!("{PREFIX}{}", random_text()?);
        tokens.push(Token { name: name.to_owned(), role, hash: hash(&secret), created_at: now });
        self.write(&tokens)?;
        Ok(secret)
    }

    /// Removes a token; returns whether there was one of that name. Who is logged in by it is out at once.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn remove(&self, name: &str) -> Result<bool, TokenError> {
        let mut tokens = self.tokens_if_any()?;
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() < before {
            self.write(&tokens)?;
        }
        Ok(tokens.len() < before)
    }

    /// Beside the file, for its owner alone, then renamed.
    fn write(&self, tokens: &[Token]) -> Result<(), TokenError> {
        let failed = |cause| TokenError::File { path: self.path.clone(), cause };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        for Token { name, role, hash, created_at } in tokens {
            writeln!(file, "{name} {} {} {created_at:.0}", role.as_str(), hex(hash)).map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Token>, TokenError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| token(text).ok_or_else(|| TokenError::Line { path: path.to_owned(), line })).collect()
}

fn token(line: &str) -> Option<Token> {
    let mut words = line.split_whitespace();
    let (name, role, digits, created) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let role = Role::ALL.iter().copied().find(|known| known.as_str() == role)?;
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() || words.next().is_some() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(Token { name: name.to_owned(), role, hash, created_at: created.parse().ok()? })
}

/// The token of this hash. It takes the same time whichever it is, and whether there is one.
pub(super) fn find(tokens: &[Token], wanted: &Hash) -> Option<Token> {
    let mut found = u32::MAX;
    for (index, token) in (0..).zip(tokens) {
        let is_it: Choice = token.hash.ct_eq(wanted);
        found.conditional_assign(&index, is_it);
    }
    tokens.get(usize::try_from(found).ok()?).cloned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file() -> (tempfile::TempDir, TokenFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::new(folder.path().join("tokens"));
        (folder, file)
    }

    #[test]
    fn a_token_is_found_by_its_secret_and_only_its_hash_is_kept() {
        let (folder, file) = file();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let secret = file.add("anna", Role::Run, now).unwrap();
        let other = file.add("ben@desk", Role::View, now).unwrap();
        assert!(secret.starts_with(PREFIX) && secret.len() == PREFIX.len() + 43 && secret != other);
        let text = std::fs::read_to_string(folder.path().join("tokens")).unwrap();
        assert!(!text.contains(&secret[PREFIX.len()..]), "{text}");
        assert_eq!(std::fs::metadata(folder.path().join("tokens")).unwrap().mode() & 0o777, 0o600);
        let tokens = file.tokens().unwrap();
        let found = find(&tokens, &hash(&secret)).unwrap();
        assert_eq!((found.name.as_str(), found.role, found.created_at), ("anna", Role::Run, now));
        assert_eq!(find(&tokens, &hash("farmctl_x")), None);
        assert!(file.add("anna", Role::View, now).is_err(), "a name is given once");
        assert!(file.add("a b", Role::View, now).is_err());
        assert!(file.remove("anna").unwrap() && !file.remove("anna").unwrap());
        assert_eq!(find(&file.tokens().unwrap(), &hash(&secret)), None);
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_garbled_is_refused() {
        let (folder, file) = file();
        assert!(matches!(file.tokens(), Err(TokenError::File { .. })));
        file.add("anna", Role::Run, Timestamp::UNIX_EPOCH).unwrap();
        let path = folder.path().join("tokens");
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(file.tokens(), Err(TokenError::Open { mode: found, .. }) if found == mode));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for line in ["anna", "anna boss 00 1970-01-01T00:00:00Z", "anna run zz 1970-01-01T00:00:00Z", "a run b c d e"] {
            std::fs::write(&path, format!("# mine\n\n{line}\n")).unwrap();
            assert!(matches!(file.tokens(), Err(TokenError::Line { line: 3, .. })), "{line}");
        }
    }
}
