//! One connection to a device, through jump hosts where there are any.
//!
//! Main type: [`Connection`]. Every step of connecting fails in its own way: an unknown name, a silent address, a
//! refused port, a wrong key, a refused login. Never connects again by itself.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Msg};
use russh::keys::{PublicKeyOrCertificate, ssh_encoding};
use russh::{Channel, ChannelOpenFailure, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::auth;
use super::config::Hop;
use super::facts::{Facts, Overheard};
use super::host_keys::HostKeyCheck;
use super::names;
use super::places::{Channels, login_place};
use super::preferences::client_config;
use super::proxy_command::ProxyStream;
use super::tried::silent;
use crate::transport::{ConnectOptions, ErrorKind, TransportError};
use crate::wording::single_line;

/// Commands at the same time on one connection; OpenSSH's own limit is 10.
const MAX_CHANNELS: usize = 8;
/// dropbear (2022.83) fails an assertion of its own, and ends, when one channel closes while another one is busy: there
/// calls wait for each other.
const MAX_CHANNELS_DROPBEAR: usize = 1;
/// Pause before a channel that was refused is asked for again; it doubles with each refusal.
const FIRST_CHANNEL_PAUSE: Duration = Duration::from_millis(20);
/// How long channels may be refused while none is open.
const CHANNEL_PATIENCE: Duration = Duration::from_secs(5);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Most of a banner that is kept.
const MAX_BANNER_CHARACTERS: usize = 400;

/// Judges the server's key during the handshake, and keeps why the connection ended.
pub(super) struct Verifier {
    check: HostKeyCheck,
    facts: Arc<Facts>,
}

/// Why a handshake failed: the library's reason, or our judgement of the key.
#[derive(Debug)]
pub(super) enum HandshakeError {
    Library(russh::Error),
    HostKey(TransportError),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> HandshakeError {
        HandshakeError::Library(error)
    }
}

impl client::Handler for Verifier {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        self.check.check_server(key).await.map(|()| true).map_err(HandshakeError::HostKey)
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        _: &russh::Names,
        session: &mut client::Session,
    ) -> Result<(), HandshakeError> {
        let is_dropbear = String::from_utf8_lossy(session.remote_sshid()).contains("dropbear");
        // Keys are agreed on again from time to time: the first answer stays.
        let _ = self.facts.is_dropbear.set(is_dropbear);
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), HandshakeError> {
        let _ = self.facts.banner.set(banner.chars().take(MAX_BANNER_CHARACTERS).collect());
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<HandshakeError>) -> Result<(), HandshakeError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let _ = self.facts.end.set(format!("the server ended it: {}", single_line(&info.message)));
                let _ = self.facts.disconnect.set(info.reason_code);
                Ok(())
            }
            DisconnectReason::Error(error) => {
                if let HandshakeError::Library(error) = &error {
                    if matches!(error, russh::Error::SshEncoding(ssh_encoding::Error::CharacterEncoding)) {
                        let _ = self.facts.is_unreadable.set(());
                    }
                    let _ = self.facts.end.set(error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// A connection that is logged in.
pub(super) struct Connection {
    device: Handle<Verifier>,
    /// Connections to jump hosts, kept open as long as this one.
    jumps: Vec<Handle<Verifier>>,
    channels: Channels,
    /// As messages name it.
    pub address: String,
    facts: Arc<Facts>,
}

impl Connection {
    /// Goes from hop to hop, all within the time that the options allow.
    pub(super) async fn open(hops: &[Hop], options: &ConnectOptions) -> Result<Connection, TransportError> {
        let mut reached: Vec<Handle<Verifier>> = Vec::new();
        let mut facts = Arc::new(Facts::default());
        let mut place = if hops.len() > 1 { Some(login_place(&hops[0]).await?) } else { None };
        let deadline = Instant::now() + options.connect_timeout;
        for (index, hop) in hops.iter().enumerate() {
            // Those of the last hop count: when a jump host goes, the device goes with it.
            facts = Arc::new(Facts::default());
            let before = index.checked_sub(1).and_then(|before| Some((reached.last()?, hops.get(before)?)));
            let entered = match before {
                None if let Some(command) = &hop.proxy_command => {
                    enter_through(command, hop, options, deadline, &facts).await
                }
                None => {
                    let stream = tcp_connect(hop, deadline, options.connect_timeout).await;
                    facts.note_peer(stream.as_ref().ok());
                    enter_by(stream, hop, options, deadline, &facts).await
                }
                Some((jump, jump_hop)) => {
                    let stream = tunnel(jump, jump_hop, hop, deadline).await;
                    enter_by(stream, hop, options, deadline, &facts).await
                }
            };
            // The first is where many meet: the others are reached from it one by one.
            place.take();
            let is_jump = index + 1 < hops.len();
            let entered = entered.map_err(|error| with_lines_passed_over(error, hop));
            reached.push(entered.map_err(|error| if is_jump { at_jump_host(hops, error) } else { error })?);
        }
        let (Some(device), Some(hop)) = (reached.pop(), hops.last()) else {
            return Err(TransportError::new(ErrorKind::NameUnknown, "connect by ssh: no host is named"));
        };
        let is_dropbear = facts.is_dropbear.get().copied().unwrap_or(false);
        let channels = Channels::new(if is_dropbear { MAX_CHANNELS_DROPBEAR } else { MAX_CHANNELS });
        Ok(Connection { device, jumps: reached, channels, address: format!("ssh {hop}"), facts })
    }

    /// Opens a channel, waiting for one of the others to end when there are many. A server that allows fewer than we
    /// would have (MaxSessions) shows that by a refusal: then there are as many as it allows.
    pub(super) async fn channel(&self) -> Result<(Channel<Msg>, OwnedSemaphorePermit), TransportError> {
        let lost = |reason: &dyn std::fmt::Display| {
            TransportError::new(ErrorKind::ConnectionLost, format!("open a channel to {}: {reason}", self.address))
        };
        let (mut pause, mut waited) = (FIRST_CHANNEL_PAUSE, Duration::ZERO);
        loop {
            let permit = self.channels.acquire().await.map_err(|error| lost(&error))?;
            let reason = match self.device.channel_open_session().await {
                Ok(channel) => return Ok((channel, permit)),
                Err(russh::Error::ChannelOpenFailure(reason)) => reason,
                Err(error) => return Err(lost(&error)),
            };
            if self.channels.lower(permit) {
                continue;
            }
            // A server counts a channel for a moment after it has closed it.
            if waited >= CHANNEL_PATIENCE {
                let refused = format!("open a channel to {}: the server refused it ({reason:?})", self.address);
                return Err(TransportError::new(ErrorKind::Protocol, refused)
                    .with_hint("the server may allow no session: look at MaxSessions in its sshd_config"));
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause *= 2;
        }
    }

    /// Opens a channel beyond those that are counted, to end one of these. dropbear needs none, for it passes signals
    /// on.
    pub(super) async fn extra_channel(&self) -> Option<Channel<Msg>> {
        if self.facts.is_dropbear.get() == Some(&true) {
            return None;
        }
        self.device.channel_open_session().await.ok()
    }

    /// Why the connection ended, in words for a message.
    pub(super) fn end_reason(&self) -> &str {
        self.facts.end.get().map_or("the connection broke", String::as_str)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.device.is_closed() || self.jumps.iter().any(Handle::is_closed)
    }

    pub(super) async fn close(&self) {
        for handle in std::iter::once(&self.device).chain(self.jumps.iter().rev()) {
            // Nothing can be done about a connection that does not even end.
            let _ = timeout(CLOSE_LIMIT, handle.disconnect(Disconnect::ByApplication, "", "en")).await;
        }
    }
}

async fn tcp_connect(hop: &Hop, deadline: Instant, limit: Duration) -> Result<TcpStream, TransportError> {
    let addresses = names::look_up(&hop.host, hop.port, deadline, limit).await?;
    let none = || format!("find the address of {:?}: it has none", hop.host);
    let mut failure = TransportError::new(ErrorKind::NameUnknown, none());
    for (index, address) in addresses.iter().enumerate() {
        // A silent address leaves time for the next one.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Commands are small packets that wait for an answer.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == IoErrorKind::ConnectionRefused => {
                TransportError::new(ErrorKind::Refused, format!("connect to {hop}: nothing listens at {address}"))
            }
            Ok(Err(error)) => {
                TransportError::new(ErrorKind::Unreachable, format!("connect to {hop} at {address}: {error}"))
            }
            Err(_) => TransportError::new(
                ErrorKind::Unreachable,
                format!("connect to {hop}: no answer from {address} within {:.1} s", share.as_secs_f64()),
            ),
        };
    }
    Err(failure)
}

/// A stream to the next hop, made by the one before.
async fn tunnel(
    jump: &Handle<Verifier>,
    jump_hop: &Hop,
    hop: &Hop,
    deadline: Instant,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, TransportError> {
    let open = jump.channel_open_direct_tcpip(hop.host.clone(), u32::from(hop.port), "127.0.0.1", 0);
    let failed =
        |kind, reason: String| TransportError::new(kind, format!("connect to {hop} through {jump_hop}: {reason}"));
    match timeout_at(deadline, open).await {
        Ok(Ok(channel)) => Ok(channel.into_stream()),
        Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
            let error = failed(ErrorKind::Unreachable, format!("the jump host could not connect ({reason:?})"));
            Err(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => error.with_hint(format!(
                    "the sshd of {jump_hop} forbids it: look at AllowTcpForwarding and PermitOpen in its sshd_config"
                )),
                _ => error,
            })
        }
        Ok(Err(error)) => Err(failed(ErrorKind::ConnectionLost, error.to_string())),
        Err(_) => Err(failed(ErrorKind::Unreachable, "no answer in time".to_owned())),
    }
}

/// A failure at a jump host, as a failure of the way to the device behind it.
fn at_jump_host(hops: &[Hop], mut error: TransportError) -> TransportError {
    let device = hops.last().map_or_else(String::new, ToString::to_string);
    error.message = format!("go to {device} through a jump host: {}", error.message);
    if error.kind == ErrorKind::ConnectionLost && error.hint.is_none() {
        error.hint =
            Some("the jump host may take few logins at a time: look at MaxStartups in its sshd_config".to_owned());
    }
    error
}

/// The failure, with the lines of the configuration that ssh would have honoured.
fn with_lines_passed_over(mut error: TransportError, hop: &Hop) -> TransportError {
    if !hop.passed_over.is_empty() {
        let lines = hop.passed_over.join(", ");
        let hint = error.hint.map_or_else(String::new, |hint| format!("{hint}; "));
        error.hint = Some(format!("{hint}farmctl does not honour {lines}"));
    }
    error
}

async fn enter_by<S>(
    stream: Result<S, TransportError>,
    hop: &Hop,
    options: &ConnectOptions,
    deadline: Instant,
    facts: &Arc<Facts>,
) -> Result<Handle<Verifier>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    enter(stream?, hop, options, deadline, facts).await
}

/// By a program of the person's. One that ended says best why nobody got in.
async fn enter_through(
    command: &str,
    hop: &Hop,
    options: &ConnectOptions,
    deadline: Instant,
    facts: &Arc<Facts>,
) -> Result<Handle<Verifier>, TransportError> {
    let stream = ProxyStream::start(hop, command)?;
    let ending = stream.ending();
    match enter(stream, hop, options, deadline, facts).await {
        Err(error) if matches!(error.kind, ErrorKind::ConnectionLost | ErrorKind::Timeout | ErrorKind::Protocol) => {
            Err(ending.explain(error).await)
        }
        entered => entered,
    }
}

/// Handshake and login on a stream that is there.
async fn enter<S>(
    stream: S,
    hop: &Hop,
    options: &ConnectOptions,
    deadline: Instant,
    facts: &Arc<Facts>,
) -> Result<Handle<Verifier>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_trusted = hop.trusts_loopback && facts.is_loopback.get().is_some();
    let mut check = HostKeyCheck::new(hop, options.accept_new, is_trusted)?;
    let asked = timeout_at(deadline, check.ask_command(None)).await;
    asked.map_err(|_| {
        TransportError::new(ErrorKind::HostKeyUnknown, format!("learn the keys of {hop}: no time left"))
    })??;
    let config = Arc::new(client_config(&check, hop.legacy, options.connect_timeout));
    let stream = Overheard { stream, heard: Arc::clone(&facts.greeting) };
    let handshake = client::connect_stream(config, stream, Verifier { check, facts: Arc::clone(facts) });
    let silent = |step: &str| silent(step, hop, options.connect_timeout, facts);
    let mut handle = match timeout_at(deadline, handshake).await {
        Ok(Ok(handle)) => handle,
        Ok(Err(HandshakeError::HostKey(error))) => return Err(error),
        Ok(Err(HandshakeError::Library(error))) => return Err(handshake_failure(hop, &error, facts)),
        Err(_) => return Err(silent("agree on keys with")),
    };
    let login = timeout_at(deadline, auth::log_in(&mut handle, hop, options, facts)).await;
    let login = login.map_err(|_| silent("log in as"))?;
    match login {
        Ok(()) => Ok(handle),
        // A server that ends the connection by a message of the protocol has said no; one that is just gone has not.
        Err(mut error) => {
            if error.kind == ErrorKind::ConnectionLost && facts.disconnect.get().is_some_and(is_a_no) {
                error.kind = ErrorKind::LoginRefused;
                error.hint = Some("name the right key with identity_file".to_owned());
            }
            error.message.push_str(&facts.words());
            Err(error)
        }
    }
}

/// Whether a server that ends a connection for this reason has refused the login. sshd calls it a breach of the
/// protocol when too many keys were tried.
fn is_a_no(reason: &Disconnect) -> bool {
    matches!(
        reason,
        Disconnect::HostNotAllowedToConnect
            | Disconnect::ProtocolError
            | Disconnect::NoMoreAuthMethodsAvailable
            | Disconnect::IllegalUserName
    )
}

fn handshake_failure(hop: &Hop, error: &russh::Error, facts: &Facts) -> TransportError {
    let kind = match error {
        russh::Error::Disconnect
        | russh::Error::HUP
        | russh::Error::IO(_)
        | russh::Error::SendError
        | russh::Error::RecvError => ErrorKind::ConnectionLost,
        _ => ErrorKind::Protocol,
    };
    let failure = TransportError::new(kind, format!("agree on keys with {hop}: {error}{}", facts.words()));
    match error {
        russh::Error::NoCommonAlgo { .. } if !hop.legacy => failure.with_hint(
            "update the server; one that only knows old algorithms (ssh-rsa with SHA-1) needs `legacy: true` at its \
             ssh entry of the farm file",
        ),
        _ => failure,
    }
}
