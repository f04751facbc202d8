//! Several hosts of one lab on this machine.
//!
//! Main types: [`Hosts`] and [`LabHost`]. Each host has a name, a machine identity and processes of its own (namespaces
//! of the kernel), a folder of the lab, and a way of its own to each device that it reaches and to the database: all
//! of them can be broken one by one. They share the loopback network, so that a browser reaches the page of each.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::board::{NEW_BOOT_ID, free_port, wait_until};
use crate::farm::{Farm, Machine};
use crate::folder::LabFolder;
use crate::process::{Owned, find_program};
use crate::{FaultProxy, LabError, PostgresOptions, PostgresServer};

const WHAT: &str = "a host";
/// How many hosts reach each board.
const HOSTS_OF_BOARD: usize = 2;
const DATABASE: &str = "lab";
/// Whoever comes by loopback is let in.
const LET_IN: &str = "host all all 127.0.0.1/32 trust";
/// What a host needs of the repository: its sweeps and what they name.
const CONFIGS: &str = "configs";
/// Each host has its own.
const DAEMON_FILE: &str = "daemon.yaml";
const READY: &str = "ready";
/// What a host takes for /etc/hosts.
const NAMES: &str = "hosts";
/// Files that the hosts share.
const SHARED: &str = "files";
/// The first process of a host: gives it a name and an identity, and is there.
const FIRST: &str = "set -e
echo \"$1\" > /proc/sys/kernel/hostname
mount --bind \"$2\" /etc/machine-id
if [ -f /var/lib/dbus/machine-id ]; then mount --bind \"$2\" /var/lib/dbus/machine-id; fi
mount --bind \"$3\" /etc/hosts
echo ready
exec sleep infinity";
const NAMESPACES: [&str; 7] = ["--mount", "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];

/// Hosts that share the devices of a farm and one database.
pub(crate) struct Hosts {
    hosts: Vec<LabHost>,
    folder: PathBuf,
    server: PostgresServer,
}

/// A host of the lab.
pub struct LabHost {
    /// `host-1`, `host-2`, …
    pub name: String,
    /// Its folder of the lab.
    pub folder: PathBuf,
    /// Where its daemon shows the page.
    pub page: SocketAddr,
    /// Its ways: to the devices by their names, and to the database as `database`.
    pub ways: Vec<Way>,
    /// Its processes, while it is on.
    running: Mutex<Option<Owned>>,
    own: LabFolder,
}

/// How a host reaches something.
pub struct Way {
    /// What it leads to.
    pub name: String,
    /// Breaks on command.
    pub proxy: FaultProxy,
}

impl Hosts {
    /// Starts `count` hosts. A board is reached by two of them, a phone by the one that has its cable.
    pub(crate) async fn start(farm: &Farm, count: usize, folder: &Path) -> Result<Hosts, LabError> {
        if !Uid::effective().is_root() {
            return Err(LabError::NeedsRoot { what: WHAT });
        }
        // Nothing of anybody else's is in a folder that was not there.
        fs::create_dir_all(folder.parent().unwrap_or(Path::new("")))
            .and_then(|()| fs::create_dir(folder))
            .map_err(LabError::file("make the hosts' folder", folder))?;
        let folder = folder.canonicalize().map_err(LabError::file("find", folder))?;
        let shared = folder.join(SHARED);
        fs::create_dir(&shared).map_err(LabError::file("create", &shared))?;
        let options = PostgresOptions { let_in: vec![LET_IN.to_owned()], ..PostgresOptions::default() };
        let server = PostgresServer::start_with(options)?;
        server.create(DATABASE)?;
        let mut hosts = Hosts { hosts: Vec::new(), folder, server };
        for number in 0..count {
            let host = hosts.start_one(farm, number, count).await?;
            hosts.hosts.push(host);
        }
        farm.write_mark(&hosts.folder)?;
        Ok(hosts)
    }

    async fn start_one(&self, farm: &Farm, number: usize, count: usize) -> Result<LabHost, LabError> {
        let name = format!("host-{}", number + 1);
        // Of the loopback network each host has an address of its own, so that a device has the same port at all.
        let loopback = Ipv4Addr::new(127, 0, 1, u8::try_from(number + 1).unwrap_or(u8::MAX));
        let mut names = "127.0.0.1 localhost\n".to_owned();
        let (mut ways, mut entries) = (Vec::new(), Vec::new());
        for (place, device) in farm.devices.iter().enumerate() {
            let reached = if matches!(device.machine, Machine::Phone(_)) { 1 } else { HOSTS_OF_BOARD };
            if (0..reached).any(|further| (place + further) % count == number) {
                let there = device.proxy.address();
                let proxy = FaultProxy::start_at(SocketAddr::from((loopback, there.port())), there).await?;
                // Hosts must say the same of a board: its name, by which each has a way of its own. A phone is one
                // host's, and adb's server knows no name of it.
                let is_phone = matches!(device.machine, Machine::Phone(_));
                let host = if is_phone { loopback.to_string() } else { device.name.clone() };
                farm.know(device, &host, there.port())?;
                entries.push(farm.entry(device, &host, there.port()));
                names.push_str(&format!("{loopback} {}\n", device.name));
                ways.push(Way { name: device.name.clone(), proxy });
            }
        }
        let database = FaultProxy::start(self.server.address()).await?;
        let store = format!("postgres://farmctl@{}/{DATABASE}?sslmode=disable", database.address());
        ways.push(Way { name: "database".to_owned(), proxy: database });
        let page = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let lab = self.folder.join(&name);
        write(
            &lab.join("lab.yaml"),
            &format!("name: testlab\nhost: {name}\nstore: {store}\nartifacts: ../{SHARED}\n"),
        )?;
        write(&lab.join("farms/testlab.yaml"), &farm.farm_file(&entries))?;
        copy_configs(&lab.join(CONFIGS))?;
        write(&lab.join(CONFIGS).join(DAEMON_FILE), &format!("listen: {page}\n"))?;
        let own = LabFolder::create("testlab-host-")?;
        write(&own.path().join(NAMES), &names)?;
        let host = LabHost { name, folder: lab, page, ways, running: Mutex::new(None), own };
        host.restart()?;
        Ok(host)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[LabHost] {
        &self.hosts
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Their processes first: they write there.
        self.hosts.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl LabHost {
    /// A way by the name of what it leads to.
    pub fn way(&self, name: &str) -> Option<&FaultProxy> {
        self.ways.iter().find(|way| way.name == name).map(|way| &way.proxy)
    }

    /// All that runs on it dies in the same moment, as in a power cut.
    pub fn kill(&self) {
        drop(self.running().take());
    }

    /// It is there again, and nothing runs on it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), LabError> {
        self.kill();
        let own = self.own.path();
        let (identity, names, log) = (own.join("machine-id"), own.join(NAMES), own.join("log"));
        if !identity.is_file() {
            let text = fs::read_to_string(NEW_BOOT_ID).map_err(LabError::file("read", NEW_BOOT_ID))?;
            write(&identity, &text.replace('-', ""))?;
        }
        let name = OsStr::new(&self.name);
        let mut words: Vec<&OsStr> = NAMESPACES.iter().map(OsStr::new).collect();
        words.extend(["sh", "-c", FIRST, "testlab-host"].map(OsStr::new));
        words.extend([name, identity.as_os_str(), names.as_os_str()]);
        let mut process = Owned::start(&find_program("unshare", "util-linux")?, &words, self.own.path(), &log)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        wait_until(WHAT, || said().trim() == READY || process.has_ended())?;
        if said().trim() != READY {
            return Err(LabError::NotReady { server: WHAT, reason: said() });
        }
        self.write_enter(process.id())?;
        *self.running() = Some(process);
        Ok(())
    }

    /// Everything on it hangs.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        self.running().iter().for_each(|process| process.signal_namespace(signal));
    }

    /// The script that runs a command on this host, in its folder of the lab.
    fn write_enter(&self, process: u32) -> Result<(), LabError> {
        let path = self.folder.join("enter");
        let namespaces = format!("/proc/{process}/ns");
        let text = format!(
            "#!/bin/sh\n# Runs a command on {}, in its folder of the lab. Written by testlab.\n\
             exec nsenter --mount={namespaces}/mnt --uts={namespaces}/uts --ipc={namespaces}/ipc \
             --pid={namespaces}/pid_for_children -- sh -c 'cd \"$0\" && exec \"$@\"' '{}' \"$@\"\n",
            self.name,
            self.folder.display(),
        );
        write(&path, &text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(LabError::file("change", &path))
    }

    fn running(&self) -> MutexGuard<'_, Option<Owned>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies the sweeps and what they name, but the daemon's rules.
fn copy_configs(to: &Path) -> Result<(), LabError> {
    let from = Path::new(CONFIGS);
    let read = || LabError::file("read the repository's", from);
    for entry in fs::read_dir(from).map_err(read())? {
        let path = entry.map_err(read())?.path();
        let is_yaml = path.extension().is_some_and(|end| end == "yaml");
        let Some(name) = path.file_name().filter(|name| is_yaml && *name != DAEMON_FILE) else { continue };
        let text = fs::read_to_string(&path).map_err(LabError::file("read", &path))?;
        write(&to.join(name), &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(LabError::file("write", path))
}
