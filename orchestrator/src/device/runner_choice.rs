//! Several runners on one device, of which one carries out a run.

use farmctl_protocol::BackendInfo;

use crate::domain::{Failure, Job};

use super::bring_up::Session;
use super::runner_push::RunnerFile;

/// A runner that is on the device, beside the one that is used now.
pub(super) struct ReadyRunner {
    file: RunnerFile,
    /// The engines that it carries.
    backends: Vec<BackendInfo>,
    target: String,
}

impl Session {
    /// Has this runner carry out what is asked of the device from now on. It is pushed when it isn't there; once it is,
    /// changing between two costs no round trip. The engine that a runner carries counts as it is, whichever version
    /// that is: [`Session::engine_version`] tells.
    ///
    /// # Errors
    /// When the device can't be reached anew, or does not run it. The one before is used then.
    pub async fn use_runner(&mut self, runner: &RunnerFile) -> Result<(), Failure> {
        self.takes_any_version = true;
        if self.runner.artifact == runner.artifact {
            return Ok(());
        }
        let (backends, target) = (self.hello.backends.clone(), self.hello.target.clone());
        let before = ReadyRunner { file: self.runner.clone(), backends, target };
        let known = self.ready.iter().position(|ready| ready.file.artifact == runner.artifact);
        if let Some(known) = known.map(|at| self.ready.swap_remove(at)) {
            self.hello.runner_sha256.clone_from(&known.file.artifact.sha256);
            (self.hello.backends, self.hello.target, self.runner) = (known.backends, known.target, known.file);
            self.ready.push(before);
            return Ok(());
        }
        let boot_id = self.hello.boot_id.clone();
        self.runner = runner.clone();
        if let Err(failure) = self.reconnect_now().await {
            self.runner = before.file;
            return Err(failure);
        }
        if boot_id == self.hello.boot_id {
            self.ready.push(before);
        }
        Ok(())
    }

    /// The version of an engine that the runner carries itself.
    pub fn engine_version(&self, job: &Job) -> Option<&str> {
        let backend = self.hello.backends.iter().find(|backend| backend.name == job.backend);
        backend.map(|backend| backend.version.as_str())
    }
}
