//! Emulated boards: a whole aarch64 machine with its own kernel.
//!
//! Main type: [`EmulatedBoard`]. Slow, but everything on it is real: CPU, kernel, boot, loss of power. Its files lie in
//! its memory. Needs no root. Reaches nothing: its network has only the ssh server's port.

mod base;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::LabError;
use crate::board::free_port;
use crate::folder::LabFolder;
use crate::keys::KeyPair;
use crate::process::{Owned, find_program, run};

const WHAT: &str = "an emulated board";
const QEMU: &str = "qemu-system-aarch64";
const QEMU_PACKAGE: &str = "qemu-system-arm";
/// Several times what it needs on an idle machine.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Another process may take the free port first.
const PORT_ATTEMPTS: usize = 3;
/// Its files lie in it, too; the host gives what is used.
const MEMORY_MEGABYTES: &str = "3072";
/// What an ssh server says first.
const GREETING: &[u8] = b"SSH-2.0-";

/// A running emulated board; its login is root's.
pub struct EmulatedBoard {
    /// Where its server listens; the address is 127.0.0.1.
    pub port: u16,
    /// The key that opens it.
    pub identity: KeyPair,
    /// Its host key.
    pub host_key: KeyPair,
    process: Mutex<Owned>,
    base: PathBuf,
    folder: LabFolder,
}

impl EmulatedBoard {
    /// Starts one, and waits until its ssh server answers. The first one of a workspace fetches Debian's packages.
    ///
    /// # Errors
    /// When a package can't be fetched, a program is missing, or it does not start.
    pub fn start() -> Result<EmulatedBoard, LabError> {
        let base = base::board_base()?;
        let folder = LabFolder::create("testlab-emulated-")?;
        let identity = KeyPair::generate(&folder.path().join("id"), "ed25519", "")?;
        let host_key = KeyPair::generate(&folder.path().join("host_key"), "ed25519", "")?;
        write_archive(&base, &folder, &identity, &host_key)?;
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            match launch(&base, &folder, port) {
                Ok(process) => {
                    return Ok(EmulatedBoard { port, identity, host_key, process: Mutex::new(process), base, folder });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(LabError::NotReady { server: WHAT, reason: "no free port".to_owned() }))
    }

    /// Where its ssh server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its console.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops the machine, as if it hung.
    pub fn freeze(&self) {
        self.process().signal_family(Signal::SIGSTOP);
    }

    /// Lets a frozen machine go on.
    pub fn thaw(&self) {
        self.process().signal_family(Signal::SIGCONT);
    }

    /// Takes its power away and gives it back. All its files are as they were at the first start.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn reboot(&self) -> Result<(), LabError> {
        let mut process = self.process();
        process.end();
        let next = launch(&self.base, &self.folder, self.port)?;
        std::mem::replace(&mut *process, next).abandon();
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Owned> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shared first file system and behind it one with this board's keys.
fn write_archive(
    base: &std::path::Path,
    folder: &LabFolder,
    identity: &KeyPair,
    host_key: &KeyPair,
) -> Result<(), LabError> {
    let files = folder.path().join("files");
    let keys = files.join("keys");
    fs::create_dir_all(&keys).map_err(LabError::file("create", &keys))?;
    let authorized = keys.join("authorized_keys");
    fs::write(&authorized, identity.public()? + "\n").map_err(LabError::file("write", &authorized))?;
    let converted = keys.join("host_key");
    let arguments = [OsStr::new("openssh"), OsStr::new("dropbear"), host_key.path.as_os_str(), converted.as_os_str()];
    run("dropbearconvert", "dropbear-bin", &arguments)?;
    let own = folder.path().join("own");
    base::archive(&files, &own)?;
    let whole = folder.path().join(base::ARCHIVE);
    fs::copy(base.join(base::ARCHIVE), &whole).map_err(LabError::file("copy", base.join(base::ARCHIVE)))?;
    let mut end = File::options().append(true).open(&whole).map_err(LabError::file("open", &whole))?;
    let mut start = File::open(&own).map_err(LabError::file("open", &own))?;
    std::io::copy(&mut start, &mut end).map(drop).map_err(LabError::file("write", &whole))
}

fn launch(base: &std::path::Path, folder: &LabFolder, port: u16) -> Result<Owned, LabError> {
    let kernel = base.join(base::KERNEL);
    let initrd = folder.path().join(base::ARCHIVE);
    let network = format!("user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22");
    let mut words = ["-M", "virt", "-cpu", "cortex-a53", "-m", MEMORY_MEGABYTES, "-nographic", "-no-reboot"].to_vec();
    words.extend(["-append", "console=ttyAMA0 quiet panic=-1", "-netdev", &network]);
    words.extend(["-device", "virtio-net-pci,netdev=n,romfile="]);
    let mut words: Vec<&OsStr> = words.into_iter().map(OsStr::new).collect();
    words.extend([OsStr::new("-kernel"), kernel.as_os_str(), OsStr::new("-initrd"), initrd.as_os_str()]);
    let log = folder.path().join("log");
    let mut process = Owned::start(&find_program(QEMU, QEMU_PACKAGE)?, &words, folder.path(), &log)?;
    let deadline = Instant::now() + BOOT_LIMIT;
    while !greets(port) {
        if process.has_ended() || Instant::now() > deadline {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(LabError::NotReady { server: WHAT, reason: format!("no answer; its console: {}", log.trim()) });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(process)
}

/// Whether an ssh server says something; qemu itself takes connections from the start.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut greeting = [0; GREETING.len()];
    stream.set_read_timeout(Some(ANSWER_LIMIT)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == GREETING
}
