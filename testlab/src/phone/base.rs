//! The files that all virtual phones share: Android's own adb daemon and shell, and busybox,
//! from Debian's packages.
//!
//! Main function: [`phone_base`]. The packages are fetched and checked by apt with a state of its own, so nothing is
//! installed on the host. Made once per workspace, below `target/testlab/`; never names a mirror: it takes the host's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::PhoneArch;
use crate::LabError;
use crate::process::run;

/// Changes with the recipe, so that an older base is not taken for this one.
const RECIPE: &str = "phone-base-2";
/// Debian release that has adbd.
const SUITE: &str = "trixie";
const DAEMON_PACKAGE: &str = "adbd";
/// Android's own shell (busybox's would take its `svc` for Android's) and the other commands, without libraries.
const SHELL_PACKAGES: [&str; 2] = ["mksh", "busybox-static"];
const SHELL: &str = "mksh-static";
const DEFAULT_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Another process may be making the same base.
const LOCK_LIMIT: Duration = Duration::from_secs(600);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest time of one apt command, as `timeout` has it.
const APT_LIMIT_SECONDS: &str = "240";

/// The folder with the shared files, made at the first call.
pub(super) fn phone_base(arch: PhoneArch) -> Result<PathBuf, LabError> {
    let debian_arch = run("dpkg", "dpkg", &["--print-architecture"].map(OsStr::new))?;
    let native = debian_arch.trim();
    let shell_arch = match arch {
        PhoneArch::Host => native,
        PhoneArch::Aarch64 => "arm64",
    };
    let parent = target_folder();
    let base = parent.join(format!("{RECIPE}-{native}-{shell_arch}"));
    if base.exists() {
        return Ok(base);
    }
    if !Uid::effective().is_root() {
        return Err(LabError::NeedsRoot { what: "unpacking a virtual phone" });
    }
    fs::create_dir_all(&parent).map_err(LabError::file("create", &parent))?;
    let _lock = lock(&parent.join(format!("{RECIPE}.lock")))?;
    if base.exists() {
        return Ok(base);
    }
    let work = tempfile::Builder::new().prefix("making-").tempdir_in(&parent);
    let work = work.map_err(LabError::file("create a folder in", &parent))?;
    let root = work.path().join("root");
    let apt = Apt::prepare(&work.path().join("apt"), native, shell_arch)?;
    unpack(&apt, &root, native, shell_arch)?;
    fs::rename(&root, &base).map_err(LabError::file("create", &base))?;
    Ok(base)
}

/// Where things live that are worth keeping between runs.
fn target_folder() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).join("target/testlab")
}

fn lock(path: &Path) -> Result<Flock<fs::File>, LabError> {
    let mut file = fs::File::create(path).map_err(LabError::file("create", path))?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, error)) if Instant::now() > deadline => return Err(LabError::file("lock", path)(error.into())),
            Err((returned, _)) => file = returned,
        }
        std::thread::sleep(LOCK_POLL_INTERVAL);
    }
}

fn unpack(apt: &Apt, root: &Path, native: &str, shell_arch: &str) -> Result<(), LabError> {
    for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64"] {
        fs::create_dir_all(root.join(folder)).map_err(LabError::file("create", root.join(folder)))?;
    }
    for folder in ["dev", "proc", "sys", "etc", "tmp", "data", "system"] {
        fs::create_dir(root.join(folder)).map_err(LabError::file("create", root.join(folder)))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(name), root.join(name)).map_err(LabError::file("create", root.join(name)))?;
    }
    let [shell, commands] = SHELL_PACKAGES;
    for package in apt.download(&[DAEMON_PACKAGE, shell, commands])? {
        extract(&package, root)?;
    }
    let link = root.join("usr/bin/sh");
    symlink(SHELL, &link).map_err(LabError::file("create", &link))?;
    let busybox = root.join("usr/bin/busybox");
    let list = run(&busybox.display().to_string(), "busybox-static", &[OsStr::new("--list")])?;
    for applet in list.lines() {
        let link = root.join("usr/bin").join(applet);
        if link.symlink_metadata().is_err() {
            symlink("busybox", &link).map_err(LabError::file("create", &link))?;
        }
    }
    if shell_arch != native {
        let packages = SHELL_PACKAGES.map(|package| format!("{package}:{shell_arch}"));
        for package in apt.download(&packages.each_ref().map(String::as_str))? {
            extract(&package, root)?;
        }
    }
    Ok(())
}

fn extract(package: &Path, root: &Path) -> Result<(), LabError> {
    run("dpkg", "dpkg", &[OsStr::new("-x"), package.as_os_str(), root.as_os_str()]).map(drop)
}

/// A state of apt's own, with one source.
struct Apt {
    folder: PathBuf,
    config: String,
}

impl Apt {
    fn prepare(folder: &Path, native: &str, other: &str) -> Result<Apt, LabError> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part)).map_err(LabError::file("create", folder.join(part)))?;
        }
        let apt = Apt { folder: folder.to_owned(), config: format!("APT_CONFIG={}/apt.conf", folder.display()) };
        let source = Source::of_host()?;
        apt.write("status", "")?;
        apt.write("sources.list", &format!("deb [signed-by={}] {} {SUITE} main\n", source.keyring, source.mirror))?;
        let at = folder.display();
        apt.write(
            "apt.conf",
            &format!(
                "Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
                 Dir::State \"{at}\";\nDir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
                 APT::Sandbox::User \"root\";\nAPT::Architectures {{ \"{native}\"; \"{other}\"; }};\n\
                 Acquire::Languages \"none\";\nAcquire::Retries \"2\";\nAcquire::http::Timeout \"30\";\n"
            ),
        )?;
        apt.get(&["update"])?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(LabError::file("write", &path))
    }

    fn get(&self, arguments: &[&str]) -> Result<(), LabError> {
        let mut words = vec![self.config.as_str(), "timeout", "--kill-after=5", APT_LIMIT_SECONDS, "apt-get", "-qq"];
        words.extend(arguments);
        let failed = |error| match error {
            LabError::Program { reason, .. } => {
                LabError::Program { program: format!("env {}", words.join(" ")), reason }
            }
            other => other,
        };
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        run("env", "coreutils", &words).map(drop).map_err(failed)
    }

    /// Fetches packages with all they depend on; gives their files.
    fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>, LabError> {
        let archives = self.folder.join(packages.join("+"));
        fs::create_dir_all(archives.join("partial")).map_err(LabError::file("create", &archives))?;
        let option = format!("Dir::Cache::archives={}", archives.display());
        let mut arguments = vec!["install", "-y", "--download-only", "--no-install-recommends", "-o", &option];
        arguments.extend(packages);
        self.get(&arguments)?;
        let entries = fs::read_dir(&archives).map_err(LabError::file("read", &archives))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(paths.filter(|path| path.extension() == Some(OsStr::new("deb"))).collect())
    }
}

/// Where the host takes Debian's packages from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    keyring: String,
}

impl Source {
    fn of_host() -> Result<Source, LabError> {
        let files = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
        let found = files.iter().find_map(|path| Source::parse(&fs::read_to_string(path).ok()?));
        found.ok_or_else(|| LabError::Program {
            program: "apt-get".to_owned(),
            reason: format!("neither {} nor {} names a mirror of Debian's packages", files[0], files[1]),
        })
    }

    /// The first archive in apt's new (`URIs: …`) or old (`deb …`) notation; a security archive has not all packages.
    fn parse(text: &str) -> Option<Source> {
        let is_archive = |word: &&str| word.contains("://") && !word.contains("security");
        let mirror = text.lines().find_map(|line| match line.split_once(':') {
            Some(("URIs", addresses)) => addresses.split_ascii_whitespace().find(is_archive),
            _ => line.strip_prefix("deb ")?.split_ascii_whitespace().find(is_archive),
        })?;
        let keyring = text.lines().find_map(|line| line.strip_prefix("Signed-By:")).map(str::trim);
        let keyring = keyring.filter(|path| path.starts_with('/')).unwrap_or(DEFAULT_KEYRING);
        Some(Source { mirror: mirror.to_owned(), keyring: keyring.to_owned() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mirror_is_found_in_both_notations() {
        let new = "Types: deb\n# URIs: x://no\nURIs: http://mirror.example/debian\nSigned-By: /keys/a.gpg\n";
        let source = Source::parse(new).unwrap();
        assert_eq!((source.mirror.as_str(), source.keyring.as_str()), ("http://mirror.example/debian", "/keys/a.gpg"));
        let old =
            "deb http://mirror.example/debian-security x main\ndeb [arch=amd64] http://mirror.example/debian x main\n";
        let source = Source::parse(old).unwrap();
        assert_eq!(
            (source.mirror.as_str(), source.keyring.as_str()),
            ("http://mirror.example/debian", DEFAULT_KEYRING)
        );
        assert_eq!(Source::parse("# nothing\n"), None);
    }
}
