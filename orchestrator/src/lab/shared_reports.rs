//! Reports of sweeps that are over, and what each host logged of them, in the place where hosts share files: any host
//! shows what another has written.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::sweep_log::LOG_FILE;
use super::{Lab, LabError};
use crate::artifacts::{Asked, Call, Kind, SharedFiles};
use crate::domain::{ReportFile, SweepId, SweepRow, hex, host_log_name};
use crate::publish::sweep_folder;
use crate::report::REPORTS;
use crate::wording::many;

/// How long the reports of one sweep may take on their way to other hosts: samples may have a hundred megabytes.
const SHARE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a person waits for one.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 1 << 20;

impl Lab {
    /// Lets other hosts have the reports of a sweep that is over, where hosts share files. What can't be put there is
    /// told, and keeps nothing from going on.
    pub(super) fn share_reports(&self, sweep: &SweepRow) {
        let Some(shared) = self.shared_files_if_any().filter(|_| sweep.state.is_over()) else { return };
        let folder = sweep_folder(&self.reports(), sweep.id.as_str());
        let deadline = Instant::now() + SHARE_TIMEOUT;
        let files: Vec<ReportFile> =
            REPORTS.iter().filter_map(|report| put(&shared, &folder, report.file_name(), deadline)).collect();
        let noted = self.store().and_then(|store| Ok(store.set_report_files(&sweep.id, &files)?));
        let left = REPORTS.len() - if noted.is_ok() { files.len() } else { 0 };
        if let Err(error) = noted {
            tracing::warn!(sweep = %sweep.id, %error, "the reports that others can have were not noted");
        }
        if left > 0 {
            let what = many(left as u64, "report") + if left == 1 { " is" } else { " are" };
            let id = &sweep.id;
            self.remark(&format!("{what} on this host alone: `farmctl report {id}` lets the others have them"));
        }
    }

    /// Lets other hosts have what this one logged of its part of a sweep, where hosts share files. A log that can't be
    /// put there stays on this host, and is told of in the log alone.
    pub(super) fn share_log(&self, sweep: &SweepId) {
        let Some(shared) = self.shared_files_if_any() else { return };
        let folder = sweep_folder(&self.reports(), sweep.as_str());
        let noted = self.host_name().and_then(|host| {
            let Some(log) = put(&shared, &folder, LOG_FILE, Instant::now() + FETCH_TIMEOUT) else { return Ok(()) };
            Ok(self.store()?.set_host_log(sweep, &ReportFile { name: host_log_name(&host), ..log })?)
        });
        if let Err(error) = noted {
            tracing::warn!(%sweep, %error, "this host's log was not noted for the others");
        }
    }

    /// The names of a sweep's reports that hosts share; none where this host has its own files alone.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn shared_report_names(&self, sweep: &SweepId) -> Result<Vec<String>, LabError> {
        if self.lab_config()?.artifacts.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.store()?.report_files(sweep)?.into_iter().map(|file| file.name).collect())
    }

    /// A report that another host has written, as a file of this host; `None` where there is none, or it can't be had
    /// now, which is told. It is kept with what can be had again, by its hash: so one that was written anew is seen.
    ///
    /// # Errors
    /// When the store can't be read, or this host can't write the file.
    pub fn shared_report(&self, sweep: &SweepId, name: &str) -> Result<Option<PathBuf>, LabError> {
        let Some(shared) = self.shared_files_if_any() else { return Ok(None) };
        let Some(file) = self.store()?.report_files(sweep)?.into_iter().find(|file| file.name == name) else {
            return Ok(None);
        };
        let folder = self.artifacts();
        let path = folder.join(&file.sha256);
        if std::fs::metadata(&path).is_ok_and(|about| about.len() == file.size_bytes) {
            return Ok(Some(path));
        }
        std::fs::create_dir_all(&folder).map_err(|error| {
            LabError::internal(format!("failed to make {}: {error}", folder.display())).caused_by(error)
        })?;
        let mut call = Call { deadline: Instant::now() + FETCH_TIMEOUT, progress: &mut |_| {} };
        let asked = shared.fetch(Kind::Report, &file.sha256, &path, &mut call);
        Ok((asked == Asked::Done).then_some(path))
    }
}

/// Puts one report there; `None` where this host has none of that name, or it could not be put there.
fn put(shared: &SharedFiles, folder: &Path, name: &str, deadline: Instant) -> Option<ReportFile> {
    let path = folder.join(name);
    let (sha256, size_bytes) = hashed(&path).ok()?;
    let mut call = Call { deadline, progress: &mut |_| {} };
    let is_there = shared.share(Kind::Report, &sha256, &path, &mut call);
    is_there.then(|| ReportFile { name: name.to_owned(), sha256, size_bytes })
}

/// Hash and size of a file that this host has written.
fn hashed(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let (mut buffer, mut size_bytes) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hasher.finalize()), size_bytes)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        size_bytes += count as u64;
    }
}
