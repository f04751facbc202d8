//! Faults by command: a running farm takes orders through a socket.
//!
//! Main types: [`Fault`] (what can be done to a device, a host, or a host's way to something); main functions:
//! [`serve`] and [`send`]. An order is one line, `NAME ACTION [NUMBER]`; the answer is one too, `ok` or `failed: …`.

use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::farm::{Farm, LabDevice, Machine};
use crate::farm_file::{MARK_FILE, control_socket_of};
use crate::hosts::LabHost;
use crate::{Direction, FaultProxy, LabError};

/// Longest time of one order; an emulated board may take minutes to boot on a loaded machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(200);
const ORDER_LIMIT: Duration = Duration::from_secs(5);
const MAX_ORDER_BYTES: u64 = 1000;
const OK: &str = "ok";

/// Something that happens to a device, a host, or a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its connections are closed.
    Cut,
    /// Nothing moves on the way to it, and nothing is closed.
    Stall,
    /// The way to it lets so many bytes pass in a second.
    Slow(u64),
    /// What it sends is damaged.
    Garble,
    /// What it sends comes twice.
    Duplicate,
    /// The way to it is in order again.
    Pass,
    /// It hangs.
    Stop,
    /// It goes on.
    Continue,
    /// Its daemon dies.
    Kill,
    /// Its daemon is there again.
    Restart,
    /// It is turned off and on.
    Reboot,
    /// Its cable is pulled (phones only).
    Unplug,
    /// Its cable is in again.
    Replug,
    /// Its disk is full.
    Fill,
    /// Its disk has room again.
    Free,
}

impl Fault {
    /// Reads `ACTION [NUMBER]`.
    pub fn parse(words: &[&str]) -> Option<Fault> {
        Some(match words {
            ["cut"] => Fault::Cut,
            ["stall"] => Fault::Stall,
            ["slow", rate] => Fault::Slow(rate.parse().ok().filter(|rate| *rate > 0)?),
            ["garble"] => Fault::Garble,
            ["duplicate"] => Fault::Duplicate,
            ["pass"] => Fault::Pass,
            ["stop"] => Fault::Stop,
            ["cont"] => Fault::Continue,
            ["kill"] => Fault::Kill,
            ["restart"] => Fault::Restart,
            ["reboot"] => Fault::Reboot,
            ["unplug"] => Fault::Unplug,
            ["replug"] => Fault::Replug,
            ["fill"] => Fault::Fill,
            ["free"] => Fault::Free,
            _ => return None,
        })
    }

    /// Does it to a way; says whether it is a fault of ways.
    fn apply_to_way(self, proxy: &FaultProxy) -> bool {
        match self {
            Fault::Cut => proxy.cut(),
            Fault::Stall => proxy.stall(),
            Fault::Slow(rate) => proxy.slow(rate),
            Fault::Garble => proxy.garble(Direction::ToClient),
            Fault::Duplicate => proxy.duplicate(Direction::ToClient),
            Fault::Pass => proxy.pass(),
            _ => return false,
        }
        true
    }

    /// Does it to a host; a fault of ways, to all of its ways. Blocks for as long as it takes.
    ///
    /// # Errors
    /// When it can't be done to a host.
    pub fn apply_to_host(self, host: &LabHost) -> Result<(), LabError> {
        match self {
            Fault::Stop => host.freeze(),
            Fault::Continue => host.thaw(),
            Fault::Kill => host.kill(),
            Fault::Restart | Fault::Reboot => host.restart()?,
            _ => {
                let are_of_ways = host.ways.iter().all(|way| self.apply_to_way(&way.proxy));
                if !are_of_ways {
                    return Err(impossible(&host.name, "it is a host: use kill and restart, or a fault of its ways"));
                }
            }
        }
        Ok(())
    }

    /// Does it to a device. Blocks for as long as it takes.
    ///
    /// # Errors
    /// When it can't be done to this device.
    pub fn apply(self, device: &LabDevice) -> Result<(), LabError> {
        let LabDevice { proxy, machine, name } = device;
        if self.apply_to_way(proxy) {
            return Ok(());
        }
        match (self, machine) {
            (Fault::Stop, Machine::Phone(phone)) => phone.freeze(),
            (Fault::Stop, Machine::Board(board)) => board.freeze(),
            (Fault::Stop, Machine::Emulated(board)) => board.freeze(),
            (Fault::Continue, Machine::Phone(phone)) => phone.thaw(),
            (Fault::Continue, Machine::Board(board)) => board.thaw(),
            (Fault::Continue, Machine::Emulated(board)) => board.thaw(),
            (Fault::Kill, Machine::Phone(phone)) => phone.kill_daemon()?,
            (Fault::Kill, Machine::Board(board)) => board.kill_daemon()?,
            (Fault::Restart, Machine::Phone(phone)) => phone.restart_daemon()?,
            (Fault::Restart, Machine::Board(board)) => board.restart_daemon()?,
            (Fault::Reboot, Machine::Phone(phone)) => phone.reboot()?,
            (Fault::Reboot, Machine::Board(board)) => board.reboot()?,
            (Fault::Reboot, Machine::Emulated(board)) => board.reboot()?,
            (Fault::Unplug, Machine::Phone(phone)) => phone.unplug()?,
            (Fault::Replug, Machine::Phone(phone)) => phone.replug()?,
            (Fault::Unplug | Fault::Replug, Machine::Board(_) | Machine::Emulated(_)) => {
                return Err(impossible(name, "it has no cable of its own: use stall and pass"));
            }
            (Fault::Kill | Fault::Restart, Machine::Emulated(_)) => {
                return Err(impossible(name, "its daemon is out of reach: use reboot"));
            }
            (Fault::Fill | Fault::Free, Machine::Emulated(_)) => {
                return Err(impossible(name, "its disk is out of reach: use another board"));
            }
            (Fault::Fill, Machine::Phone(phone)) => phone.fill_disk()?,
            (Fault::Fill, Machine::Board(board)) => board.disk()?.fill()?,
            (Fault::Free, Machine::Phone(phone)) => phone.free_disk()?,
            (Fault::Free, Machine::Board(board)) => board.disk()?.free()?,
            // Done above.
            (Fault::Cut | Fault::Stall | Fault::Slow(_) | Fault::Garble | Fault::Duplicate | Fault::Pass, _) => {}
        }
        Ok(())
    }
}

fn impossible(device: &str, reason: &str) -> LabError {
    LabError::Program { program: format!("the fault on {device}"), reason: reason.to_owned() }
}

/// Takes orders for a farm, one after another, for as long as it is polled.
///
/// # Errors
/// When it can't listen.
pub async fn serve(farm: Arc<Farm>) -> Result<(), LabError> {
    let path = farm.control_socket();
    let listener = UnixListener::bind(&path).map_err(LabError::file("listen on", &path))?;
    loop {
        let (stream, _) = listener.accept().await.map_err(LabError::file("listen on", &path))?;
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        let mut reader = BufReader::new(reader.take(MAX_ORDER_BYTES));
        // Who says nothing holds nobody up for long; who does not listen to the answer neither.
        if !matches!(tokio::time::timeout(ORDER_LIMIT, reader.read_line(&mut line)).await, Ok(Ok(_))) {
            continue;
        }
        let farm = Arc::clone(&farm);
        let obeyed = tokio::task::spawn_blocking(move || obey(&farm, &line)).await;
        let answer = obeyed.unwrap_or_else(|error| format!("failed: {error}"));
        let _ = tokio::time::timeout(ORDER_LIMIT, writer.write_all(answer.as_bytes())).await;
    }
}

fn obey(farm: &Farm, order: &str) -> String {
    let words: Vec<&str> = order.split_ascii_whitespace().collect();
    let Some((name, fault)) = words.split_first().and_then(|(name, rest)| Some((*name, Fault::parse(rest)?))) else {
        return format!("failed: {order:?} is no order");
    };
    let done = if let Some(device) = farm.device(name) {
        fault.apply(device)
    } else if let Some(host) = farm.hosts().iter().find(|host| host.name == name) {
        fault.apply_to_host(host)
    } else if let Some(way) = way(farm, name) {
        if fault.apply_to_way(way) { Ok(()) } else { Err(impossible(name, "it is a way: use stall, cut or slow")) }
    } else {
        return format!("failed: there is no {name}, only {}", names(farm).join(", "));
    };
    done.map_or_else(|error| format!("failed: failed to {error}"), |()| OK.to_owned())
}

/// The way of a host to something: `host-1/board-2`.
fn way<'a>(farm: &'a Farm, name: &str) -> Option<&'a FaultProxy> {
    let (host, to) = name.split_once('/')?;
    farm.hosts().iter().find(|known| known.name == host)?.way(to)
}

/// All that an order can name.
fn names(farm: &Farm) -> Vec<String> {
    let devices = farm.devices.iter().map(|device| device.name.clone());
    let of_host = |host: &LabHost| {
        let ways = host.ways.iter().map(|way| format!("{}/{}", host.name, way.name)).collect::<Vec<_>>();
        std::iter::once(host.name.clone()).chain(ways).collect::<Vec<_>>()
    };
    devices.chain(farm.hosts().iter().flat_map(of_host)).collect()
}

/// Gives an order (`NAME ACTION [NUMBER]`) to the farm behind a farm file, a folder of hosts, or a control socket, and
/// waits until it is done.
///
/// # Errors
/// When no farm answers, or it can't be done.
pub fn send(target: &Path, order: &str) -> Result<(), LabError> {
    let socket = socket_of(target)?;
    let failed = || LabError::file("talk to the farm (is `testlab up` still running?) at", &socket);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).map_err(failed())?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(failed())?;
    stream.write_all(format!("{order}\n").as_bytes()).map_err(failed())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed())?;
    if answer == OK {
        return Ok(());
    }
    let reason = answer.strip_prefix("failed: ").unwrap_or("it gave no answer").to_owned();
    Err(LabError::Program { program: order.to_owned(), reason })
}

fn socket_of(target: &Path) -> Result<PathBuf, LabError> {
    let metadata = std::fs::metadata(target).map_err(LabError::file("read", target))?;
    if metadata.file_type().is_socket() {
        return Ok(target.to_owned());
    }
    let file = if metadata.is_dir() { target.join(MARK_FILE) } else { target.to_owned() };
    let text = std::fs::read_to_string(&file).map_err(LabError::file("read", &file))?;
    let missing = || std::io::Error::other("no running testlab wrote it: it names no control socket");
    control_socket_of(&text).ok_or_else(|| LabError::file("use the farm file", target)(missing()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_words() {
        assert_eq!(Fault::parse(&["slow", "1000"]), Some(Fault::Slow(1000)));
        assert_eq!(Fault::parse(&["cont"]), Some(Fault::Continue));
        for bad in [&["slow"][..], &["slow", "0"], &["slow", "x"], &["cut", "1"], &["explode"], &[]] {
            assert_eq!(Fault::parse(bad), None, "{bad:?}");
        }
    }
}
