use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::context::Context;
use crate::cli::print::{print_lines, say, say_lines};
use crate::cli::{environment, exit};
use crate::lab::{LabError, Overrides};
use crate::wording::is_plain;

/// Name of the unit.
const UNIT: &str = "farmctl.service";

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
    let mut variables = environment::for_unit();
    for name in &variables.left_out {
        say(&format!("{name} holds a password: it is not written into the unit"));
    }
    let is_kept = |name: &String| variables.kept.iter().any(|(kept, _)| kept == name);
    let named: Vec<_> = named_variables(context, options)?.into_iter().filter(|(name, _)| !is_kept(name)).collect();
    variables.kept.extend(named);
    let words = words(&program, context, options)?;
    let lab = context.lab.path(Path::new(""));
    for text in words.iter().map(String::as_str).chain([word(&lab)?.as_str()]) {
        refuse_control(text)?;
    }
    let run_as = arguments.system.then(|| owner(&lab)).transpose()?;
    let unit = unit(&words, &variables.kept, &lab, run_as.as_deref());
    if !arguments.user {
        print_lines(&unit)?;
        if let Some(user) = run_as {
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
    if std::fs::read_to_string(&path).is_ok_and(|there| there != unit) && !arguments.force {
        return Err(LabError::usage(format!("{} is there, and says something else", path.display()))
            .with_hint("look at it, and replace it with --force"));
    }
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &unit));
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

/// The user as whom the system runs the daemon: whose the lab is, so that its files stay theirs.
fn owner(lab: &Path) -> Result<String, LabError> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(lab)
        .map_err(|error| LabError::internal(format!("failed to look at {}: {error}", lab.display())))?;
    let id = nix::unistd::Uid::from_raw(metadata.uid());
    let user = nix::unistd::User::from_uid(id).ok().flatten().filter(|user| is_plain(&user.name));
    let user = user.ok_or_else(|| {
        LabError::usage(format!("the lab belongs to user {id}, who has no name here"))
            .with_hint("make it a user's of this host (chown)")
    })?;
    Ok(specifiers(&user.name))
}

/// Makes sure that the daemon can go by its files; returns the variables that they name and that may be told. A secret
/// never stands in a unit.
fn named_variables(context: &Context, options: &DaemonOptions<'_>) -> Result<Vec<(String, String)>, LabError> {
    let usual = context.lab.daemon_config();
    if let Some(folder) = context.lab.overrides().runner_dir.filter(|folder| !folder.is_dir()) {
        return Err(LabError::usage(format!("{} is no folder of runners", folder.display())));
    }
    if options.config.is_none() && usual.symlink_metadata().is_err() {
        context.lab.inventory()?;
        context.lab.catalog()?;
        let name = context.lab.short_path(&usual);
        say(&format!("{name} is not there yet, and the daemon does not start without it"));
        return Ok(Vec::new());
    }
    let named = context.lab.named_variables(options.config.unwrap_or(&usual))?;
    for name in &named.secret {
        say(&format!(
            "{name} is named for a secret, and is not written into the unit: the daemon will not have it; name a \
             file of mode 600 instead, or give it by `EnvironmentFile=` in a drop-in (systemctl edit farmctl)"
        ));
    }
    let value = |name: String| context.lab.variable(&name).map(|value| (name, value));
    Ok(named.plain.into_iter().filter_map(value).filter(|(_, value)| is_plain(value)).collect())
}

/// A line of a unit is one: what would end it is refused.
fn refuse_control(text: &str) -> Result<(), LabError> {
    match is_plain(text) {
        true => Ok(()),
        false => Err(LabError::usage(format!("{text:?} has a control character, and a unit can't name it"))
            .with_hint("give it another name")),
    }
}

fn word(path: &Path) -> Result<String, LabError> {
    path.to_str().map(str::to_owned).ok_or_else(|| LabError::usage(format!("{} is no UTF-8", path.display())))
}

fn user_units(context: &Context) -> PathBuf {
    environment::config_home().unwrap_or_else(|| context.lab.home().join(".config")).join("systemd/user")
}

/// The daemon's command: with all options that this process was given.
fn words(program: &Path, context: &Context, options: &DaemonOptions<'_>) -> Result<Vec<String>, LabError> {
    let Overrides { farms, models, runner_dir, accept_new } = context.lab.overrides();
    let mut words = vec![word(program)?];
    let paths = farms.iter().map(|path| ("--farm", path));
    let paths = paths.chain(models.iter().map(|path| ("--models", path)));
    for (option, path) in paths.chain(runner_dir.iter().map(|path| ("--runner-dir", path))) {
        words.extend([option.to_owned(), word(path)?]);
    }
    words.extend(accept_new.then(|| "--accept-new".to_owned()));
    words.extend((0..context.verbose).map(|_| "-v".to_owned()));
    words.push("daemon".to_owned());
    if let Some(config) = options.config {
        words.extend(["--config".to_owned(), word(config)?]);
    }
    words.extend(options.insecure.then(|| "--insecure".to_owned()));
    Ok(words)
}

/// The unit. A stop is given more time than the daemon takes; a daemon that ends with an error or stands still is
/// started anew, and goes on where it was: what was wrong may have passed, or been mended.
fn unit(words: &[String], variables: &[(String, String)], lab: &Path, run_as: Option<&str>) -> String {
    let user = run_as.map_or_else(String::new, |user| format!("User={user}\n"));
    let wanted_by = if run_as.is_some() { "multi-user.target" } else { "default.target" };
    let command = words.iter().map(|word| quoted(&word.replace('$', "$$"))).collect::<Vec<_>>().join(" ");
    let variable = |(name, value): &(String, String)| format!("Environment={}\n", quoted(&format!("{name}={value}")));
    format!(
        "[Unit]
Description=farmctl: sweeps of the lab in {lab_text}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WorkingDirectory={lab_text}
{user}{variables}ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=10
WatchdogSec=180
TimeoutStartSec=120
TimeoutStopSec=60
KillMode=mixed

[Install]
WantedBy={wanted_by}
",
        variables = variables.iter().map(variable).collect::<String>(),
        lab_text = specifiers(&lab.display().to_string()),
    )
}

/// A word as a unit has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", specifiers(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// `%` begins a specifier.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_unit_has_a_user_and_starts_with_the_system() {
        let unit = |run_as| unit(&["farmctl".to_owned()], &[], Path::new("/lab"), run_as);
        let (own, of_system) = (unit(None), unit(Some("ann")));
        assert!(
            of_system.contains("\nUser=ann\n") && of_system.contains("WantedBy=multi-user.target\n"),
            "{of_system}"
        );
        assert!(!own.contains("User=") && own.contains("WantedBy=default.target\n"), "{own}");
    }

    #[test]
    fn what_would_end_a_line_is_in_no_unit() {
        for name in ["/labs/a\nExecStartPre=/bin/x", "/labs/a\rb", "/labs/a\tb"] {
            assert!(refuse_control(name).is_err_and(|error| !error.to_string().contains('\n')), "{name:?}");
        }
        assert!(refuse_control("/labs/my lab 100 % ä").is_ok());
    }
}
