//! What is where in a lab, and what its files say.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::catalog::{self, DownloadSettings};
use crate::config::{self, ConfigErrors, LabConfig};
use crate::domain::{Catalog, Inventory};
use crate::runners::{HOST_TARGET, Runners, SourceHashes, enclosing_workspace, origin_workspace};
use crate::store::postgres::ServerAccess;
use crate::store::{self, Store};
use crate::transport::ConnectOptions;

use super::{Environment, Lab, LabError, Overrides};

/// Names the store's server, whatever the lab's file says.
const STORE_VARIABLE: &str = "FARMCTL_STORE";

impl Lab {
    /// What this process was told to read instead of the lab's own files, as other processes understand it.
    pub fn overrides(&self) -> Overrides {
        self.overrides.absolute()
    }

    /// Its name: as `lab.yaml` has it, else that of its folder.
    pub fn name(&self) -> String {
        if let Some(name) = self.lab_config().ok().and_then(|config| config.name) {
            return name;
        }
        self.root.file_name().map_or_else(|| "lab".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Where reports go.
    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// The farm files, or their folder.
    pub fn farm_paths(&self) -> Vec<PathBuf> {
        if self.overrides.farms.is_empty() { vec![self.root.join("farms")] } else { self.overrides.farms.clone() }
    }

    /// The devices of the farm files.
    ///
    /// # Errors
    /// When a file is faulty, with its place.
    pub fn inventory(&self) -> Result<Inventory, LabError> {
        Ok(self.read_inventory(&|name| self.variable(name))?)
    }

    fn read_inventory(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Inventory, ConfigErrors> {
        let paths = self.farm_paths();
        let inventory = if !self.overrides.farms.is_empty() || paths.iter().all(|folder| folder.is_dir()) {
            config::load_inventory(&paths, lookup)?
        } else {
            config::load_embedded_inventory(lookup)?
        };
        Ok(Inventory { host_target: Some(HOST_TARGET.to_owned()), ..inventory })
    }

    /// The models, the engines and the datasets of the catalogue files, after the engines that runners carry.
    ///
    /// # Errors
    /// When a file is faulty, with its place.
    pub fn catalog(&self) -> Result<Catalog, LabError> {
        Ok(self.read_catalog(&|name| self.variable(name))?)
    }

    /// Both, for what refers to both; `lookup` looks up variables.
    ///
    /// # Errors
    /// Every fault of all the files: whoever mends one is told of the others, too.
    pub(super) fn declared(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Inventory, Catalog), ConfigErrors> {
        config::both(self.read_inventory(lookup), self.read_catalog(lookup))
    }

    fn read_catalog(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Catalog, ConfigErrors> {
        let file = self.root.join("configs").join("models.yaml");
        let path = self.overrides.models.clone().or_else(|| is_there(&file).then_some(file));
        let file = self.root.join("configs").join("backends.yaml");
        let backends = is_there(&file).then_some(file);
        let backends = config::load_backends(backends.as_deref(), catalog::builtin_backends());
        let file = self.root.join("configs").join("datasets.yaml");
        let datasets = config::load_datasets(is_there(&file).then_some(file).as_deref());
        let models = config::load_catalog(path.as_deref(), Vec::new(), lookup);
        let ((models, backends), datasets) = config::both(config::both(models, backends), datasets)?;
        Ok(Catalog { backends, datasets, ..models })
    }

    /// The folder of files that can be had again: models, and parts of downloads.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join(".farm").join("artifacts")
    }

    /// The folder of what networks answered.
    pub fn outputs(&self) -> PathBuf {
        self.root.join(".farm").join("outputs")
    }

    /// Whether a daemon runs, and what it last said of itself.
    pub fn daemon_file(&self, name: &str) -> PathBuf {
        self.root.join(".farm").join(name)
    }

    /// What a daemon does, where nothing else is said.
    pub fn daemon_config(&self) -> PathBuf {
        self.root.join("configs").join("daemon.yaml")
    }

    /// The zone whose clocks people read times by: that of the daemon's file, whatever else is in it.
    pub fn time_zone(&self) -> TimeZone {
        config::time_zone(&self.daemon_config())
    }

    /// The truth. It is opened when it is first asked for, and made then where there is none.
    ///
    /// # Errors
    /// When it is another program's, newer, damaged, or can't be written.
    pub fn store(&self) -> Result<Arc<dyn Store>, LabError> {
        let mut open = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match open.as_ref() {
            Some(store) => Ok(Arc::clone(store)),
            None => {
                self.make_private_folder()?;
                let store = match self.store_server()? {
                    Some(server) => store::open_at(&server, &self.server_access())?,
                    None => store::open(&format!("sqlite:{}", self.store_file().display()))?,
                };
                self.hold_clock_against(store.as_ref())?;
                Ok(Arc::clone(open.insert(store)))
            }
        }
    }

    /// The truth, where there is some already.
    ///
    /// # Errors
    /// When there is none, or it can't be opened.
    pub fn existing_store(&self) -> Result<Arc<dyn Store>, LabError> {
        let path = self.store_file();
        if self.store_server()?.is_some() || store::is_there(&path)? {
            return self.store();
        }
        Err(LabError::nothing(format!("this lab has no store yet: {} is not there", path.display())))
    }

    /// The file of what belongs to the lab as a whole.
    pub fn lab_file(&self) -> PathBuf {
        self.root.join("lab.yaml")
    }

    /// What it says; nothing where there is none.
    ///
    /// # Errors
    /// When it is faulty, with its place.
    pub fn lab_config(&self) -> Result<LabConfig, LabError> {
        let file = self.lab_file();
        match file.symlink_metadata() {
            Ok(_) => Ok(config::load_lab(&file)?),
            Err(_) => Ok(LabConfig::default()),
        }
    }

    /// The server that has the store: as `FARMCTL_STORE` names it, else `lab.yaml`; `None` where it is a file.
    ///
    /// # Errors
    /// When the variable names none, or the file is faulty.
    pub fn store_server(&self) -> Result<Option<String>, LabError> {
        let named = self.variable(STORE_VARIABLE).filter(|url| !url.is_empty());
        if let Some(url) = named {
            return if store::is_server(&url) {
                Ok(Some(url))
            } else {
                // It may be a password that stands there.
                Err(LabError::usage(format!("{STORE_VARIABLE} is no address of a server"))
                    .with_hint("write postgres://USER@HOST:PORT/DATABASE, or leave it out: then the store is a file"))
            };
        }
        Ok(self.lab_config()?.store)
    }

    /// What this process has to reach a server of a store by.
    pub(super) fn server_access(&self) -> ServerAccess {
        let Environment { home, user, trust, variable, .. } = &self.environment;
        ServerAccess { variable: Arc::clone(variable), home: home.clone(), user: user.clone(), trust: trust.clone() }
    }

    /// Forgets the store that is open; it is opened anew when it is asked for.
    pub(super) fn close_store(&self) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Makes the folder of what is the lab's own, for its owner alone. One that an older version made for all stays as
    /// it is: `farmctl doctor` tells.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn make_private_folder(&self) -> Result<(), LabError> {
        let (folder, is_new_lab) = (self.root.join(".farm"), !self.store_file().exists());
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        // Files that can be had again may have come before the store.
        let mine = || std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        made.and_then(|()| if is_new_lab { mine() } else { Ok(()) }).map_err(|error| {
            match std::fs::metadata(&folder).map(|about| about.uid()) {
                Ok(owner) if owner != nix::unistd::geteuid().as_raw() => {
                    LabError::internal(format!("{} belongs to the user of number {owner}", folder.display()))
                        .with_hint("work in this lab as that user, or in a copy of it without .farm/")
                }
                _ => LabError::internal(format!("failed to make {}: {error}", folder.display())),
            }
        })
    }

    /// Files and folders of the lab's own that other users of this host may read or write.
    pub fn open_to_others(&self) -> Vec<PathBuf> {
        let names =
            ["", "state.db", "state.db-wal", "state.db-shm", "state.db-open", "daemon.lock", "daemon.json", "tokens"];
        let paths =
            names.iter().map(|name| if name.is_empty() { self.root.join(".farm") } else { self.daemon_file(name) });
        let is_open = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|about| about.mode() & 0o077 != 0);
        paths.filter(is_open).collect()
    }

    pub(super) fn store_file(&self) -> PathBuf {
        self.root.join(".farm").join("state.db")
    }

    /// How files are downloaded.
    pub fn downloads(&self) -> DownloadSettings {
        let Environment { proxy, trust, .. } = &self.environment;
        DownloadSettings { proxy: proxy.clone(), trust: trust.clone(), ..DownloadSettings::default() }
    }

    /// Whose certificates are believed, in words.
    ///
    /// # Errors
    /// Why nobody's are.
    pub fn believed(&self) -> Result<String, String> {
        self.environment.trust.described()
    }

    /// Where runners are looked for.
    pub fn runners(&self) -> Runners {
        let Environment { runner_folders, working_folder, .. } = &self.environment;
        Runners {
            explicit: self.overrides.runner_dir.clone(),
            listed: runner_folders.clone(),
            workspace: working_folder.as_deref().and_then(enclosing_workspace),
            installed: Some(self.installed_runners()),
            origin: origin_workspace(),
            sources: SourceHashes::default(),
        }
    }

    /// The clone of farmctl that engines are built from.
    pub(super) fn workspace(&self) -> Option<PathBuf> {
        self.environment.working_folder.as_deref().and_then(enclosing_workspace).or_else(origin_workspace)
    }

    /// Where `farmctl runner build --install` puts runners.
    pub fn installed_runners(&self) -> PathBuf {
        let data = self.environment.data_home.clone().unwrap_or_else(|| self.home().join(".local").join("share"));
        data.join("farmctl").join("runners").join(env!("CARGO_PKG_VERSION"))
    }

    /// How to connect to devices.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            home: self.home(),
            agent_socket: self.environment.agent_socket.clone(),
            user: self.environment.user.clone(),
            environment: Arc::clone(&self.environment.variable),
            accept_new: self.overrides.accept_new,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// The home folder of whoever runs this; a user without one works below the lab.
    pub fn home(&self) -> PathBuf {
        self.environment.home.clone().unwrap_or_else(|| self.root.join(".farm"))
    }

    /// Who runs this process, for others of the lab: `user@host`.
    pub fn person(&self) -> String {
        format!("{}@{}", self.environment.user, self.environment.host)
    }

    /// A variable of the environment, as farm files may name it.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.environment.variable)(name)
    }

    /// A path below the lab's folder.
    pub fn path(&self, relative: &Path) -> PathBuf {
        self.root.join(relative)
    }

    /// A path as a person in the working folder would write it.
    pub fn short_path(&self, path: &Path) -> String {
        let here = self.environment.working_folder.as_deref();
        // Written relative to another folder, as `configs/../.farm/tokens`: nobody reads it so.
        let leads_back = path.components().any(|part| part == Component::ParentDir);
        let is_in = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        let plain = |path: &Path| path.canonicalize().ok().or_else(|| is_in(path));
        let plain = Some(path).filter(|_| leads_back).and_then(plain);
        if let (Some(plain), Some(here)) = (&plain, here.and_then(|here| here.canonicalize().ok())) {
            return plain.strip_prefix(&here).unwrap_or(plain).display().to_string();
        }
        match here.and_then(|here| path.strip_prefix(here).ok()) {
            Some(below) if below.as_os_str().is_empty() => ".".to_owned(),
            below => below.unwrap_or(path).display().to_string(),
        }
    }
}

/// Whether something has this name, be it a link that leads nowhere: what is there is told of where it can't be read.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
