//! The form of a farm file. The comments here are the descriptions of its JSON Schema.

use crate::domain::HostKeyChecking;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::OneOrMany;

/// A farm: devices behind this host, each with how it is reached. Paths are relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl inventory (farms/*.yaml)")]
pub(super) struct FarmFile {
    /// Name of the farm; without it, the name of the file.
    pub(super) farm: Option<String>,
    /// Most of its devices that are worked on at the same time, whatever sweeps use them. Without it: all.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_parallel: Option<u32>,
    /// What holds for each device that doesn't say it itself.
    pub(super) defaults: Option<Defaults>,
    /// The devices.
    #[schemars(length(min = 1))]
    pub(super) devices: Vec<DeviceEntry>,
}

/// What holds for each device that doesn't say it itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    /// Labels of every device; a device's own label with the same key replaces one.
    pub(super) tags: Option<OneOrMany<String>>,
    /// See `workdir` of a device. A phone takes it only when it begins with `/`: its shell has no home folder.
    pub(super) workdir: Option<String>,
    /// What each device allows.
    pub(super) limits: Option<LimitsEntry>,
    /// How to log in to each device with `transport: ssh`.
    pub(super) ssh: Option<LoginEntry>,
    /// What is done to each phone before it is measured.
    pub(super) android: Option<AndroidEntry>,
    /// See `exclusive` of a device: none of these devices is worked on beside another one.
    pub(super) exclusive: Option<String>,
}

/// A device: one unit that is measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceEntry {
    /// Name, unique in all farm files: letters, digits, `.`, `_` and `-`.
    pub(super) name: String,
    /// Labels to select it by: `key=value`, or a plain word.
    pub(super) tags: Option<OneOrMany<String>>,
    /// How bytes and commands reach it.
    pub(super) transport: TransportEntry,
    /// Folder on the device that belongs to farmctl alone. Relative paths and `~/` lie below the login's home folder.
    /// Without it: `~/.cache/farmctl/device` (local), `~/.farmctl` (ssh) or `/data/local/tmp/farmctl` (adb).
    pub(super) workdir: Option<String>,
    /// Remarks for people.
    pub(super) notes: Option<String>,
    /// What the device allows.
    pub(super) limits: Option<LimitsEntry>,
    /// What an hour of it costs, in the one currency of your lab: `farmctl score --kind dawnbench` makes the cost of
    /// 10,000 images of it.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1_000_000))]
    pub(super) price_per_hour: Option<f64>,
    /// What engines can hand work to there, besides its processor: `gpu`, `nnapi`, `npu`, … Cells of an engine with
    /// another `delegate` are skipped.
    pub(super) delegates: Option<OneOrMany<String>>,
    /// What is done to it before it is measured, where it is a phone; all of it is undone afterwards.
    pub(super) android: Option<AndroidEntry>,
    /// Commands on this host that may bring it back when it fails.
    pub(super) recovery: Option<RecoveryEntry>,
    /// A word for the machine that it shares with others (`bench-pc`): of all devices with this word, one is worked on
    /// at a time, whatever sweeps use them. Boards that are played by one computer, or that hang on one power supply,
    /// would slow each other down.
    pub(super) exclusive: Option<String>,
    /// Where several hosts share the lab and declare this device: those that go first, in this order; the others follow
    /// by name. The entry is the same at each of them.
    #[schemars(length(min = 1))]
    pub(super) hosts: Option<OneOrMany<String>>,
    /// Takes it out of service: the reason, which its skipped cells will give.
    #[schemars(length(min = 1))]
    pub(super) disabled: Option<String>,
}

/// How bytes and commands reach a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TransportEntry {
    /// This host itself.
    Local,
    /// A board with an ssh server.
    Ssh(SshEntry),
    /// An Android device, through an adb server.
    Adb(AdbEntry),
}

/// An Android device: `serial`, `address` or both. The adb server is started when it runs on this host and isn't up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdbEntry {
    /// Serial number, as `adb devices` lists it. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) serial: Option<String>,
    /// `host:port` of a device with adb over TCP; `adb connect` is done when it isn't listed. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) address: Option<String>,
    /// `host:port` of the adb server. Without it: `ADB_SERVER_SOCKET`, `ANDROID_ADB_SERVER_PORT`, then
    /// `127.0.0.1:5037`. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) server: Option<String>,
}

/// An ssh server. What is left out comes from `defaults.ssh`, then from `~/.ssh/config`, then from ssh's own defaults.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SshEntry {
    /// Host name, address, or alias of `~/.ssh/config`. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) host: String,
    /// The one host key that is accepted: `ssh-ed25519 AAAA…` as in a known-hosts file, or `SHA256:…`.
    pub(super) host_key: Option<String>,
    // The fields of `LoginEntry`, once more: serde can't flatten and deny unknown fields at once.
    /// TCP port.
    #[schemars(range(min = 1))]
    pub(super) port: Option<u16>,
    /// Login. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) user: Option<String>,
    /// Private key; without one, the agent's keys and ssh's default files are tried. `${NAME}` and `~/` expand.
    pub(super) identity_file: Option<PathBuf>,
    /// Where the password is found.
    pub(super) password: Option<SecretEntry>,
    /// File of known host keys, instead of ssh's own. `${NAME}` and `~/` expand.
    pub(super) known_hosts: Option<PathBuf>,
    /// Hosts to go through, as in ssh's ProxyJump: `[user@]host[:port]`, separated by commas; `none` for no jump.
    /// `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) proxy_jump: Option<String>,
    /// Which host keys are accepted without a `host_key`: `yes` (those that are known; without it), `accept-new` (also
    /// those of servers of which none is known), `no` (any). What is less than `yes` is told in each row.
    pub(super) host_key_checking: Option<HostKeyChecking>,
    /// Whether broken algorithms will do: ssh-rsa with SHA-1, for servers of ten years ago. Without it, no.
    pub(super) legacy: Option<bool>,
}

/// How to log in to ssh servers.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginEntry {
    /// TCP port.
    #[schemars(range(min = 1))]
    pub(super) port: Option<u16>,
    /// Login. `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) user: Option<String>,
    /// Private key; without one, the agent's keys and ssh's default files are tried. `${NAME}` and `~/` expand.
    pub(super) identity_file: Option<PathBuf>,
    /// Where the password is found.
    pub(super) password: Option<SecretEntry>,
    /// File of known host keys, instead of ssh's own. `${NAME}` and `~/` expand.
    pub(super) known_hosts: Option<PathBuf>,
    /// Hosts to go through, as in ssh's ProxyJump: `[user@]host[:port]`, separated by commas; `none` for no jump.
    /// `${NAME}` expands.
    #[schemars(length(min = 1))]
    pub(super) proxy_jump: Option<String>,
    /// Which host keys are accepted without a `host_key`: `yes` (those that are known; without it), `accept-new` (also
    /// those of servers of which none is known), `no` (any). What is less than `yes` is told in each row.
    pub(super) host_key_checking: Option<HostKeyChecking>,
    /// Whether broken algorithms will do: ssh-rsa with SHA-1, for servers of ten years ago. Without it, no.
    pub(super) legacy: Option<bool>,
}

/// Where a secret is found; the secret itself never stands in a file like this.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretEntry {
    /// The first line of this file. `${NAME}` and `~/` expand.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
}

/// What a device allows.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsEntry {
    /// Longest run, in seconds; a sweep's longer `run_seconds` is cut to it.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 604_800))]
    pub(super) max_run_seconds: Option<f64>,
    /// Space that must stay free on the file system of the workdir, in megabytes (10⁶ bytes).
    #[schemars(range(max = 1_000_000_000))]
    pub(super) min_free_mb: Option<u64>,
    /// Most that models and runners may take there, in megabytes (10⁶ bytes): beyond it, the least recently used leave.
    /// Without it: 8000.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) max_store_mb: Option<u64>,
}

/// Commands on this host that may bring a device back, before it is quarantined. Each is a list: a program and its
/// arguments. No shell reads it, and no variable expands. `reset` is used where it is there; else `power_off`, then
/// `power_on`.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoveryEntry {
    /// Makes it boot anew: `[adb, -s, R58M123ABCD, reboot]`.
    #[schemars(length(min = 1))]
    pub(super) reset: Option<Vec<String>>,
    /// Takes its power away: `[uhubctl, -l, 1-1, -p, "3", -a, off]`.
    #[schemars(length(min = 1))]
    pub(super) power_off: Option<Vec<String>>,
    /// Gives it power again.
    #[schemars(length(min = 1))]
    pub(super) power_on: Option<Vec<String>>,
    /// How long it takes until it may answer again, in seconds. Without it: 30.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) settle_seconds: Option<f64>,
    /// Most recoveries in an hour. Without it: 2.
    #[schemars(range(min = 1, max = 60))]
    pub(super) max_per_hour: Option<u32>,
}

/// What is done to a phone before it is measured, and undone afterwards, also after a crash.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AndroidEntry {
    /// Keeps it from sleeping while it has power. Without it: true.
    pub(super) keep_awake: Option<bool>,
    /// Turns the screen off, where the phone stays awake all the same. Without it: true.
    pub(super) screen_off: Option<bool>,
    /// Turns the radios off; not done where the phone is reached over the network. Without it: false.
    pub(super) airplane_mode: Option<bool>,
    /// Does it as root by the phone's `su`, which also takes a wake lock; `su` may ask for leave on the screen. Where
    /// it refuses, it is done without. Without it: false.
    pub(super) su: Option<bool>,
}
