//! Devices as people select them: `all`, names, globs and tags.

use crate::domain::{DeviceSelector, Inventory, Tag};
use crate::planner;

use super::document::{Document, Step};
use super::fault::{code, did_you_mean};
use super::inventory::{TAG_FORM, tag};
use super::sweep_file::SelectorEntry;

/// The glob that `all` stands for.
pub(super) const EVERY_NAME: &str = "*";
/// Longest glob.
const MAX_GLOB_CHARS: usize = 256;

/// The selectors of the list at this place; one that selects nothing is a fault.
pub(super) fn selectors<T>(
    document: &mut Document<T>,
    inventory: &Inventory,
    entries: Vec<SelectorEntry>,
    place: &[Step<'_>],
) -> Vec<DeviceSelector> {
    let entries = entries.into_iter().enumerate();
    entries.filter_map(|(index, entry)| selector(document, inventory, entry, place, index)).collect()
}

fn selector<T>(
    document: &mut Document<T>,
    inventory: &Inventory,
    entry: SelectorEntry,
    place: &[Step<'_>],
    index: usize,
) -> Option<DeviceSelector> {
    let place = [place, &[Step::Item(index)]].concat();
    let selector = match entry {
        SelectorEntry::Name(name) if name == "all" => DeviceSelector::Name(EVERY_NAME.to_owned()),
        SelectorEntry::Name(name) if name.chars().count() > MAX_GLOB_CHARS => {
            document.refuse(&place, format!("a name or glob has at most {MAX_GLOB_CHARS} characters"), None);
            return None;
        }
        SelectorEntry::Name(name) => {
            if let Err(error) = planner::DeviceMatcher::new(&DeviceSelector::Name(name.clone())) {
                document.refuse(&place, format!("{} is no glob: {error}", code(&name)), None);
                return None;
            }
            DeviceSelector::Name(name)
        }
        SelectorEntry::Tag(entry) => {
            let Some(tag) = tag(&entry.tag) else {
                let place = [place.as_slice(), &[Step::Field("tag")]].concat();
                document.refuse(&place, format!("{} is no tag", code(&entry.tag)), Some(TAG_FORM.to_owned()));
                return None;
            };
            DeviceSelector::Tag(tag)
        }
    };
    if !planner::selects_any(&selector, inventory) {
        selects_nothing(document, inventory, &selector, &place);
    }
    Some(selector)
}

fn selects_nothing<T>(
    document: &mut Document<T>,
    inventory: &Inventory,
    selector: &DeviceSelector,
    place: &[Step<'_>],
) {
    let devices = &inventory.devices;
    match selector {
        DeviceSelector::Name(name) if name == EVERY_NAME => {
            document.refuse(place, "the inventory has no device", None);
        }
        DeviceSelector::Name(name) if name.contains(['*', '?', '[', '{']) => {
            let names = devices.iter().map(|device| device.name.as_str());
            let hint = did_you_mean("", names);
            document.refuse(place, format!("no device matches {}", code(name)), hint);
        }
        DeviceSelector::Name(name) => {
            let names = devices.iter().map(|device| device.name.as_str());
            let is_tag = devices.iter().any(|device| tag(name).is_some_and(|tag| planner::has_tag(device, &tag)));
            let hint = if is_tag { Some(format!("to select by tag, write `{{ tag: {name} }}`")) } else { None };
            let hint = hint.or_else(|| did_you_mean(name, names));
            document.refuse(place, format!("unknown device {}", code(name)), hint);
        }
        DeviceSelector::Tag(tag) => {
            let mut tags: Vec<Tag> = devices.iter().flat_map(|device| device.tags.clone()).collect();
            tags.sort();
            tags.dedup();
            let tags: Vec<String> = tags.iter().map(Tag::to_string).collect();
            let hint = did_you_mean(&tag.to_string(), tags.iter().map(String::as_str));
            let place = [place, &[Step::Field("tag")]].concat();
            document.refuse(&place, format!("no device has the tag {}", code(&tag.to_string())), hint);
        }
    }
}
