//! Several phones and boards, and the farm file that names them.
//!
//! Main type: [`Farm`]. Each device is reached through a [`FaultProxy`]. Prints nothing.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::folder::LabFolder;
use crate::{
    AdbServer, Board, BoardOptions, EmulatedBoard, FaultProxy, KeyPair, LabError, Phone, PhoneArch, PhoneOptions,
    Server,
};

/// Every so many boards one has dropbear.
const DROPBEAR_EVERY: usize = 4;
/// Room for all of farmctl's networks; only what is used takes memory.
const DISK_SIZE_BYTES: u64 = 1 << 30;
const MARK: &str = "farm: testlab";
const SHARED: &str =
    "# They share this machine: measured side by side, each would be slower.\ndefaults: { exclusive: testlab }\n";
const CONTROL_MARK: &str = "# control socket: ";

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

/// How a farm file says who logs in.
struct Login<'a> {
    arch: &'a str,
    user: &'a str,
    identity: &'a KeyPair,
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
        let mut farm = Farm { devices: Vec::new(), server, options, file: None, folder };
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
        let host_key = match &machine {
            Machine::Phone(_) => None,
            Machine::Board(board) => Some(&board.host_key),
            Machine::Emulated(board) => Some(&board.host_key),
        };
        if let Some(host_key) = host_key {
            let path = self.known_hosts(&name);
            let line = format!("[127.0.0.1]:{} {}\n", proxy.address().port(), host_key.public()?);
            std::fs::write(&path, line).map_err(LabError::file("write", &path))?;
        }
        self.devices.push(LabDevice { name, machine, proxy });
        Ok(())
    }

    /// Lets the adb server connect what the farm file names by serial. The proxies must be served meanwhile, so this
    /// may not block their thread.
    ///
    /// # Errors
    /// When a phone does not become a device.
    pub fn connect_phones(&self) -> Result<(), LabError> {
        let (Some(server), Some(first)) = (&self.server, self.devices.first()) else { return Ok(()) };
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
        let mut text = format!(
            "# Virtual devices, written by testlab; this file goes when testlab ends.\n{CONTROL_MARK}{}\n{MARK}\n\
             {SHARED}devices:\n",
            self.control_socket().display()
        );
        for device in &self.devices {
            // Writing to a String can't fail.
            let _ = match &device.machine {
                Machine::Phone(phone) => self.describe_phone(&mut text, device, phone),
                Machine::Board(board) => {
                    let login = Login { arch: std::env::consts::ARCH, user: &board.user, identity: &board.identity };
                    let described = self.describe_board(&mut text, device, login);
                    described.and_then(|()| writeln!(text, "    workdir: {}", board.home.join("farmctl").display()))
                }
                Machine::Emulated(board) => {
                    let login = Login { arch: "aarch64", user: "root", identity: &board.identity };
                    self.describe_board(&mut text, device, login)
                }
            };
        }
        text
    }

    fn describe_phone(&self, text: &mut String, device: &LabDevice, phone: &Phone) -> std::fmt::Result {
        let Some(server) = self.server.as_ref().map(AdbServer::address) else { return Ok(()) };
        let arch = if phone.arch() == PhoneArch::Aarch64 { "aarch64" } else { std::env::consts::ARCH };
        let mut entry = |name: &str, key: &str, address: SocketAddr| {
            writeln!(
                text,
                "  - name: {name}\n    tags: [virtual, phone, arch={arch}]\n    transport:\n      adb:\n        \
                 {key}: \"{address}\"\n        server: \"{server}\"",
            )
        };
        // The first one as if somebody had connected it by hand before.
        let is_first = self.devices.first().is_some_and(|first| first.name == device.name);
        entry(&device.name, if is_first { "serial" } else { "address" }, device.proxy.address())?;
        if is_first && self.options.duplicate {
            entry(&format!("{}-again", device.name), "serial", phone.address())?;
        }
        Ok(())
    }

    fn describe_board(&self, text: &mut String, device: &LabDevice, login: Login<'_>) -> std::fmt::Result {
        writeln!(
            text,
            "  - name: {}\n    tags: [virtual, board, arch={}]\n    transport:\n      ssh:\n        \
             host: 127.0.0.1\n        port: {}\n        user: {}\n        identity_file: {}\n        known_hosts: {}",
            device.name,
            login.arch,
            device.proxy.address().port(),
            login.user,
            login.identity.path.display(),
            self.known_hosts(&device.name).display(),
        )
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

/// The control socket that a farm file names.
pub(crate) fn control_socket_of(inventory: &str) -> Option<PathBuf> {
    inventory.lines().find_map(|line| line.strip_prefix(CONTROL_MARK)).map(PathBuf::from)
}
