//! Farm files to an [`Inventory`]: what they mean, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::{
    AdbEndpoint, AndroidOptions, Device, DeviceLimits, HostKey, Inventory, Recovery, SecretSource, SshEndpoint, Tag,
    TransportConfig,
};

use super::backends::check_delegate;
use super::document::{Document, Step, place};
use super::expand::{self, Environment};
use super::farm_file::{
    AdbEntry, AndroidEntry, Defaults, DeviceEntry, FarmFile, LimitsEntry, LoginEntry, RecoveryEntry, SecretEntry,
    SshEntry, TransportEntry,
};
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
/// Bytes in a megabyte of `min_free_mb` and `max_store_mb`.
const BYTES_PER_MB: u64 = 1_000_000;
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

struct Farm<'e> {
    document: Document<FarmFile>,
    environment: Environment<'e>,
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
            disabled: entry.disabled,
            declared_at: self.document.source.at(span),
        }
    }

    fn name(&mut self, name: &str, place: &[Step<'_>]) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good_start = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !good_start || !name.chars().all(allowed) || name.chars().count() > MAX_NAME_CHARS {
            let hint = format!(
                "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit; at most {MAX_NAME_CHARS}"
            );
            self.document.refuse(place, format!("{} is no good name", code(name)), Some(hint));
        }
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

    fn ssh(&mut self, entry: SshEntry, index: usize, defaults: &SshEndpoint) -> SshEndpoint {
        let place: &[Step<'_>] = place!["devices", index, "transport", "ssh"];
        let SshEntry {
            host,
            host_key,
            port,
            user,
            identity_file,
            password,
            known_hosts,
            proxy_jump,
            host_key_checking,
            legacy,
        } = entry;
        let own =
            LoginEntry { port, user, identity_file, password, known_hosts, proxy_jump, host_key_checking, legacy };
        let own = self.login(own, place);
        let host = self.expanded(host, &[place, &[Step::Field("host")]].concat());
        if let Some(key) = &host_key {
            self.host_key(key, &[place, &[Step::Field("host_key")]].concat());
        }
        if host.starts_with('-') || host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@') {
            let hint = host.contains('@').then(|| "the login goes into `user`".to_owned());
            let place = [place, &[Step::Field("host")]].concat();
            self.document.refuse(&place, format!("{} is no host", code(&host)), hint);
        }
        SshEndpoint {
            host,
            port: own.port.or(defaults.port),
            user: own.user.or_else(|| defaults.user.clone()),
            identity_file: own.identity_file.or_else(|| defaults.identity_file.clone()),
            password: own.password.or_else(|| defaults.password.clone()),
            known_hosts: own.known_hosts.or_else(|| defaults.known_hosts.clone()),
            host_key: host_key.map(|key| HostKey(key.trim().to_owned())),
            proxy_jump: own.proxy_jump.or_else(|| defaults.proxy_jump.clone()),
            host_key_checking: host_key_checking.unwrap_or(defaults.host_key_checking),
            legacy: legacy.unwrap_or(defaults.legacy),
        }
    }

    fn adb(&mut self, entry: AdbEntry, index: usize) -> AdbEndpoint {
        let place: &[Step<'_>] = place!["devices", index, "transport", "adb"];
        if entry.serial.is_none() && entry.address.is_none() {
            let hint = "write `serial: …` as `adb devices` lists it, or `address: host:port`".to_owned();
            self.document.refuse(place, "an adb device needs `serial` or `address`", Some(hint));
        }
        let at = |field| [place, &[Step::Field(field)]].concat();
        let serial = entry.serial.map(|serial| self.expanded(serial, &at("serial")));
        if let Some(serial) = &serial
            && (serial.trim().is_empty() || serial.trim() != serial || serial.chars().any(char::is_control))
        {
            self.document.refuse(&at("serial"), format!("{} is no serial number", code(serial)), None);
        }
        let address = entry.address.map(|address| self.host_and_port(address, &at("address")));
        let server = entry.server.map(|server| self.host_and_port(server, &at("server")));
        AdbEndpoint { serial, address, server }
    }

    fn host_and_port(&mut self, text: String, place: &[Step<'_>]) -> String {
        let text = self.expanded(text, place);
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
            let plain = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
            (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !good {
            let hint = "write `host:port`, for example `192.0.2.31:5555` or `[2001:db8::31]:5555`".to_owned();
            self.document.refuse(place, format!("{} is no address with a port", code(&text)), Some(hint));
        }
        text
    }

    fn login(&mut self, entry: LoginEntry, place: &[Step<'_>]) -> SshEndpoint {
        let at = |field| [place, &[Step::Field(field)]].concat();
        SshEndpoint {
            host: String::new(),
            port: entry.port,
            user: entry.user.map(|user| self.expanded(user, &at("user"))),
            identity_file: entry.identity_file.and_then(|file| self.path(&file, &at("identity_file"))),
            password: entry.password.and_then(|secret| self.secret(secret, &at("password"))),
            known_hosts: entry.known_hosts.and_then(|file| self.path(&file, &at("known_hosts"))),
            host_key: None,
            proxy_jump: entry.proxy_jump.map(|jump| self.expanded(jump, &at("proxy_jump"))),
            host_key_checking: entry.host_key_checking.unwrap_or_default(),
            legacy: entry.legacy.unwrap_or_default(),
        }
    }

    fn host_key(&mut self, key: &str, place: &[Step<'_>]) {
        let words: Vec<&str> = key.split_whitespace().collect();
        let good = match words.as_slice() {
            [fingerprint] => fingerprint.strip_prefix("SHA256:").is_some_and(|hash| hash.len() == 43),
            [kind, blob, ..] => (kind.starts_with("ssh-") || kind.starts_with("ecdsa-")) && blob.starts_with("AAAA"),
            [] => false,
        };
        if !good {
            let hint = "write `ssh-ed25519 AAAA…`, as `ssh-keyscan HOST` prints it behind the host, or `SHA256:…`";
            self.document.refuse(place, "this is no host key", Some(hint.to_owned()));
        }
    }

    fn secret(&mut self, secret: SecretEntry, place: &[Step<'_>]) -> Option<SecretSource> {
        match secret {
            SecretEntry::File(file) => {
                self.path(&file, &[place, &[Step::Field("file")]].concat()).map(SecretSource::File)
            }
            SecretEntry::Environment(name) if expand::is_variable_name(&name) => Some(SecretSource::Environment(name)),
            SecretEntry::Environment(name) => {
                let place = [place, &[Step::Field("environment")]].concat();
                let message = format!("{} is no name of an environment variable", code(&name));
                self.document.refuse(&place, message, Some("write the name alone, without `$`".to_owned()));
                None
            }
        }
    }

    fn expanded(&mut self, text: String, place: &[Step<'_>]) -> String {
        match expand::variables(&text, self.environment) {
            Ok(expanded) if !expanded.is_empty() => expanded,
            Ok(_) => {
                self.document.refuse(place, "this is empty once its variables are replaced", None);
                text
            }
            Err(refusal) => {
                self.document.refuse(place, refusal.message, refusal.hint);
                text
            }
        }
    }

    fn path(&mut self, path: &Path, place: &[Step<'_>]) -> Option<PathBuf> {
        match expand::path(&path.to_string_lossy(), &self.document.source.file, self.environment) {
            Ok(path) => Some(path),
            Err(refusal) => {
                self.document.refuse(place, refusal.message, refusal.hint);
                None
            }
        }
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
