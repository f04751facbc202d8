//! Turning a phone on.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{PORT, Phone, Running, WHAT};
use crate::LabError;
use crate::board::{NEW_BOOT_ID, wait_until};
use crate::process::{Owned, find_program};

const SHELL_PATH: &str = "/system/bin:/usr/bin:/usr/sbin";
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
const SCRIPT: &str = include_str!("boot.sh");
const NAMESPACES: [&str; 7] = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"];
const OWN_USERS: [&str; 2] = ["--user", "--map-root-user"];

impl Phone {
    /// Starts its processes and waits until its daemon answers.
    pub(super) fn boot(&self) -> Result<Running, LabError> {
        let folder = self.folder.path();
        let boot_id = fs::read(NEW_BOOT_ID).map_err(LabError::file("read", NEW_BOOT_ID))?;
        fs::write(folder.join("boot_id"), boot_id).map_err(LabError::file("write", folder.join("boot_id")))?;
        let mut control = control_pipe(&folder.join("control"))?;
        let process = self.launch()?;
        let cable = self.subnet.connect(namespace_of(&process)?);
        let cable = cable.map_err(|error| self.with_log(error))?;
        order(&mut control)?;
        let mut running = Running { process, cable, control };
        self.wait_for_daemon(&mut running)?;
        Ok(running)
    }

    fn launch(&self) -> Result<Owned, LabError> {
        let emulation = self.arch.emulation()?;
        let folder = self.folder.path();
        let mut words: Vec<OsString> = NAMESPACES.map(OsString::from).to_vec();
        if !emulation.handler.is_empty() {
            words.extend(OWN_USERS.map(OsString::from));
        }
        words.extend(["sh", "-c", SCRIPT, "testlab-phone"].map(OsString::from));
        words.extend([folder.into(), self.base.clone().into(), self.data().into()]);
        let address = self.subnet.phone().to_string();
        let port = PORT.to_string();
        let without = self.without.join(" ");
        let texts = [&address, &port, &self.serial, SHELL_PATH, emulation.cpu, &emulation.handler, &without];
        words.extend(texts.map(OsString::from));
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        Owned::start(&find_program("unshare", "util-linux")?, &words, folder, &folder.join("log"))
    }

    /// Starts the daemon again.
    pub(super) fn start_daemon(&self, running: &mut Running) -> Result<(), LabError> {
        order(&mut running.control)?;
        self.wait_for_daemon(running)
    }

    fn wait_for_daemon(&self, running: &mut Running) -> Result<(), LabError> {
        let address = self.address();
        let mut answers = false;
        let waited = wait_until(WHAT, || {
            answers = running.cable.is_up() && TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok();
            answers || running.process.has_ended()
        });
        waited.and_then(|()| if answers { Ok(()) } else { Err(self.ended()) }).map_err(|error| self.with_log(error))
    }

    fn ended(&self) -> LabError {
        LabError::NotReady { server: WHAT, reason: "it ended by itself".to_owned() }
    }

    /// Says what the phone itself has to say of it.
    fn with_log(&self, error: LabError) -> LabError {
        let log = self.log();
        let hint = if log.contains("binfmt_misc") {
            "; a phone with another CPU needs Linux 6.7, or a host that runs aarch64 programs by itself \
             (package qemu-user-static, then systemctl restart systemd-binfmt)"
        } else {
            ""
        };
        LabError::NotReady { server: WHAT, reason: format!("{error}; its log: {}{hint}", log.trim()) }
    }
}

/// A named pipe, held open for both ways so that neither end ever waits for the other.
fn control_pipe(path: &Path) -> Result<File, LabError> {
    // One of an earlier boot may hold a line that was never read.
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| LabError::file("create", path)(error.into()))?;
    File::options().read(true).write(true).open(path).map_err(LabError::file("open", path))
}

/// Lets the first process go on.
fn order(control: &mut File) -> Result<(), LabError> {
    control.write_all(b"go\n").map_err(LabError::file("write to", "the phone's control pipe"))
}

/// Process whose network namespace is no longer ours.
fn namespace_of(process: &Owned) -> Result<u32, LabError> {
    let id = process.id();
    let own = fs::read_link("/proc/self/ns/net").map_err(LabError::file("read", "/proc/self/ns/net"))?;
    wait_until(WHAT, || fs::read_link(format!("/proc/{id}/ns/net")).map_or(true, |namespace| namespace != own))?;
    Ok(id)
}
