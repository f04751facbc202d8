//! Which process of this host listens at a port, from `/proc`.
//!
//! Main function: [`kill_adb_at`]. Ends nothing but a program called `adb` of this user.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
/// Fields of a line there.
const LOCAL_ADDRESS: usize = 1;
const STATE: usize = 3;
const INODE: usize = 9;

/// Kills the adb server that listens at this port and does not answer, even when it is stopped.
///
/// # Errors
/// A reason, when there is none that may be killed.
pub(super) fn kill_adb_at(port: u16) -> Result<(), String> {
    let inodes = listening_inodes(port);
    let owner = processes().find(|pid| holds(*pid, &inodes));
    let pid = owner.ok_or_else(|| format!("no process of this user listens at port {port}"))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() != "adb" {
        return Err(format!("process {pid} at port {port} is {:?}, not adb", name.trim()));
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|error| format!("process {pid}: {error}"))
}

fn listening_inodes(port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let listening = |fields: &Vec<String>| {
        fields.get(LOCAL_ADDRESS).is_some_and(|local| local.ends_with(&suffix))
            && fields.get(STATE).is_some_and(|state| state == LISTENING)
    };
    let lines = tables.iter().flat_map(|table| table.lines());
    lines.map(fields).filter(listening).filter_map(|fields| fields.get(INODE).cloned()).collect()
}

/// The processes of this user.
fn processes() -> impl Iterator<Item = i32> {
    let own = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|facts| facts.uid() == Uid::effective().as_raw());
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok).filter(own);
    entries.collect::<Vec<_>>().into_iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holds(pid: i32, inodes: &[String]) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| {
        let socket = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        socket.is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_listener_that_is_not_adb_is_named_and_left_alone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let reason = kill_adb_at(port).unwrap_err();
        assert!(reason.contains(&format!("process {} at port {port}", std::process::id())), "{reason}");
        drop(listener);
        assert!(kill_adb_at(port).unwrap_err().contains("no process"));
    }
}
