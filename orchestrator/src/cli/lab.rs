use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::config;
use crate::domain::{Catalog, Inventory};
use crate::runners::{HOST_TARGET, Runners, enclosing_workspace, origin_workspace};
use crate::store::{self, Store};
use crate::transport::ConnectOptions;

use super::{CliError, GlobalOptions};

/// What a process was told to read instead of the lab's own files, as absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    farms: Vec<PathBuf>,
    models: Option<PathBuf>,
    runner_dir: Option<PathBuf>,
    accept_new: bool,
}

impl Sources {
    /// Whether a process with these does what one with the others was told to.
    pub fn serve(&self, other: &Sources) -> bool {
        let accept_new = self.accept_new || !other.accept_new;
        accept_new && *self == Sources { accept_new: self.accept_new, ..other.clone() }
    }
}

/// One lab, one folder, with what this process was given by its environment.
#[derive(Debug, Clone)]
pub struct Lab {
    root: PathBuf,
    farms: Vec<PathBuf>,
    models: Option<PathBuf>,
    runner_dir: Option<PathBuf>,
    accept_new: bool,
    home: PathBuf,
}

impl Lab {
    pub(super) fn new(options: &GlobalOptions) -> Result<Lab, CliError> {
        let root = std::path::absolute(&options.lab)
            .map_err(|error| CliError::usage(format!("failed to find {}: {error}", options.lab.display())))?;
        if !root.is_dir() {
            return Err(CliError::usage(format!("the lab {} is no folder", root.display())));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Ok(Lab {
            farms: options.farm.clone(),
            models: options.models.clone(),
            runner_dir: options.runner_dir.clone(),
            accept_new: options.accept_new,
            // A user without a home works below the lab.
            home: home.unwrap_or_else(|| root.join(".farm")),
            root,
        })
    }

    /// What this process was told to read instead of the lab's own files.
    pub fn sources(&self) -> Sources {
        let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Sources {
            farms: self.farms.iter().map(whole).collect(),
            models: self.models.as_ref().map(whole),
            runner_dir: self.runner_dir.as_ref().map(whole),
            accept_new: self.accept_new,
        }
    }

    /// Where reports go.
    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// The farm files, or their folder.
    pub fn farm_paths(&self) -> Vec<PathBuf> {
        if self.farms.is_empty() { vec![self.root.join("farms")] } else { self.farms.clone() }
    }

    /// The devices of the farm files.
    pub fn inventory(&self) -> Result<Inventory, CliError> {
        let lookup = |name: &str| std::env::var(name).ok();
        let paths = self.farm_paths();
        let inventory = if !self.farms.is_empty() || paths.iter().all(|folder| folder.is_dir()) {
            config::load_inventory(&paths, &lookup)?
        } else {
            config::load_embedded_inventory(&lookup)?
        };
        Ok(Inventory { host_target: Some(HOST_TARGET.to_owned()), ..inventory })
    }

    /// The models, the engines and the datasets of the catalogue files, after the engines that runners carry.
    pub fn catalog(&self) -> Result<Catalog, CliError> {
        let file = self.root.join("configs").join("models.yaml");
        let path = self.models.clone().or_else(|| file.is_file().then_some(file));
        let file = self.root.join("configs").join("backends.yaml");
        let backends = file.is_file().then_some(file);
        let backends = config::load_backends(backends.as_deref(), catalog::builtin_backends())?;
        let file = self.root.join("configs").join("datasets.yaml");
        let datasets = config::load_datasets(file.is_file().then_some(file).as_deref())?;
        Ok(Catalog { datasets, ..config::load_catalog(path.as_deref(), backends)? })
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

    /// The truth.
    pub fn store(&self) -> Result<Arc<dyn Store>, CliError> {
        let path = self.root.join(".farm").join("state.db");
        Ok(store::open(&format!("sqlite:{}", path.display()))?)
    }

    /// The truth, where there is some already.
    pub fn existing_store(&self) -> Result<Arc<dyn Store>, CliError> {
        let path = self.root.join(".farm").join("state.db");
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(CliError::nothing(format!("this lab has no store yet: {} is not there", path.display())))
            }
            _ => self.store(),
        }
    }

    /// Where runners are looked for.
    pub fn runners(&self) -> Runners {
        let listed = std::env::var_os("FARMCTL_RUNNERS");
        Runners {
            explicit: self.runner_dir.clone(),
            listed: listed.iter().flat_map(std::env::split_paths).collect(),
            workspace: std::env::current_dir().ok().and_then(|folder| enclosing_workspace(&folder)),
            installed: Some(self.installed_runners()),
            origin: origin_workspace(),
        }
    }

    /// Where `farmctl runner build --install` puts runners.
    pub fn installed_runners(&self) -> PathBuf {
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data.unwrap_or_else(|| self.home.join(".local").join("share"));
        data.join("farmctl").join("runners").join(env!("CARGO_PKG_VERSION"))
    }

    /// How to connect to devices.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            home: self.home.clone(),
            agent_socket: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            user: user_name(),
            environment: Arc::new(|name| std::env::var(name).ok()),
            accept_new: self.accept_new,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// The home folder of whoever runs this.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A path below the lab's folder.
    pub fn path(&self, relative: &Path) -> PathBuf {
        self.root.join(relative)
    }
}

/// Who runs this process, for others of the lab: `user@host`.
pub(super) fn person() -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    format!("{}@{}", user_name(), host.unwrap_or_else(|_| "localhost".to_owned()))
}

/// Who runs this process, as the system knows it.
fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.name).or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "root".to_owned())
}
