//! Several phones and boards, and the farm file that names them.
//!
//! Main type: [`Farm`]. Each device is reached through a [`FaultProxy`]. Prints nothing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::farm_file::{self, Entry, MARK, MARK_FILE};
use crate::folder::LabFolder;
use crate::hosts::{Hosts, LabHost};
use crate::{
    AdbServer, Board, BoardOptions, EmulatedBoard, FaultProxy, LabError, Phone, PhoneArch, PhoneOptions, Server,
};

/// Every so many boards one has dropbear.
const DROPBEAR_EVERY: usize = 4;
const LOOPBACK: &str = "127.0.0.1";
/// Room for all of farmctl's networks; only what is used takes memory.
const DISK_SIZE_BYTES: u64 = 1 << 30;

/// What a farm consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FarmOptions {
    /// Number of phones; from two on the last one has an ARM CPU. Phones need root.
    pub phones: usize,
    /// Number of boards; as root every fourth one has dropbear.
    pub boards: usize,
    /// Number of boards that are whole emulated machines.
    pub emulated_boards: usize,
    /// Whether the first phone is listed a second time, by another way to it.
    pub duplicate: bool,
    /// Hosts that share them; 0: this one alone.
    pub hosts: usize,
}

/// What a device really is.
pub enum Machine {
    /// Reached over adb.
    Phone(Phone),
    /// Reached over ssh.
    Board(Board),
    /// Reached over ssh.
    Emulated(EmulatedBoard),
}

/// A phone or board of a farm.
pub struct LabDevice {
    /// `phone-1`, `phone-2`, …, `board-1`, …
    pub name: String,
    /// What stands behind the proxy.
    pub machine: Machine,
    /// The way to it.
    pub proxy: FaultProxy,
}

/// Devices that a farm file describes, as long as this value lives.
pub struct Farm {
    /// Phones, then boards.
    pub devices: Vec<LabDevice>,
    /// What the phones are reached through, if there are any.
    pub server: Option<AdbServer>,
    /// Hosts that share the devices.
    hosts: Option<Hosts>,
    options: FarmOptions,
    file: Option<PathBuf>,
    folder: LabFolder,
}

impl Farm {
    /// Starts phones and boards. Must be called within a tokio runtime, which serves the proxies.
    ///
    /// # Errors
    /// When one does not start; then none stays.
    pub async fn start(options: FarmOptions) -> Result<Farm, LabError> {
        let folder = LabFolder::create("testlab-farm-")?;
        let server = if options.phones > 0 { Some(AdbServer::start()?) } else { None };
        let mut farm = Farm { devices: Vec::new(), server, hosts: None, options, file: None, folder };
        for number in 1..=options.phones {
            let is_arm = number > 1 && number == options.phones;
            let arch = if is_arm { PhoneArch::Aarch64 } else { PhoneArch::Host };
            let phone_options =
                PhoneOptions { arch, data_size_bytes: Some(DISK_SIZE_BYTES), ..PhoneOptions::default() };
            let phone = Phone::start_with(&phone_options)?;
            farm.add(format!("phone-{number}"), phone.address(), Machine::Phone(phone)).await?;
        }
        for number in 1..=options.boards {
            let is_root = Uid::effective().is_root();
            let server = if is_root && number % DROPBEAR_EVERY == 0 { Server::Dropbear } else { Server::OpenSsh };
            let disk_size_bytes = is_root.then_some(DISK_SIZE_BYTES);
            let board = Board::start_with(&BoardOptions { server, disk_size_bytes, ..BoardOptions::default() })?;
            farm.add(format!("board-{number}"), board.address(), Machine::Board(board)).await?;
        }
        for number in 1..=options.emulated_boards {
            let board = EmulatedBoard::start()?;
            farm.add(format!("emulated-{number}"), board.address(), Machine::Emulated(board)).await?;
        }
        Ok(farm)
    }

    async fn add(&mut self, name: String, address: SocketAddr, machine: Machine) -> Result<(), LabError> {
        let proxy = FaultProxy::start(address).await?;
        let device = LabDevice { name, machine, proxy };
        self.know(&device, LOOPBACK, device.proxy.address().port())?;
        self.devices.push(device);
        Ok(())
    }

    /// Writes down which host key a board shows on this way to it.
    pub(crate) fn know(&self, device: &LabDevice, host: &str, port: u16) -> Result<(), LabError> {
        let host_key = match &device.machine {
            Machine::Phone(_) => return Ok(()),
            Machine::Board(board) => &board.host_key,
            Machine::Emulated(board) => &board.host_key,
        };
        let path = self.known_hosts(&device.name);
        let line = format!("[{host}]:{port} {}\n", host_key.public()?);
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        opened.and_then(|mut file| file.write_all(line.as_bytes())).map_err(LabError::file("write", &path))
    }

    /// Starts hosts that share these devices: each gets a folder of the lab in `folder`, which goes with this value.
    ///
    /// # Errors
    /// Without root, when the folder is there already, or a host does not start.
    pub async fn start_hosts(&mut self, count: usize, folder: &Path) -> Result<(), LabError> {
        self.hosts = Some(Hosts::start(self, count, folder).await?);
        Ok(())
    }

    /// Writes into the hosts' folder where orders are taken.
    pub(crate) fn write_mark(&self, folder: &Path) -> Result<(), LabError> {
        let path = folder.join(MARK_FILE);
        std::fs::write(&path, farm_file::control_line(&self.control_socket())).map_err(LabError::file("write", &path))
    }

    /// Its hosts, where there are several.
    pub fn hosts(&self) -> &[LabHost] {
        self.hosts.as_ref().map_or(&[], Hosts::all)
    }

    /// Lets the adb server connect what the farm file names by serial. The proxies must be served meanwhile, so this
    /// may not block their thread.
    ///
    /// # Errors
    /// When a phone does not become a device.
    pub fn connect_phones(&self) -> Result<(), LabError> {
        let (Some(server), Some(first)) = (&self.server, self.devices.first()) else { return Ok(()) };
        if self.hosts.is_some() {
            return Ok(());
        }
        server.connect(first.proxy.address())?;
        match &first.machine {
            Machine::Phone(phone) if self.options.duplicate => server.connect(phone.address()),
            _ => Ok(()),
        }
    }

    /// A device by its name.
    pub fn device(&self, name: &str) -> Option<&LabDevice> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// Where the running farm takes orders.
    pub fn control_socket(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// The text of a farm file for these devices.
    pub fn inventory(&self) -> String {
        let mut entries = Vec::new();
        for (number, device) in self.devices.iter().enumerate() {
            // The first one as if somebody had connected it by hand before.
            entries
                .push(Entry { by_serial: number == 0, ..self.entry(device, LOOPBACK, device.proxy.address().port()) });
            if let (0, true, Machine::Phone(phone)) = (number, self.options.duplicate, &device.machine) {
                let name = format!("{}-again", device.name);
                let (host, port) = (phone.address().ip().to_string(), phone.address().port());
                entries.push(Entry { name, by_serial: true, ..self.entry(device, &host, port) });
            }
        }
        self.farm_file(&entries)
    }

    /// A device by this way to it.
    pub(crate) fn entry<'a>(&self, device: &'a LabDevice, host: &str, port: u16) -> Entry<'a> {
        let (name, host, known_hosts) = (device.name.clone(), host.to_owned(), self.known_hosts(&device.name));
        Entry { name, machine: &device.machine, host, port, known_hosts, by_serial: false }
    }

    pub(crate) fn farm_file(&self, entries: &[Entry<'_>]) -> String {
        farm_file::text(&self.control_socket(), self.server.as_ref().map(AdbServer::address), entries)
    }

    fn known_hosts(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("known_hosts-{name}"))
    }

    /// Writes the farm file, which is removed with this value. An existing file is replaced only if testlab wrote it.
    ///
    /// # Errors
    /// When it can't be written, or is somebody else's.
    pub fn write_inventory(&mut self, path: &Path) -> Result<(), LabError> {
        let is_foreign = std::fs::read_to_string(path).is_ok_and(|text| !text.contains(MARK));
        if is_foreign {
            let source = std::io::Error::other("it exists, and testlab did not write it");
            return Err(LabError::File { what: "write", path: path.to_owned(), source });
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
        }
        std::fs::write(path, self.inventory()).map_err(LabError::file("write", path))?;
        self.file = Some(path.to_owned());
        Ok(())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Somebody may have removed it before.
            let _ = std::fs::remove_file(file);
        }
    }
}
