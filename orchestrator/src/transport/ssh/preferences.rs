//! What is asked of a server: keys, ciphers, and signs of life.
//!
//! Main function: [`client_config`].

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::Algorithm;
use russh::{Preferred, client};

use super::host_keys::HostKeyCheck;

/// Questions to a silent server that may stay without an answer. Each has as long for it as connecting has; so has the
/// silence before the first.
const KEEPALIVE_MAX: usize = 1;
/// Packets of output that wait for their reader, a channel: with 32 KiB each, 1 MiB.
const CHANNEL_BUFFER_PACKETS: usize = 32;
/// Asked for first: with AES instructions it is much faster than ChaCha20 (bench/ssh-push). A board without them is
/// slower by it than it could be.
const FAST_CIPHERS: [russh::cipher::Name; 1] = [russh::cipher::AES_256_GCM];
/// RSA with SHA-1.
const OLD_RSA: Algorithm = Algorithm::Rsa { hash: None };
/// What servers of ten years ago have, beyond that.
const LEGACY_KEY_EXCHANGES: [russh::kex::Name; 2] = [russh::kex::DH_G14_SHA1, russh::kex::DH_G1_SHA1];

/// The configuration of a connection.
pub(super) fn client_config(check: &HostKeyCheck, legacy: bool, silence_limit: Duration) -> client::Config {
    let known = check.known_algorithms();
    let mut preferred = Preferred::default();
    // A server has keys of several kinds: one that is known is asked for first.
    let mut kinds = preferred.key.to_vec();
    kinds.sort_by_key(|kind| {
        !known.iter().any(|known| known == kind || (known.clone().is_rsa() && kind.clone().is_rsa()))
    });
    if legacy {
        preferred.kex.to_mut().extend(LEGACY_KEY_EXCHANGES);
    } else {
        kinds.retain(|kind| *kind != OLD_RSA);
    }
    if check.knows_authorities() {
        preferred.host_key_certificates = Cow::Owned(kinds.clone());
    }
    preferred.key = Cow::Owned(kinds);
    let mut ciphers = preferred.cipher.to_vec();
    ciphers.sort_by_key(|cipher| !FAST_CIPHERS.contains(cipher));
    preferred.cipher = Cow::Owned(ciphers);
    client::Config {
        preferred,
        keepalive_interval: Some(silence_limit),
        keepalive_max: KEEPALIVE_MAX,
        channel_buffer_size: CHANNEL_BUFFER_PACKETS,
        nodelay: true,
        ..client::Config::default()
    }
}
