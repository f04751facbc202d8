//! A lab file to a [`LabConfig`]: what it means, checked.

use crate::domain::SharedFilesConfig;

use super::document::{Document, place};
use super::fault::ConfigErrors;
use super::inventory::check_name;
use super::lab_file::LabFile;
use super::shared_files::shared_files;
use super::source::Source;

/// What a lab file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabConfig {
    /// Its name; `None`: that of its folder.
    pub name: Option<String>,
    /// Name of this host in the lab; `None`: that of the machine.
    pub host: Option<String>,
    /// The server that has the store; `None`: it is a file of the lab.
    pub store: Option<String>,
    /// Where the files are that hosts share; `None`: each host has its own alone.
    pub artifacts: Option<SharedFilesConfig>,
}

/// What a file says. A farm file may have the name, too, for whoever gives it by `--farm`: it says nothing of the lab.
pub(super) fn load(source: Source) -> Result<LabConfig, ConfigErrors> {
    if is_farm_file(&source.text) {
        return Ok(LabConfig::default());
    }
    let mut document = Document::<LabFile>::new(source);
    let Some(content) = document.content.take() else {
        return ConfigErrors::unless_clean(None, document.faults);
    };
    if let Some((message, hint)) = content.store.as_deref().and_then(fault) {
        document.refuse(place!["store"], message.to_owned(), Some(hint.to_owned()));
    }
    if let Some(name) = &content.name {
        check_name(&mut document, name, place!["name"]);
    }
    if let Some(host) = &content.host {
        check_name(&mut document, host, place!["host"]);
    }
    let artifacts = content.artifacts.and_then(|entry| shared_files(&mut document, entry));
    let config = LabConfig { name: content.name, host: content.host, store: content.store, artifacts };
    ConfigErrors::unless_clean(Some(config), document.faults)
}

/// Whether it lists devices, and has no word of the lab.
fn is_farm_file(text: &str) -> bool {
    let has = |field: &str| text.lines().any(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with(':')));
    has("devices") && !["name", "host", "store", "artifacts"].into_iter().any(has)
}

/// What is wrong with the address of a server. It is never repeated: a password may stand in it.
fn fault(url: &str) -> Option<(&'static str, &'static str)> {
    let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
        return Some(("`store` is no address of a server", "write `store: postgres://USER@HOST:PORT/DATABASE`"));
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    let has_password = user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="));
    has_password.then_some((
        "`store` has a password; secrets never stand in a file like this",
        "put it into ~/.pgpass, a service file or PGPASSWORD; and change it if this file was shared",
    ))
}
