//! The systemd unit that runs the daemon for a lab.
//!
//! Main type: [`Unit`].

use std::path::Path;

use crate::lab::{Lab, LabError, Overrides};
use crate::wording::is_plain;

/// Name of the unit.
pub const UNIT: &str = "farmctl.service";

/// What a daemon needs of this environment wherever it is started: programs, agents, runners, certificates, proxies.
const VARIABLES: [&str; 19] = [
    "PATH",
    "SSH_AUTH_SOCK",
    "FARMCTL_RUNNERS",
    "FARMCTL_LOG",
    "FARMCTL_STORE",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_DATA_HOME",
    "ANDROID_HOME",
    "ANDROID_ADB_SERVER_PORT",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// How the daemon of a unit is started.
pub struct UnitOptions<'a> {
    /// This program's file.
    pub program: &'a Path,
    /// The daemon's file, where it is not the lab's own.
    pub config: Option<&'a Path>,
    /// Whether tokens may go over the network in clear text.
    pub insecure: bool,
    /// How many times more log was asked for.
    pub verbose: u8,
    /// Whether it is the system's, as the user whose the lab is; else a user's.
    pub is_of_system: bool,
}

/// A unit that runs the daemon for a lab.
pub struct Unit {
    /// Its file.
    pub text: String,
    /// The user as whom the system runs it.
    pub run_as: Option<String>,
}

/// A variable of the environment that a unit carries on.
struct Variable {
    name: String,
    value: String,
}

impl Unit {
    /// The unit for a lab. What it can't hold is said as it is found.
    ///
    /// # Errors
    /// When the daemon could not go by the lab's files, or a name can't stand in a unit.
    pub fn of_lab(lab: &Lab, options: &UnitOptions<'_>, say: fn(&str)) -> Result<Unit, LabError> {
        let mut variables = own_variables(lab, say);
        let is_kept = |variables: &[Variable], name: &str| variables.iter().any(|kept| kept.name == name);
        let named = named_variables(lab, options, say)?;
        let new: Vec<Variable> = named.into_iter().filter(|named| !is_kept(&variables, &named.name)).collect();
        variables.extend(new);
        let words = words(lab, options)?;
        let folder = lab.path(Path::new(""));
        for text in words.iter().map(String::as_str).chain([word(&folder)?.as_str()]) {
            refuse_control(text)?;
        }
        let run_as = options.is_of_system.then(|| owner(&folder)).transpose()?;
        Ok(Unit { text: text(&words, &variables, &folder, run_as.as_deref()), run_as })
    }
}

/// Those of [`VARIABLES`] that are set.
fn own_variables(lab: &Lab, say: fn(&str)) -> Vec<Variable> {
    let mut variables = Vec::new();
    for name in VARIABLES {
        let Some(value) = lab.variable(name).filter(|value| !value.is_empty()) else { continue };
        let value = if name == "FARMCTL_RUNNERS" {
            let whole = std::env::split_paths(&value).filter_map(|path| std::path::absolute(path).ok());
            std::env::join_paths(whole).unwrap_or_default().to_string_lossy().into_owned()
        } else {
            value
        };
        if name.to_ascii_lowercase().ends_with("_proxy") && value.contains('@') {
            say(&format!("{name} holds a password: it is not written into the unit"));
        } else if is_plain(&value) {
            variables.push(Variable { name: name.to_owned(), value });
        }
    }
    variables
}

/// Makes sure that the daemon can go by its files; returns the variables that they name and that may be told. A secret
/// never stands in a unit.
fn named_variables(lab: &Lab, options: &UnitOptions<'_>, say: fn(&str)) -> Result<Vec<Variable>, LabError> {
    let usual = lab.daemon_config();
    if let Some(folder) = lab.overrides().runner_dir.filter(|folder| !folder.is_dir()) {
        return Err(LabError::usage(format!("{} is no folder of runners", folder.display())));
    }
    if options.config.is_none() && usual.symlink_metadata().is_err() {
        lab.inventory()?;
        lab.catalog()?;
        let name = lab.short_path(&usual);
        say(&format!("{name} is not there yet, and the daemon does not start without it"));
        return Ok(Vec::new());
    }
    let named = lab.named_variables(options.config.unwrap_or(&usual))?;
    for name in &named.secret {
        say(&format!(
            "{name} is named for a secret, and is not written into the unit: the daemon will not have it; name a \
             file of mode 600 instead, or give it by `EnvironmentFile=` in a drop-in (systemctl edit farmctl)"
        ));
    }
    let variable = |name: String| lab.variable(&name).map(|value| Variable { name, value });
    Ok(named.plain.into_iter().filter_map(variable).filter(|variable| is_plain(&variable.value)).collect())
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

/// The daemon's command: with all options that this process was given.
fn words(lab: &Lab, options: &UnitOptions<'_>) -> Result<Vec<String>, LabError> {
    let Overrides { farms, models, runner_dir, accept_new } = lab.overrides();
    let mut words = vec![word(options.program)?];
    let paths = farms.iter().map(|path| ("--farm", path));
    let paths = paths.chain(models.iter().map(|path| ("--models", path)));
    for (option, path) in paths.chain(runner_dir.iter().map(|path| ("--runner-dir", path))) {
        words.extend([option.to_owned(), word(path)?]);
    }
    words.extend(accept_new.then(|| "--accept-new".to_owned()));
    words.extend((0..options.verbose).map(|_| "-v".to_owned()));
    words.push("daemon".to_owned());
    if let Some(config) = options.config {
        words.extend(["--config".to_owned(), word(config)?]);
    }
    words.extend(options.insecure.then(|| "--insecure".to_owned()));
    Ok(words)
}

/// The unit's file. A stop is given more time than the daemon takes; a daemon that ends with an error or stands still
/// is started anew, and goes on where it was: what was wrong may have passed, or been mended.
fn text(words: &[String], variables: &[Variable], lab: &Path, run_as: Option<&str>) -> String {
    let user = run_as.map_or_else(String::new, |user| format!("User={user}\n"));
    let wanted_by = if run_as.is_some() { "multi-user.target" } else { "default.target" };
    let command = words.iter().map(|word| quoted(&word.replace('$', "$$"))).collect::<Vec<_>>().join(" ");
    let variable =
        |Variable { name, value }: &Variable| format!("Environment={}\n", quoted(&format!("{name}={value}")));
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
        let unit = |run_as| text(&["farmctl".to_owned()], &[], Path::new("/lab"), run_as);
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
