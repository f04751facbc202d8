//! A server before a real adb server, which lists its phones as a real one lists phones that no virtual one can be: on
//! USB, with a name that has spaces, with the serial number of another.
//!
//! Main type: [`AdbFront`]. Passes everything on that is not a list.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// How one phone of the real server is listed.
#[derive(Debug, Clone, Default)]
pub struct FrontName {
    /// What the real server calls it.
    pub real: String,
    /// What it is called here.
    pub shown: String,
    /// Where it is plugged in.
    pub usb: Option<String>,
    /// Its state, where that is another than the real one.
    pub state: Option<String>,
}

/// The server; it ends with the process.
pub struct AdbFront {
    address: SocketAddr,
    names: Arc<Mutex<Vec<FrontName>>>,
}

impl AdbFront {
    /// Stands before the server at this address.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(server: SocketAddr) -> io::Result<AdbFront> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let names: Arc<Mutex<Vec<FrontName>>> = Arc::default();
        let known = Arc::clone(&names);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let names = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A client that goes is no fault.
                std::thread::spawn(move || serve(client, server, &names));
            }
        });
        Ok(AdbFront { address, names })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How phones are listed from now on.
    pub fn set_names(&self, names: Vec<FrontName>) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, names: &[FrontName]) -> io::Result<()> {
    let service = text(&mut client)?;
    let mut upstream = TcpStream::connect(server)?;
    if service == "host:devices-l" {
        ask(&mut upstream, &service)?;
        upstream.read_exact(&mut [0; 4])?;
        let listed: String = text(&mut upstream)?.lines().map(|line| shown(line, names) + "\n").collect();
        return client.write_all(format!("OKAY{:04x}{listed}", listed.len()).as_bytes());
    }
    let is_meant = |name: &&FrontName| !name.shown.is_empty() && service.contains(&name.shown);
    let meant: Vec<&FrontName> = names.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [] => ask(&mut upstream, &service)?,
        [name] => ask(&mut upstream, &service.replace(&name.shown, &name.real))?,
        _ => {
            let reason = "more than one device";
            return client.write_all(format!("FAIL{:04x}{reason}", reason.len()).as_bytes());
        }
    }
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || pump(&mut from, &mut to));
    pump(&mut upstream, &mut client);
    Ok(())
}

fn shown(line: &str, names: &[FrontName]) -> String {
    let Some(name) = names.iter().find(|name| line.starts_with(&name.real)) else { return line.to_owned() };
    let mut words = line[name.real.len()..].split_whitespace();
    let state = words.next().unwrap_or_default();
    let usb = name.usb.as_ref().map_or_else(String::new, |path| format!(" usb:{path}"));
    let fields: String = words.map(|word| format!(" {word}")).collect();
    format!("{:<22} {}{usb}{fields}", name.shown, name.state.as_deref().unwrap_or(state))
}

fn ask(server: &mut TcpStream, service: &str) -> io::Result<()> {
    server.write_all(format!("{:04x}{service}", service.len()).as_bytes())
}

/// A text with its length in front.
fn text(stream: &mut TcpStream) -> io::Result<String> {
    let mut digits = [0; 4];
    stream.read_exact(&mut digits)?;
    let length = std::str::from_utf8(&digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let mut bytes = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn pump(from: &mut TcpStream, to: &mut TcpStream) {
    // Either end may go at any moment.
    let _ = io::copy(from, to);
    let _ = to.shutdown(Shutdown::Write);
}
