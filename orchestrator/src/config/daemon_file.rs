//! The form of a daemon file. The comments here are the descriptions of its JSON Schema.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::farm_file::SecretEntry;
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
    /// Where page and API are: an address of this host with a port (`127.0.0.1:7878`, `'[::1]:7878'`; port 0: any that
    /// is free), or `off`. Without it: `127.0.0.1:7878`. Read at the start. Any other address than those of the
    /// loopback needs `tokens`.
    pub(super) listen: Option<String>,
    /// Where the tokens are that `farmctl tokens add` makes. With it, whoever asks must have one; without it, everybody
    /// who reaches the address may do everything. Read at the start; its content whenever it changes.
    pub(super) tokens: Option<TokensEntry>,
    /// Certificate and key, in PEM: then it is https. Read at the start.
    pub(super) tls: Option<TlsEntry>,
    /// Names by which browsers and programs reach this host, besides `localhost`: requests that name another are
    /// refused. Read at the start.
    pub(super) host_names: Option<Vec<String>>,
    /// Zone by whose clocks people are told times, on the page, on the command line, in reports and in messages:
    /// `Europe/Berlin`. Without it: `Etc/UTC`. JSON and CSV have UTC. The page reads it at the start.
    pub(super) timezone: Option<String>,
    /// What is kept for how long, and what leaves. Without it, everything is kept. Sweeps that are pinned (`farmctl
    /// sweeps pin`) and those that are not over stay always.
    pub(super) retention: Option<RetentionEntry>,
    /// Who is told at the end of each sweep, when a device is quarantined, when a check before a sweep finds devices
    /// unfit, when a cell gets slower or is so no more, and when the clock jumps.
    pub(super) notifications: Option<Vec<ChannelEntry>>,
    /// What is done about cells that a sweep of a schedule finds slower, where the schedule does not say otherwise.
    #[serde(default)]
    pub(super) on_regression: RegressionEntry,
    /// Sweeps that are started again and again. Without it, the daemon does only what people ask of it.
    #[serde(default)]
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

/// What is kept for how long. `farmctl retention --dry-run` shows what would leave.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionEntry {
    /// When it is looked at, each day: `04:30`.
    pub(super) at: String,
    /// Zone whose clocks `at` means. Without it: `Etc/UTC`.
    pub(super) timezone: Option<String>,
    /// Folders of reports. While the sweep is there, `farmctl report` can write them anew.
    pub(super) reports: Option<RuleEntry>,
    /// Sweeps, with their records and raw samples, their events and their reports.
    pub(super) sweeps: Option<RuleEntry>,
    /// Events that are older leave, also those of sweeps that stay.
    #[schemars(range(min = 1, max = 36_600))]
    pub(super) events_days: Option<u32>,
    /// Most that models, engines and datasets take in `.farm/artifacts/`, in megabytes (10⁶ bytes); beyond it, the
    /// least recently used leave. They can be had again.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) artifacts_mb: Option<u64>,
    /// Largest share of the lab's sweeps, reports or events that leaves in one go, in percent; one thing always may.
    /// When the rules would take out more, none does, and the daemon says so: `farmctl retention --yes` takes them out.
    /// Without it: 20.
    #[schemars(range(min = 1, max = 100))]
    pub(super) most_percent: Option<u8>,
}

/// A way to tell people.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChannelEntry {
    /// An HTTP server, which gets `{event, about, subject, text}` as JSON. It is tried again while it does not answer.
    Webhook(WebhookEntry),
    /// A program of this host and its arguments; the message comes on its standard input. No shell reads them.
    Command(Vec<String>),
    /// Mail.
    Email(EmailEntry),
}

/// An HTTP server that takes messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookEntry {
    /// Its address: `https://…`.
    pub(super) url: String,
    /// What messages are signed with: the header `X-Farmctl-Signature: sha256=…` is the HMAC-SHA256 of the body.
    pub(super) secret: Option<SecretEntry>,
}

/// Mail, by a server that speaks SMTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailEntry {
    /// Host name or address of the server.
    #[schemars(length(min = 1))]
    pub(super) host: String,
    /// Its TCP port. Without it: 465 for `implicit`, 587 for `starttls`, 25 for `none`.
    #[schemars(range(min = 1))]
    pub(super) port: Option<u16>,
    /// How the connection is kept secret. Without it: `starttls`.
    pub(super) tls: Option<TlsWord>,
    /// Login, where the server wants one.
    pub(super) user: Option<String>,
    /// Where its password is found.
    pub(super) password: Option<SecretEntry>,
    /// Address that mail comes from: `farmctl <lab@example.org>`.
    pub(super) from: String,
    /// Addresses that it goes to.
    pub(super) to: OneOrMany<String>,
}

/// How the connection to a mail server is kept secret.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TlsWord {
    /// By TLS from its first byte.
    Implicit,
    /// By TLS before anything is said of mail.
    Starttls,
    /// Not at all.
    None,
}

/// How much is kept. Whatever breaks one of its parts leaves, the oldest first.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    /// For so many days.
    #[schemars(range(min = 1, max = 36_600))]
    pub(super) days: Option<u32>,
    /// The newest ones.
    #[schemars(range(min = 1))]
    pub(super) count: Option<u32>,
    /// The newest ones that have room in so many megabytes (10⁶ bytes).
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) mb: Option<u64>,
}

/// A sweep that is started again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleEntry {
    /// Name, unique: letters, digits, `.`, `_` and `-`. What was started is remembered by it.
    pub(super) name: String,
    /// When it is due: minute, hour, day of the month, month, day of the week (`0 22 * * *`; `30 1 * * MON-FRI`), with
    /// seconds before them where there are six fields. A time that the change to summer time leaves out is due right
    /// after it; one that is there twice, the first time.
    pub(super) cron: String,
    /// Zone whose clocks `cron` and `window` mean: `Europe/Berlin`, `Etc/UTC`.
    pub(super) timezone: String,
    /// The sweep's file.
    pub(super) sweep: PathBuf,
    /// Devices instead of those that the sweep's file names: `all`, names, globs, tags.
    pub(super) devices: Option<OneOrMany<SelectorEntry>>,
    /// Most devices that its sweep works on at the same time. Without it: as many as `farmctl sweep` (128).
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_parallel: Option<u32>,
    /// When its jobs may be started: `22:00-06:00`. At its end running jobs go on to their end; the rest are done when
    /// it opens again. Without it: at any time.
    pub(super) window: Option<String>,
    /// What happens when it is due and its last sweep has not ended. Without it: `skip`.
    pub(super) overlap: Option<OverlapWord>,
    /// What happens to due times at which no daemon ran. Without it: `once`.
    pub(super) missed: Option<MissedWord>,
    /// It starts up to so much later than it is due. Without it: 0.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) jitter_seconds: Option<f64>,
    /// `true`: before its sweep begins, its devices that nobody uses or keeps locked are checked, as by `farmctl
    /// devices check`. Those that are not fit are told in one notification; the sweep begins all the same. Without it:
    /// false.
    pub(super) check_first: Option<bool>,
    /// What is done about cells that its sweeps find slower. What it does not say, `on_regression` of the file does.
    #[serde(default)]
    pub(super) on_regression: RegressionEntry,
    /// `false` pauses it: nothing is started, and what was due meanwhile is not made up for. Without it: true.
    pub(super) enabled: Option<bool>,
}

/// What is done about cells that a sweep finds slower. Each is told once, and once more when it is gone; `farmctl
/// history ack` makes it the new level.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegressionEntry {
    /// What a finished sweep is compared with: `history` (the sweeps before it: a change shows by its fourth),
    /// `baseline:NAME` (`farmctl baseline set NAME`; needs several runs of each cell in one sweep) or `nothing`.
    /// Without it: `history`.
    pub(super) against: Option<String>,
    /// Smaller changes are none, in per cent. Without it: 3.
    #[schemars(range(min = 0.1, max = 1000))]
    pub(super) threshold_percent: Option<f64>,
    /// `false`: nobody is told by `notifications`; page, API and `farmctl history alarms` show it all the same. Without
    /// it: true.
    pub(super) notify: Option<bool>,
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
