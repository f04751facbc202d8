//! The form of a daemon file. The comments here are the descriptions of its JSON Schema.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::sweep_file::SelectorEntry;
use super::words::OneOrMany;

/// What `farmctl daemon` does by itself. Paths are relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl daemon (configs/daemon.yaml)")]
pub(super) struct DaemonFile {
    /// How often devices that nobody uses are asked what they are, in minutes; 0: never. Without it: 15. A device that
    /// answers is back from quarantine once its next health probe is due.
    #[schemars(range(max = 10_080))]
    pub(super) probe_minutes: Option<u32>,
    /// Where page and API are: an address of this host with a port (`127.0.0.1:7878`, `'[::1]:7878'`; port 0: any that is
    /// free), or `off`. Without it: `127.0.0.1:7878`. Read at the start. Any other address than those of the loopback
    /// needs `tokens`.
    pub(super) listen: Option<String>,
    /// Where the tokens are that `farmctl tokens add` makes. With it, whoever asks must have one; without it, everybody
    /// who reaches the address may do everything. Read at the start; its content whenever it changes.
    pub(super) tokens: Option<TokensEntry>,
    /// Certificate and key, in PEM: then it is https. Read at the start.
    pub(super) tls: Option<TlsEntry>,
    /// Names by which browsers and programs reach this host, besides `localhost`: requests that name another are refused.
    /// Read at the start.
    pub(super) host_names: Option<Vec<String>>,
    /// Sweeps that are started again and again.
    #[schemars(length(min = 1))]
    pub(super) schedules: Vec<ScheduleEntry>,
}

/// Where tokens are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokensEntry {
    /// A file that only its owner can read.
    pub(super) file: PathBuf,
}

/// Certificate and key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsEntry {
    /// The certificate, followed by those that vouch for it.
    pub(super) certificate: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
}

/// A sweep that is started again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleEntry {
    /// Name, unique: letters, digits, `.`, `_` and `-`. What was started is remembered by it.
    pub(super) name: String,
    /// When it is due: minute, hour, day of the month, month, day of the week (`0 22 * * *`; `30 1 * * MON-FRI`), with
    /// seconds before them where there are six fields. A time that the change to summer time leaves out is due right after
    /// it; one that is there twice, the first time.
    pub(super) cron: String,
    /// Zone whose clocks `cron` and `window` mean: `Europe/Berlin`, `Etc/UTC`.
    pub(super) timezone: String,
    /// The sweep's file.
    pub(super) sweep: PathBuf,
    /// Devices instead of those that the sweep's file names: `all`, names, globs, tags.
    pub(super) devices: Option<OneOrMany<SelectorEntry>>,
    /// When its jobs may be started: `22:00-06:00`. At its end running jobs go on to their end; the rest are done when it
    /// opens again. Without it: at any time.
    pub(super) window: Option<String>,
    /// What happens when it is due and its last sweep has not ended. Without it: `skip`.
    pub(super) overlap: Option<OverlapWord>,
    /// What happens to due times at which no daemon ran. Without it: `once`.
    pub(super) missed: Option<MissedWord>,
    /// It starts up to so much later than it is due. Without it: 0.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) jitter_seconds: Option<f64>,
    /// `false` pauses it: nothing is started, and what was due meanwhile is not made up for. Without it: true.
    pub(super) enabled: Option<bool>,
}

/// What happens when a sweep is due and the one before it has not ended.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OverlapWord {
    /// It is left out.
    Skip,
    /// It waits until that one has ended.
    Queue,
    /// That one is cancelled.
    Replace,
}

/// What happens to due times at which no daemon ran.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MissedWord {
    /// One sweep makes up for all of them.
    Once,
    /// Each is made up for, one after the other; needs `overlap: queue`.
    All,
    /// None is made up for.
    None,
}
