//! An adb server that belongs to one test.
//!
//! Main type: [`AdbServer`]: the real one of the platform tools, on its own port and with its own keys. It claims no
//! emulators of the host. Never uses the `adb` client, which would start a second server by itself when this one is
//! gone.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::LabError;
use crate::board::{free_port, wait_until};
use crate::folder::{ENDED_TOO, LabFolder};
use crate::process::{Owned, find_program, kill_started_with};

const WHAT: &str = "adb server";
/// Another process may take the free port first.
const PORT_ATTEMPTS: usize = 5;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Time until a daemon that was connected is listed as a device.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_ATTEMPTS: usize = 6;
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const DEVICE: &str = "device";

/// A running adb server on 127.0.0.1.
pub struct AdbServer {
    port: u16,
    process: Mutex<Option<Owned>>,
    folder: LabFolder,
}

impl AdbServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When adb is missing or does not start.
    pub fn start() -> Result<AdbServer, LabError> {
        let folder = LabFolder::create("testlab-adb-")?;
        let mut server = AdbServer { port: 0, process: Mutex::new(None), folder };
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(LabError::NotReady { server: WHAT, reason: "no free port".to_owned() }))
    }

    /// Its port, as `ANDROID_ADB_SERVER_PORT` has it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What it has logged since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Connects to the daemon at an address (that of a phone, or of a proxy before it), and waits until it is there as
    /// a device.
    ///
    /// # Errors
    /// When the server or the daemon does not answer.
    pub fn connect(&self, daemon: SocketAddr) -> Result<(), LabError> {
        let mut answer = String::new();
        for _ in 0..CONNECT_ATTEMPTS {
            answer = self.request(&format!("host:connect:{daemon}"))?;
            let deadline = Instant::now() + CONNECT_LIMIT;
            while answer.contains("connected to") && Instant::now() < deadline {
                if self.state_of(daemon)?.as_deref() == Some(DEVICE) {
                    return Ok(());
                }
                std::thread::sleep(POLL_INTERVAL);
            }
            // The server may hold on to a connection that died; it is not there if it never came about.
            let _ = self.disconnect(daemon);
        }
        let reason = format!("{daemon} does not become a device: {}", answer.trim());
        Err(LabError::NotReady { server: WHAT, reason })
    }

    /// Forgets a daemon.
    ///
    /// # Errors
    /// When the server does not answer, or does not know it.
    pub fn disconnect(&self, daemon: SocketAddr) -> Result<(), LabError> {
        self.request(&format!("host:disconnect:{daemon}")).map(drop)
    }

    /// State of a daemon, for example `device` or `offline`; `None` for one that it does not list.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn state_of(&self, daemon: SocketAddr) -> Result<Option<String>, LabError> {
        let list = self.request("host:devices")?;
        let wanted = daemon.to_string();
        let mut lines = list.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.find(|(serial, _)| *serial == wanted).map(|(_, state)| state.to_owned()))
    }

    /// Kills it.
    pub fn kill(&self) {
        *self.process() = None;
    }

    /// Starts it again on its port, after killing it if it still runs; it knows no devices then.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<(), LabError> {
        let mut current = self.process();
        *current = None;
        self.end_successor();
        let folder = self.folder.path();
        let ended_too = folder.join(ENDED_TOO);
        fs::write(&ended_too, self.successor().join(" ")).map_err(LabError::file("write", &ended_too))?;
        let adb = find_program("adb", "adb")?;
        let home = format!("HOME={}", folder.display());
        let listen = format!("tcp:localhost:{}", self.port);
        let adb = adb.display().to_string();
        // Ports of emulators end before they begin.
        let words = [
            "-u",
            "ADB_VENDOR_KEYS",
            &home,
            "ADB_LOCAL_TRANSPORT_MAX_PORT=5554",
            &adb,
            "-L",
            &listen,
            "nodaemon",
            "server",
        ];
        let words = words.map(OsStr::new);
        let mut process = Owned::start(&find_program("env", "coreutils")?, &words, folder, &folder.join("log"))?;
        let waited = wait_until(WHAT, || process.has_ended() || self.request("host:version").is_ok());
        if waited.is_err() || process.has_ended() {
            return Err(LabError::NotReady { server: WHAT, reason: self.log().trim().to_owned() });
        }
        *current = Some(process);
        Ok(())
    }

    /// Stops it, as if it hung.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends one that somebody else started on this port in its place, as `adb` and farmctl do.
    fn end_successor(&self) {
        kill_started_with(&self.successor());
    }

    /// Command line of such a one, behind its name.
    fn successor(&self) -> [String; 4] {
        ["-L", &format!("tcp:{}", self.port), "fork-server", "server"].map(str::to_owned)
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process().as_ref() {
            process.signal_family(signal);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Owned>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server: four hexadecimal digits of length, then text; the answer is `OKAY` or `FAIL` and the same.
    fn request(&self, service: &str) -> Result<String, LabError> {
        let failed = || LabError::file("talk to the adb server at", self.address().to_string());
        let mut stream = TcpStream::connect_timeout(&self.address(), ANSWER_LIMIT).map_err(failed())?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(failed())?;
        write!(stream, "{:04x}{service}", service.len()).map_err(failed())?;
        let mut head = [0; 8];
        stream.read_exact(&mut head).map_err(failed())?;
        let mut body = String::new();
        stream.read_to_string(&mut body).map_err(failed())?;
        if head.starts_with(b"OKAY") {
            return Ok(body);
        }
        Err(LabError::Program { program: format!("adb ({service})"), reason: body })
    }
}

impl Drop for AdbServer {
    fn drop(&mut self) {
        // Before its successors, which its folder ends.
        self.kill();
    }
}
