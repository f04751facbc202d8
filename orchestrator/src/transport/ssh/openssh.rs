//! Asks the person's own OpenSSH what its configuration says of a host.
//!
//! Main function: [`settings_of`]. `ssh -G` evaluates each `Match`, `Include` and token as `ssh` does, and connects to
//! nothing. `None` where there is no `ssh`, or it does not answer: then our own reader's word counts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::config_file::{HostSettings, config_path, split_arguments};
use crate::domain::SshEndpoint;

/// A `Match exec` may start programs.
const LIMIT: Duration = Duration::from_secs(10);
/// Key files that ssh tries where none is named.
const DEFAULT_IDENTITY: &str = "~/.ssh/id_";

/// What OpenSSH's configuration says of a host, by the name that the person uses for it.
pub(super) async fn settings_of(endpoint: &SshEndpoint, home: &Path) -> Option<HostSettings> {
    // The name is no option of ours, and of nobody's.
    if endpoint.host.starts_with('-') {
        return None;
    }
    let own_home = own_home()?;
    let mut command = Command::new("ssh");
    command.arg("-G").args(file_arguments(home, &own_home));
    if let Some(port) = endpoint.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &endpoint.user {
        command.arg("-l").arg(user);
    }
    command.arg("--").arg(&endpoint.host);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    if !output.status.success() {
        return None;
    }
    Some(parse(&String::from_utf8_lossy(&output.stdout), home, &own_home))
}

/// The home folder as ssh knows it, whatever `HOME` says.
fn own_home() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir)
}

/// Whether ssh looks for included files where this home is.
pub(super) fn has_home(home: &Path) -> bool {
    own_home().is_some_and(|own_home| own_home == home)
}

/// ssh takes its folder from the user's entry, whatever `HOME` says: another home has to be named.
fn file_arguments(home: &Path, own_home: &Path) -> Vec<OsString> {
    if home == own_home {
        return Vec::new();
    }
    let path = config_path(home);
    let path = if path.is_file() { path.into_os_string() } else { OsString::from("/dev/null") };
    vec!["-F".into(), path]
}

/// Reads what `ssh -G` prints: a keyword in small letters and its value, one a line. Paths below the user's own home
/// are ssh's defaults, and mean this home.
fn parse(text: &str, home: &Path, own_home: &Path) -> HostSettings {
    let mut settings = HostSettings::default();
    let here = |word: &str| match Path::new(word).strip_prefix(own_home.join(".ssh")) {
        Ok(rest) => home.join(".ssh").join(rest).to_string_lossy().into_owned(),
        Err(_) => word.to_owned(),
    };
    for line in text.lines() {
        let Some((keyword, value)) = line.split_once(' ') else { continue };
        let words = || files_of(value).iter().map(|word| here(word)).collect::<Vec<_>>();
        match keyword {
            "hostname" => settings.host_name = Some(value.to_owned()),
            "user" => settings.user = Some(value.to_owned()),
            "port" => settings.port = value.parse().ok(),
            "identityfile" if is_default(value) || value.eq_ignore_ascii_case("none") => {}
            "identityfile" => settings.identity_files.push(value.to_owned()),
            "certificatefile" => settings.certificate_files.push(value.to_owned()),
            "identitiesonly" => settings.identities_only = Some(value == "yes"),
            "identityagent" => settings.identity_agent = Some(value.to_owned()),
            "proxyjump" => settings.proxy_jump = Some(value.to_owned()),
            "proxycommand" => settings.proxy_command = Some(value.to_owned()),
            "hostkeyalias" => settings.host_key_alias = Some(value.to_owned()),
            "knownhostscommand" => settings.known_hosts_command = Some(split_arguments(value)),
            "nohostauthenticationforlocalhost" => {
                settings.no_host_authentication_for_localhost = Some(value == "yes");
            }
            "revokedhostkeys" => settings.revoked_host_keys = Some(value.to_owned()),
            "userknownhostsfile" => settings.known_hosts_files = words(),
            "globalknownhostsfile" => settings.global_known_hosts_files = words(),
            _ => {}
        }
    }
    settings.names_are_expanded = true;
    settings
}

/// The files of a list that ssh prints without its quotes. A name with a space in it comes as two: what follows belongs
/// to the same one unless it begins as a path does, or where there is a file of the longer name.
fn files_of(value: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for word in value.split(' ') {
        if let Some(last) = files.last_mut() {
            let longer = format!("{last} {word}");
            let begins_anew = word.starts_with(['/', '~', '%', '$']) || word.eq_ignore_ascii_case("none");
            if !begins_anew || Path::new(&longer).is_file() {
                *last = longer;
                continue;
            }
        }
        files.push(word.to_owned());
    }
    files.iter().map(|file| file.trim_end().to_owned()).filter(|file| !file.is_empty()).collect()
}

/// The names that ssh itself tries; a file of theirs that a person names is tried all the same.
fn is_default(value: &str) -> bool {
    const KINDS: [&str; 7] = ["rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa"];
    value.strip_prefix(DEFAULT_IDENTITY).is_some_and(|kind| KINDS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_read() {
        let text = "user ann\nhostname 10.0.0.1\nport 2222\nidentitiesonly yes\nidentityagent /run/agent\n\
                    identityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/board\n\
                    userknownhostsfile /root/.ssh/known_hosts /k\nproxycommand nc %h %p\n";
        let settings = parse(text, Path::new("/home/ann"), Path::new("/root"));
        assert_eq!((settings.user.as_deref(), settings.port), (Some("ann"), Some(2222)));
        assert_eq!(settings.identity_files, ["~/.ssh/board"]);
        assert_eq!(settings.identities_only, Some(true));
        assert_eq!(settings.known_hosts_files, ["/home/ann/.ssh/known_hosts", "/k"]);
        assert_eq!(settings.proxy_command.as_deref(), Some("nc %h %p"));
    }

    #[test]
    fn names_with_spaces_stay_whole() {
        assert_eq!(files_of("/tmp/with space /root/.ssh/kk ~/x"), ["/tmp/with space", "/root/.ssh/kk", "~/x"]);
        assert_eq!(files_of("/a  /b "), ["/a", "/b"]);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kh %n");
        std::fs::write(&file, "").expect("a file");
        let value = format!("{} /b", file.display());
        assert_eq!(files_of(&value), [file.display().to_string(), "/b".to_owned()]);
    }

    #[test]
    fn another_home_is_named_to_ssh() {
        let home = PathBuf::from("/nowhere/at/all");
        assert!(file_arguments(&home, &home).is_empty());
        assert_eq!(file_arguments(&home, Path::new("/root")), ["-F", "/dev/null"]);
    }
}
