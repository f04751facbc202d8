use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::catalog::Proxy;
use crate::environment::EnvironmentLookup;
use crate::tls::Trust;

/// What a process was told to read instead of the lab's own files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// Farm files, or folders of them.
    pub farms: Vec<PathBuf>,
    /// The catalogue of models.
    pub models: Option<PathBuf>,
    /// A folder of runners.
    pub runner_dir: Option<PathBuf>,
    /// Host keys of unknown devices are accepted.
    pub accept_new: bool,
}

impl Overrides {
    /// Whether a process with these does what one with the others was told to.
    pub fn serve(&self, other: &Overrides) -> bool {
        let accept_new = self.accept_new || !other.accept_new;
        accept_new && *self == Overrides { accept_new: self.accept_new, ..other.clone() }
    }

    /// The same with absolute paths, as other processes understand them.
    #[must_use]
    pub fn absolute(&self) -> Overrides {
        let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Overrides {
            farms: self.farms.iter().map(whole).collect(),
            models: self.models.as_ref().map(whole),
            runner_dir: self.runner_dir.as_ref().map(whole),
            accept_new: self.accept_new,
        }
    }
}

/// What a lab takes of the environment of its process.
#[derive(Clone)]
pub struct Environment {
    /// The home folder of who runs it; a user without one works below the lab.
    pub home: Option<PathBuf>,
    /// The folder of users' data, where it is not below the home folder.
    pub data_home: Option<PathBuf>,
    /// Who runs it, as the system knows them.
    pub user: String,
    /// This host.
    pub host: String,
    /// The socket of the ssh agent.
    pub agent_socket: Option<PathBuf>,
    /// Folders of runners.
    pub runner_folders: Vec<PathBuf>,
    /// The working folder.
    pub working_folder: Option<PathBuf>,
    /// What downloads go through.
    pub proxy: Option<Proxy>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// A variable, as farm files and ssh's files may name them.
    pub variable: EnvironmentLookup,
}

#[cfg(test)]
impl Environment {
    /// One in which nothing is set.
    pub fn sample() -> Environment {
        Environment {
            home: None,
            data_home: None,
            user: "anna".to_owned(),
            host: "desk".to_owned(),
            agent_socket: None,
            runner_folders: Vec::new(),
            working_folder: None,
            proxy: None,
            trust: Trust::default(),
            variable: std::sync::Arc::new(|_| None),
        }
    }
}
