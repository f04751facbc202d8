//! What the daemon goes by: its file, those that it names, and what it takes to log in to devices. All of it is read
//! again when it changes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::{Access, DaemonConfig};
use crate::lab::{FileStamps, Lab};
use crate::regular_file;
use crate::wording::many;

use super::Daemon;

/// More is not held against what the file said before; it is too long to be read at all.
const MAX_BYTES: u64 = 2 << 20;

/// The daemon's file, and those that it names, to see when they change.
pub struct Rules<'a> {
    lab: &'a Lab,
    path: &'a Path,
    /// Says a line to people.
    say: fn(&str),
    /// What the file said when it was last looked at. One that is not there is told of when it is loaded.
    text: Option<Vec<u8>>,
    files: FileStamps,
    /// How page and API are reached until the daemon ends.
    access: Option<Access>,
    /// The devices for whose login an ssh agent is missing.
    out_of_reach: BTreeSet<String>,
}

impl<'a> Rules<'a> {
    /// The files as they are now.
    pub fn at(lab: &'a Lab, path: &'a Path, say: fn(&str)) -> Rules<'a> {
        let text = regular_file::read(path, MAX_BYTES).ok();
        let files = lab.file_stamps(&[]);
        Rules { lab, path, say, text, files, access: None, out_of_reach: BTreeSet::new() }
    }

    /// A daemon goes by what they say, and is reached so, from now on.
    pub fn begin(&mut self, access: Access, daemon: &mut Daemon) {
        self.access = Some(access);
        self.note_missing_agent(daemon);
    }

    /// Has the daemon go by the files as they are now, where they have changed, or where that `is_asked` for.
    pub fn look(&mut self, daemon: &mut Daemon, is_asked: bool) {
        let text = regular_file::read(self.path, MAX_BYTES).ok();
        let is_new = text != self.text || is_asked;
        self.text = text;
        let files = self.lab.file_stamps(daemon.schedules());
        let has_changed = files != self.files;
        self.files = files;
        if is_new || has_changed {
            self.reload(daemon, is_new);
        }
    }

    /// Goes by the files as they are now. One that is faulty is told of, and what was in force stays.
    fn reload(&mut self, daemon: &mut Daemon, is_told: bool) {
        let name = self.lab.short_path(self.path);
        match self.lab.daemon_rules(self.path) {
            Ok(config) => {
                if is_told {
                    let schedules = many(config.schedules.len() as u64, "schedule");
                    (self.say)(&format!("{name} was read again: {schedules}"));
                }
                if self.access.as_ref().is_some_and(|access| config.access != *access) {
                    (self.say)("how page and API are reached changes with the next start of the daemon");
                }
                daemon.go_by(config);
                daemon.note("config", None);
                self.note_missing_agent(daemon);
            }
            Err(error) => {
                (self.say)(&format!(
                    "{name}, or a file that it goes by, is refused, and the schedules of before stay in force:"
                ));
                error.text().split('\n').for_each(self.say);
                let faults = error.in_short();
                daemon.note("config", Some(format!("refused, the schedules of before are in force: {faults}")));
            }
        }
    }

    /// A daemon that systemd starts has no ssh agent: devices that a person reaches by one are out of its reach.
    fn note_missing_agent(&mut self, daemon: &mut Daemon) {
        let Ok(missing) = self.lab.devices_without_agent() else { return };
        let about = |device: &str| format!("login to {device}");
        let mut out_of_reach = BTreeSet::new();
        for (device, what) in missing {
            let trouble = format!(
                "this daemon has no ssh agent, and {what}; name a key without a passphrase by identity_file, or give \
                 it the agent: `farmctl daemon install` where SSH_AUTH_SOCK is set"
            );
            daemon.note(&about(&device), Some(trouble));
            out_of_reach.insert(device);
        }
        for device in self.out_of_reach.difference(&out_of_reach) {
            daemon.note(&about(device), None);
        }
        self.out_of_reach = out_of_reach;
    }
}

impl Daemon {
    /// Goes by what its file says from now on.
    pub fn go_by(&mut self, config: DaemonConfig) {
        let DaemonConfig { access: _, schedules, probe_every, retention, channels } = config;
        self.set_schedules(schedules);
        self.probe_every(probe_every);
        self.set_retention(retention);
        self.set_channels(channels);
    }
}
