use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::context::Context;
use crate::cli::{environment, exit};
use crate::daemon::{UNIT, Unit, UnitOptions};
use crate::lab::LabError;
use crate::terminal::print::{print_lines, say, say_lines};

#[derive(Debug, Args)]
pub(super) struct InstallArguments {
    /// For this user, into ~/.config/systemd/user; without it, the unit is printed
    #[arg(long)]
    user: bool,
    /// For the whole system, as the user who owns the lab: the unit is printed, and what root does with it is said
    #[arg(long, conflicts_with_all = ["user", "force"])]
    system: bool,
    /// Replace a unit that is there and says something else
    #[arg(long)]
    force: bool,
}

/// What the daemon of the unit is told, besides what every verb is.
pub(super) struct DaemonOptions<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) insecure: bool,
}

pub(super) fn run(
    context: &Context,
    arguments: &InstallArguments,
    options: &DaemonOptions<'_>,
) -> Result<u8, LabError> {
    let program = std::env::current_exe()
        .map_err(|error| LabError::internal(format!("failed to find this program's file: {error}")))?;
    let unit = Unit::of_lab(
        &context.lab,
        &UnitOptions {
            program: &program,
            config: options.config,
            insecure: options.insecure,
            verbose: context.verbose,
            is_of_system: arguments.system,
        },
        say,
    )?;
    if !arguments.user {
        print_lines(&unit.text)?;
        if let Some(user) = unit.run_as {
            say_lines(&[
                &format!("this unit runs the daemon as {user}, who owns the lab; root writes it, and starts it:"),
                "  farmctl daemon install --system | sudo tee /etc/systemd/system/farmctl.service",
                "  sudo systemctl daemon-reload",
                "  sudo systemctl enable --now farmctl",
            ]);
        }
        return Ok(exit::OK);
    }
    let path = user_units(context).join(UNIT);
    if std::fs::read_to_string(&path).is_ok_and(|there| there != unit.text) && !arguments.force {
        return Err(LabError::usage(format!("{} is there, and says something else", path.display()))
            .with_hint("look at it, and replace it with --force"));
    }
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &unit.text));
    written
        .map_err(|error| LabError::internal(format!("failed to write {}: {error}", path.display())).caused_by(error))?;
    let written = format!("wrote {}; start it, now and at each boot, with:", path.display());
    say_lines(&[
        &written,
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now farmctl",
        "  loginctl enable-linger     # so that it runs when nobody is logged in, and after a boot",
    ]);
    Ok(exit::OK)
}

fn user_units(context: &Context) -> PathBuf {
    environment::config_home().unwrap_or_else(|| context.lab.home().join(".config")).join("systemd/user")
}
