//! The environment of this process: read here, and handed on as values.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Proxy;
use crate::lab::Environment;
use crate::tls::Trust;

/// What a lab takes of it.
pub(super) fn read() -> Environment {
    let runners = std::env::var_os("FARMCTL_RUNNERS");
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    Environment {
        home: folder("HOME"),
        data_home: folder("XDG_DATA_HOME"),
        user: user(),
        host: host.unwrap_or_else(|_| "localhost".to_owned()),
        agent_socket: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
        runner_folders: runners.iter().flat_map(std::env::split_paths).collect(),
        working_folder: std::env::current_dir().ok(),
        proxy: Proxy::try_from_env(),
        trust: trust(),
        variable: Arc::new(|name| std::env::var(name).ok()),
    }
}

/// Whose certificates this process is told to believe.
fn trust() -> Trust {
    let variable = |name| std::env::var_os(name);
    Trust::named(variable("SSL_CERT_FILE").as_deref(), variable("SSL_CERT_DIR").as_deref())
}

/// Whether a person has not asked for output without colour.
pub(super) fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The log's filter, where one is set.
pub(super) fn log_filter() -> Option<String> {
    std::env::var("FARMCTL_LOG").ok().filter(|filter| !filter.is_empty())
}

/// The folder of users' settings, where it is not below the home folder.
pub(super) fn config_home() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME")
}

/// A folder that a variable names; a relative one counts as none.
fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Who runs this process, as the system knows it.
fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.name).or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "root".to_owned())
}
