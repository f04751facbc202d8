//! The person's ssh agent: what it has, and its signatures.
//!
//! Main functions: [`keys`] and [`Signing`]. An agent may hang (one that was forwarded by a connection that is gone),
//! or wait for a person's touch. Then it is named, and not the server.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};
use russh::{AgentAuthError, Signer};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::facts::Facts;

/// How long it may take to tell what it has, for which it asks nobody.
const LIST_LIMIT: Duration = Duration::from_secs(2);

pub(super) type Agent = AgentClient<UnixStream>;

/// A key or a certificate that the agent has.
pub(super) struct Held {
    pub identity: AgentIdentity,
    pub comment: String,
}

/// The agent at this socket, and what it has; or why it can't be asked.
pub(super) async fn keys(socket: &Path) -> Result<(Agent, Vec<Held>), String> {
    let asked = async {
        let mut agent = AgentClient::connect_uds(socket).await.map_err(|error| error.to_string())?;
        let identities = agent.request_identities().await.map_err(|error| error.to_string())?;
        Ok((agent, identities.into_iter().map(held).collect()))
    };
    let silent = |_| format!("it told nothing within {} s", LIST_LIMIT.as_secs());
    timeout(LIST_LIMIT, asked).await.map_err(silent)?
}

fn held(identity: AgentIdentity) -> Held {
    let comment = match &identity {
        AgentIdentity::PublicKey { comment, .. } | AgentIdentity::Certificate { comment, .. } => comment.clone(),
    };
    Held { identity, comment }
}

pub(super) fn key_data(identity: &AgentIdentity) -> &KeyData {
    match identity {
        AgentIdentity::PublicKey { key, .. } => key.key_data(),
        AgentIdentity::Certificate { certificate, .. } => certificate.public_key(),
    }
}

/// An agent that signs. While it does, the connection knows that it is not the server that is waited for.
pub(super) struct Signing<'a> {
    pub agent: &'a mut Agent,
    pub facts: &'a Facts,
    /// For a certificate that only this host has: the agent signs with the key that it was made for.
    pub is_by_plain_key: bool,
}

impl Signer for Signing<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let plain = self.is_by_plain_key.then(|| AgentIdentity::from(PublicKey::from(key_data(identity).clone())));
        self.facts.waits_for_agent.store(true, Ordering::Relaxed);
        let signed = self.agent.auth_sign(plain.as_ref().unwrap_or(identity), hash, data).await;
        self.facts.waits_for_agent.store(false, Ordering::Relaxed);
        signed
    }
}
