//! Adds devices to farm files, changes them and takes them out; what a person wrote there stays as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{ArgGroup, Args};

use crate::cli::context::Context;
use crate::cli::exit;
use crate::config::{self, FieldChange, NewDevice};
use crate::domain::{AdbEndpoint, SshEndpoint, TransportConfig};
use crate::lab::{AddedDevices, LabError, declared_in};
use crate::terminal::print::say;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("way").required(true))]
pub(in crate::cli) struct AddArguments {
    /// Its name, which no other device has
    name: String,
    /// The farm file, which keeps its comments; made when it isn't there. Without it: the lab's only one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A board by its ssh server
    #[arg(long, value_name = "[USER@]HOST[:PORT]", group = "way")]
    ssh: Option<String>,
    /// A phone by the serial number that `adb devices` lists
    #[arg(long, value_name = "SERIAL", group = "way")]
    serial: Option<String>,
    /// A phone by the address of its own daemon
    #[arg(long, value_name = "HOST:PORT", group = "way")]
    address: Option<String>,
    /// This host itself
    #[arg(long, group = "way")]
    local: bool,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EditArguments {
    /// Its name
    name: String,
    /// Change its lines in $VISUAL or $EDITOR
    #[arg(long, conflicts_with_all = ["set", "unset", "tag", "untag", "notes", "disable", "enable"])]
    editor: bool,
    /// Take out a field: limits.min_free_mb
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// Take out the label of this key
    #[arg(long, value_name = "KEY")]
    untag: Vec<String>,
    /// Put it into service again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
struct Changes {
    /// Set a field to a value in YAML: limits.max_run_seconds=60, transport.ssh.port=2222, workdir=/data/bench
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Add a label, in the place of one of the same key
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: Vec<String>,
    /// Remarks for people
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Take it out of service, for this reason
    #[arg(long, value_name = "WHY")]
    disable: Option<String>,
}

impl Changes {
    fn list(&self) -> Result<Vec<FieldChange>, LabError> {
        let mut changes = Vec::new();
        for set in &self.set {
            let (field, value) = set.split_once('=').ok_or_else(|| {
                LabError::usage(format!("{set:?} is no FIELD=VALUE"))
                    .with_hint("for example: --set limits.max_run_seconds=60")
            })?;
            changes.push(FieldChange::Set(field.to_owned(), value.to_owned()));
        }
        changes.extend(self.tag.iter().cloned().map(FieldChange::Tag));
        let texts = [("notes", &self.notes), ("disabled", &self.disable)];
        let texts = texts.into_iter().filter_map(|(field, text)| text.clone().map(|text| (field, text)));
        changes.extend(texts.map(|(field, text)| FieldChange::Text(field.to_owned(), text)));
        Ok(changes)
    }
}

pub(super) fn add(context: &Context, arguments: &AddArguments) -> Result<u8, LabError> {
    let declared = context.lab.inventory()?.devices;
    let AddArguments { name, file, ssh, serial, address, local: _, changes } = arguments;
    if let Some(known) = declared.iter().find(|device| device.name == *name) {
        return Err(LabError::usage(format!("there is a device {name:?} already, at {}", known.declared_at))
            .with_hint("names are unique over all farm files; `farmctl devices edit` changes it"));
    }
    let transport = match ssh {
        Some(ssh) => TransportConfig::Ssh(ssh_endpoint(ssh)?),
        None if serial.is_some() || address.is_some() => {
            TransportConfig::Adb(AdbEndpoint { serial: serial.clone(), address: address.clone(), server: None })
        }
        None => TransportConfig::Local,
    };
    let new = NewDevice { name: name.clone(), transport, notes: None };
    let added = context.lab.add_device(file.as_deref(), &new, &changes.list()?)?;
    say_added(context, &added, &format!("; `farmctl devices check {name}` tries it"));
    Ok(exit::OK)
}

/// Says which devices were added, and whether the lab sees them: a file that is none of its own is a person's choice.
pub(super) fn say_added(context: &Context, added: &AddedDevices, what_next: &str) {
    say(&format!("added to {}: {}{what_next}", context.lab.short_path(&added.file), added.names.join(", ")));
    if !added.is_read {
        say("note: this lab doesn't read that file; name it with --farm, or move it into farms/");
    }
}

fn ssh_endpoint(text: &str) -> Result<SshEndpoint, LabError> {
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, text),
    };
    let (host, port) = match place.rsplit_once(':') {
        // Of an IPv6 address without a port, the colons are its own.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let number = port.parse().map_err(|_| LabError::usage(format!("{port:?} in {text:?} is no port")))?;
            (host, Some(number))
        }
        _ => (place, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(SshEndpoint { host, port, user, ..SshEndpoint::default() })
}

pub(super) fn edit(context: &Context, arguments: &EditArguments) -> Result<u8, LabError> {
    let device = context.lab.device(&arguments.name)?;
    let file = declared_in(&device)?;
    if arguments.editor {
        return in_editor(context, file, &device.name);
    }
    let mut changes: Vec<FieldChange> = arguments.unset.iter().cloned().map(FieldChange::Unset).collect();
    changes.extend(arguments.untag.iter().cloned().map(FieldChange::Untag));
    if arguments.enable {
        changes.push(FieldChange::Unset("disabled".to_owned()));
    }
    changes.extend(arguments.changes.list()?);
    if changes.is_empty() {
        return Err(LabError::usage("nothing to change")
            .with_hint("--set, --unset, --tag, --untag, --notes, --disable, --enable, or --editor"));
    }
    context.lab.change_device(file, &device.name, &changes)?;
    say(&format!("{}: {} was changed", context.lab.short_path(file), device.name));
    Ok(exit::OK)
}

pub(super) fn remove(context: &Context, names: &[String]) -> Result<u8, LabError> {
    for device in context.lab.select_own_devices(names)? {
        let file = context.lab.short_path(context.lab.remove_device(&device)?);
        say(&format!("{} was taken out of {file}; its history and results stay", device.name));
    }
    Ok(exit::OK)
}

/// Has a person change a device's lines; those that are refused are kept, to be mended.
fn in_editor(context: &Context, file: &Path, name: &str) -> Result<u8, LabError> {
    let editor =
        ["VISUAL", "EDITOR"].iter().find_map(|name| context.lab.variable(name).filter(|editor| !editor.is_empty()));
    let editor = editor.ok_or_else(|| {
        LabError::usage("neither VISUAL nor EDITOR is set").with_hint("set one to your editor, or use --set")
    })?;
    let failed = |error: std::io::Error| LabError::internal(format!("failed to edit {name}: {error}")).caused_by(error);
    let before = config::device_text(file, name)?;
    let draft = tempfile::Builder::new().prefix("farmctl-").suffix(".yaml").tempfile().map_err(failed)?;
    std::fs::write(draft.path(), &before).map_err(failed)?;
    // An editor may come with words of its own: `code --wait`.
    let ended = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(draft.path())
        .status()
        .map_err(failed)?;
    if !ended.success() {
        return Err(LabError::usage(format!("the editor {editor:?} ended with {ended}; nothing was changed")));
    }
    let after = std::fs::read_to_string(draft.path()).map_err(failed)?;
    if after == before {
        say("nothing was changed");
        return Ok(exit::OK);
    }
    if let Err(error) = context.lab.replace_device(file, name, &after) {
        let kept = draft.into_temp_path().keep().map_err(|error| failed(error.error))?;
        return Err(error.with_hint(format!("the file is as it was; your lines are in {}", kept.display())));
    }
    say(&format!("{}: {name} was changed", context.lab.short_path(file)));
    Ok(exit::OK)
}
