//! An object store of one test, which speaks S3.
//!
//! Main type: [`S3Server`]: moto's, from PyPI, which `scripts/prepare-s3` puts below `target/`. It keeps all in memory,
//! checks keys and signatures where it is asked to, and knows multipart uploads.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::Signal;

use crate::LabError;
use crate::board::wait_until;
use crate::folder::LabFolder;
use crate::process::Owned;

const WHAT: &str = "S3 server";

/// Its program.
const PROGRAM: &str = include_str!("s3_server.py");

/// A running server on 127.0.0.1 with an empty bucket, [`S3Server::BUCKET`].
pub struct S3Server {
    port: u16,
    key: String,
    secret: String,
    process: Mutex<Option<Owned>>,
    _folder: LabFolder,
}

impl S3Server {
    /// The bucket that it has.
    pub const BUCKET: &str = "lab";

    /// Starts one that takes any key.
    ///
    /// # Errors
    /// When it can't be installed, or does not start.
    pub fn start() -> Result<S3Server, LabError> {
        S3Server::start_with(&[])
    }

    /// Starts one that refuses whoever has not its key.
    ///
    /// # Errors
    /// As for [`S3Server::start`].
    pub fn start_guarded() -> Result<S3Server, LabError> {
        S3Server::start_with(&["guarded"])
    }

    fn start_with(words: &[&str]) -> Result<S3Server, LabError> {
        let python = prepare()?;
        let folder = LabFolder::create("testlab-s3-")?;
        let (program, ready) = (folder.path().join("server.py"), folder.path().join("ready"));
        std::fs::write(&program, PROGRAM).map_err(LabError::file("write", &program))?;
        let mut command = vec![program.as_os_str(), ready.as_os_str()];
        command.extend(words.iter().map(OsStr::new));
        let log = folder.path().join("log");
        let mut process = Owned::start(&python, &command, folder.path(), &log)?;
        let waited = wait_until(WHAT, || ready.is_file() || process.has_ended());
        let text = std::fs::read_to_string(&ready).map_err(|_| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            LabError::NotReady { server: WHAT, reason: said.lines().last().unwrap_or_default().to_owned() }
        });
        waited?;
        let text = text?;
        let field = |name: &str| text.split(&format!("\"{name}\": ")).nth(1).map(field_text).unwrap_or_default();
        let port = field("port").parse().unwrap_or_default();
        let (key, secret, process) = (field("key"), field("secret"), Mutex::new(Some(process)));
        Ok(S3Server { port, key, secret, process, _folder: folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The key that it takes.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key's secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Ends it; all that it had is gone.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// It answers nobody any more, and closes nothing.
    pub fn freeze(&self) {
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            process.signal_family(Signal::SIGSTOP);
        }
    }
}

/// The value at the beginning of a piece of JSON that has no escapes.
fn field_text(rest: &str) -> String {
    rest.trim_start_matches('"').chars().take_while(|c| !matches!(c, '"' | ',' | '}')).collect()
}

/// Installs the server where it is not there; gives its Python.
fn prepare() -> Result<PathBuf, LabError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = root.join("scripts/prepare-s3");
    let output = Command::new(&script).stdin(Stdio::null()).output().map_err(LabError::file("start", &script))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LabError::Program { program: "scripts/prepare-s3".to_owned(), reason });
    }
    Ok(root.join("target/s3-venv/bin/python"))
}
