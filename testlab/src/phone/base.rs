//! The files that all virtual phones share: Android's own adb daemon and shell, and busybox, from Debian's packages.
//!
//! Main function: [`phone_base`].

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::PhoneArch;
use crate::LabError;
use crate::debian::{Apt, extract, host_architecture, make_once};
use crate::process::run;

/// Changes with the recipe, so that an older base is not taken for this one.
const RECIPE: &str = "phone-base-2";
/// Debian release that has adbd.
const SUITE: &str = "trixie";
const DAEMON_PACKAGE: &str = "adbd";
/// Android's own shell (busybox's would take its `svc` for Android's) and the other commands, without libraries.
const SHELL_PACKAGES: [&str; 2] = ["mksh", "busybox-static"];
const SHELL: &str = "mksh-static";

/// The folder with the shared files, made at the first call.
pub(super) fn phone_base(arch: PhoneArch) -> Result<PathBuf, LabError> {
    let native = host_architecture()?;
    let shell_arch = match arch {
        PhoneArch::Host => native.as_str(),
        PhoneArch::Aarch64 => "arm64",
    };
    make_once(&format!("{RECIPE}-{native}-{shell_arch}"), |root, work| {
        if !Uid::effective().is_root() {
            return Err(LabError::NeedsRoot { what: "unpacking a virtual phone" });
        }
        let apt = Apt::prepare(&work.join("apt"), SUITE, &native, shell_arch)?;
        unpack(&apt, root, &native, shell_arch)
    })
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
    for package in apt.download_with_dependencies(&[DAEMON_PACKAGE, shell, commands])? {
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
        for package in apt.download_with_dependencies(&packages.each_ref().map(String::as_str))? {
            extract(&package, root)?;
        }
    }
    Ok(())
}
