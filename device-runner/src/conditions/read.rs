//! Reading the kernel's files.
//!
//! Purpose: the one way to them, below one root. Main type: [`Root`]. Never waits, and never takes more than a bounded
//! number of bytes, names or numbers, whatever lies there: what is not as it should be is not there.

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use farmctl_protocol::MAX_SENSOR_NAME_BYTES;
use nix::fcntl::OFlag;

/// Bytes of a file that are read: `/proc/stat` has a line for each processor.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Bytes of a file that holds one number.
const MAX_NUMBER_BYTES: u64 = 64;
/// Names of a folder that are looked at.
const MAX_NAMES: usize = 4096;
/// Processors that a list may have.
const MAX_CPUS: u32 = 4096;

/// The folder that stands for `/`.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// The device's own, or the one that tests have in its place.
    pub fn device() -> Root {
        let other = env::var_os("DEVICE_RUNNER_ROOT").filter(|root| !root.is_empty());
        Root(other.map_or_else(|| PathBuf::from("/"), PathBuf::from))
    }

    /// Another one, as tests have.
    #[cfg(test)]
    pub fn at(folder: &Path) -> Root {
        Root(folder.to_owned())
    }

    /// Where `path` is, which has no slash in front.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// The file's text, as far as it is taken.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        text(&self.path(path))
    }

    /// The file's one word, made fit to be told.
    pub fn word(&self, path: impl AsRef<Path>) -> Option<String> {
        word(&self.path(path))
    }

    /// The file's list of processors.
    pub fn cpu_list(&self, path: impl AsRef<Path>) -> Option<Vec<u32>> {
        cpu_list(self.text(path)?.trim())
    }

    /// Names in a folder that begin with `start`, those with numbers in the numbers' order.
    pub fn names(&self, folder: impl AsRef<Path>, start: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let names = entries.take(MAX_NAMES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }
}

/// The text of a regular file, as far as it is taken.
pub(super) fn text(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&bytes(path, MAX_FILE_BYTES)?).into_owned())
}

/// A whole number that is all of a file; `None` of anything else.
pub(super) fn number(path: &Path) -> Option<i64> {
    let bytes = bytes(path, MAX_NUMBER_BYTES)?;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

/// The same, of what can't be below 0.
pub(super) fn count(path: &Path) -> Option<u64> {
    u64::try_from(number(path)?).ok()
}

/// A file's first line without what can't be printed, cut to the length of a name; `None` when nothing is left. Texts
/// of the device tree end with a NUL.
pub(super) fn word(path: &Path) -> Option<String> {
    let text = text(path)?;
    let line = text.lines().next().unwrap_or_default().trim_matches(|it: char| it.is_whitespace() || it == '\0');
    let word: String = line.chars().map(|it| if it.is_ascii_graphic() || it == ' ' { it } else { '?' }).collect();
    let word = &word[..word.len().min(MAX_SENSOR_NAME_BYTES)];
    (!word.is_empty()).then(|| word.to_owned())
}

/// The kernel's notation of processors, for example `0-3,6`; `None` of what is none, or names too many.
pub(super) fn cpu_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MAX_CPUS || first > last || cpus.len() > MAX_CPUS as usize {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// At most so many bytes of a regular file. A FIFO has no writer to be waited for, and a device is not read.
fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    // The file may be another by now.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    match file.take(most).read_to_end(&mut bytes) {
        Ok(_) => Some(bytes),
        // What came before may be half of a number.
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    #[test]
    fn what_is_no_number_is_not_there() {
        let tree = Tree::new();
        let cases = [
            ("42\n", Some(42)),
            (" -7 ", Some(-7)),
            ("", None),
            ("4.5", None),
            ("12 13", None),
            ("99999999999999999999", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("0x10", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(&tree.file("n", text).root().path("n")), expected, "{text:?}");
        }
        assert_eq!(number(&tree.file("n", &format!("1{}", " ".repeat(100_000))).root().path("n")), Some(1));
        assert_eq!(number(&tree.bytes("n", &[0xff, 0xfe]).root().path("n")), None);
    }

    #[test]
    fn neither_fifos_nor_folders_nor_links_nor_missing_files_are_waited_for() {
        let tree = Tree::new();
        mkfifo(&tree.root().path("fifo"), Mode::S_IRWXU).unwrap();
        std::fs::create_dir(tree.root().path("folder")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", tree.root().path("zero")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(tree.root().path("socket")).unwrap();
        for name in ["fifo", "folder", "zero", "socket", "missing", "missing/too"] {
            assert_eq!((tree.root().text(name), number(&tree.root().path(name))), (None, None), "{name}");
        }
        assert!(tree.root().names("fifo", "").is_empty());
        drop(socket);
    }

    #[test]
    fn no_more_than_so_much_is_taken() {
        let tree = Tree::new();
        tree.file("huge", &"9".repeat(1 << 20));
        assert_eq!(tree.root().text("huge").unwrap().len() as u64, MAX_FILE_BYTES);
        assert_eq!(tree.root().word("huge").unwrap().len(), MAX_SENSOR_NAME_BYTES);
        assert_eq!(tree.file("odd", "a\u{1b}[2J\u{202e}b\u{0}\n").root().word("odd").as_deref(), Some("a?[2J?b"));
    }

    #[test]
    fn lists_of_processors_are_bounded() {
        assert_eq!(cpu_list("0-3,6"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(cpu_list("2,0-1,1"), Some(vec![0, 1, 2]));
        for wrong in ["", "0-x", "3-1", "0-4294967295", "-1", "0-4095,0-4095,0-4095,1,5000"] {
            assert_eq!(cpu_list(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn names_come_in_the_order_of_their_numbers() {
        let tree = Tree::new();
        for name in ["cpu10", "cpu2", "cpufreq", "other"] {
            tree.file(&format!("cpu/{name}/x"), "");
        }
        assert_eq!(tree.root().names("cpu", "cpu"), ["cpu2", "cpu10", "cpufreq"]);
    }
}
