//! A daemon file to its [`Schedule`]s: what they mean, checked with the sweeps that they name.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::domain::{Catalog, Channel, Email, Inventory, MailTls, RegressionRule, SecretSource, Webhook};
use crate::retention::{MOST_PERCENT, Retention, Rule};
use crate::schedule::{Cron, Missed, Overlap, Schedule, Window};

use super::daemon_file::{
    ChannelEntry, DaemonFile, EmailEntry, MissedWord, OverlapWord, RegressionEntry, RetentionEntry, RuleEntry,
    ScheduleEntry, TlsEntry, TlsWord, WebhookEntry,
};
use super::document::{Document, Step, place};
use super::farm_file::SecretEntry;
use super::fault::{ConfigErrors, Fault, code, did_you_mean};
use super::selector;
use super::source::Source;
use super::sweep;

/// Bytes in a megabyte of `mb` and `artifacts_mb`.
const BYTES_PER_MB: u64 = 1_000_000;
/// Longest name of a schedule.
const MAX_NAME_CHARS: usize = 64;
/// Due times that are held against the window: a year of nights.
const DUE_TIMES_LOOKED_AT: usize = 366;

/// Minutes between two probes, where the file does not say.
const DEFAULT_PROBE_MINUTES: u32 = 15;

/// Where page and API are, where the file does not say.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7878));

/// How page and API are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The file of tokens; `None`: nobody needs one.
    pub tokens: Option<PathBuf>,
    /// Certificate and key; `None`: no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names of this host besides those of the loopback.
    pub host_names: Vec<String>,
    /// The zone whose clocks the page shows.
    pub time_zone: TimeZone,
}

/// What a daemon file says.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// How page and API are reached.
    pub access: Access,
    /// Sweeps that are started again and again.
    pub schedules: Vec<Schedule>,
    /// How often devices that nobody uses are asked; `None`: never.
    pub probe_every: Option<Duration>,
    /// What is kept for how long; `None`: everything, for ever.
    pub retention: Option<Retention>,
    /// Who is told what happened.
    pub channels: Vec<Channel>,
}

/// What a file says.
pub(super) fn load(source: Source, inventory: &Inventory, catalog: &Catalog) -> Result<DaemonConfig, ConfigErrors> {
    let mut reader = Reader { document: Document::new(source), inventory, catalog, sweeps: Vec::new() };
    let Some(mut content) = reader.document.content.take() else {
        return ConfigErrors::unless_clean(None, reader.document.faults);
    };
    let access = reader.access(&mut content);
    let minutes = content.probe_minutes.unwrap_or(DEFAULT_PROBE_MINUTES);
    let probe_every = Some(Duration::from_secs(60 * u64::from(minutes))).filter(|pause| !pause.is_zero());
    let retention = content.retention.and_then(|entry| reader.retention(&entry));
    let entries = content.notifications.unwrap_or_default().into_iter().enumerate();
    let channels = entries.filter_map(|(index, entry)| reader.channel(entry, index)).collect();
    let rule = reader.on_regression(&content.on_regression, &RegressionRule::default(), place!["on_regression"]);
    let mut names = BTreeSet::new();
    let mut schedules = Vec::new();
    for (index, entry) in content.schedules.into_iter().enumerate() {
        if !names.insert(entry.name.clone()) {
            let message = format!("the schedule {} is there twice", code(&entry.name));
            reader.document.refuse(place!["schedules", index, "name"], message, None);
        }
        schedules.extend(reader.schedule(entry, index, &rule));
    }
    let faults = [reader.document.faults, reader.sweeps].concat();
    ConfigErrors::unless_clean(Some(DaemonConfig { access, schedules, probe_every, retention, channels }), faults)
}

struct Reader<'a> {
    document: Document<DaemonFile>,
    inventory: &'a Inventory,
    catalog: &'a Catalog,
    /// Faults of the sweeps' own files.
    sweeps: Vec<Fault>,
}

impl Reader<'_> {
    /// How page and API are reached: anybody may ask only where nobody but this host's own people can.
    fn access(&mut self, content: &mut DaemonFile) -> Access {
        let folder = self.document.source.file.parent().map(PathBuf::from).unwrap_or_default();
        let listen = match content.listen.as_deref() {
            None => Some(DEFAULT_LISTEN),
            Some("off") => None,
            Some(text) => match text.parse::<SocketAddr>() {
                Ok(address) => Some(address),
                Err(_) => {
                    let hint = "for example `127.0.0.1:7878`, `'[::1]:7878'` or `off`".to_owned();
                    let message = format!("{} is no address with a port", code(text));
                    self.document.refuse(place!["listen"], message, Some(hint));
                    None
                }
            },
        };
        let tokens = content.tokens.take().map(|tokens| folder.join(tokens.file));
        if let Some(address) = listen.filter(|address| !address.ip().is_loopback() && tokens.is_none()) {
            let hint = "`farmctl tokens add NAME --role admin` makes one; name its file as `tokens`".to_owned();
            let message = format!("{address} can be reached from other hosts: it needs `tokens`");
            self.document.refuse(place!["listen"], message, Some(hint));
        }
        let tls = content.tls.take().map(|TlsEntry { certificate, key }| (folder.join(certificate), folder.join(key)));
        let host_names = content.host_names.take().unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        for (index, name) in host_names.iter().enumerate() {
            if name.is_empty() || !name.chars().all(allowed) {
                let message = format!("{} is no host name", code(name));
                let hint = "without scheme and port: `lab.example.org`".to_owned();
                self.document.refuse(place!["host_names", index], message, Some(hint));
            }
        }
        let time_zone = content.timezone.take().and_then(|name| self.time_zone(&name, place!["timezone"]));
        Access { listen, tokens, tls, host_names, time_zone: time_zone.unwrap_or(TimeZone::UTC) }
    }

    /// A schedule; `None` when a part of it can't be read.
    fn schedule(&mut self, entry: ScheduleEntry, index: usize, rule: &RegressionRule) -> Option<Schedule> {
        self.name(&entry.name, index);
        let cron = self.cron(&entry.cron, index);
        let time_zone = self.time_zone(&entry.timezone, place!["schedules", index, "timezone"]);
        let window = match entry.window.as_deref().map(str::parse::<Window>) {
            None => Ok(None),
            Some(Ok(window)) => Ok(Some(window)),
            Some(Err(cause)) => {
                let message = format!("{} is no window: {cause}", code(entry.window.as_deref().unwrap_or_default()));
                self.document.refuse(place!["schedules", index, "window"], message, None);
                Err(())
            }
        };
        let sweep = self.sweep(entry.sweep, index);
        let devices = entry.devices.map(|devices| devices.into_vec()).unwrap_or_default();
        let place = place!["schedules", index, "devices"];
        let devices = selector::selectors(&mut self.document, self.inventory, devices, place);
        let place = place!["schedules", index, "on_regression"];
        let on_regression = self.on_regression(&entry.on_regression, rule, place);
        let schedule = Schedule {
            name: entry.name,
            cron: cron?,
            time_zone: time_zone?,
            sweep,
            devices,
            max_parallel: entry.max_parallel,
            window: window.ok()?,
            overlap: match entry.overlap {
                None | Some(OverlapWord::Skip) => Overlap::Skip,
                Some(OverlapWord::Queue) => Overlap::Queue,
                Some(OverlapWord::Replace) => Overlap::Replace,
            },
            missed: match entry.missed {
                None | Some(MissedWord::Once) => Missed::Once,
                Some(MissedWord::All) => Missed::All,
                Some(MissedWord::None) => Missed::None,
            },
            jitter: Duration::from_secs_f64(entry.jitter_seconds.unwrap_or_default()),
            checks_first: entry.check_first.unwrap_or(false),
            on_regression,
            is_enabled: entry.enabled.unwrap_or(true),
        };
        self.meaning(&schedule, index);
        Some(schedule)
    }

    fn name(&mut self, name: &str, index: usize) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed);
        if !good || name.len() > MAX_NAME_CHARS {
            let hint = format!("use at most {MAX_NAME_CHARS} letters, digits, `.`, `_` and `-`");
            let message = format!("{} is no good name for a schedule", code(name));
            self.document.refuse(place!["schedules", index, "name"], message, Some(hint));
        }
    }

    /// What is done about cells that got slower: what the entry says, and this rule where it says nothing.
    fn on_regression(&mut self, entry: &RegressionEntry, rule: &RegressionRule, place: &[Step<'_>]) -> RegressionRule {
        let against = match entry.against.as_deref() {
            None => rule.against.clone(),
            Some("nothing") => None,
            Some(text) => match text.parse() {
                Ok(against) => Some(against),
                Err(_) => {
                    let message = format!("{} is nothing to compare with", code(text));
                    let hint =
                        "write `history`, `baseline:NAME` (letters, digits, -, _ and . alone) or `nothing`".to_owned();
                    self.document.refuse(&[place, &[Step::Field("against")]].concat(), message, Some(hint));
                    None
                }
            },
        };
        RegressionRule {
            against,
            threshold_percent: entry.threshold_percent.unwrap_or(rule.threshold_percent),
            is_told: entry.notify.unwrap_or(rule.is_told),
        }
    }

    fn cron(&mut self, text: &str, index: usize) -> Option<Cron> {
        match text.parse() {
            Ok(cron) => Some(cron),
            Err(cause) => {
                let hint =
                    "for example `0 22 * * *`: minute, hour, day of the month, month, day of the week".to_owned();
                let message = format!("{} is no cron expression: {cause}", code(text));
                self.document.refuse(place!["schedules", index, "cron"], message, Some(hint));
                None
            }
        }
    }

    /// Who is told; `None` when a part of it can't be read.
    fn channel(&mut self, entry: ChannelEntry, index: usize) -> Option<Channel> {
        match entry {
            ChannelEntry::Webhook(WebhookEntry { url, secret }) => {
                if !url.starts_with("https://") && !url.starts_with("http://") {
                    let hint = Some("an address begins with `https://`".to_owned());
                    let place = place!["notifications", index, "webhook", "url"];
                    self.document.refuse(place, "this is no address of a web server", hint);
                    return None;
                }
                let secret = secret.map(|secret| self.secret(secret));
                Some(Channel::Webhook(Webhook { url, secret }))
            }
            ChannelEntry::Command(argv) if argv.is_empty() => {
                let message = "the command is empty: it takes a program and its arguments";
                self.document.refuse(place!["notifications", index, "command"], message, None);
                None
            }
            ChannelEntry::Command(argv) => Some(Channel::Command(argv)),
            ChannelEntry::Email(entry) => self.email(entry, index).map(Channel::Email),
        }
    }

    fn email(&mut self, entry: EmailEntry, index: usize) -> Option<Email> {
        let (tls, port) = match entry.tls {
            Some(TlsWord::Implicit) => (MailTls::Implicit, 465),
            None | Some(TlsWord::Starttls) => (MailTls::Starttls, 587),
            Some(TlsWord::None) => (MailTls::None, 25),
        };
        let to = entry.to.into_vec();
        let mut is_good = true;
        for address in to.iter().chain([&entry.from]).filter(|address| !address.contains('@')) {
            let message = format!("{} is no mail address", code(address));
            self.document.refuse(place!["notifications", index, "email"], message, None);
            is_good = false;
        }
        let login = match (entry.user, entry.password) {
            (Some(user), Some(password)) => Some((user, self.secret(password))),
            (None, None) => None,
            _ => {
                let message = "`user` and `password` go together";
                self.document.refuse(place!["notifications", index, "email"], message, None);
                return None;
            }
        };
        let port = entry.port.unwrap_or(port);
        is_good.then_some(Email { host: entry.host, port, tls, login, from: entry.from, to })
    }

    /// Where a secret is found; a file is beside this one.
    fn secret(&self, secret: SecretEntry) -> SecretSource {
        let folder = self.document.source.file.parent().map(PathBuf::from).unwrap_or_default();
        match secret {
            SecretEntry::File(file) => SecretSource::File(folder.join(file)),
            SecretEntry::Environment(name) => SecretSource::Environment(name),
        }
    }

    /// What is kept; `None` when a part of it can't be read.
    fn retention(&mut self, entry: &RetentionEntry) -> Option<Retention> {
        let at = Time::strptime("%H:%M", &entry.at).ok();
        if at.is_none() {
            let message = format!("{} is no time of the day", code(&entry.at));
            self.document.refuse(place!["retention", "at"], message, Some("for example `04:30`".to_owned()));
        }
        let zone = entry.timezone.as_deref().unwrap_or("Etc/UTC");
        let time_zone = self.time_zone(zone, place!["retention", "timezone"]);
        let rule = |entry: Option<RuleEntry>| {
            let RuleEntry { days, count, mb } = entry.unwrap_or_default();
            Rule { days, count, bytes: mb.map(|mb| mb * BYTES_PER_MB) }
        };
        Some(Retention {
            at: at?,
            time_zone: time_zone?,
            reports: rule(entry.reports),
            sweeps: rule(entry.sweeps),
            events_days: entry.events_days,
            artifacts_bytes: entry.artifacts_mb.map(|mb| mb * BYTES_PER_MB),
            most_percent: entry.most_percent.unwrap_or(MOST_PERCENT),
        })
    }

    fn time_zone(&mut self, name: &str, place: &[Step<'_>]) -> Option<TimeZone> {
        match TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
                let hint = did_you_mean(name, known.iter().map(String::as_str));
                let message = format!("unknown time zone {}", code(name));
                self.document.refuse(place, message, hint);
                None
            }
        }
    }

    /// The sweep's path, after its file was looked through.
    fn sweep(&mut self, path: PathBuf, index: usize) -> PathBuf {
        let folder = self.document.source.file.parent().map(PathBuf::from).unwrap_or_default();
        let path = folder.join(path);
        match Source::read(&path) {
            Ok(source) => {
                if let Err(errors) = sweep::load(source, self.inventory, self.catalog) {
                    let known = |fault: &Fault| self.sweeps.contains(fault);
                    let new: Vec<Fault> = errors.faults.into_iter().filter(|fault| !known(fault)).collect();
                    self.sweeps.extend(new);
                }
            }
            Err(fault) => {
                let message = format!("{}: {}", path.display(), fault.message);
                let hint = "check the path; it is relative to the folder of this file".to_owned();
                self.document.refuse(place!["schedules", index, "sweep"], message, Some(hint));
            }
        }
        path
    }

    /// Refuses what contradicts itself.
    fn meaning(&mut self, schedule: &Schedule, index: usize) {
        if schedule.missed == Missed::All && schedule.overlap != Overlap::Queue {
            let hint = "say `overlap: queue`: sweeps that are made up for wait for each other".to_owned();
            let message = "`missed: all` can't be had with this `overlap`";
            self.document.refuse(place!["schedules", index, "missed"], message, Some(hint));
        }
        // From a fixed moment, so that a file that is right today is right tomorrow.
        let next = |after: &Timestamp| schedule.next_due(*after);
        let first = schedule.next_due(Timestamp::constant(1_767_225_600, 0));
        let mut dues = std::iter::successors(first, next).take(DUE_TIMES_LOOKED_AT).peekable();
        if dues.peek().is_none() {
            self.document.refuse(place!["schedules", index, "cron"], "it is never due", None);
        } else if !dues.any(|due_at| schedule.opening(due_at).is_open()) {
            let message = "the window is never open when the sweep is due";
            let hint = "let `cron` name a time inside the window; its beginning, for example".to_owned();
            self.document.refuse(place!["schedules", index, "window"], message, Some(hint));
        }
    }
}
