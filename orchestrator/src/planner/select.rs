//! Which devices a selector means.

use globset::{Glob, GlobMatcher};

use crate::domain::{Device, DeviceSelector, Inventory, Tag};

/// A selector that is ready to be asked.
#[derive(Debug, Clone)]
pub enum DeviceMatcher {
    /// By its name.
    Name(String),
    /// By a glob that its name matches.
    Glob(GlobMatcher),
    /// By tag.
    Tag(Tag),
}

impl DeviceMatcher {
    /// Prepares a selector.
    ///
    /// # Errors
    /// When its name is no valid glob.
    pub fn new(selector: &DeviceSelector) -> Result<DeviceMatcher, globset::Error> {
        Ok(match selector {
            DeviceSelector::Name(name) if !name.contains(['*', '?', '[', ']', '{', '}', '\\', '!']) => {
                DeviceMatcher::Name(name.clone())
            }
            DeviceSelector::Name(glob) => DeviceMatcher::Glob(Glob::new(glob)?.compile_matcher()),
            DeviceSelector::Tag(tag) => DeviceMatcher::Tag(tag.clone()),
        })
    }

    /// Whether it means that device.
    pub fn matches(&self, device: &Device) -> bool {
        match self {
            DeviceMatcher::Name(name) => *name == device.name,
            DeviceMatcher::Glob(glob) => glob.is_match(&device.name),
            DeviceMatcher::Tag(tag) => has_tag(device, tag),
        }
    }
}

/// Whether a device has a tag; one without a value matches any value of its key.
pub fn has_tag(device: &Device, tag: &Tag) -> bool {
    device.tags.iter().any(|own| own.key == tag.key && (tag.value.is_none() || own.value == tag.value))
}

/// Whether a selector means any device of the inventory.
pub fn selects_any(selector: &DeviceSelector, inventory: &Inventory) -> bool {
    inventory.devices.iter().any(|device| selects(std::slice::from_ref(selector), device))
}

/// Whether one of the selectors means the device. A glob that is none means nothing; reading a sweep refuses it.
pub(super) fn selects(selectors: &[DeviceSelector], device: &Device) -> bool {
    selectors.iter().any(|selector| DeviceMatcher::new(selector).is_ok_and(|matcher| matcher.matches(device)))
}
