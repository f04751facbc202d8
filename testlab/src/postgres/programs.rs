//! PostgreSQL's programs: Debian's, or those of another version from npm; and whom they are run by.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::{PACKAGE, WHAT};
use crate::LabError;
use crate::process::{find_program, run};

/// The server refuses to be run by root.
const ORDINARY_USER: &str = "nobody";
/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Puts other versions below `target/`.
const SCRIPT: &str = "scripts/prepare-postgres";

/// The folder of the programs of Debian's newest version here.
pub(super) fn of_debian() -> Result<PathBuf, LabError> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.filter(|path| path.join("bin/initdb").is_file());
    let newest = folders.max_by_key(|path| number(path)).map(|path| path.join("bin"));
    let elsewhere = || find_program("initdb", PACKAGE).ok()?.parent().map(Path::to_owned);
    newest.or_else(elsewhere).ok_or_else(|| LabError::Missing { program: "initdb".into(), package: PACKAGE.into() })
}

/// The programs of another version, in a folder that an ordinary user may look into.
pub(super) fn of_version(version: u32, folder: &Path) -> Result<PathBuf, LabError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = root.join(SCRIPT);
    let asked = Command::new(&script).arg(version.to_string()).stdin(Stdio::null()).output();
    let output = asked.map_err(LabError::file("start", &script))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LabError::Program { program: SCRIPT.to_owned(), reason });
    }
    let place = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    // A clone may be in a folder of root's alone.
    let own = folder.join("programs");
    run("cp", "coreutils", &[OsStr::new("-a"), place.as_os_str(), own.as_os_str()])?;
    Ok(own.join("bin"))
}

/// Whom root becomes; `None` where this is no root.
pub(super) fn ordinary_user() -> Result<Option<User>, LabError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = User::from_name(ORDINARY_USER).ok().flatten();
    let missing = || LabError::Program { program: WHAT.into(), reason: format!("there is no user {ORDINARY_USER}") };
    found.map(Some).ok_or_else(missing)
}

/// Words for `setpriv` to become that user.
pub(super) fn as_ordinary_user() -> Result<Vec<OsString>, LabError> {
    let Some(user) = ordinary_user()? else { return Ok(Vec::new()) };
    let (owner, group) = (format!("--reuid={}", user.uid), format!("--regid={}", user.gid));
    Ok(vec![owner.into(), group.into(), "--clear-groups".into()])
}
