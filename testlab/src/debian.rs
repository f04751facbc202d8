//! Files from Debian's packages, unpacked below `target/testlab/` and kept for the next time.
//!
//! Main function: [`make_once`]; main type: [`Apt`], which fetches and checks packages with a state of its own, so
//! nothing is installed on the host. Never names a mirror: it takes the host's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::LabError;
use crate::process::run;

const DEFAULT_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Another process may be making the same.
const LOCK_LIMIT: Duration = Duration::from_secs(600);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest time of one apt command, as `timeout` has it.
const APT_LIMIT_SECONDS: &str = "240";

/// The folder of this name; made at the first call, whole or not at all. `make` gets the folder to fill, which is there
/// already, and one for what is needed meanwhile.
pub(crate) fn make_once(
    name: &str,
    make: impl FnOnce(&Path, &Path) -> Result<(), LabError>,
) -> Result<PathBuf, LabError> {
    let parent = target_folder();
    let path = parent.join(name);
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(&parent).map_err(LabError::file("create", &parent))?;
    let _lock = lock(&parent.join(format!("{name}.lock")))?;
    if path.exists() {
        return Ok(path);
    }
    let work = tempfile::Builder::new().prefix("making-").tempdir_in(&parent);
    let work = work.map_err(LabError::file("create a folder in", &parent))?;
    let root = work.path().join("root");
    fs::create_dir(&root).map_err(LabError::file("create", &root))?;
    make(&root, work.path())?;
    fs::rename(&root, &path).map_err(LabError::file("create", &path))?;
    Ok(path)
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

/// Architecture of the host, as Debian calls it.
pub(crate) fn host_architecture() -> Result<String, LabError> {
    Ok(run("dpkg", "dpkg", &["--print-architecture"].map(OsStr::new))?.trim().to_owned())
}

/// Unpacks a package.
pub(crate) fn extract(package: &Path, root: &Path) -> Result<(), LabError> {
    run("dpkg", "dpkg", &[OsStr::new("-x"), package.as_os_str(), root.as_os_str()]).map(drop)
}

/// A state of apt's own, with one source.
pub(crate) struct Apt {
    folder: PathBuf,
    config: String,
}

impl Apt {
    /// Reads what there is in a release for two architectures.
    pub(crate) fn prepare(folder: &Path, suite: &str, native: &str, other: &str) -> Result<Apt, LabError> {
        Apt::prepare_from(&Source::from_host()?, folder, suite, [native, other])
    }

    fn prepare_from(source: &Source, folder: &Path, suite: &str, [native, other]: [&str; 2]) -> Result<Apt, LabError> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part)).map_err(LabError::file("create", folder.join(part)))?;
        }
        let apt = Apt { folder: folder.to_owned(), config: format!("APT_CONFIG={}/apt.conf", folder.display()) };
        apt.write("status", "")?;
        apt.write("sources.list", &format!("deb [signed-by={}] {} {suite} main\n", source.keyring, source.mirror))?;
        let at = folder.display();
        apt.write(
            "apt.conf",
            &format!(
                "Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
                 Dir::State \"{at}\";\nDir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
                 APT::Sandbox::User \"root\";\nAPT::Architectures {{ \"{native}\"; \"{other}\"; }};\n\
                 Acquire::Languages \"none\";\nAcquire::Retries \"2\";\nAcquire::http::Timeout \"30\";\n\
                 APT::Update::Error-Mode \"any\";\n"
            ),
        )?;
        apt.run("apt-get", &["-qq", "update"])?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(LabError::file("write", &path))
    }

    /// Runs one of apt's programs in the state's folder.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, LabError> {
        let folder = format!("--chdir={}", self.folder.display());
        let mut words = vec![folder.as_str(), &self.config, "timeout", "--kill-after=5", APT_LIMIT_SECONDS, program];
        words.extend(arguments);
        let failed = |error| match error {
            LabError::Program { reason, .. } => {
                LabError::Program { program: format!("env {}", words.join(" ")), reason }
            }
            other => other,
        };
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        run("env", "coreutils", &words).map_err(failed)
    }

    /// What a package needs first.
    pub(crate) fn first_dependency(&self, package: &str) -> Result<String, LabError> {
        let text = self.run("apt-cache", &["show", package])?;
        let line = text.lines().find_map(|line| line.strip_prefix("Depends: "));
        let name = line.and_then(|line| line.split([' ', ',']).next());
        let reason = || format!("{package} needs no other package");
        name.map(str::to_owned).ok_or_else(|| LabError::Program { program: "apt-cache".to_owned(), reason: reason() })
    }

    /// Fetches packages alone; gives all packages that lie in the state's folder then.
    pub(crate) fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>, LabError> {
        let mut arguments = vec!["-qq", "download"];
        arguments.extend(packages);
        self.run("apt-get", &arguments)?;
        packages_in(&self.folder)
    }

    /// Fetches packages with all they depend on; gives their files.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>, LabError> {
        let archives = self.folder.join(packages.join("+"));
        fs::create_dir_all(archives.join("partial")).map_err(LabError::file("create", &archives))?;
        let option = format!("Dir::Cache::archives={}", archives.display());
        let mut arguments = vec!["-qq", "install", "-y", "--download-only", "--no-install-recommends", "-o", &option];
        arguments.extend(packages);
        self.run("apt-get", &arguments)?;
        packages_in(&archives)
    }
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>, LabError> {
    let entries = fs::read_dir(folder).map_err(LabError::file("read", folder))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension() == Some(OsStr::new("deb"))).collect())
}

/// Where the host takes Debian's packages from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    keyring: String,
}

impl Source {
    fn from_host() -> Result<Source, LabError> {
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
    fn a_download_that_fails_names_the_command_and_the_mirror() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing listens on this port.
        let mirror = "http://127.0.0.1:1/debian".to_owned();
        let source = Source { mirror, keyring: DEFAULT_KEYRING.to_owned() };
        let failed = Apt::prepare_from(&source, &folder.path().join("apt"), "trixie", ["amd64", "arm64"]);
        let text = failed.err().unwrap().to_string();
        assert!(text.contains("apt-get -qq update") && text.contains("127.0.0.1:1"), "{text}");
    }

    #[test]
    fn what_could_not_be_made_whole_is_made_again() {
        let name = format!("test-{}", std::process::id());
        let failed = make_once(&name, |root, _| {
            fs::write(root.join("half"), "").unwrap();
            Err(LabError::NeedsRoot { what: "a test" })
        });
        assert!(failed.is_err());
        let made = make_once(&name, |root, _| fs::write(root.join("whole"), "").map_err(LabError::file("write", root)));
        let path = made.unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        assert_eq!(make_once(&name, |_, _| panic!("made twice")).unwrap(), path);
        fs::remove_dir_all(&path).unwrap();
        fs::remove_file(target_folder().join(format!("{name}.lock"))).unwrap();
    }

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
