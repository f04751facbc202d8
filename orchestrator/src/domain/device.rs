use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AndroidOptions, DeviceState, Failure};

/// The devices behind this host, from all farm files that were read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// All devices; names are unique.
    pub devices: Vec<Device>,
    /// Rust target triple of this host, where it is known before the host is asked like any other device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_target: Option<String>,
}

/// One unit that is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Unique name in the lab.
    pub name: String,
    /// Name of the farm that declares it.
    pub farm: String,
    /// Labels to select it by.
    pub tags: BTreeSet<Tag>,
    /// How bytes and commands reach it.
    pub transport: TransportConfig,
    /// Folder on the device that belongs to farmctl; a path that starts with `~/` or is relative lies below the home
    /// folder of the login.
    pub workdir: String,
    /// A person's remarks.
    pub notes: Option<String>,
    /// What the device allows.
    pub limits: DeviceLimits,
    /// What an hour of it costs, in the lab's currency.
    #[serde(default)]
    pub price_per_hour: Option<f64>,
    /// What engines can hand work to there, besides its processor: `gpu`, `nnapi`, `npu`, …
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub delegates: BTreeSet<String>,
    /// What is done to it before measuring, where it is a phone.
    #[serde(default)]
    pub android: AndroidOptions,
    /// Commands on this host that may bring it back when it fails.
    #[serde(default)]
    pub recovery: Recovery,
    /// Of the devices with this word one is worked on at a time: they share a machine. Local ones do so without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<String>,
    /// Most devices of its farm that are worked on at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Hosts of the lab that go first where several declare it, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred_hosts: Vec<String>,
    /// Why it is out of service, when it is.
    pub disabled: Option<String>,
    /// Where it is declared: `file:line`.
    pub declared_at: String,
    /// Only other hosts of the lab declare it: it is planned for, and not reached from here.
    #[serde(skip)]
    pub is_elsewhere: bool,
}

/// The machine that all devices with `transport: local` are. No `exclusive` word has a space.
pub const THIS_HOST: &str = "this host";

impl Device {
    /// The machines that it is worked on alone on: of all devices that name one of them, one has its turn.
    pub fn machines(&self) -> impl Iterator<Item = &str> {
        let here = (self.transport == TransportConfig::Local && !self.is_elsewhere).then_some(THIS_HOST);
        here.into_iter().chain(self.exclusive.as_deref())
    }

    /// Whether it is never worked on beside this one.
    pub fn takes_turns_with(&self, other: &Device) -> bool {
        self.machines().any(|machine| other.machines().any(|its| its == machine))
            || self.farm == other.farm && self.max_parallel == Some(1)
    }
}

/// A label of a device: `key=value`, or a plain word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// The word, or what stands before `=`.
    pub key: String,
    /// What stands after `=`.
    pub value: Option<String>,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// How bytes and commands reach a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TransportConfig {
    /// This host itself.
    Local,
    /// A board with an ssh server.
    Ssh(SshEndpoint),
    /// An Android device, through an adb server.
    Adb(AdbEndpoint),
}

impl TransportConfig {
    /// The transport's name, as its folder and the reports have it.
    pub fn name(&self) -> &'static str {
        match self {
            TransportConfig::Local => "local",
            TransportConfig::Ssh(_) => "ssh",
            TransportConfig::Adb(_) => "adb",
        }
    }
}

/// Where an ssh server is and how to log in. What is `None` comes from `~/.ssh/config`, then from ssh's own defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SshEndpoint {
    /// Host name, address, or alias of `~/.ssh/config`.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
    /// Login.
    pub user: Option<String>,
    /// Private key to log in with; without one, the agent's keys and ssh's default files are tried.
    pub identity_file: Option<PathBuf>,
    /// Where the password is found, for a server that wants one.
    pub password: Option<SecretSource>,
    /// Files of known host keys, instead of `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// The one host key that is accepted; known-hosts files are not read then.
    pub host_key: Option<HostKey>,
    /// Hosts to go through, as in ssh's `ProxyJump`: `[user@]host[:port]`, separated by commas; `none` for no jump.
    pub proxy_jump: Option<String>,
    /// Which host keys are accepted without a `host_key`.
    #[serde(default)]
    pub host_key_checking: HostKeyChecking,
    /// Whether algorithms that are broken by now will do: RSA with SHA-1, for servers of ten years ago.
    #[serde(default)]
    pub legacy: bool,
}

/// Which host keys are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyChecking {
    /// Those that are known.
    #[default]
    Yes,
    /// Those that are known, and those of servers of which none is known, which are written down.
    AcceptNew,
    /// Any: whoever is in between is not noticed.
    No,
}

/// Which device of which adb server. At least one of `serial` and `address` is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdbEndpoint {
    /// What `adb -s` takes: a serial number as `adb devices` lists it, `usb:PATH`, `transport_id:N`.
    pub serial: Option<String>,
    /// `host:port` where the device's own daemon listens; the server is told to connect to it when it doesn't list it.
    pub address: Option<String>,
    /// `host:port` of the adb server; without it, what the environment says, then adb's own default.
    pub server: Option<String>,
}

impl AdbEndpoint {
    /// Whether it can only be reached by a cable: what the server lists over TCP is named by its address.
    pub fn is_cable_only(&self) -> bool {
        self.address.is_none() && self.serial.as_deref().is_some_and(|serial| !is_network_serial(serial))
    }

    /// Whether it can only be reached over the network.
    pub fn is_network_only(&self) -> bool {
        self.serial.as_deref().is_none_or(is_network_serial)
    }
}

/// `host:port`, or a name that was found by mDNS.
fn is_network_serial(serial: &str) -> bool {
    is_host_and_port(serial) || serial.contains("._adb")
}

/// Whether an adb server can be told to connect to what has this name. `usb:1-5` and `transport_id:4` are no hosts.
pub fn is_host_and_port(serial: &str) -> bool {
    const NO_HOSTS: [&str; 5] = ["usb", "transport_id", "product", "model", "device"];
    let Some((host, port)) = serial.rsplit_once(':') else { return false };
    !host.is_empty() && !NO_HOSTS.contains(&host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A pinned host key: what stands behind the host in a known-hosts file (`ssh-ed25519 AAAA…`), or `SHA256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostKey(pub String);

/// Where a secret is found; the secret itself never stands in YAML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// First line of a file.
    File(PathBuf),
    /// Environment variable.
    Environment(String),
}

/// How a device fares, over all sweeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub name: String,
    /// What it is to the lab.
    pub state: DeviceState,
    /// Since when; `None` of one that never failed.
    pub since: Option<Timestamp>,
    /// Infrastructure failures since a run ended well on it.
    pub failures_in_row: u32,
    /// Quarantines since a run ended well on it, prolonged ones counted again: the pause before the next health probe
    /// grows with them.
    pub quarantines_in_row: u32,
    /// The last failure.
    pub failure: Option<Failure>,
    /// When the next health probe is due, while it is quarantined.
    pub probe_at: Option<Timestamp>,
}

/// What a device allows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DeviceLimits {
    /// Longest run, from start to last message.
    pub max_run_seconds: Option<f64>,
    /// Space that must stay free on the file system of the workdir.
    pub min_free_bytes: Option<u64>,
    /// Most that models and runners may take there; beyond it, the least recently used leave.
    pub max_store_bytes: Option<u64>,
}

/// Commands on this host that may bring a device back: each a program with its arguments, never a shell's line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Makes it boot anew, for example `[adb, -s, SERIAL, reboot]`.
    pub reset: Option<Vec<String>>,
    /// Takes its power away, for example by `uhubctl`.
    pub power_off: Option<Vec<String>>,
    /// Gives it power again.
    pub power_on: Option<Vec<String>>,
    /// How long it takes until it may answer again.
    pub settle_seconds: f64,
    /// Most recoveries in an hour.
    pub max_per_hour: u32,
}

impl Recovery {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.reset.is_none() && self.power_off.is_none() && self.power_on.is_none()
    }
}
