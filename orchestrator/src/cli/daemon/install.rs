use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::context::Context;
use crate::cli::print::{print_lines, say};
use crate::cli::{environment, exit};
use crate::lab::LabError;

/// Name of the unit.
const UNIT: &str = "farmctl.service";

#[derive(Debug, Args)]
pub(super) struct InstallArguments {
    /// For this user, into ~/.config/systemd/user; without it, the unit is printed
    #[arg(long)]
    user: bool,
    /// Replace a unit that is there and says something else
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, arguments: &InstallArguments) -> Result<u8, LabError> {
    let program = std::env::current_exe()
        .map_err(|error| LabError::internal(format!("failed to find this program's file: {error}")))?;
    let unit = unit(&program, &context.lab.path(Path::new("")));
    if !arguments.user {
        print_lines(&unit)?;
        return Ok(exit::OK);
    }
    let path = user_units(context).join(UNIT);
    if std::fs::read_to_string(&path).is_ok_and(|there| there != unit) && !arguments.force {
        return Err(LabError::usage(format!("{} is there, and says something else", path.display()))
            .with_hint("look at it, and replace it with --force"));
    }
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &unit));
    written
        .map_err(|error| LabError::internal(format!("failed to write {}: {error}", path.display())).caused_by(error))?;
    say(&format!(
        "wrote {}; start it, now and at each boot, with:\n  systemctl --user daemon-reload\n  systemctl --user enable \
         --now farmctl\n  loginctl enable-linger",
        path.display()
    ));
    Ok(exit::OK)
}

fn user_units(context: &Context) -> PathBuf {
    environment::config_home().unwrap_or_else(|| context.lab.home().join(".config")).join("systemd/user")
}

/// The unit. A stop is given more time than the daemon takes; a daemon that stands still is started anew, and goes on
/// where it was; a configuration that is faulty at the start is not tried again and again.
fn unit(program: &Path, lab: &Path) -> String {
    format!(
        "[Unit]
Description=farmctl: sweeps of the lab in {lab_text}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=main
WorkingDirectory={lab_text}
ExecStart={program} daemon
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2 3
WatchdogSec=180
TimeoutStartSec=120
TimeoutStopSec=60
KillMode=mixed

[Install]
WantedBy=default.target
",
        program = quoted(program),
        lab_text = specifiers(&lab.display().to_string()),
    )
}

/// A path as a unit's command has it.
fn quoted(path: &Path) -> String {
    let text = specifiers(&path.display().to_string()).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{text}\"")
}

/// `%` begins a specifier.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
