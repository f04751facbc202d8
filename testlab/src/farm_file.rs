//! The text of a farm file for virtual devices.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::{KeyPair, Machine, Phone, PhoneArch};

/// What only a farm file of testlab has.
pub(crate) const MARK: &str = "farm: testlab";
const SHARED: &str =
    "# They share this machine: measured side by side, each would be slower.\ndefaults: { exclusive: testlab }\n";
/// A file in the folder of several hosts that names the control socket.
pub(crate) const MARK_FILE: &str = "testlab";
const CONTROL_MARK: &str = "# control socket: ";

/// A device of a farm file.
pub(crate) struct Entry<'a> {
    /// What the file calls it.
    pub name: String,
    /// What it is.
    pub machine: &'a Machine,
    /// The way to it: a name or an address.
    pub host: String,
    /// Its port there.
    pub port: u16,
    /// A file with the key that a board shows there.
    pub known_hosts: PathBuf,
    /// Whether a phone is named as one that is connected already.
    pub by_serial: bool,
}

/// How a farm file says who logs in.
struct Login<'a> {
    arch: &'a str,
    user: &'a str,
    identity: &'a KeyPair,
}

/// The file.
pub(crate) fn text(control: &Path, server: Option<SocketAddr>, entries: &[Entry<'_>]) -> String {
    let mut text = format!(
        "# Virtual devices, written by testlab; this file goes when testlab ends.\n{}{MARK}\n{SHARED}devices:\n",
        control_line(control)
    );
    for entry in entries {
        // Writing to a String can't fail.
        let _ = match entry.machine {
            Machine::Phone(phone) => describe_phone(&mut text, entry, phone, server),
            Machine::Board(board) => {
                let login = Login { arch: std::env::consts::ARCH, user: &board.user, identity: &board.identity };
                let described = describe_board(&mut text, entry, login);
                described.and_then(|()| writeln!(text, "    workdir: {}", board.home.join("farmctl").display()))
            }
            Machine::Emulated(board) => {
                let login = Login { arch: "aarch64", user: "root", identity: &board.identity };
                describe_board(&mut text, entry, login)
            }
        };
    }
    text
}

fn describe_phone(text: &mut String, entry: &Entry<'_>, phone: &Phone, server: Option<SocketAddr>) -> std::fmt::Result {
    let Some(server) = server else { return Ok(()) };
    let arch = if phone.arch() == PhoneArch::Aarch64 { "aarch64" } else { std::env::consts::ARCH };
    writeln!(
        text,
        "  - name: {}\n    tags: [virtual, phone, arch={arch}]\n    transport:\n      adb:\n        \
         {}: \"{}:{}\"\n        server: \"{server}\"",
        entry.name,
        if entry.by_serial { "serial" } else { "address" },
        entry.host,
        entry.port,
    )
}

fn describe_board(text: &mut String, entry: &Entry<'_>, login: Login<'_>) -> std::fmt::Result {
    writeln!(
        text,
        "  - name: {}\n    tags: [virtual, board, arch={}]\n    transport:\n      ssh:\n        \
         host: {}\n        port: {}\n        user: {}\n        identity_file: {}\n        known_hosts: {}",
        entry.name,
        login.arch,
        entry.host,
        entry.port,
        login.user,
        login.identity.path.display(),
        entry.known_hosts.display(),
    )
}

/// What names a control socket.
pub(crate) fn control_line(control: &Path) -> String {
    format!("{CONTROL_MARK}{}\n", control.display())
}

/// The control socket that a farm file names.
pub(crate) fn control_socket_of(inventory: &str) -> Option<PathBuf> {
    inventory.lines().find_map(|line| line.strip_prefix(CONTROL_MARK)).map(PathBuf::from)
}
