//! Logs in to an ssh server.
//!
//! Main function: [`log_in`]. Tries keys first (an encrypted one through the agent), then the password that the farm
//! file names. Never asks a person, and never lets a secret into a message.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::config::{Hop, Identities};
use super::connection::Verifier;
use crate::domain::SecretSource;
use crate::secret::{self, SecretError};
use crate::transport::{ConnectOptions, ErrorKind, TransportError};

/// Rounds of questions that a server may ask where it wants a password.
const MAX_QUESTION_ROUNDS: usize = 4;

type Agent = AgentClient<UnixStream>;

/// Logs in, or says what was tried.
pub(super) async fn log_in(
    handle: &mut Handle<Verifier>,
    hop: &Hop,
    options: &ConnectOptions,
) -> Result<(), TransportError> {
    let mut login = Login { handle, hop, options, agent: None, tried: Vec::new(), hints: Vec::new(), methods: None };
    login.agent = login.connect_agent().await;
    if login.try_all().await? { Ok(()) } else { Err(login.refused()) }
}

struct Login<'a> {
    handle: &'a mut Handle<Verifier>,
    hop: &'a Hop,
    options: &'a ConnectOptions,
    agent: Option<Agent>,
    /// What was offered, in words.
    tried: Vec<String>,
    hints: Vec<String>,
    /// What the server last said that it accepts.
    methods: Option<MethodSet>,
}

impl Login<'_> {
    async fn try_all(&mut self) -> Result<bool, TransportError> {
        let files = match &self.hop.identities {
            Identities::Named(files) => files.clone(),
            Identities::Default(files) => {
                if self.try_agent_keys().await? {
                    return Ok(true);
                }
                files.iter().filter(|file| file.exists()).cloned().collect()
            }
        };
        for file in files {
            if self.try_file(&file).await? {
                return Ok(true);
            }
        }
        match self.hop.password.clone() {
            Some(source) => self.try_password(&source).await,
            None => self.try_nothing().await,
        }
    }

    async fn connect_agent(&mut self) -> Option<Agent> {
        let socket = self.options.agent_socket.as_ref()?;
        match AgentClient::connect_uds(socket).await {
            Ok(agent) => Some(agent),
            Err(error) => {
                self.hints.push(format!("the ssh agent at {} does not answer: {error}", socket.display()));
                None
            }
        }
    }

    async fn agent_keys(&mut self) -> Vec<(PublicKey, String)> {
        let Some(agent) = &mut self.agent else { return Vec::new() };
        let identities = agent.request_identities().await.unwrap_or_default();
        let plain = identities.into_iter().filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, comment } => Some((key, comment)),
            AgentIdentity::Certificate { .. } => None,
        });
        plain.collect()
    }

    async fn try_agent_keys(&mut self) -> Result<bool, TransportError> {
        for (key, comment) in self.agent_keys().await {
            if self.try_agent_key(key, &format!("agent key {comment:?}")).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn try_agent_key(&mut self, key: PublicKey, name: &str) -> Result<bool, TransportError> {
        let hash = self.rsa_hash(&key).await?;
        let Some(agent) = &mut self.agent else { return Ok(false) };
        self.tried.push(name.to_owned());
        let result = self.handle.authenticate_publickey_with(self.hop.user.clone(), key, hash, agent).await;
        match result {
            Ok(result) => self.note(result),
            // The agent's refusal to sign leaves the connection usable.
            Err(error) => {
                self.hints.push(format!("the ssh agent did not sign with {name}: {error}"));
                Ok(false)
            }
        }
    }

    async fn try_file(&mut self, file: &Path) -> Result<bool, TransportError> {
        let name = format!("key {}", file.display());
        // Key files are small, and read once a connection.
        if let Err(error @ SecretError::Open { .. }) = secret::open(file) {
            self.hints.push(format!("a key that others may use is not used: {error}"));
            self.tried.push(format!("{name} (others may use it)"));
            return Ok(false);
        }
        match load_secret_key(file, None) {
            Ok(key) => {
                let hash = self.rsa_hash(key.public_key()).await?;
                self.tried.push(name);
                let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
                let result = self.handle.authenticate_publickey(self.hop.user.clone(), key).await;
                self.note(result.map_err(|error| self.broke(&error))?)
            }
            Err(russh::keys::Error::KeyIsEncrypted) => self.try_encrypted(file, &name).await,
            Err(error) => {
                self.tried.push(format!("{name} (unusable: {error})"));
                Ok(false)
            }
        }
    }

    /// An encrypted key works when the agent holds it.
    async fn try_encrypted(&mut self, file: &Path, name: &str) -> Result<bool, TransportError> {
        let wanted = public_half(file);
        let held = self.agent_keys().await.into_iter().map(|(key, _)| key);
        let found = wanted.and_then(|wanted| held.into_iter().find(|key| key.key_data() == wanted.key_data()));
        match found {
            Some(key) => self.try_agent_key(key, &format!("{name} (through the agent)")).await,
            None => {
                self.tried.push(format!("{name} (encrypted, and not in the ssh agent)"));
                self.hints.push(format!("unlock the key with: ssh-add {}", file.display()));
                Ok(false)
            }
        }
    }

    async fn try_password(&mut self, source: &SecretSource) -> Result<bool, TransportError> {
        let (password, name) = self.read_secret(source)?;
        let offered =
            |methods: &Option<MethodSet>, method| methods.as_ref().is_none_or(|known| known.contains(&method));
        if offered(&self.methods, MethodKind::Password) {
            self.tried.push(name.clone());
            let result = self.handle.authenticate_password(self.hop.user.clone(), password.clone()).await;
            if self.note(result.map_err(|error| self.broke(&error))?)? {
                return Ok(true);
            }
        }
        if offered(&self.methods, MethodKind::KeyboardInteractive) {
            self.tried.push(format!("{name} (keyboard-interactive)"));
            return self.answer_questions(&password).await;
        }
        Ok(false)
    }

    async fn answer_questions(&mut self, password: &str) -> Result<bool, TransportError> {
        let start = self.handle.authenticate_keyboard_interactive_start(self.hop.user.clone(), None).await;
        let mut response = start.map_err(|error| self.broke(&error))?;
        for _ in 0..MAX_QUESTION_ROUNDS {
            let answers = match response {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                    self.methods = Some(remaining_methods);
                    return Ok(false);
                }
                // Only a hidden answer is the password.
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.to_owned() }).collect()
                }
            };
            let next = self.handle.authenticate_keyboard_interactive_respond(answers).await;
            response = next.map_err(|error| self.broke(&error))?;
        }
        Ok(matches!(response, KeyboardInteractiveAuthResponse::Success))
    }

    /// Some servers let a user in without proof; the others tell here what they accept.
    async fn try_nothing(&mut self) -> Result<bool, TransportError> {
        if !self.tried.is_empty() {
            return Ok(false);
        }
        let result = self.handle.authenticate_none(self.hop.user.clone()).await;
        self.note(result.map_err(|error| self.broke(&error))?)
    }

    fn note(&mut self, result: AuthResult) -> Result<bool, TransportError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, partial_success } => {
                if partial_success {
                    self.hints.push("the server wants a second proof, which farmctl can't give".to_owned());
                }
                if self.handle.is_closed() {
                    self.hints
                        .push("the server ended the connection: name the right key with identity_file".to_owned());
                    return Err(self.refused());
                }
                self.methods = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    async fn rsa_hash(&self, key: &PublicKey) -> Result<Option<HashAlg>, TransportError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        // A server that does not tell is new enough for SHA-256; plain ssh-rsa (SHA-1) is never used.
        let best = self.handle.best_supported_rsa_hash().await.map_err(|error| self.broke(&error))?;
        Ok(Some(best.flatten().unwrap_or(HashAlg::Sha256)))
    }

    fn read_secret(&self, source: &SecretSource) -> Result<(String, String), TransportError> {
        let missing = |reason: String| {
            TransportError::new(ErrorKind::LoginRefused, format!("log in as {}: {reason}", self.hop))
                .with_hint("correct `password` in the farm file: it names a file or a variable that holds the password")
        };
        match source {
            SecretSource::File(file) => {
                let first = secret::first_line(file)
                    .map_err(|error| missing(format!("failed to read the password file {error}")))?;
                Ok((first, format!("password from {}", file.display())))
            }
            SecretSource::Environment(name) => {
                let value = (self.options.environment)(name)
                    .ok_or_else(|| missing(format!("the environment variable {name} is not set")))?;
                Ok((value, format!("password from ${name}")))
            }
        }
    }

    fn refused(&self) -> TransportError {
        let tried = match self.tried.as_slice() {
            [] => "there is nothing to log in with: no key file, no agent key, no password".to_owned(),
            tried => format!("the server refused {}", tried.join(", ")),
        };
        let accepts = match &self.methods {
            Some(methods) if !methods.is_empty() => {
                let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
                format!("; it accepts {}", names.join(", "))
            }
            _ => String::new(),
        };
        let error = TransportError::new(ErrorKind::LoginRefused, format!("log in as {}: {tried}{accepts}", self.hop));
        if self.hints.is_empty() { error } else { error.with_hint(self.hints.join("; ")) }
    }

    /// The connection ended in the middle; servers do that after too many tries.
    fn broke(&self, error: &russh::Error) -> TransportError {
        if self.tried.len() > 1 {
            return self.refused();
        }
        TransportError::new(ErrorKind::ConnectionLost, format!("log in as {}: {error}", self.hop))
    }
}

/// The public key of an encrypted key file: OpenSSH's own format has it in the clear, else it is in the file beside.
fn public_half(file: &Path) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::read_openssh_file(file) {
        return Some(key.public_key().clone());
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    ssh_key::PublicKey::read_openssh_file(Path::new(&beside)).ok()
}
