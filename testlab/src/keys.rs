//! ssh keys, made by `ssh-keygen`, and an agent that holds some.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::LabError;
use crate::process::{Owned, find_program, run};

const CLIENT_PACKAGE: &str = "openssh-client";

/// A private key file with its public half beside it.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The private key.
    pub path: PathBuf,
}

impl KeyPair {
    /// Makes a key at `path`; `kind` as `ssh-keygen -t` has it (`ed25519`, `rsa`, `ecdsa`).
    ///
    /// # Errors
    /// When ssh-keygen is missing or fails.
    pub fn generate(path: &Path, kind: &str, passphrase: &str) -> Result<KeyPair, LabError> {
        let arguments = ["-q", "-t", kind, "-N", passphrase, "-C", "testlab", "-f"];
        let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        arguments.push(path.as_os_str());
        run("ssh-keygen", CLIENT_PACKAGE, &arguments)?;
        Ok(KeyPair { path: path.to_owned() })
    }

    /// The public half, as authorized_keys and known_hosts have it.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn public(&self) -> Result<String, LabError> {
        let path = self.path.with_extension("pub");
        let text = std::fs::read_to_string(&path).map_err(LabError::file("read", &path))?;
        Ok(text.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }
}

/// A running ssh-agent.
pub struct Agent {
    /// Its socket.
    pub socket: PathBuf,
    folder: TempDir,
    _process: Owned,
}

impl Agent {
    /// Starts an agent without keys.
    ///
    /// # Errors
    /// When ssh-agent is missing or does not start.
    pub fn start() -> Result<Agent, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::file("create", "a temporary folder"))?;
        let socket = folder.path().join("socket");
        let program = find_program("ssh-agent", CLIENT_PACKAGE)?;
        let arguments = [OsStr::new("-D"), OsStr::new("-a"), socket.as_os_str()];
        let process = Owned::start(&program, &arguments, folder.path(), &folder.path().join("log"))?;
        crate::board::wait_until("ssh-agent", || socket.exists())?;
        Ok(Agent { socket, folder, _process: process })
    }

    /// Gives it a key, which may be encrypted.
    ///
    /// # Errors
    /// When the passphrase is wrong, or the agent does not answer.
    pub fn add(&self, key: &KeyPair, passphrase: &str) -> Result<(), LabError> {
        use std::os::unix::fs::PermissionsExt;
        let asker = self.folder.path().join("passphrase");
        let quoted = passphrase.replace('\'', "'\\''");
        std::fs::write(&asker, format!("#!/bin/sh\nprintf '%s\\n' '{quoted}'\n"))
            .map_err(LabError::file("write", &asker))?;
        std::fs::set_permissions(&asker, std::fs::Permissions::from_mode(0o700))
            .map_err(LabError::file("make executable", &asker))?;
        let socket = format!("SSH_AUTH_SOCK={}", self.socket.display());
        let asker = format!("SSH_ASKPASS={}", asker.display());
        let arguments = [socket.as_str(), asker.as_str(), "SSH_ASKPASS_REQUIRE=force", "ssh-add", "-q"];
        let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        arguments.push(key.path.as_os_str());
        run("env", "coreutils", &arguments).map(drop)
    }
}
