//! The file of tokens: a line each, `NAME ROLE SHA256 CREATED [EXPIRES]`. It changes under a lock, which is a file
//! beside it; one more beside it says when each was last used (`token_uses.rs`). A token is 256 random bits, so its
//! hash alone needs no salt and no slow function; whoever reads the file can't log in by it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::domain::hex;
use crate::lab::FileStamp;
use crate::secret::{self, SecretError};

use super::Role;
use super::token_uses::Uses;

/// What a token begins with, so that one that got somewhere it should not be is recognised.
const PREFIX: &str = "farmctl_";
/// Longest name of a token.
const MAX_NAME_CHARS: usize = 64;
/// Most tokens of a lab.
const MAX_TOKENS: usize = 1000;
/// No file of tokens is larger.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How long another process may change the tokens, and how often it is looked whether it still does.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Most links that lead from one to the next.
const MAX_LINKS: u32 = 40;

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
        #[source]
        cause: std::io::Error,
    },
    /// The file is not there, or others may use it.
    #[error("use the tokens of {0}")]
    Secret(#[from] SecretError),
    /// Another process changes the tokens, and does not end.
    #[error("use the tokens of {path}: another process has locked {path}.lock for {} s", LOCK_TIMEOUT.as_secs())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line is none.
    #[error("use the tokens of {path}:{line}: it is not `NAME ROLE SHA256 CREATED [EXPIRES]`")]
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
    /// Until when it lets in; `None`: until it is removed.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether it lets in no more.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

/// A file of tokens.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// As it was when it was read last.
    known: Mutex<Option<(FileStamp, Arc<[Token]>)>>,
    pub(super) uses: Mutex<Uses>,
}

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
        TokenFile { path, known: Mutex::new(None), uses: Mutex::default() }
    }

    /// The tokens as they are now.
    ///
    /// # Errors
    /// When the file is not there or others may read it, and for a line that is none.
    pub fn tokens(&self) -> Result<Arc<[Token]>, TokenError> {
        let failed = |cause| TokenError::File { path: self.path.clone(), cause };
        let (file, about) = secret::open(&self.path)?;
        let stamp = FileStamp::from(&about);
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
            Err(TokenError::Secret(error)) if error.is_absent() => Ok(Vec::new()),
            tokens => tokens.map(|tokens| tokens.to_vec()),
        }
    }

    /// Makes a token, and returns it: nobody can read it again.
    ///
    /// # Errors
    /// When the name is taken or none, or the file can't be written.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<String, TokenError> {
        let refused = |cause| TokenError::Name { name: name.to_owned(), cause };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(allowed) {
            return Err(refused("use up to 64 letters, digits, `.`, `_`, `-` and `@`"));
        }
        let _lock = self.lock()?;
        let mut tokens = self.tokens_if_any()?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(refused("there is one of that name; remove it first"));
        }
        if tokens.len() >= MAX_TOKENS {
            return Err(refused("there are 1000 already"));
        }
        let secret = format!("{PREFIX}{}", random_text()?);
        tokens.push(Token { name: name.to_owned(), role, hash: hash(&secret), created_at: now, expires_at });
        self.write(&tokens)?;
        Ok(secret)
    }

    /// Removes a token; returns whether there was one of that name. Who is logged in by it is out at once.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn remove(&self, name: &str) -> Result<bool, TokenError> {
        let _lock = self.lock()?;
        let mut tokens = self.tokens_if_any()?;
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() < before {
            self.write(&tokens)?;
        }
        Ok(tokens.len() < before)
    }

    /// Keeps other processes from changing the tokens, until what is returned is dropped.
    fn lock(&self) -> Result<File, TokenError> {
        let failed = |cause| TokenError::File { path: self.path.clone(), cause };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder()).map_err(failed)?;
        // A pipe would wait for a reader.
        let never_waits = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).custom_flags(never_waits);
        let file = options.open(self.beside(".lock")).map_err(failed)?;
        let give_up_at = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(TokenError::Locked { path: self.path.clone() }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// The file itself, where its name is that of a link: that file is written anew, and the link stays.
    fn real_path(&self) -> PathBuf {
        let mut path = self.path.clone();
        for _ in 0..MAX_LINKS {
            let Ok(target) = std::fs::read_link(&path) else { break };
            path = folder_of(&path).join(target);
        }
        path
    }

    fn folder(&self) -> PathBuf {
        folder_of(&self.real_path()).to_owned()
    }

    /// A file beside that of the tokens.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.real_path().into_os_string();
        path.push(ending);
        path.into()
    }

    fn write(&self, tokens: &[Token]) -> Result<(), TokenError> {
        self.write_beside("", &mut |file| {
            for Token { name, role, hash, created_at, expires_at } in tokens {
                let expires = expires_at.map_or_else(String::new, |expires_at| format!(" {expires_at:.0}"));
                writeln!(file, "{name} {} {} {created_at:.0}{expires}", role.as_str(), hex(hash))?;
            }
            Ok(())
        })
    }

    /// Beside the file, for its owner alone, then renamed.
    pub(super) fn write_beside(
        &self,
        ending: &str,
        content: &mut dyn FnMut(&mut tempfile::NamedTempFile) -> std::io::Result<()>,
    ) -> Result<(), TokenError> {
        let failed = |cause| TokenError::File { path: self.path.clone(), cause };
        let mut file = tempfile::NamedTempFile::new_in(self.folder()).map_err(failed)?;
        content(&mut file).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(self.beside(ending)).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn parse(path: &Path, text: &str) -> Result<Vec<Token>, TokenError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| token(text).ok_or_else(|| TokenError::Line { path: path.to_owned(), line })).collect()
}

fn token(line: &str) -> Option<Token> {
    let mut words = line.split_whitespace();
    let (name, role, digits, created) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let role = Role::ALL.iter().copied().find(|known| known.as_str() == role)?;
    let expires_at = words.next().map(str::parse).transpose().ok()?;
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() || words.next().is_some() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(Token { name: name.to_owned(), role, hash, created_at: created.parse().ok()?, expires_at })
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
mod tests;
