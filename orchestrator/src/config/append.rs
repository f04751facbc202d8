//! Adds devices to a farm file and leaves everything that a person wrote as it is: comments, order, spaces.
//!
//! Main function: [`append_devices`]. The new lines go behind the last device, with the list's own indentation; the
//! result is read again before it replaces the file.

use std::io::Write as _;
use std::path::Path;

use crate::domain::{AdbEndpoint, Device, SshEndpoint, TransportConfig};

use super::document::{Document, place};
use super::expand::Environment;
use super::farm_file::FarmFile;
use super::fault::{ConfigErrors, Fault};
use super::inventory::{self, ADB_WORKDIR};
use super::source::Source;

/// What a new file begins with.
const HEADER: &str =
    "# Devices that `farmctl devices discover` found. `farmctl schema inventory` describes every field.\n\ndevices:\n";

/// A device for a farm file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Its name, which no other device has.
    pub name: String,
    /// How it is reached.
    pub transport: TransportConfig,
    /// What it is, for people.
    pub notes: Option<String>,
}

impl From<Fault> for ConfigErrors {
    fn from(fault: Fault) -> ConfigErrors {
        ConfigErrors { faults: vec![fault] }
    }
}

/// Appends devices to a farm file, which is made when it isn't there. It is replaced at once and as a whole.
///
/// # Errors
/// When the file is faulty, its list can't be added to, or it can't be written: it is then as it was.
pub fn append_devices(path: &Path, devices: &[NewDevice], environment: Environment<'_>) -> Result<(), ConfigErrors> {
    let before = match path.exists() {
        true => inventory::load(vec![Source::read(path)?], Vec::new(), environment)?.devices,
        false => Vec::new(),
    };
    let text = with_devices(path, devices)?;
    check(path, &text, &before, devices, environment)?;
    write(path, &text)
}

/// The text of a farm file, or of a new one, with devices behind its last.
pub(super) fn with_devices(path: &Path, devices: &[NewDevice]) -> Result<String, ConfigErrors> {
    if !path.exists() {
        let style = Style { indent: 2, line_end: "\n", workdir: false };
        return Ok(format!("{HEADER}{}", entries(devices, &style)));
    }
    insert(Source::read(path)?, devices)
}

/// Writes a farm file anew, at once and as a whole.
pub(super) fn write(path: &Path, text: &str) -> Result<(), ConfigErrors> {
    let written = match path.exists() {
        // A link stays a link.
        true => path.canonicalize().and_then(|path| replace(&path, text)),
        false => write_new(path, text),
    };
    Ok(written.map_err(|error| unwritable(path, &error))?)
}

/// How lines are written.
struct Style {
    /// Spaces before the dash.
    indent: usize,
    line_end: &'static str,
    /// Whether the workdir must be said, since the file's defaults have another.
    workdir: bool,
}

/// The file's text with the devices behind the last one of its list.
fn insert(source: Source, devices: &[NewDevice]) -> Result<String, ConfigErrors> {
    let document = Document::<FarmFile>::new(source);
    let Some(content) = document.content.as_ref().filter(|_| document.is_clean()) else {
        return Err(ConfigErrors { faults: document.faults });
    };
    let list = document.span(place!["devices"]);
    let last = document.span(place!["devices", content.devices.len().saturating_sub(1)]);
    let lines: Vec<&str> = document.source.text.split_inclusive('\n').collect();
    let first = lines.get(list.line.saturating_sub(1)).copied().unwrap_or_default();
    let indent = indentation(first);
    if !first[indent..].starts_with('-') {
        let fault =
            document.fault(place!["devices"], "devices can't be added to a list that is not one of `- …` lines");
        return Err(fault.hint("write each device on lines of its own, beginning with `- name:`").into());
    }
    let end = end_of_item(&lines, last.line, indent);
    let line_end = if first.ends_with("\r\n") { "\r\n" } else { "\n" };
    let workdir = content.defaults.as_ref().is_some_and(|defaults| defaults.workdir.is_some());
    let (before, after) = lines.split_at(end.min(lines.len()));
    let mut text = before.concat();
    if !text.ends_with('\n') {
        text.push_str(line_end);
    }
    text.push_str(&entries(devices, &Style { indent, line_end, workdir }));
    text.push_str(&after.concat());
    Ok(text)
}

/// The number of the last line that belongs to an item of a list: all that is indented deeper than its dash. Comments
/// that follow it at the dash or before belong to what comes next.
pub(super) fn end_of_item(lines: &[&str], begins: usize, indent: usize) -> usize {
    let mut end = begins;
    for (index, line) in lines.iter().enumerate().skip(begins) {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        if indentation(line) > indent {
            end = index + 1;
        } else if !text.starts_with('#') {
            break;
        }
    }
    end.min(lines.len())
}

pub(super) fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn entries(devices: &[NewDevice], style: &Style) -> String {
    devices.iter().map(|device| entry(device, style)).collect()
}

/// How a device is reached, on one line.
fn transport(transport: &TransportConfig) -> String {
    let fields = match transport {
        TransportConfig::Local => return transport.name().to_owned(),
        TransportConfig::Adb(AdbEndpoint { serial, address, server }) => {
            vec![("serial", serial.clone()), ("address", address.clone()), ("server", server.clone())]
        }
        TransportConfig::Ssh(SshEndpoint { host, user, .. }) => {
            vec![("host", Some(host.clone())), ("user", user.clone())]
        }
    };
    let given = fields.into_iter().filter_map(|(field, value)| value.map(|value| (field, quoted(&literal(&value)))));
    let mut fields: Vec<String> = given.map(|(field, value)| format!("{field}: {value}")).collect();
    if let TransportConfig::Ssh(SshEndpoint { port: Some(port), .. }) = transport {
        fields.push(format!("port: {port}"));
    }
    format!("{{ {}: {{ {} }} }}", transport.name(), fields.join(", "))
}

fn entry(device: &NewDevice, style: &Style) -> String {
    let mut lines =
        vec![format!("- name: {}", quoted(&device.name)), format!("  transport: {}", transport(&device.transport))];
    if style.workdir && matches!(device.transport, TransportConfig::Adb(_)) {
        lines.push(format!("  workdir: {ADB_WORKDIR}"));
    }
    if let Some(notes) = &device.notes {
        lines.push(format!("  notes: {}", quoted(notes)));
    }
    let pad = " ".repeat(style.indent);
    lines.iter().map(|line| format!("{pad}{line}{}", style.line_end)).collect()
}

/// A text in quotes: what a device says of itself may look like anything. JSON's quoting is part of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text in which no variable expands.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Makes sure that the text has the devices of before, as they were, and the new ones.
fn check(
    path: &Path,
    text: &str,
    before: &[Device],
    added: &[NewDevice],
    environment: Environment<'_>,
) -> Result<(), ConfigErrors> {
    let source = Source::from_bytes(path, text.as_bytes().to_vec())?;
    let after = inventory::load(vec![source], Vec::new(), environment)?.devices;
    let undeclared = |device: &Device| Device { declared_at: String::new(), ..device.clone() };
    let old_kept = after.len() == before.len() + added.len()
        && before.iter().zip(&after).all(|(before, after)| undeclared(before) == undeclared(after));
    let new_there = after.iter().skip(before.len()).map(|device| &device.name).eq(added.iter().map(|new| &new.name));
    if old_kept && new_there {
        return Ok(());
    }
    let fault =
        Fault::whole_file(path, "devices can't be added without changing what the file says; nothing was written");
    Err(fault.hint("add them by hand").into())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes beside the file and renames.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::whole_file(path, format!("failed to write the file: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn phone(name: &str, serial: &str) -> NewDevice {
        let endpoint = AdbEndpoint { serial: Some(serial.to_owned()), ..AdbEndpoint::default() };
        NewDevice { name: name.to_owned(), transport: TransportConfig::Adb(endpoint), notes: None }
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    /// The file's text after a phone was added, which the check has read again.
    fn added(text: &str) -> Result<String, ConfigErrors> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.yaml");
        std::fs::write(&path, text).unwrap();
        let result = append_devices(&path, &[phone("new", "R58")], &nothing);
        let now = std::fs::read_to_string(&path).unwrap();
        if result.is_err() {
            assert_eq!(now, text, "a refused file is as it was");
        }
        result.map(|()| now)
    }

    const NEW: &str = "- name: \"new\"\n";

    #[test]
    fn comments_order_and_spaces_stay() {
        let text = "# the lab\ndevices:   # all of it\n    - name: a  # first\n      transport: local\n\
                    \n    # out of use:\n    # - name: b\n\n# after the list\nfarm: desk\n";
        let now = added(text).unwrap();
        let inserted = "    - name: \"new\"\n      transport: { adb: { serial: \"R58\" } }\n";
        assert_eq!(now, text.replace("local\n", &format!("local\n{inserted}")));
    }

    #[test]
    fn a_list_without_indentation_or_last_line_end_is_added_to() {
        let now = added("devices:\n- name: a\n  transport: local").unwrap();
        assert!(now.starts_with("devices:\n- name: a\n  transport: local\n- name: \"new\"\n"), "{now}");
        let now = added("devices:\n- name: a\n  transport: local\n...\n").unwrap();
        assert!(now.ends_with("} }\n...\n"), "{now}");
    }

    #[test]
    fn the_last_device_may_end_in_any_way() {
        for last in [
            "{ name: a, transport: local }\n",
            "name: a\n    transport: local\n    notes: |\n      one\n\n      # two\n",
            "\n    name: a\n    # a remark\n\n    transport: local\n    # its end\n",
            "name: a\n  # at the dash\n    transport: local\n",
        ] {
            let text = format!("devices:\n  - {last}farm: x\n");
            let now = added(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            assert!(now.contains(&format!("  {NEW}")) && now.ends_with("farm: x\n"), "{now}");
        }
    }

    #[test]
    fn windows_line_ends_and_defaults_are_minded() {
        let now = added("defaults: { workdir: ~/x }\r\ndevices:\r\n  - name: a\r\n    transport: local\r\n").unwrap();
        assert_eq!(now.matches('\n').count(), now.matches("\r\n").count());
        assert!(now.contains(ADB_WORKDIR), "{now}");
    }

    #[test]
    fn what_can_not_be_added_to_is_refused_untouched() {
        for text in [
            "devices: [{ name: a, transport: local }]\n",
            "devices:\n  [{ name: a, transport: local }]\n",
            "devices:\n  - name: new\n    transport: local\n",
            "devices:\n  - name: a\n    transport: lcoal\n",
        ] {
            added(text).unwrap_err();
        }
    }

    #[test]
    fn a_new_file_is_made_and_hostile_words_are_only_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farms/phones.yaml");
        let mut device = phone("x", "a\"}: ${HOME} #");
        let endpoint = AdbEndpoint { serial: Some("a\"}:${HOME}#".to_owned()), ..AdbEndpoint::default() };
        device.transport = TransportConfig::Adb(endpoint);
        device.notes = Some("Pixel\n- name: y".to_owned());
        append_devices(&path, &[device.clone()], &nothing).unwrap();
        let devices = inventory::load(vec![Source::read(&path).unwrap()], Vec::new(), &nothing).unwrap().devices;
        assert_eq!((devices.len(), &devices[0].transport), (1, &device.transport));
    }

    #[test]
    fn a_link_stays_a_link_and_modes_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.yaml"), folder.path().join("link.yaml"));
        std::fs::write(&file, "devices:\n  - { name: a, transport: local }\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        append_devices(&link, &[phone("new", "R58")], &nothing).unwrap();
        assert!(link.is_symlink() && std::fs::read_to_string(&file).unwrap().contains("new"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
