//! Farm files to an [`Inventory`]: what they mean, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::{AndroidOptions, Device, DeviceLimits, Inventory, Recovery, SshEndpoint, Tag, TransportConfig};
use crate::wording::BYTES_PER_MB;

use super::backends::check_delegate;
use super::document::{Document, Step, place};
use super::expand::Environment;
use super::farm_file::{AndroidEntry, Defaults, DeviceEntry, FarmFile, LimitsEntry, RecoveryEntry, TransportEntry};
use super::fault::{ConfigErrors, Fault, code};
use super::source::Source;

/// Workdir of this host itself.
const LOCAL_WORKDIR: &str = "~/.cache/farmctl/device";
/// Workdir of a board: short, and in the one folder that is sure to be there.
const SSH_WORKDIR: &str = "~/.farmctl";
/// Workdir of an Android device: the one folder where adb's user may write and run programs.
pub(super) const ADB_WORKDIR: &str = "/data/local/tmp/farmctl";
/// Longest name of a device or farm, since both become columns and file names.
const MAX_NAME_CHARS: usize = 64;
/// How long a device takes after its recovery, where its entry does not say.
const DEFAULT_SETTLE_SECONDS: f64 = 30.0;
/// Most recoveries of a device in an hour, where its entry does not say.
const DEFAULT_RECOVERIES_PER_HOUR: u32 = 2;

/// The farm files themselves, given files and folders: of a folder all `*.yaml` and `*.yml`, sorted by name.
pub(super) fn files(paths: &[PathBuf], faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let found = match std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()) {
            Ok(entries) => entries,
            Err(error) => {
                faults.push(Fault::whole_file(path, format!("failed to list the folder: {error}")));
                continue;
            }
        };
        let mut found: Vec<PathBuf> =
            found.iter().map(|entry| entry.path()).filter(|path| is_farm_file(path)).collect();
        found.sort();
        if found.is_empty() {
            let fault = Fault::whole_file(path, "the folder has no farm file (*.yaml)");
            faults.push(fault.hint("write one; `farms/boards.yaml.example` shows how"));
        }
        files.extend(found);
    }
    files
}

fn is_farm_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    yaml && !hidden && !path.is_dir()
}

/// All devices of several files, and every fault of all of them.
pub(super) fn load(
    sources: Vec<Source>,
    mut faults: Vec<Fault>,
    env: Environment<'_>,
) -> Result<Inventory, ConfigErrors> {
    let mut devices: Vec<Device> = Vec::new();
    let mut declared: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        let mut farm = Farm { document: Document::<FarmFile>::new(source), environment: env };
        for (device, index) in farm.devices() {
            let place = place!["devices", index, "name"];
            let span = farm.document.span(place);
            let here = format!("{}:{}", farm.document.source.at(span), span.column);
            if let Some(first) = declared.get(&device.name) {
                let fault = farm.document.fault(place, format!("the device {} is there twice", code(&device.name)));
                let fault = fault.note(format!("first at {first}"));
                farm.document.faults.push(fault.hint("names are unique over all farm files; rename one"));
                continue;
            }
            declared.insert(device.name.clone(), here);
            devices.push(device);
        }
        faults.append(&mut farm.document.faults);
    }
    ConfigErrors::unless_clean(Some(Inventory { devices, host_target: None }), faults)
}

pub(super) struct Farm<'e> {
    pub(super) document: Document<FarmFile>,
    pub(super) environment: Environment<'e>,
}

impl Farm<'_> {
    /// The devices of this file, each with its place in the list.
    fn devices(&mut self) -> Vec<(Device, usize)> {
        let Some(content) = self.document.content.take() else { return Vec::new() };
        let stem = self.document.source.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let farm = match content.farm {
            Some(farm) => {
                self.name(&farm, place!["farm"]);
                farm
            }
            None => stem.unwrap_or_else(|| "farm".to_owned()),
        };
        let defaults = content.defaults.unwrap_or_default();
        let tags = self.tags(defaults.tags.as_ref().map(|tags| tags.clone().into_vec()), place!["defaults", "tags"]);
        if let Some(workdir) = &defaults.workdir {
            self.workdir(workdir, place!["defaults", "workdir"]);
        }
        let login = defaults.ssh.clone().unwrap_or_default();
        let login = self.login(login, place!["defaults", "ssh"]);
        let mut devices = Vec::new();
        if let Some(word) = &defaults.exclusive {
            self.name(word, place!["defaults", "exclusive"]);
        }
        for (index, entry) in content.devices.into_iter().enumerate() {
            let device = self.device(entry, index, &farm, &defaults, &tags, &login);
            devices.push((Device { max_parallel: content.max_parallel, ..device }, index));
        }
        devices
    }

    fn device(
        &mut self,
        entry: DeviceEntry,
        index: usize,
        farm: &str,
        defaults: &Defaults,
        default_tags: &BTreeSet<Tag>,
        login: &SshEndpoint,
    ) -> Device {
        self.name(&entry.name, place!["devices", index, "name"]);
        if entry.name == "all" {
            let message = "`all` can't be the name of a device: in a sweep it means every device";
            self.document.refuse(place!["devices", index, "name"], message, None);
        }
        if let Some(word) = &entry.exclusive {
            self.name(word, place!["devices", index, "exclusive"]);
        }
        let own = self.tags(entry.tags.map(|tags| tags.into_vec()), place!["devices", index, "tags"]);
        let mut tags: BTreeSet<Tag> =
            default_tags.iter().filter(|tag| !own.iter().any(|own| own.key == tag.key)).cloned().collect();
        tags.extend(own);
        if let Some(workdir) = &entry.workdir {
            self.workdir(workdir, place!["devices", index, "workdir"]);
        }
        let transport = match entry.transport {
            TransportEntry::Local => TransportConfig::Local,
            TransportEntry::Ssh(ssh) => TransportConfig::Ssh(self.ssh(ssh, index, login)),
            TransportEntry::Adb(adb) => TransportConfig::Adb(self.adb(adb, index)),
        };
        let default_workdir = match transport {
            TransportConfig::Local => LOCAL_WORKDIR,
            TransportConfig::Ssh(_) => SSH_WORKDIR,
            TransportConfig::Adb(_) => ADB_WORKDIR,
        };
        // A phone's shell has no home folder, so what lies below the home of the others can't be meant for it.
        let is_phone = matches!(transport, TransportConfig::Adb(_));
        let common = defaults.workdir.clone().filter(|workdir| !is_phone || workdir.starts_with('/'));
        let workdir = entry.workdir.or(common);
        let delegates = entry.delegates.map(|words| words.into_vec()).unwrap_or_default();
        self.document.refuse_repeats(place!["devices", index, "delegates"], &delegates);
        for (number, word) in delegates.iter().enumerate() {
            check_delegate(&mut self.document, word, place!["devices", index, "delegates", number]);
        }
        let preferred_hosts = self.hosts(entry.hosts.map(|hosts| hosts.into_vec()), index);
        let span = self.document.span(place!["devices", index, "name"]);
        Device {
            name: entry.name,
            farm: farm.to_owned(),
            tags,
            transport,
            workdir: workdir.unwrap_or_else(|| default_workdir.to_owned()),
            notes: entry.notes,
            limits: limits(entry.limits.unwrap_or_default(), defaults.limits.unwrap_or_default()),
            price_per_hour: entry.price_per_hour,
            delegates: delegates.into_iter().collect(),
            android: android(entry.android.unwrap_or_default(), defaults.android.unwrap_or_default()),
            recovery: entry.recovery.map(recovery).unwrap_or_default(),
            exclusive: entry.exclusive.or_else(|| defaults.exclusive.clone()),
            max_parallel: None,
            preferred_hosts,
            disabled: entry.disabled,
            declared_at: self.document.source.at(span),
            is_elsewhere: false,
        }
    }

    fn name(&mut self, name: &str, place: &[Step<'_>]) {
        check_name(&mut self.document, name, place);
    }

    fn hosts(&mut self, names: Option<Vec<String>>, index: usize) -> Vec<String> {
        let names = names.unwrap_or_default();
        self.document.refuse_repeats(place!["devices", index, "hosts"], &names);
        for (number, name) in names.iter().enumerate() {
            self.name(name, place!["devices", index, "hosts", number]);
        }
        names
    }

    fn tags(&mut self, words: Option<Vec<String>>, place: &[Step<'_>]) -> BTreeSet<Tag> {
        let mut tags = BTreeSet::new();
        let words = words.unwrap_or_default();
        self.document.refuse_repeats(place, &words);
        for (index, word) in words.iter().enumerate() {
            match tag(word) {
                Some(tag) => {
                    tags.insert(tag);
                }
                None => {
                    let place = [place, &[Step::Item(index)]].concat();
                    self.document.refuse(&place, format!("{} is no tag", code(word)), Some(TAG_FORM.to_owned()));
                }
            }
        }
        tags
    }

    fn workdir(&mut self, workdir: &str, place: &[Step<'_>]) {
        let wrong = if workdir.is_empty() || matches!(workdir.trim_end_matches('/'), "" | "~" | "." | "..") {
            "the workdir must be a folder that belongs to farmctl alone"
        } else if workdir.chars().any(char::is_control) {
            "the workdir has a control character"
        } else if workdir.contains("${") {
            "environment variables don't expand in a workdir, which is a path on the device"
        } else if workdir.starts_with('~') && !workdir.starts_with("~/") {
            "only `~/`, the home folder of the login, expands in a workdir"
        } else {
            return;
        };
        self.document.refuse(place, wrong, Some("for example `~/.farmctl` or `/data/farmctl`".to_owned()));
    }
}

/// Refuses what is no name of a device, a farm or a host.
pub(super) fn check_name<T>(document: &mut Document<T>, name: &str, place: &[Step<'_>]) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good_start = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !good_start || !name.chars().all(allowed) || name.chars().count() > MAX_NAME_CHARS {
        let hint = format!(
            "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit; at most {MAX_NAME_CHARS}"
        );
        document.refuse(place, format!("{} is no good name", code(name)), Some(hint));
    }
}

/// What a tag looks like.
pub(super) const TAG_FORM: &str =
    "write `key=value` or a plain word, of letters, digits, `.`, `_`, `-`, and in the value also `+`, `:`, `/`";

/// Reads `key=value` or a plain word.
pub(super) fn tag(word: &str) -> Option<Tag> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word, None),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let key_good = !key.is_empty() && key.chars().all(plain);
    let value_good =
        value.is_none_or(|value| !value.is_empty() && value.chars().all(|c| plain(c) || matches!(c, '+' | ':' | '/')));
    (key_good && value_good).then(|| Tag { key: key.to_owned(), value: value.map(str::to_owned) })
}

fn limits(own: LimitsEntry, defaults: LimitsEntry) -> DeviceLimits {
    DeviceLimits {
        max_run_seconds: own.max_run_seconds.or(defaults.max_run_seconds),
        min_free_bytes: own.min_free_mb.or(defaults.min_free_mb).map(|mb| mb.saturating_mul(BYTES_PER_MB)),
        max_store_bytes: own.max_store_mb.or(defaults.max_store_mb).map(|mb| mb.saturating_mul(BYTES_PER_MB)),
    }
}

fn recovery(entry: RecoveryEntry) -> Recovery {
    Recovery {
        reset: entry.reset,
        power_off: entry.power_off,
        power_on: entry.power_on,
        settle_seconds: entry.settle_seconds.unwrap_or(DEFAULT_SETTLE_SECONDS),
        max_per_hour: entry.max_per_hour.unwrap_or(DEFAULT_RECOVERIES_PER_HOUR),
    }
}

fn android(own: AndroidEntry, defaults: AndroidEntry) -> AndroidOptions {
    let otherwise = AndroidOptions::default();
    AndroidOptions {
        keep_awake: own.keep_awake.or(defaults.keep_awake).unwrap_or(otherwise.keep_awake),
        screen_off: own.screen_off.or(defaults.screen_off).unwrap_or(otherwise.screen_off),
        airplane_mode: own.airplane_mode.or(defaults.airplane_mode).unwrap_or(otherwise.airplane_mode),
        su: own.su.or(defaults.su).unwrap_or(otherwise.su),
    }
}
