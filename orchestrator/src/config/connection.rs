//! How a device of a farm file is reached, checked: over ssh or adb.

use std::path::{Path, PathBuf};

use crate::domain::{AdbEndpoint, HostKey, SecretSource, SshEndpoint};

use super::document::{Step, place};
use super::expand;
use super::farm_file::{AdbEntry, LoginEntry, SecretEntry, SshEntry};
use super::fault::code;
use super::inventory::Farm;

impl Farm<'_> {
    pub(super) fn ssh(&mut self, entry: SshEntry, index: usize, defaults: &SshEndpoint) -> SshEndpoint {
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

    pub(super) fn adb(&mut self, entry: AdbEntry, index: usize) -> AdbEndpoint {
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

    pub(super) fn login(&mut self, entry: LoginEntry, place: &[Step<'_>]) -> SshEndpoint {
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
