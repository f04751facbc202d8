//! Temporary folders that are removed in any case.
//!
//! Main type: [`LabFolder`]. A small shell waits for the end of its owner, however that comes (also by SIGKILL), and
//! then clears up: processes that are marked with the folder, those whose command line a file in it names, what is
//! mounted on it, and the folder. Never removes anything outside the folder it made.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

use crate::LabError;
use crate::process::{MARK, find_program};

/// Reads to the end of the pipe that the owner holds, then ends what is marked with the folder and has lost its parent.
/// Processes may be dying while the folder is removed, hence the repetition.
const CLEAR_UP: &str = "read -r _
for found in $(grep -lsxz \"$3=$1\" /proc/[0-9]*/environ); do
  found=${found%/environ}
  kill -KILL \"${found#/proc/}\"
done
if [ -f \"$1/$4\" ]; then
  for found in /proc/[0-9]*; do
    case \" $(tr '\\0' ' ' < \"$found/cmdline\")\" in *\" $(cat \"$1/$4\") \"*) kill -KILL \"${found#/proc/}\" ;; esac
  done
fi
[ \"$2\" = mounted ] && umount --lazy \"$1\"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  rm -rf --one-file-system \"$1\" && exit
  sleep 0.1
done";

/// Name of a file in the folder: words of the command line of processes that end with it, though they aren't marked.
pub(crate) const ENDED_TOO: &str = "ended-too";

/// A temporary folder; gone when the value or its process is.
pub(crate) struct LabFolder {
    path: PathBuf,
    janitor: Child,
}

impl LabFolder {
    /// Makes one.
    pub(crate) fn create(prefix: &str) -> Result<LabFolder, LabError> {
        LabFolder::with_janitor(prefix, "plain")
    }

    /// Makes one on which its user mounts something: that is unmounted first.
    pub(crate) fn create_mount_point(prefix: &str) -> Result<LabFolder, LabError> {
        LabFolder::with_janitor(prefix, "mounted")
    }

    fn with_janitor(prefix: &str, kind: &str) -> Result<LabFolder, LabError> {
        let shell = find_program("sh", "dash")?;
        let folder = tempfile::Builder::new().prefix(prefix).tempdir();
        let folder = folder.map_err(LabError::file("create", "a temporary folder"))?;
        let janitor = Command::new(&shell)
            .args(["-c", CLEAR_UP, "testlab-janitor"])
            .arg(folder.path())
            .args([kind, MARK, ENDED_TOO])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C in the terminal is for the owner alone.
            .process_group(0)
            .spawn()
            .map_err(LabError::file("start", &shell))?;
        Ok(LabFolder { path: folder.keep(), janitor })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LabFolder {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_value() {
        let folder = LabFolder::create("testlab-test-").unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn processes_that_it_names_end_with_it() {
        let folder = LabFolder::create("testlab-test-").unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::write(folder.path().join(ENDED_TOO), format!("-L {name} server")).unwrap();
        let start = |words: [&str; 3]| {
            Command::new("sh").args(["-c", "read -r _"]).args(words).stdin(Stdio::piped()).spawn().unwrap()
        };
        let (mut named, mut other) = (start(["-L", &name, "server"]), start(["-L", &name, "servers"]));
        drop(folder);
        assert!(named.wait().unwrap().code().is_none());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
