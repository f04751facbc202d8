//! Virtual phones: Android's own adb daemon in namespaces of its own.
//!
//! Main type: [`Phone`]. Each has its own network, files, properties, serial, processes, boot id and a made-up sysfs at
//! /sys (the same folder as /data/farmlab/sys). A phone whose CPU is ARM runs all its commands through qemu, which the
//! kernel starts by binfmt_misc. Nothing of the host changes but one network interface per phone, and everything goes
//! with the value, also when its process is killed. Needs root.

mod arch;
mod base;
mod boot;
mod files;
mod network;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

pub use arch::PhoneArch;

use crate::board::wait_until;
use crate::folder::LabFolder;
use crate::process::{Owned, kill_one, run, signal_one};
use crate::{LabError, SmallDisk};
use network::{Cable, Subnet};

const WHAT: &str = "a virtual phone";
const DAEMON: &str = "adbd";
/// Each phone has an address of its own, so one port does for all; not one of those that an adb server tries by itself.
const PORT: u16 = 6001;

static COUNTER: AtomicU32 = AtomicU32::new(1);

/// How a phone is made.
#[derive(Debug, Clone, Default)]
pub struct PhoneOptions {
    /// `ro.serialno`; `None` for one of its own.
    pub serial: Option<String>,
    /// Its CPU.
    pub arch: PhoneArch,
    /// What `getprop` says besides, or instead.
    pub properties: Vec<(String, String)>,
    /// Commands that it does not have.
    pub without: Vec<String>,
    /// Size of /data, which can then get full; `None` for as much as the host has.
    pub data_size_bytes: Option<u64>,
}

/// A running virtual phone.
pub struct Phone {
    serial: String,
    arch: PhoneArch,
    without: Vec<String>,
    subnet: Subnet,
    base: PathBuf,
    running: Mutex<Option<Running>>,
    disk: Option<SmallDisk>,
    folder: LabFolder,
}

/// What ends with a reboot.
struct Running {
    process: Owned,
    cable: Cable,
    /// Lines for the first process.
    control: File,
}

impl Phone {
    /// Starts a phone with the host's CPU.
    ///
    /// # Errors
    /// Without root, when a package can't be fetched, a program is missing, or the phone does not start.
    pub fn start() -> Result<Phone, LabError> {
        Phone::start_with(&PhoneOptions::default())
    }

    /// Starts a phone. The first one of a workspace fetches Debian's packages, which takes some seconds.
    ///
    /// # Errors
    /// Without root, when a package can't be fetched, a program is missing, or the phone does not start.
    pub fn start_with(options: &PhoneOptions) -> Result<Phone, LabError> {
        if !Uid::effective().is_root() {
            return Err(LabError::NeedsRoot { what: WHAT });
        }
        let own_serial = || format!("LAB{:06}{:03}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let serial = options.serial.clone().unwrap_or_else(own_serial);
        let base = base::phone_base(options.arch)?;
        let folder = LabFolder::create("testlab-phone-")?;
        for name in ["own", "work", "root", "data"] {
            let path = folder.path().join(name);
            fs::create_dir(&path).map_err(LabError::file("create", &path))?;
        }
        let disk = options.data_size_bytes.map(|size_bytes| SmallDisk::mount(size_bytes, false)).transpose()?;
        let subnet = Subnet::claim()?;
        let (arch, without) = (options.arch, options.without.clone());
        let phone = Phone { serial, arch, without, subnet, base, running: Mutex::new(None), disk, folder };
        files::write_system(&phone.folder.path().join("own"), &phone.serial, options)?;
        files::write_data(&phone.data())?;
        let running = phone.boot()?;
        *phone.running() = Some(running);
        Ok(phone)
    }

    /// Where its adb daemon listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.subnet.phone(), PORT))
    }

    /// What it says as `ro.serialno`; for an adb server, its name is its address.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Its CPU.
    pub fn arch(&self) -> PhoneArch {
        self.arch
    }

    /// The host's path of a file below the phone's /data, for example `local/tmp/x`.
    pub fn data_path(&self, relative: &str) -> PathBuf {
        self.data().join(relative)
    }

    /// The host's path of a file of the phone's made-up sysfs, for example `class/thermal/thermal_zone0/temp`.
    pub fn sys_path(&self, relative: &str) -> PathBuf {
        self.data().join("farmlab/sys").join(relative)
    }

    /// State that Android's commands have set: `wakefulness` (`Awake` or `Asleep`), or a setting by its namespace, as
    /// `global/stay_on_while_plugged_in` and `global/airplane_mode_on`. What `su` answers is there to be written:
    /// `grant` (`su -c`), `own` (Android's own `su 0 COMMAND`), `again`, `name`, `user` (other kinds), `deny`, or
    /// `none` (there is none); `root` in `adbd` is what `adb root` makes of its daemon.
    pub fn state(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.data().join("farmlab/state").join(name)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Sets what `getprop` says, or clears it. It stays so over a reboot: `sys.boot_completed` too.
    ///
    /// # Errors
    /// When the phone is off, or does not take it.
    pub fn set_property(&self, name: &str, value: Option<&str>) -> Result<(), LabError> {
        let running = self.running();
        let Some(running) = running.as_ref() else { return Ok(()) };
        let line = value.map_or_else(String::new, |value| format!("echo '{name}={value}' >> $f;"));
        let props = self.folder.path().join("root/etc/props");
        let script = format!("f={}; kept=$(grep -v '^{name}=' $f); echo \"$kept\" > $f; {line}", props.display());
        let process = running.process.id().to_string();
        let words = ["--target", &process, "--mount", "sh", "-c", &script].map(OsStr::new);
        run("nsenter", "util-linux", &words).map(drop)
    }

    /// The calls of Android's commands so far (`svc power stayon true`), without getprop's.
    pub fn commands(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data().join("farmlab/commands")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the phone's first process and its daemon have logged since it booted.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops everything on the phone, as if it hung.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen phone go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Stops the adb daemon alone, as if it hung; what runs on the phone goes on.
    pub fn freeze_daemon(&self) {
        self.signal_daemon(Signal::SIGSTOP);
    }

    /// Lets a frozen adb daemon go on.
    pub fn thaw_daemon(&self) {
        self.signal_daemon(Signal::SIGCONT);
    }

    /// Kills the adb daemon; what runs on the phone goes on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill_daemon(&self) -> Result<(), LabError> {
        let running = self.running();
        let Some(running) = running.as_ref() else { return Ok(()) };
        wait_until(WHAT, || {
            let daemons = running.process.grandchildren_named(DAEMON);
            daemons.iter().for_each(|daemon| kill_one(*daemon));
            daemons.is_empty()
        })
    }

    /// Starts the adb daemon again, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn restart_daemon(&self) -> Result<(), LabError> {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return Ok(()) };
        self.start_daemon(running)
    }

    /// Turns it off and on: all its processes end, /tmp is emptied, the boot id is another one; /data stays.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn reboot(&self) -> Result<(), LabError> {
        let mut running = self.running();
        // The old network goes before the new one comes.
        *running = None;
        *running = Some(self.boot()?);
        Ok(())
    }

    /// Pulls the cable: packets vanish, connections stay open.
    ///
    /// # Errors
    /// When the interface can't be set.
    pub fn unplug(&self) -> Result<(), LabError> {
        self.running().as_ref().map_or(Ok(()), |running| running.cable.set(false))
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// When the interface can't be set.
    pub fn replug(&self) -> Result<(), LabError> {
        self.running().as_ref().map_or(Ok(()), |running| running.cable.set(true))
    }

    /// Fills /data to the last byte.
    ///
    /// # Errors
    /// When the phone was made without a size of /data, or writing fails for another reason than a full disk.
    pub fn fill_disk(&self) -> Result<(), LabError> {
        self.small_disk()?.fill()
    }

    /// Undoes [`Phone::fill_disk`].
    ///
    /// # Errors
    /// When the phone was made without a size of /data.
    pub fn free_disk(&self) -> Result<(), LabError> {
        self.small_disk()?.free()
    }

    fn small_disk(&self) -> Result<&SmallDisk, LabError> {
        let reason = || "it was made without a size of /data, and the host's disk is not to be filled".to_owned();
        self.disk
            .as_ref()
            .ok_or_else(|| LabError::Program { program: "fill a phone's disk".to_owned(), reason: reason() })
    }

    fn data(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.folder.path().join("data"), |disk| disk.path().to_owned())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal_daemon(&self, signal: Signal) {
        if let Some(running) = self.running().as_ref() {
            running.process.grandchildren_named(DAEMON).into_iter().for_each(|daemon| signal_one(daemon, signal));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(running) = self.running().as_ref() {
            // Twice: a process may have started another one in between.
            running.process.signal_family(signal);
            running.process.signal_family(signal);
        }
    }
}
