//! Devices in farm files: added, changed and taken out. What a person wrote there stays as it is.

use std::path::{Path, PathBuf};

use crate::config::{self, FieldChange, NewDevice};
use crate::domain::{Device, TransportConfig};
use crate::inventory::{self, Discovered};

use super::{Lab, LabError};

/// Devices that were added to a farm file.
#[derive(Debug)]
pub struct AddedDevices {
    /// Their names.
    pub names: Vec<String>,
    /// The file.
    pub file: PathBuf,
    /// Whether this lab reads the file.
    pub is_read: bool,
}

impl Lab {
    /// Adds a device to a farm file, which is made when it isn't there; without one, to the lab's only one.
    ///
    /// # Errors
    /// When there is a device of that name, there are several files, or one is faulty.
    pub fn add_device(
        &self,
        file: Option<&Path>,
        device: &NewDevice,
        changes: &[FieldChange],
    ) -> Result<AddedDevices, LabError> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => self.only_farm_file()?,
        };
        config::add_device(&file, device, changes, &|name| self.variable(name))?;
        self.devices_were_added(vec![device.name.clone()], file)
    }

    /// Adds the phones that no farm file has to one; `None` when all are in one.
    ///
    /// # Errors
    /// When a farm file is faulty.
    pub fn add_discovered(&self, found: &[Discovered], file: &Path) -> Result<Option<AddedDevices>, LabError> {
        let declared = self.inventory()?.devices;
        let mut new: Vec<NewDevice> = Vec::new();
        for one in found.iter().filter(|one| one.is_new()) {
            let taken = |name: &str| {
                declared.iter().any(|device| device.name == name) || new.iter().any(|device| device.name == name)
            };
            let name = inventory::suggest_name(one, &taken);
            let transport = TransportConfig::Adb(one.endpoint.clone());
            new.push(NewDevice { name, transport, notes: one.description() });
        }
        if new.is_empty() {
            return Ok(None);
        }
        config::append_devices(file, &new, &|name| self.variable(name))?;
        let names = new.into_iter().map(|device| device.name).collect();
        self.devices_were_added(names, file.to_owned()).map(Some)
    }

    fn devices_were_added(&self, names: Vec<String>, file: PathBuf) -> Result<AddedDevices, LabError> {
        for name in &names {
            self.device_was_edited(name, format!("added to {}", self.short_path(&file)));
        }
        let is_read = self.inventory()?.devices.iter().any(|device| names.contains(&device.name));
        Ok(AddedDevices { names, file, is_read })
    }

    /// Changes a device in its farm file.
    ///
    /// # Errors
    /// When that would make the file faulty.
    pub fn change_device(&self, file: &Path, name: &str, changes: &[FieldChange]) -> Result<(), LabError> {
        config::edit_device(file, name, changes, &|name| self.variable(name))?;
        self.device_was_edited(name, format!("changed in {}", self.short_path(file)));
        Ok(())
    }

    /// Puts these lines in the place of a device's in its farm file.
    ///
    /// # Errors
    /// When that would make the file faulty.
    pub fn replace_device(&self, file: &Path, name: &str, lines: &str) -> Result<(), LabError> {
        config::replace_device(file, name, lines, &|name| self.variable(name))?;
        self.device_was_edited(name, format!("changed in {}", self.short_path(file)));
        Ok(())
    }

    /// Takes a device out of its farm file, and returns the file.
    ///
    /// # Errors
    /// When no file declares it, or it can't be written.
    pub fn remove_device<'a>(&self, device: &'a Device) -> Result<&'a Path, LabError> {
        let file = declared_in(device)?;
        config::remove_device(file, &device.name, &|name| self.variable(name))?;
        self.device_was_edited(&device.name, format!("taken out of {}", self.short_path(file)));
        Ok(file)
    }

    /// The lab's one farm file, or the place for the first.
    fn only_farm_file(&self) -> Result<PathBuf, LabError> {
        let devices = self.inventory()?.devices;
        let mut files: Vec<&Path> = devices.iter().map(farm_file).collect();
        files.sort();
        files.dedup();
        match files.as_slice() {
            [file] if file.is_file() => Ok(file.to_path_buf()),
            [] | [_] => Ok(self.path(Path::new("farms/lab.yaml"))),
            several => {
                let names: Vec<String> = several.iter().map(|file| self.short_path(file)).collect();
                Err(LabError::usage("this lab has several farm files")
                    .with_hint(format!("--file FILE, of: {}", names.join(", "))))
            }
        }
    }
}

/// The farm file of a device.
fn farm_file(device: &Device) -> &Path {
    Path::new(device.declared_at.rsplit_once(':').map_or(device.declared_at.as_str(), |(file, _)| file))
}

/// The farm file of a device, which is there.
///
/// # Errors
/// When no file declares it.
pub fn declared_in(device: &Device) -> Result<&Path, LabError> {
    let file = farm_file(device);
    if file.is_file() {
        return Ok(file);
    }
    Err(LabError::usage(format!("{} is declared in no file of this lab", device.name))
        .with_hint("a lab without farms/ has this host alone; `farmctl devices add NAME --local` makes a farm file"))
}
