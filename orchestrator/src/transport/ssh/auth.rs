//! Logs in to an ssh server.
//!
//! Main function: [`log_in`]. Tries keys first (an encrypted one through the agent), then the password that the farm
//! file names. Never asks a person, and never lets a secret into a message.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{AgentAuthError, MethodKind, MethodSet};

use super::agent::{self, Agent, Held, Signing, key_data};
use super::config::{Hop, Identities};
use super::connection::Verifier;
use super::facts::Facts;
use super::key_files::{certificates_for, is_public, public_half, without_ending};
use super::tried::Tried;
use crate::domain::SecretSource;
use crate::secret::{self, SecretError};
use crate::transport::{ConnectOptions, ErrorKind, TransportError};

/// Rounds of questions that a server may ask where it wants a password.
const MAX_QUESTION_ROUNDS: usize = 4;

/// How often it is looked whether a connection ends that said nothing more, and the time between two looks.
const ENDING_LOOKS: u32 = 20;
const ENDING_PAUSE: Duration = Duration::from_millis(10);

/// Logs in, or says what was tried.
pub(super) async fn log_in(
    handle: &mut Handle<Verifier>,
    hop: &Hop,
    options: &ConnectOptions,
    facts: &Facts,
) -> Result<(), TransportError> {
    let mut login = Login { handle, hop, options, facts, agent: None, tried: Tried::default() };
    if login.try_all().await? { Ok(()) } else { Err(login.tried.refused(hop)) }
}

struct Login<'a> {
    handle: &'a mut Handle<Verifier>,
    hop: &'a Hop,
    options: &'a ConnectOptions,
    facts: &'a Facts,
    agent: Option<Agent>,
    tried: Tried,
}

/// A key of the agent that is to be tried.
struct Candidate {
    identity: AgentIdentity,
    /// As messages name it.
    name: String,
    /// Which of the named files it belongs to.
    file: Option<usize>,
}

impl Login<'_> {
    /// In the order of ssh: named keys that the agent has, its other keys, and then files.
    async fn try_all(&mut self) -> Result<bool, TransportError> {
        let Identities { files, certificates, are_named, only, .. } = self.hop.identities.clone();
        let held = self.agent_keys().await;
        let halves: Vec<Option<PublicKey>> = files.iter().map(|file| public_half(file)).collect();
        let is_half = |half: &Option<PublicKey>, of: &AgentIdentity| {
            half.as_ref().is_some_and(|key| key.key_data() == key_data(of))
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for Held { identity, comment } in held {
            let file = halves.iter().position(|half| is_half(half, &identity));
            let name = match file {
                Some(file) => format!("key {} (through the agent)", files[file].display()),
                None => format!("agent key {comment:?}"),
            };
            if file.is_some() || !only {
                candidates.push(Candidate { identity, name, file });
            }
        }
        // In the order of the files; the agent's other keys behind them.
        candidates.sort_by_key(|candidate| candidate.file.unwrap_or(usize::MAX));
        let mut tried_files: Vec<&PathBuf> = Vec::new();
        for candidate in candidates {
            let file = candidate.file.map(|file| &files[file]);
            tried_files.extend(file);
            if self.try_agent_key(candidate, &certificates, file.map(PathBuf::as_path)).await? {
                return Ok(true);
            }
        }
        for file in files.iter().filter(|file| !tried_files.contains(file)) {
            if !are_named && !file.exists() {
                continue;
            }
            if self.try_file(file, &certificates).await? {
                return Ok(true);
            }
        }
        match self.hop.password.clone() {
            Some(source) => self.try_password(&source).await,
            None => self.try_nothing().await,
        }
    }

    /// What the agent has, where there is one that answers.
    async fn agent_keys(&mut self) -> Vec<Held> {
        let Some(socket) = &self.hop.identities.agent else { return Vec::new() };
        match agent::keys(socket).await {
            Ok((agent, held)) => {
                self.agent = Some(agent);
                held
            }
            Err(reason) => {
                self.tried.hints.push(format!("the ssh agent at {} does not answer: {reason}", socket.display()));
                Vec::new()
            }
        }
    }

    /// Has the agent prove a key of its: with each certificate that was made for it, then alone.
    async fn try_agent_key(
        &mut self,
        candidate: Candidate,
        certificates: &[PathBuf],
        file: Option<&Path>,
    ) -> Result<bool, TransportError> {
        let Candidate { identity, name, .. } = candidate;
        let hash = self.rsa_hash(&PublicKey::from(key_data(&identity).clone())).await?;
        let user = self.hop.user.clone();
        if matches!(identity, AgentIdentity::PublicKey { .. }) {
            for found in certificates_for(key_data(&identity), certificates, file) {
                let Some(agent) = &mut self.agent else { return Ok(false) };
                let name = format!("{name} with certificate {}", found.path.display());
                self.tried.offered.push(name.clone());
                let (user, certificate) = (user.clone(), found.certificate);
                let signer = &mut Signing { agent, facts: self.facts, is_by_plain_key: true };
                let result = self.handle.authenticate_certificate_with(user, certificate, hash, signer).await;
                if self.note_signed(result, &name).await? {
                    return Ok(true);
                }
            }
        }
        let Some(agent) = &mut self.agent else { return Ok(false) };
        self.tried.offered.push(name.clone());
        let signer = &mut Signing { agent, facts: self.facts, is_by_plain_key: false };
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(user, key, hash, signer).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate, hash, signer).await
            }
        };
        self.note_signed(result, &name).await
    }

    async fn note_signed(
        &mut self,
        result: Result<AuthResult, AgentAuthError>,
        name: &str,
    ) -> Result<bool, TransportError> {
        match result {
            Ok(result) => self.note(result).await,
            Err(AgentAuthError::Send(error)) => Err(self.broke(&error)),
            // The agent's refusal to sign leaves the connection usable.
            Err(error) => {
                // What the server was not proved, it has not refused.
                self.tried.offered.retain(|offered| offered != name);
                self.tried.unusable.push(format!("{name} (the ssh agent did not sign with it: {error})"));
                self.tried.hints.push("try `ssh-add -T` with that key: the agent may want somebody's leave".to_owned());
                Ok(false)
            }
        }
    }

    async fn try_file(&mut self, file: &Path, certificates: &[PathBuf]) -> Result<bool, TransportError> {
        let name = format!("key {}", file.display());
        if is_public(file) {
            self.tried.unusable.push(format!("{name} (a public key, whose private key is not in the ssh agent)"));
            self.tried
                .hints
                .push(format!("give the agent its private key: ssh-add {}", without_ending(file).display()));
            return Ok(false);
        }
        // Key files are small, and read once a connection.
        match secret::open(file) {
            Err(error @ SecretError::Open { .. }) => {
                self.tried.hints.push(format!("a key that others may use is not used: {error}"));
                self.tried.unusable.push(format!("{name} (others may use it)"));
                return Ok(false);
            }
            Err(SecretError::File { cause, .. }) if cause.kind() == std::io::ErrorKind::InvalidInput => {
                self.tried.unusable.push(format!("{name} (unusable: {cause})"));
                return Ok(false);
            }
            _ => {}
        }
        match load_secret_key(file, None) {
            Ok(key) => self.try_key(key, file, name, certificates).await,
            Err(russh::keys::Error::KeyIsEncrypted) => {
                self.tried.unusable.push(format!("{name} (encrypted, and not in the ssh agent)"));
                self.tried.hints.push(format!("unlock the key with: ssh-add {}", file.display()));
                Ok(false)
            }
            Err(error) => {
                self.tried.unusable.push(format!("{name} (unusable: {error})"));
                Ok(false)
            }
        }
    }

    /// Offers a key: with each certificate that was made for it, then alone.
    async fn try_key(
        &mut self,
        key: PrivateKey,
        file: &Path,
        name: String,
        certificates: &[PathBuf],
    ) -> Result<bool, TransportError> {
        let key = Arc::new(key);
        for found in certificates_for(key.public_key().key_data(), certificates, Some(file)) {
            self.tried.offered.push(format!("{name} with certificate {}", found.path.display()));
            let user = self.hop.user.clone();
            let result = self.handle.authenticate_openssh_cert(user, Arc::clone(&key), found.certificate).await;
            if self.note(result.map_err(|error| self.broke(&error))?).await? {
                return Ok(true);
            }
        }
        let hash = self.rsa_hash(key.public_key()).await?;
        self.tried.offered.push(name);
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let result = self.handle.authenticate_publickey(self.hop.user.clone(), key).await;
        self.note(result.map_err(|error| self.broke(&error))?).await
    }

    async fn try_password(&mut self, source: &SecretSource) -> Result<bool, TransportError> {
        let (password, name) = self.read_secret(source)?;
        let takes = |methods: &Option<MethodSet>, method| methods.as_ref().is_none_or(|known| known.contains(&method));
        if takes(&self.tried.methods, MethodKind::Password) {
            self.tried.offered.push(name.clone());
            let result = self.handle.authenticate_password(self.hop.user.clone(), password.clone()).await;
            if self.note(result.map_err(|error| self.broke(&error))?).await? {
                return Ok(true);
            }
        }
        if takes(&self.tried.methods, MethodKind::KeyboardInteractive) {
            self.tried.offered.push(format!("{name} (keyboard-interactive)"));
            return self.answer_questions(&password).await;
        }
        if !self.tried.offered.contains(&name) {
            self.tried.unusable.push(format!("{name} (the server takes none)"));
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
                    self.tried.methods = Some(remaining_methods);
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
        if !self.tried.offered.is_empty() {
            return Ok(false);
        }
        let result = self.handle.authenticate_none(self.hop.user.clone()).await;
        self.note(result.map_err(|error| self.broke(&error))?).await
    }

    /// What a server's answer means. The library takes a connection that ended for a refusal: it has no methods then.
    async fn note(&mut self, result: AuthResult) -> Result<bool, TransportError> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, partial_success } => {
                if remaining_methods.is_empty() && self.is_ending().await {
                    return Err(self.broke(&"the server ended the connection"));
                }
                if partial_success {
                    self.tried.hints.push("the server wants a second proof, which farmctl can't give".to_owned());
                }
                self.tried.methods = Some(remaining_methods);
                Ok(false)
            }
        }
    }

    /// Whether the connection has ended, or ends in a moment; why is known a moment later.
    async fn is_ending(&self) -> bool {
        for _ in 0..ENDING_LOOKS {
            if self.handle.is_closed() && self.facts.end.get().is_some() {
                return true;
            }
            tokio::time::sleep(ENDING_PAUSE).await;
        }
        self.handle.is_closed()
    }

    async fn rsa_hash(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, TransportError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await.map_err(|error| self.broke(&error))?;
        match best.flatten() {
            Some(hash) => Ok(Some(hash)),
            // An old server does not tell, and knows SHA-1 only: that has to be wanted.
            None if self.hop.legacy => Ok(None),
            None => {
                self.tried.hints.push(
                    "the server does not say that it knows RSA with SHA-256: an old one needs `legacy: true` at its \
                     ssh entry of the farm file, or a key that is not RSA"
                        .to_owned(),
                );
                Ok(Some(HashAlg::Sha256))
            }
        }
    }

    fn read_secret(&self, source: &SecretSource) -> Result<(String, String), TransportError> {
        let missing = |reason: String| {
            TransportError::new(ErrorKind::LoginMissing, format!("log in as {}: {reason}", self.hop))
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

    fn broke(&self, error: &dyn std::fmt::Display) -> TransportError {
        self.tried.broke(self.hop, self.facts, error)
    }
}
