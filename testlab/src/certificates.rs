//! Certificates of one test, made by OpenSSL.
//!
//! Main type: [`Authority`]: signs certificates of servers and clients. Its files go with its value.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::LabError;
use crate::process::run;

const PROGRAM: &str = "openssl";
/// Keys that are made in no time.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

/// A certificate and its key, in PEM; the key is its owner's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file of the certificate.
    pub file: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When OpenSSL is not installed, or a file can't be written.
    pub fn create() -> Result<Authority, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::file("create", "a temporary folder"))?;
        let authority = Authority { folder };
        let (file, key) = (authority.file(), authority.path("authority.key"));
        let words = ["-x509", "-subj", "/CN=testlab", "-keyout"].map(OsStr::new);
        authority.request(&words, &[key.as_os_str(), OsStr::new("-out"), file.as_os_str()])?;
        Ok(authority)
    }

    /// Its own certificate: who has it believes those that it signs.
    pub fn file(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// Signs a certificate for a name; `host` is the name of a server's host.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn sign(&self, name: &str, host: Option<&str>) -> Result<Certificate, LabError> {
        let (file, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let (request, more) = (self.path("request"), self.path("more"));
        let usage = match host {
            Some(host) => format!("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{host}\n"),
            None => "extendedKeyUsage=clientAuth\n".to_owned(),
        };
        fs::write(&more, usage).map_err(LabError::file("write", &more))?;
        let subject = format!("/CN={name}");
        let words = ["-subj", &subject, "-keyout"].map(OsStr::new);
        self.request(&words, &[key.as_os_str(), OsStr::new("-out"), request.as_os_str()])?;
        let (own, own_key) = (self.file(), self.path("authority.key"));
        let signing: [(&str, &Path); 5] =
            [("-in", &request), ("-CA", &own), ("-CAkey", &own_key), ("-out", &file), ("-extfile", &more)];
        let mut words: Vec<&OsStr> = ["x509", "-req", "-CAcreateserial", "-days", "2"].map(OsStr::new).into();
        signing.iter().for_each(|(option, path)| words.extend([OsStr::new(option), path.as_os_str()]));
        run(PROGRAM, PROGRAM, &words)?;
        Ok(Certificate { file, key })
    }

    fn request(&self, words: &[&OsStr], files: &[&OsStr]) -> Result<(), LabError> {
        let mut all: Vec<&OsStr> = vec![OsStr::new("req")];
        all.extend(KEY.map(OsStr::new));
        all.extend(words.iter().chain(files));
        run(PROGRAM, PROGRAM, &all).map(drop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
