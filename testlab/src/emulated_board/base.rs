//! What all emulated boards share: a kernel and its first file system, from Debian's packages.
//!
//! Main function: [`board_base`].

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::LabError;
use crate::debian::{Apt, extract, host_architecture, make_once};
use crate::process::run;

const RECIPE: &str = "emulated-board-2";
/// Its kernel image is one that qemu boots as it is.
const SUITE: &str = "bookworm";
const KERNEL_PACKAGE: &str = "linux-image-cloud-arm64:arm64";
/// libstdc++ is what engines in C++ need besides.
const PACKAGES: [&str; 3] = ["busybox-static:arm64", "dropbear-bin:arm64", "libstdc++6:arm64"];
/// For the network card, in the order of their dependence.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];
/// Not needed there, and it would only take memory.
const SUPERFLUOUS: [&str; 3] = ["usr/share", "usr/lib/aarch64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/audit"];
const INIT: &str = include_str!("init");

/// The kernel's name in the shared folder.
pub(super) const KERNEL: &str = "vmlinuz";
/// The first file system's.
pub(super) const ARCHIVE: &str = "initrd";

/// The folder with the shared files, made at the first call.
pub(super) fn board_base() -> Result<PathBuf, LabError> {
    make_once(RECIPE, |root, work| {
        let apt = Apt::prepare(&work.join("apt"), SUITE, &host_architecture()?, "arm64")?;
        let kernel = format!("{}:arm64", apt.first_dependency(KERNEL_PACKAGE)?);
        let kernel_files = work.join("kernel");
        for package in apt.download(&[&kernel])? {
            extract(&package, &kernel_files)?;
        }
        let image = find(&kernel_files.join("boot"), "vmlinuz-")?;
        fs::rename(&image, root.join(KERNEL)).map_err(LabError::file("move", &image))?;
        let files = work.join("files");
        for package in apt.download_with_dependencies(&PACKAGES)? {
            extract(&package, &files)?;
        }
        for folder in SUPERFLUOUS {
            // Another version of a package may lack it.
            let _ = fs::remove_dir_all(files.join(folder));
        }
        fill(&files, &find(&kernel_files.join("lib/modules"), "")?.join("kernel"))?;
        archive(&files, &root.join(ARCHIVE))
    })
}

fn fill(files: &Path, modules: &Path) -> Result<(), LabError> {
    for folder in ["dev", "proc", "sys", "tmp", "root", "run", "etc", "modules"] {
        fs::create_dir_all(files.join(folder)).map_err(LabError::file("create", files.join(folder)))?;
    }
    let texts = [
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\n".to_owned()),
        ("etc/group", "root:x:0:\n".to_owned()),
        ("etc/shells", "/bin/sh\n".to_owned()),
        ("etc/os-release", "PRETTY_NAME=\"farmctl emulated board\"\n".to_owned()),
        ("modules/order", MODULES.join("\n") + "\n"),
        ("init", INIT.to_owned()),
    ];
    for (name, text) in texts {
        fs::write(files.join(name), text).map_err(LabError::file("write", files.join(name)))?;
    }
    let init = files.join("init");
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).map_err(LabError::file("make executable", &init))?;
    for module in MODULES {
        let name = format!("{module}.ko");
        let found = run("find", "findutils", &[modules.as_os_str(), OsStr::new("-name"), OsStr::new(&name)])?;
        let from = found.lines().next().unwrap_or(&name);
        fs::copy(from, files.join("modules").join(&name)).map_err(LabError::file("copy the kernel module", from))?;
    }
    Ok(())
}

fn find(folder: &Path, prefix: &str) -> Result<PathBuf, LabError> {
    let mut entries = fs::read_dir(folder).map_err(LabError::file("read", folder))?.filter_map(Result::ok);
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let missing = || LabError::file("find the kernel in", folder)(std::io::ErrorKind::NotFound.into());
    found.map(|entry| entry.path()).ok_or_else(missing)
}

/// Packs a folder as the kernel wants it, with everything owned by root.
pub(super) fn archive(folder: &Path, to: &Path) -> Result<(), LabError> {
    let script = "cd \"$0\" && find . | busybox cpio -o -H newc -R 0:0 > \"$1\"";
    let arguments = [OsStr::new("-c"), OsStr::new(script), folder.as_os_str(), to.as_os_str()];
    run("busybox", "busybox", &["true"].map(OsStr::new))?;
    run("sh", "dash", &arguments).map(drop)
}
