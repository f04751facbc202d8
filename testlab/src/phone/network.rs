//! The cable of a virtual phone: a veth pair, one end of which lies in the phone's network namespace.
//!
//! Main types: [`Subnet`] (addresses that nobody else uses) and [`Cable`]. The kernel removes the pair with the phone's
//! namespace, so nothing stays.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::LabError;
use crate::process::run;

const PACKAGE: &str = "iproute2";
/// Subnets of four addresses in 10.77.0.0/16.
const SUBNETS: u32 = 1 << 14;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Two addresses of 10.77.0.0/16, for the host and for the phone, as long as this value lives.
pub(super) struct Subnet {
    number: u32,
    /// Only one process of a network namespace can have this name, and it goes with the process.
    _claim: UnixListener,
}

impl Subnet {
    /// Finds one that is free. Begins at a place of this process' own, so that one that was just given back rests.
    pub(super) fn claim() -> Result<Subnet, LabError> {
        let start = std::process::id().wrapping_mul(61).wrapping_add(COUNTER.fetch_add(1, Ordering::Relaxed));
        for offset in 0..SUBNETS {
            let number = start.wrapping_add(offset) % SUBNETS;
            let Ok(name) = SocketAddr::from_abstract_name(format!("testlab-subnet-{number}")) else { continue };
            let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
            let subnet = Subnet { number, _claim: claim };
            let range = format!("{}/30", subnet.address(0));
            if ip(&["-o", "-4", "addr", "show", "to", &range])?.trim().is_empty() {
                return Ok(subnet);
            }
        }
        let reason = "all addresses of 10.77.0.0/16 are taken".to_owned();
        Err(LabError::NotReady { server: "a virtual phone", reason })
    }

    fn address(&self, offset: u32) -> Ipv4Addr {
        let network = u32::from(Ipv4Addr::new(10, 77, 0, 0));
        Ipv4Addr::from(network + self.number * 4 + offset)
    }

    /// Address of the phone.
    pub(super) fn phone(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// Lays a cable into the network namespace of a process; the other end must still be brought up there, as `eth0`.
    pub(super) fn connect(&self, process: u32) -> Result<Cable, LabError> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        // At most 15 characters.
        let cable = Cable { name: format!("tl{:x}.{number:x}", std::process::id()) };
        ip(&["link", "add", &cable.name, "type", "veth", "peer", "name", "eth0", "netns", &process.to_string()])?;
        ip(&["addr", "add", &format!("{}/30", self.address(1)), "dev", &cable.name])?;
        cable.set(true)?;
        Ok(cable)
    }
}

/// The host's end of a cable; removes it when dropped.
pub(super) struct Cable {
    name: String,
}

impl Cable {
    /// Whether both ends are up. A packet before that is sent again only after a second.
    pub(super) fn is_up(&self) -> bool {
        let state = std::fs::read_to_string(format!("/sys/class/net/{}/operstate", self.name));
        state.is_ok_and(|state| state.trim() == "up")
    }

    /// Plugs it in or pulls it out.
    pub(super) fn set(&self, is_plugged: bool) -> Result<(), LabError> {
        ip(&["link", "set", &self.name, if is_plugged { "up" } else { "down" }]).map(drop)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The kernel may have been faster.
        let _ = ip(&["link", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<String, LabError> {
    let words: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    run("ip", PACKAGE, &words).map_err(|error| match error {
        LabError::Program { reason, .. } => {
            LabError::Program { program: format!("ip {}", arguments.join(" ")), reason }
        }
        other => other,
    })
}
